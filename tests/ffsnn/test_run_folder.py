"""A run's folder under accidents: epochs 1..n stand there once, with the bits of a calm run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.training.epoch_metrics import EpochMetrics, best_of
from ffsnn.training.run import Run
from ffsnn.training.run_folder import BEST, CONFIG, HISTORY, LAST, PREVIOUS, RunFolder, load
from ffsnn.validation import ConfigError

RUN = RunConfig.parse(
    {
        "data": {"dataset": "digits"},
        "network": {"widths": [32, 32], "T": 3, "encoder": "poisson"},
        "learning": {"batch_size": 128, "epochs": 4, "lr": 0.01, "alpha": 20},
    }
)


@pytest.fixture(scope="module")
def split():
    return data.load(RUN.data, RUN.seed)


@pytest.fixture(scope="module")
def calm(split, tmp_path_factory):
    """The folder of a run that nothing happened to."""
    path = tmp_path_factory.mktemp("calm")
    assert [epoch.epoch for epoch in Run(RUN, split, path, checkpoint_interval_s=0)] == [1, 2, 3, 4]
    return path


def stopped(path: Path, split, epochs: int) -> Path:
    """The folder of a run that was stopped after some epochs."""
    run = Run(RUN, split, path, checkpoint_interval_s=0)
    for _ in range(epochs):
        next(run)
    return path


def same(path: Path, calm: Path) -> None:
    def stable(folder: Path) -> list[dict]:
        lines = [json.loads(line) for line in (folder / HISTORY).read_text().splitlines()]
        return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines]

    assert stable(path) == stable(calm)
    for file in (LAST, BEST):
        ours, theirs = load_file(path / file), load_file(calm / file)
        assert ours.keys() == theirs.keys()
        assert all(ours[name].equal(theirs[name]) for name in ours)


@pytest.mark.parametrize("torn", [b'{"epoch": 3, "loss": [0.1', b"\xff\xfe"])
def test_a_torn_history_line(split, calm, tmp_path, torn):
    stopped(tmp_path, split, 2)
    with (tmp_path / HISTORY).open("ab") as file:
        file.write(torn)
    assert [epoch.epoch for epoch in RunFolder(tmp_path).history()] == [1, 2]
    assert [epoch.epoch for epoch in Run(RUN, split, tmp_path, checkpoint_interval_s=0)] == [3, 4]
    same(tmp_path, calm)


def test_killed_between_checkpoint_and_history(split, calm, tmp_path):
    stopped(tmp_path, split, 2)
    lines = (tmp_path / HISTORY).read_text().splitlines(keepends=True)
    (tmp_path / HISTORY).write_text(lines[0])
    assert [epoch.epoch for epoch in Run(RUN, split, tmp_path, checkpoint_interval_s=0)] == [3, 4]
    same(tmp_path, calm)


@pytest.mark.parametrize("harm", ["truncated", "missing", "garbage"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(split, calm, tmp_path, harm):
    last = stopped(tmp_path, split, 3) / LAST
    if harm == "missing":
        last.unlink()
    else:
        last.write_bytes(last.read_bytes()[:1000] if harm == "truncated" else b"x" * 1000)
    assert [epoch.epoch for epoch in Run(RUN, split, tmp_path, checkpoint_interval_s=0)] == [3, 4]
    same(tmp_path, calm)


def test_both_checkpoints_lost_starts_over(split, calm, tmp_path):
    stopped(tmp_path, split, 3)
    (tmp_path / LAST).unlink()
    (tmp_path / PREVIOUS).unlink()
    assert [epoch.epoch for epoch in Run(RUN, split, tmp_path, checkpoint_interval_s=0)] == [1, 2, 3, 4]
    same(tmp_path, calm)


def test_a_finished_run_trains_nothing_more(split, calm):
    assert list(Run(RUN, split, calm, checkpoint_interval_s=0)) == []


def test_another_configuration_is_refused(split, calm):
    with pytest.raises(ConfigError, match="holds a run of another configuration"):
        next(Run(RUN.replaced({"network.tau": 3.0}), split, calm, checkpoint_interval_s=0))


def test_accuracies_that_an_earlier_version_rounded_choose_the_same_best_epoch():
    """It kept single precision: a history may have both, and an equal epoch is not a better one."""
    epoch = EpochMetrics(1, (1.0,), (1.0,), (1.0,), (0.1,), 0.9, 1.0, 1.0)
    rounded = float(np.float32(0.9))  # a little less
    assert rounded < 0.9
    assert best_of([replace(epoch, val_accuracy=rounded), replace(epoch, epoch=2)]).epoch == 1
    assert best_of([replace(epoch, val_accuracy=0.9 - 1 / 60_000), replace(epoch, epoch=2)]).epoch == 2
    more = replace(epoch, val_accuracy=float(np.float32(0.97)))
    assert best_of([more, replace(epoch, epoch=2, val_accuracy=0.97)]).epoch == 1


def test_load_rebuilds_the_network(split, calm):
    best = max(RunFolder(calm).history(), key=lambda epoch: epoch.val_accuracy)
    for path in (calm, calm / BEST):
        assert load(path).accuracy(split.validation.x, split.validation.y) == best.val_accuracy
    final = RunFolder(calm).history()[-1]
    assert load(calm / LAST).accuracy(split.validation.x, split.validation.y) == final.val_accuracy


def test_load_refuses_what_is_no_checkpoint(calm, tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path)
    (tmp_path / CONFIG).write_text((calm / CONFIG).read_text())
    (tmp_path / BEST).write_bytes(b"x" * 100)
    with pytest.raises(ConfigError, match="cannot load weights"):
        load(tmp_path)


def test_checkpoints_are_spaced_by_time(split, calm, tmp_path):
    """An epoch may take milliseconds; what is repeated after a stop has the same bits."""
    run = Run(RUN, split, tmp_path, checkpoint_interval_s=3600, checkpoint_epochs=[2])
    assert [next(run).epoch for _ in range(3)] == [1, 2, 3]
    assert len(RunFolder(tmp_path).history()) == 3
    again = Run(RUN, split, tmp_path, checkpoint_interval_s=3600)
    assert len(again.history) == 2  # from the checkpoint that was asked for
    assert next(again).epoch == 3
    again.save()
    assert [epoch.epoch for epoch in Run(RUN, split, tmp_path, checkpoint_interval_s=3600)] == [4]
    same(tmp_path, calm)


@pytest.mark.parametrize("place", ["history", "checkpoint"])
def test_what_a_newer_version_wrote_is_refused_and_left_as_it_is(place: str, tmp_path: Path, split) -> None:
    next(Run(RUN, split, tmp_path, checkpoint_interval_s=0))
    newer = json.loads((tmp_path / "history.jsonl").read_text()) | {"spikes_saved": 3}
    if place == "history":
        (tmp_path / "history.jsonl").write_text(json.dumps(newer) + "\n")
    else:
        save_file(load_file(tmp_path / LAST), tmp_path / LAST, {HISTORY: json.dumps([newer])})
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for act in (lambda: Run(RUN, split, tmp_path), RunFolder(tmp_path).repair):
        with pytest.raises(ConfigError, match=r"has spikes_saved, which this version of ffsnn does not know: .*newer"):
            act()
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("line", ["5", "[]", '{"epoch": 1}', '{"epoch": 1, "val_accurXcy": 0.5}'])
def test_what_is_damaged_is_no_newer_record(line: str, tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(line + "\n")
    assert RunFolder(tmp_path).history() == []
