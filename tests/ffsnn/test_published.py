"""A preset's published accuracy, reproduced; here on the embedded digits."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from ffsnn.config import RunConfig
from ffsnn.datasets.data import load_test
from ffsnn.reproduction.published import Published, reproduce, verdict
from ffsnn.reproduction.table import ResultFolder, Setting, Task, run_task
from ffsnn.validation import ConfigError
from spaces import presets

ROOT = Path(__file__).parents[2]
DIGITS = RunConfig.parse({
    "data": {"dataset": "digits"}, "network": {"widths": [32], "T": 3},
    "learning": {"batch_size": 128, "epochs": 3, "lr": 0.01, "alpha": 20},
})  # fmt: skip


def small(*test: float) -> Published:
    """Published with seeds 4, 5, ..."""
    return Published(name="small", config=DIGITS, seeds=tuple(range(4, 4 + len(test))), test=test)


def test_the_interval_is_of_the_mean_of_more_seeds():
    """By hand: three values 0.1, 0.2, 0.3 have s = 0.1, t(2) = 4.3027."""
    low, high = small(0.1, 0.2, 0.3).interval(3)
    assert high - 0.2 == pytest.approx(4.3027 * 0.1 * (2 / 3) ** 0.5, rel=1e-4)
    assert low + high == pytest.approx(0.4)
    with pytest.raises(ValueError, match="test must hold one accuracy a seed, but got 2"):
        Published(name="small", config=DIGITS, seeds=(1, 2, 3), test=(0.1, 0.2))


def test_a_reproduction_goes_on_where_it_was_interrupted_and_says_whether_it_is_one(tmp_path):
    """One of two seeds is there already; the other is trained by a process, as on a user's machine."""
    setting = Setting(recipe=DIGITS, groups=False)
    folder, test = ResultFolder(tmp_path / "small", setting), load_test(DIGITS.data)
    folder.create()
    first = run_task(Task(9, 4), folder, test, test, None)  # the notes' images are not looked at
    console = Console(record=True, width=300)
    close = small(first.test_all, first.test_all - 0.05)
    assert reproduce(close, None, tmp_path, None, console, processes=1)
    told = console.export_text()
    assert "training small with seeds 4, 5, 3 epochs each" in told
    assert "2 results, 1 of them kept" in told
    assert told.rstrip().endswith("is to be expected: reproduced")
    assert json.loads(folder.file(Task(9, 5)).read_text())["setting"]["recipe"] == DIGITS.id
    within, said = verdict(small(0.99, 0.98), [0.5, 0.52], 360)
    assert not within
    assert said.startswith("small: test accuracy 51.00% (50.00, 52.00) on 360 images; published 98.50% (99.00, 98.00)")
    assert said.endswith("NOT reproduced")


def test_every_published_preset_stands_in_the_documentation():
    text = (ROOT / "docs" / "results.md").read_text()
    for name in json.loads((presets.PRESETS / presets.PUBLISHED).read_text()):
        found = presets.published(name)
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert f"**{100 * found.mean:.2f} %** ({', '.join(f'{100 * it:.2f}' for it in found.test)})" in row


def test_what_cannot_be_reproduced_is_said(tmp_path):
    with pytest.raises(
        ConfigError, match=r"'mine' has no published accuracy to reproduce: take one of .*mnist, mnist_125"
    ):
        presets.published("mine")
    with pytest.raises(ConfigError, match=r"mnist_best was published with 5 seeds, but got --seeds 6"):
        reproduce(presets.published("mnist_best"), 6, tmp_path, None, Console())
