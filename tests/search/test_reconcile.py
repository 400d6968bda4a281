"""Folders and study are made whole from each other, whatever a fault left; each mend is said, and done once."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from ffsnn.datasets.data import load
from ffsnn.training.run import Run
from ffsnn.validation import ConfigError
from search.config import SearchConfig
from search.store.ends import End
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.study import samplers
from search.study.reconcile import reconcile, report_to_study
from search.study.sampling import _Given, suggest
from spaces.space import Space
from tests.search.conftest import open_study

CONFIG = SearchConfig(name="s", space=Space.load("digits_smoke"), trials=5, epochs=3, scheduler="asha", device="cpu")
ENDS = {0: End("complete", "finished"), 1: End("pruned", "asha"), 2: End("failed", "died", "killed")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search as a driver leaves it: trials 0 to 2 have ended, 3 has two epochs, 4 was asked for and no more."""
    home = tmp_path_factory.mktemp("home")
    folder = SearchFolder.create(home, CONFIG, "")
    study = open_study(folder)
    split = load(CONFIG.base.data, 0)
    for number in range(5):
        study.sampler = samplers.build("random", CONFIG, number)
        live, trial = study.ask(), folder.trial(number)
        if number == 4:
            break
        trial.create(CONFIG.space.apply(suggest(CONFIG.space, live), CONFIG.base))
        epochs = Run(trial.config(), split, trial.path, checkpoint_interval_s=0)
        for _ in range(3 if number == 0 else 2):
            next(epochs)
        if number in ENDS:
            trial.write_end(ENDS[number])
            report_to_study(study, trial, CONFIG.goals)
    return home


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> SearchFolder:
    shutil.copytree(made, tmp_path / "home")
    return SearchFolder.open(tmp_path / "home", "s")


def seen(folder: SearchFolder) -> list[tuple]:
    """All that the study says, but for times."""
    return [
        (t.number, t.state.name, t.params, t.intermediate_values, t.value, t.user_attrs)
        for t in open_study(folder).get_trials()
    ]


def lengths(folder: SearchFolder) -> list[int]:
    return [len(trial.history()) for trial in folder.trials()]


def mended(folder: SearchFolder) -> list[str]:
    """What a reconciliation says; the next one has nothing to say, and both find the same unfinished trials."""
    said: list[str] = []
    _, unfinished = reconcile(folder, CONFIG, said.append)
    assert unfinished in ([3, 4], [3])  # what was asked for and no more may be lost: it is asked for again
    again: list[str] = []
    assert reconcile(folder, CONFIG, again.append)[1] == unfinished
    assert again == []
    return said


def test_accuracies_in_single_precision_are_no_contradiction(folder):
    """An earlier version rounded them; a trial that it began and that begins anew has them exactly."""
    before = (folder.path / "study.log").read_text()
    for trial in folder.trials():
        rounded = [replace(epoch, val_accuracy=float(np.float32(epoch.val_accuracy))) for epoch in trial.history()]
        assert trial.write_history(rounded)
        if end := trial.end():
            trial.write_end(end)  # sealed with it
    assert [remark for remark in mended(folder) if "study" in remark] == []
    assert (folder.path / "study.log").read_text().startswith(before)
    trial = folder.trial(0)
    trial.write_history([replace(epoch, val_accuracy=epoch.val_accuracy - 1 / 144) for epoch in trial.history()])
    trial.write_end(ENDS[0])
    assert any("its trials differ from their folders" in remark for remark in mended(folder))


def cut(path: Path, keep: float) -> None:
    os.truncate(path, int(path.stat().st_size * keep))


def test_nothing_is_said_where_nothing_is_amiss(folder):
    before = seen(folder)
    assert mended(folder) == []
    assert seen(folder) == before


def test_a_torn_last_line_of_the_study_is_left_out(folder):
    before = seen(folder)
    with folder.study_file.open("ab") as file:
        file.write(b'{"op_code":5,"wor')
    (said,) = mended(folder)
    assert "its last line was torn" in said
    assert seen(folder) == before


