"""ASHA's memory: a new driver's rungs are those of the old one."""

import json
from dataclasses import dataclass
from pathlib import Path

from ffsnn.config import RunConfig
from ffsnn.training.epoch_metrics import EpochMetrics
from search.config import SearchConfig
from search.execution.asha import FolderASHA
from search.names import EPOCH, NUMBER
from search.store.ends import End
from search.store.folder import SearchFolder
from spaces.space import Space

CONFIG = SearchConfig(name="s", space=Space.load("digits_smoke"), trials=9, epochs=9)


@dataclass
class Trial:
    """What ASHA needs of a Tune trial."""

    trial_id: str
    config: dict


def write(folder: SearchFolder, number: int, accuracies: list[float], ended: bool) -> None:
    trial = folder.trial(number)
    trial.create(RunConfig())
    lines = [EpochMetrics(n + 1, (0.0,), (0.0,), (0.0,), (0.0,), value, 1.0, 1.0) for n, value in enumerate(accuracies)]
    (trial.path / "history.jsonl").write_text("".join(json.dumps(line.json()) + "\n" for line in lines))
    if ended:
        trial.write_end(End("pruned", "asha"))


def rungs(scheduler: FolderASHA) -> dict[int, dict[str, float]]:
    return {int(milestone): dict(recorded) for milestone, recorded in scheduler._brackets[0]._rungs}


def test_rungs_are_filled_from_the_folder_and_a_returning_trial_is_judged_again(tmp_path: Path):
    folder = SearchFolder.create(tmp_path, CONFIG, "")
    write(folder, 0, [0.5, 0.6, 0.7, 0.8], ended=True)
    write(folder, 1, [0.9], ended=True)
    write(folder, 2, [0.1, 0.2, 0.3], ended=False)  # its report at the rung of 3 may not have been judged
    scheduler = FolderASHA(CONFIG, print)
    scheduler.refill(folder)
    assert rungs(scheduler) == {9: {}, 3: {"0": 0.7}, 1: {"0": 0.5, "1": 0.9, "2": 0.1}}
    again = Trial("tune-id", {NUMBER: 2})
    scheduler.on_trial_add(None, again)
    assert scheduler.on_trial_result(None, again, {EPOCH: 3, "val_accuracy": 0.3}) == "STOP"
    assert rungs(scheduler) == {9: {}, 3: {"0": 0.7, "tune-id": 0.3}, 1: {"0": 0.5, "1": 0.9, "tune-id": 0.1}}


def test_what_is_no_number_stays_out_of_the_rungs(tmp_path: Path):
    scheduler = FolderASHA(CONFIG, print)
    trial = Trial("tune-id", {NUMBER: 0})
    scheduler.on_trial_add(None, trial)
    scheduler.on_trial_complete(None, trial, {EPOCH: 1, "val_accuracy": float("nan")})
    assert rungs(scheduler) == {9: {}, 3: {}, 1: {}}


def test_a_trial_that_is_handed_out_again_stands_once_in_a_rung(tmp_path: Path):
    scheduler = FolderASHA(CONFIG, print)
    first, again = Trial("a", {NUMBER: 2}), Trial("b", {NUMBER: 2})
    scheduler.on_trial_add(None, first)
    scheduler.on_trial_result(None, first, {"training_iteration": 1, EPOCH: 1, "val_accuracy": 0.9})
    assert rungs(scheduler)[1] == {"a": 0.9}
    scheduler.on_trial_error(None, first)
    scheduler.on_trial_add(None, again)
    assert rungs(scheduler)[1] == {"b": 0.9}
