"""A file of one's own parts: imported once, tried out first, kept with a run, never run unasked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import ffsnn
from ffsnn.config import RunConfig
from ffsnn.datasets.data import load
from ffsnn.parts import own
from ffsnn.parts.registry import ENCODERS, GOODNESS
from ffsnn.training.run import Run
from ffsnn.validation import ConfigError

MAX = """
from ffsnn import goodness

@goodness.register("max")
def largest(rate_BF):
    return rate_BF.amax(1)
"""
RUN = {
    "data": {"dataset": "digits", "train_images": 200},
    "network": {"widths": [16], "goodness": "max"},
    "learning": {"batch_size": 50, "epochs": 1},
}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing that a test has imported stays."""
    yield
    for file in own.used():
        own.forget(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "max_goodness.py"
    path.write_text(MAX)
    return path


def written(tmp_path: Path, text: str, name: str = "mine.py") -> Path:
    path = tmp_path / name
    path.write_text("import torch\nfrom ffsnn import encoders, features, goodness, losses, surrogates\n" + text)
    return path


def test_a_file_is_imported_once_and_registers_its_parts(file: Path, tmp_path: Path) -> None:
    first = ffsnn.use(file)
    assert first.parts == [(GOODNESS, "max")]
    copy = tmp_path / "parts" / file.name
    copy.parent.mkdir()
    copy.write_text(MAX)
    assert ffsnn.use(str(file)) is ffsnn.use(copy) is first  # the same source, wherever it lies
    assert own.files_of([(GOODNESS, "max"), (GOODNESS, "mean"), (ENCODERS, "direct")]) == [first]
    assert not list(tmp_path.rglob("__pycache__"))
    file.write_text(MAX + "\n")
    with pytest.raises(ConfigError, match=r"max_goodness\.py was changed after this process had imported it"):
        ffsnn.use(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1 / 0\n", r"mine.py, line 3: ZeroDivisionError: division by zero$"),
        ("def f(:\n", r"mine.py, line 3: invalid syntax$"),
        ("@goodness.register\ndef g(r): return r.amax(1)\n", r"line 3: a goodness needs a name: @register\('mine'\)"),
        ("raise SystemExit(3)\n", r"mine.py, line 3: SystemExit: 3$"),
        ("goodness.register('mean')(lambda r: r.mean(1))\n", r"a goodness 'mean' already, which ships with ffsnn"),
        ("goodness.register('g')(lambda r: r)\n", r"the goodness 'g' must give \(B,\) of rates .*, but gave \(4, 6\)$"),
        ("goodness.register('g')(lambda r: 1.0)\n", r"the goodness 'g' must give \(B,\) .*, but gave float$"),
        ("goodness.register('g')(lambda r: r.log().mean(1))\n", r"the goodness 'g' gives values that are not finite"),
        ("goodness.register('g')(lambda r: (r > 0.5) * 1.0 @ torch.ones(6))\n", "the goodness 'g' has no gradient"),
        ("goodness.register('g')(lambda r: r.norm(dim=1).sqrt())\n", "'g' has a gradient that is not finite"),
        ("goodness.register('g')(lambda r: 0 * r.mean(1))\n", "the goodness 'g' has a gradient of 0 everywhere"),
        ("goodness.register('g')(lambda r: r.nonesuch)\n", "'g' fails when it is tried out, at .*mine.py, line 3"),
        ("losses.register('l')(lambda p, n, a, t: n - p)\n", r"the loss 'l' must give a scalar, .*, but gave \(3,\)$"),
        ("encoders.register('e')(lambda x, T, g: x)\n", r"'e' must give \(T, B, F\) = \(8, 4, 6\) .*\(4, 6\)$"),
        ("encoders.register('e')(lambda x, T, g: x.expand(T, -1, -1))\n", "'e' must give torch.uint8, but"),
        ("features.register('f')(lambda x, shape: x[:1])\n", r"'f' must give \(B, E\) .*, but gave \(1, 64\)"),
        ("features.register('f')(lambda x, shape: 2 * x)\n", r"'f' must give values in \[0, 1\], .* gave 0 to 2"),
        ("surrogates.register('s')(lambda alpha: torch.nn.Identity())\n", "the surrogate 's' must give a spike"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line_and_nothing_stays(text: str, said: str, tmp_path: Path) -> None:
    before = {registry.kind: set(registry) for registry in (GOODNESS, ENCODERS)}
    with pytest.raises(ConfigError, match=said) as error:
        ffsnn.use(written(tmp_path, text))
    assert "\n" not in str(error.value)
    assert {registry.kind: set(registry) for registry in (GOODNESS, ENCODERS)} == before
    assert own.used() == []


def test_two_files_with_one_name_for_a_part_are_both_named(file: Path, tmp_path: Path) -> None:
    ffsnn.use(file)
    other = written(tmp_path, "goodness.register('max')(lambda r: r.amax(1))\n", "other.py")
    with pytest.raises(
        ConfigError, match=r"other.py, line 3: there is a goodness 'max' already, of .*/max_goodness.py"
    ):
        ffsnn.use(other)
    with pytest.raises(ConfigError, match=r"cannot read nowhere.py \(No such file or directory\): name a Python file"):
        ffsnn.use("nowhere.py")


def test_a_yaml_file_names_them_beside_itself_and_json_cannot(file: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("use: [max_goodness.py]\nnetwork: {goodness: max}\n")
    assert RunConfig.load(config).network.goodness == "max"
    own.forget(own.used()[0])
    (tmp_path / "config.json").write_text('{"use": ["max_goodness.py"]}')
    with pytest.raises(ConfigError, match="use: there is no such field"):
        RunConfig.load(tmp_path / "config.json")
    config.write_text("use: max_goodness.py\n")
    with pytest.raises(ConfigError, match="use must be a list of Python files"):
        RunConfig.load(config)


def test_a_run_keeps_a_copy_that_runs_only_where_it_is_trusted(file: Path, tmp_path: Path) -> None:
    first, config = ffsnn.use(file), RunConfig.parse(RUN)
    assert first.parts
    for _ in Run(config, load(config.data, config.seed), tmp_path / "run"):
        pass
    assert (tmp_path / "run" / "parts" / file.name).read_text() == MAX
    own.forget(own.used()[0])
    with pytest.raises(ConfigError, match=r"was begun with parts of its own \(max_goodness.py\): name them with --use"):
        ffsnn.load(tmp_path / "run")
    assert "max" not in GOODNESS
    ffsnn.trust(tmp_path / "run" / "best.safetensors")
    assert ffsnn.load(tmp_path / "run").config.network.goodness == "max"
    own.forget(own.used()[0])
    file.write_text(MAX.replace("amax(1)", "amax(1) / 2"))
    ffsnn.use(file)
    with pytest.raises(
        ConfigError, match=r"was begun with another max_goodness.py than .*\n.*\n.*\n.*\n-    return rate"
    ):
        ffsnn.load(tmp_path / "run")


def test_a_run_that_names_no_part_of_ones_own_needs_none(file: Path, tmp_path: Path) -> None:
    ffsnn.use(file)
    config = RunConfig.parse(RUN).replaced({"network.goodness": "mean"})
    next(Run(config, load(config.data, config.seed), tmp_path / "run"))
    assert not (tmp_path / "run" / "parts").exists()