def test_a_dead_drivers_lock_on_the_study_goes(folder):
    lock = folder.path / "study.log.lock"
    lock.symlink_to(folder.study_file)
    assert mended(folder) == []  # within its 30 seconds of grace
    assert not lock.is_symlink()


@pytest.mark.parametrize("lines", range(1, 40, 3))
def test_a_study_cut_back_anywhere_has_its_trials_again(folder, lines):
    before = seen(folder)
    whole = folder.study_file.read_bytes().splitlines(keepends=True)
    folder.study_file.write_bytes(b"".join(whole[:-lines]))
    mended(folder)
    assert seen(folder)[:4] == before[:4]


@pytest.mark.parametrize("damage", ["deleted", "garbage", "garbage in the middle"])
def test_a_study_that_cannot_be_read_is_rebuilt(folder, damage):
    before = seen(folder)
    whole = folder.study_file.read_bytes().splitlines(keepends=True)
    if damage == "deleted":
        folder.study_file.unlink()
    elif damage == "garbage":
        folder.study_file.write_bytes(b"\0" * 100 + b"\n")
    else:
        folder.study_file.write_bytes(b"".join([*whole[:3], b"nonsense\n", *whole[3:]]))
    said = mended(folder)
    assert any("lacked 4 trials" in line for line in said)
    assert (folder.path / "study.before-1").exists() == (damage != "deleted")
    assert seen(folder)[:4] == before[:4]


def test_a_study_that_says_otherwise_gives_way_to_the_folders(folder):
    before = seen(folder)
    trial = folder.trial(1)
    trial.write_end(End("failed", "died"))
    assert any("differ from their folders" in line for line in mended(folder))
    assert seen(folder)[1][1] == "FAIL"
    assert [seen(folder)[n] for n in (0, 2, 3)] == [before[n] for n in (0, 2, 3)]


def test_a_trial_that_is_to_go_on_is_no_difference(folder):
    folder.trial(0).reopen()
    said: list[str] = []
    _, unfinished = reconcile(folder, CONFIG, said.append)
    assert 0 in unfinished
    assert any(line.startswith("study.log: 1 of its trials had ended and may go on; it is kept as") for line in said)


def test_a_study_is_not_replaced_before_what_replaces_it_is_whole(folder):
    """Here it cannot be: a trial has a configuration that the space does not allow."""
    before = seen(folder)
    trial = folder.trial(1)
    trial.rewrite_config(trial.config().replaced({"network.tau": 99}))
    with pytest.raises(ConfigError, match=r"trial 1 is outside of the search's space .*99.*move .*0001 away"):
        reconcile(folder, CONFIG, print)
    assert seen(folder) == before
    assert not (folder.path / "study.before-1").exists()


def test_a_search_whose_space_had_numbers_as_text_is_mended(tmp_path):
    """As version 0.1.0 wrote it: YAML's 1e-3 stood in the space and the study as text, in the trials as a number."""
    tree = {"parameters": {"lr": {"choice": ["1e-3", "1e-2"]}}, "base": CONFIG.space.base.model_dump()}
    config = CONFIG.model_copy(update={"space": Space.parse(tree)})
    folder = SearchFolder.create(tmp_path, config, "")
    study, choices = open_study(folder), ["1e-3", "1e-2"]
    for number, text in enumerate(choices):
        live = optuna.trial.Trial(study, study.ask()._trial_id)
        study.sampler = _Given({"learning.lr": text})
        live.suggest_categorical("learning.lr", choices)
        trial = folder.trial(number)
        trial.create(config.space.apply({"learning.lr": text}, config.base))
        trial.write_end(End("failed", "died"))
        report_to_study(study, trial, CONFIG.goals)
    said: list[str] = []
    for _ in range(2):
        study, _ = reconcile(folder, config, said.append)
        assert [t.params for t in study.trials] == [{"learning.lr": 0.001}, {"learning.lr": 0.01}]
        assert [t.state.name for t in study.trials] == ["FAIL", "FAIL"]
    assert ["differ from their folders" in line for line in said] == [True, False]


