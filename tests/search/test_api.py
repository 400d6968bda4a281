"""From Python, as the package's own docstring says it."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import search
from ffsnn.config import RunConfig
from ffsnn.validation import ConfigError
from search.config import SearchConfig
from search.resolve import requested
from search.signals import ENDING
from search.store.folder import SearchFolder
from search.study.starts import starts
from spaces import presets
from spaces.space import Space


def test_the_example_in_the_docstring(tmp_path, monkeypatch, capsys):
    """Run as it stands."""
    (tmp_path / "mlruns").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FFSNN_HOME", raising=False)
    text = search.__doc__
    example = textwrap.dedent(text[text.index("    import search") : text.index("`search.load")])
    exec(compile(example.replace("trials=8", "trials=3, epochs=2"), "example", "exec"), {})
    shown = capsys.readouterr().out
    assert "state" in shown
    assert "\nseed: 0\n" in shown  # the best configuration
    again = search.load("first")
    assert list(again.table().index) == [0, 1, 2]
    assert list(again.table()["state"]).count("complete") >= 1
    best = again.best()
    assert RunConfig.parse(best.model_dump(mode="json")) == best
    assert again.table()["val_accuracy"].max() == again.table()["best_val_accuracy"].max()
    with pytest.raises(ConfigError, match="did you mean first"):
        search.load("frist")


SMALL = {"trials": 2, "epochs": 1, "quiet": True}


def test_a_search_in_a_thread_leaves_the_process_as_it_was(tmp_path):
    """Signals reach the main thread alone, so it has no handlers of its own there."""
    handlers = [signal.getsignal(number) for number in ENDING]
    mask = os.umask(0o022)
    try:
        with ThreadPoolExecutor(1) as other:
            found = other.submit(search.run, "digits_smoke", name="other", home=tmp_path, **SMALL).result()
        assert len(found.table()) == 2
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)
    assert [signal.getsignal(number) for number in ENDING] == handlers
    assert stat.S_IMODE(found.folder.path.stat().st_mode) == 0o700


@pytest.mark.faults
def test_a_search_in_a_running_event_loop(tmp_path):
    async def searched(name: str) -> int:
        return len(search.run("digits_smoke", name=name, home=tmp_path, **SMALL).table())

    async def beside(name: str) -> int:
        run = asyncio.to_thread(search.run, "digits_smoke", name=name, home=tmp_path, **SMALL)
        return len((await run).table())

    assert asyncio.run(searched("in")) == asyncio.run(beside("beside")) == 2


def test_a_ray_of_the_users_own_is_left_alone(tmp_path):
    """Refused before anything begins: the search's own Ray would take its place."""
    script = f"""
import ray, search
ray.init("local", num_cpus=1, include_dashboard=False, logging_level="ERROR")
mine = ray.put("mine")
try:
    search.run("digits_smoke", home={str(tmp_path)!r})
except ValueError as error:
    print(error)
print(ray.get(mine))
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert "Ray is up in this process already" in said.stdout, said.stderr
    assert said.stdout.endswith("mine\n")
    assert not [*(tmp_path / "mlruns" / "searches").iterdir()]


# --- what a search is asked for with ---


TREE = {"base": {"data": {"dataset": "digits"}}, "parameters": {"tau": {"float": [1.5, 3]}}}


def asked(space: object, home: Path, name: str | None = None, **settings: object) -> SearchConfig:
    return requested(home, space, name, None, settings)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("space", [TREE, Space.parse(TREE), types.MappingProxyType(TREE)])
def test_a_space_may_be_a_mapping_or_a_space(space, tmp_path):
    config = asked(space, tmp_path)
    assert (config.name, config.space) == ("space-1", Space.parse(TREE))


@pytest.mark.parametrize("space", [3, ["mnist"], b"mnist", object()])
def test_anything_else_is_no_space(space, tmp_path):
    with pytest.raises(ConfigError, match=r"a space is .* name, a YAML file, a mapping or a Space, but got"):
        asked(space, tmp_path)


def test_a_space_that_was_not_tried_out_is(tmp_path):
    never = Space.model_validate({"parameters": {"T": {"float": [2, 16]}}})
    with pytest.raises(ConfigError, match=r"network\.T is a whole number: take int"):
        asked(never, tmp_path)


def test_a_space_is_tried_out_with_the_epochs_of_its_search(tmp_path):
    tree = {"base": TREE["base"], "parameters": {"layers": {"choice": ["together", "greedy"]}}}
    assert asked(tree, tmp_path, epochs=2).epochs == 2
    with pytest.raises(ConfigError, match=r"the space allows .*greedy.*needs an epoch a layer, but got epochs=1"):
        asked(tree, tmp_path, epochs=1)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("my space.yaml", "my-space-1"), ("größe.yaml", "grosse-1"), ("Ärger é.yml", "Arger-e-1"),
        ("搜索.yaml", "search-1"),
        ("-x-.yaml", "x-1"), ("x" * 240 + ".yaml", "x" * 100 + "-1"), ("a.b.yaml", "a.b-1"),
    ],
)  # fmt: skip
def test_a_search_is_named_after_its_space_as_near_as_can_be(file, name, tmp_path):
    (tmp_path / file).write_text(json.dumps(TREE))
    config = asked(tmp_path / file, tmp_path)
    assert (config.name, config.space_name) == (name, Path(file).stem)


@pytest.mark.parametrize("names", ["first, second", "first,second ", ["first", " second"], ("first", "second")])
def test_names_of_a_warm_start(names, tmp_path):
    assert asked(TREE, tmp_path, warm_start=names).warm_start == ("first", "second")


def test_one_name_is_a_warm_start_too(tmp_path):
    assert asked(TREE, tmp_path, warm_start="base").warm_start == ("base",)
    with pytest.raises(ConfigError, match=r"warm_start: must be names of searches, such as 'first,second', but got 3"):
        asked(TREE, tmp_path, warm_start=3)


def fake(home: Path, name: str, space: Space, samples: list[dict], accuracies: list[float]) -> None:
    """A search that found these accuracies."""
    import json

    from ffsnn.training.epoch_metrics import EpochMetrics

    config = SearchConfig(name=name, space=space, trials=len(samples), epochs=1)
    folder = SearchFolder.create(home, config, "")
    for number, (sample, accuracy) in enumerate(zip(samples, accuracies, strict=True)):
        trial = folder.trial(number)
        trial.create(space.apply(sample, config.base))
        line = EpochMetrics(1, (0.0,), (0.0,), (0.0,), (0.0,), accuracy, 1.0, 1.0)
        (trial.path / "history.jsonl").write_text(json.dumps(line.json()) + "\n")


def test_a_warm_start_takes_the_best_points_that_lie_in_the_space(tmp_path):
    wide = Space.parse({
        "base": {"data": {"dataset": "digits"}, "learning": {"batch_size": 64}},
        "parameters": {"tau": {"float": [1.1, 9]}, "T": {"int": [1, 20]}},
    })  # fmt: skip
    samples = [{"network.tau": 8.0, "network.T": 4}, {"network.tau": 2.0, "network.T": 4}]
    samples += [{"network.tau": 3.0, "network.T": n} for n in range(2, 9)]
    fake(tmp_path, "old", wide, samples, [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    narrow = Space.parse({
        "base": {"data": {"dataset": "digits"}, "network": {"v_threshold": 0.7}, "learning": {"batch_size": 64}},
        "parameters": {"tau": {"float": [1.1, 5]}, "v_threshold": {"float": [0.1, 2]}},
    })  # fmt: skip
    config = SearchConfig(name="new", space=narrow, trials=9, epochs=1, warm_start=("old",))
    first, (remark,) = starts(tmp_path, config)
    v_threshold = wide.base.network.v_threshold
    assert first == [
        {"network.tau": 2.0, "network.v_threshold": v_threshold},
        {"network.tau": 3.0, "network.v_threshold": v_threshold},  # the others are the same point here
    ]
    assert "the best 2 points of old are tried first; 1 other point" in remark
    with pytest.raises(ConfigError, match="no search 'odl'"):
        starts(tmp_path, config.model_copy(update={"warm_start": ("odl",)}))


def starting(**settings) -> tuple[list[dict], list[str]]:
    """Points that a search of MNIST tries first, and what is said of them."""
    tree = {
        "base": {
            "data": {"dataset": "mnist"}, "network": {"label_amplitude": 3, "v_threshold": 0.7},
            "learning": {"batch_size": 256, "shift": 1},
        },
        "parameters": {
            "tau": {"float": [1.1, 5]}, "T": {"int": [2, 8]}, "loss": {"choice": ["threshold", "swish"]},
            "theta": {"float": [0.02, 0.4], "log": True, "when": {"loss": "threshold"}},
        },
    } | settings.pop("space", {})  # fmt: skip
    return starts(Path(), SearchConfig(name="new", space=Space.parse(tree), trials=9, epochs=5, **settings))


def test_a_search_tries_the_points_of_its_space_first_and_then_the_presets():
    points = [
        {"tau": 3, "loss": "threshold", "theta": 0.1}, {"T": 9}, {"tau": 2.5}, {"tau": 2.5}, {"loss": "threshold"},
    ]  # fmt: skip
    first, said = starting(space={"points": points})
    assert first[:2] == [
        {"network.tau": 3.0, "network.T": 4, "learning.loss": "threshold", "learning.theta": 0.1},
        {"network.tau": 2.5, "network.T": 4, "learning.loss": "swish"},
    ]
    assert said[0] == (
        "tried first: 2 points that the space names; 2 of them break a rule or lie outside of its ranges, and are left "
        "out"
    )
    assert first[2:] == [{"network.tau": 2.7, "network.T": T, "learning.loss": "swish"} for T in (4, 3)]
    assert said[1] == "tried first: 2 presets that come with ffsnn (without them: --cold)"
    assert starting(space={"points": points}, cold=True) == ([], [])


def test_a_preset_that_is_a_final_fit_is_a_start_like_any_other():
    preset, space = presets.load("fashion_mnist"), Space.load("fashion_mnist")
    assert preset.is_final
    first, _ = starts(Path(), SearchConfig(name="new", space=space, trials=9, epochs=5))
    assert space.read(preset) in first
    assert not any(space.apply(sample).is_final for sample in first)


def test_a_preset_that_differs_where_the_space_does_not_search_is_no_start():
    sharper = {"base": {
        "data": {"dataset": "mnist"}, "network": {"label_amplitude": 3, "v_threshold": 0.7},
        "learning": {"batch_size": 256, "shift": 1, "alpha": 61},
    }}  # fmt: skip
    assert starting(space=sharper) == ([], [])


def test_points_of_what_is_not_searched_are_refused():
    with pytest.raises(ConfigError, match=r"points name learning\.lr, which this space does not search: leave it out"):
        starting(space={"points": [{"lr": 0.1}]})


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        (
            {"float": [1.1, 5], "prior": {"centre": 7}},
            "the centre of a prior must be a value of its parameter, but got 7.0",
        ),
        ({"float": [1.1, 5], "prior": {"centre": 2, "confidence": 1.5}}, "confidence: .*less than or equal to 1"),
    ],
)
def test_a_prior_outside_of_its_range_is_refused(parameter: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        Space.parse({"parameters": {"tau": parameter}})