def test_a_lost_end_comes_back_from_the_study(folder):
    before = seen(folder)
    for number in ENDS:
        (folder.trial(number).path / "end.json").unlink()
    assert len(mended(folder)) == 3
    assert seen(folder) == before
    assert [folder.trial(n).end().state for n in ENDS] == [ENDS[n].state for n in ENDS]


def test_an_ended_trials_history_comes_back_from_its_end(folder):
    cut(folder.trial(0).path / "history.jsonl", 0.5)
    (folder.trial(1).path / "history.jsonl").unlink()
    assert len(mended(folder)) == 2
    assert lengths(folder) == [3, 2, 2, 2]


@pytest.mark.parametrize("keep", [0, 0.4, 0.9])
def test_a_running_trials_history_comes_back_from_its_checkpoint(folder, keep):
    cut(folder.trial(3).path / "history.jsonl", keep)
    (said,) = mended(folder)
    assert "trial 3: history.jsonl had" in said
    assert lengths(folder) == [3, 2, 2, 2]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(folder):
    trial = folder.trial(3)
    cut(trial.path / "last.safetensors", 0.7)
    said: list[str] = []
    reconcile(folder, CONFIG, said.append)
    assert said == [
        "trial 3: last.safetensors is damaged; it goes on from epoch 1",
        "trial 3: history.jsonl had 2 good lines, the checkpoint 1 epochs; it goes on from epoch 1",
    ]
    cut(trial.path / "previous.safetensors", 0.7)
    reconcile(folder, CONFIG, said.append)
    assert trial.history() == []


def test_a_damaged_configuration_comes_back_from_the_study(folder):
    before = folder.trial(2).config()
    (folder.trial(2).path / "config.json").write_text("{")
    (said,) = mended(folder)
    assert "trial 2: its config.json was damaged" in said
    assert folder.trial(2).config() == before


def test_what_a_killed_process_left_half_written_is_cleared(folder):
    leftover = folder.trial(3).path / ".last.safetensors.123-456"
    leftover.write_bytes(b"half")
    assert mended(folder) == []
    assert not leftover.exists()


def test_a_trial_that_ended_unseen_is_told(folder):
    TrialFolder(folder.trial(3).path).write_end(End("pruned", "asha"))
    _, unfinished = reconcile(folder, CONFIG, print)
    assert unfinished == [4]
    assert open_study(folder).get_trials()[3].state == TrialState.PRUNED


def test_an_end_is_sealed_with_its_history(folder):
    sealed = json.loads((folder.trial(0).path / "end.json").read_text())
    assert [epoch["epoch"] for epoch in sealed["history"]] == [1, 2, 3]
    assert not list(folder.trial(0).path.glob("last*"))  # a trial that has ended needs no checkpoint


def test_a_trial_that_fell_back_and_was_stopped_loses_what_mlflow_had_of_it(folder):
    from mlflow.tracking import MlflowClient

    from search.tracking.search_exporter import SearchExporter, export_search

    home, trial = folder.path.parents[1], folder.trial(3)
    SearchExporter(home, folder).export_trial(3)  # two epochs
    trial.write_history(trial.history()[:1])
    trial.write_end(End("pruned", "asha"))
    for _ in range(2):
        export_search(home, folder)
        client = MlflowClient(f"sqlite:///{home}/mlflow.db")
        (run,) = client.search_runs(["1"], "tags.`ffsnn.trial` = '3'")
        assert [metric.step for metric in client.get_metric_history(run.info.run_id, "val_accuracy")] == [1]
        assert run.info.status == "FINISHED"


def test_an_ended_trial_whose_folder_is_gone_is_trained_again(folder):
    shutil.rmtree(folder.trial(1).path)
    said = []
    study, waiting = reconcile(folder, CONFIG, said.append)
    assert any("differ from their folders" in line for line in said)
    assert 1 in waiting
    assert not study.trials[1].state.is_finished()


def test_a_configuration_that_is_lost_is_written_anew_from_the_study(folder):
    config = folder.trial(3).config()
    (folder.trial(3).path / "config.json").unlink()
    said = []
    _, waiting = reconcile(folder, CONFIG, said.append)
    assert "trial 3: its config.json was lost, and is written anew from the study" in said
    assert folder.trial(3).config() == config
    assert 3 in waiting
