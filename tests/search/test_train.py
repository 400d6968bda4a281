"""`ffsnn train` in MLflow: one run for each folder, which goes on with it."""

import errno
import io
from pathlib import Path

import pytest
import typer
from rich.console import Console

from ffsnn.config import RunConfig
from ffsnn.datasets.data import load
from ffsnn.training import run_folder
from ffsnn.training.run import Run
from ffsnn.training.run_folder import HISTORY, LAST, PREVIOUS
from ffsnn.validation import ConfigError
from search import names
from search.cli.train import _fresh, _held, train_seeds
from search.retrain import final
from search.tracking.store import all_runs, open_store

RUN = RunConfig.parse({
    "data": {"dataset": "digits"}, "network": {"widths": [32], "T": 3},
    "learning": {"batch_size": 128, "epochs": 3, "lr": 0.01, "alpha": 20},
})  # fmt: skip


def trained(home: Path, config: RunConfig = RUN, out: Path | None = None, uri: str | None = None, **asked) -> str:
    said = io.StringIO()
    home.mkdir(exist_ok=True)
    try:
        train_seeds(
            config, asked.get("seeds", 1), asked.get("test", False), out, home, uri, Console(file=said, width=400)
        )
    except typer.Exit:
        said.write("(ended early)")
    return said.getvalue()


def runs_of(home: Path) -> list:
    client, experiment = open_store(home)
    return all_runs(client, experiment, f"tags.`{names.TAG_KIND}` = 'run'")


def test_runs_are_in_mlflow_with_epochs_parameters_and_their_end(tmp_path):
    home = tmp_path / "mlruns"
    said = trained(home, seeds=2, test=True)
    first, second = runs_of(home)
    assert [run.data.tags[names.TAG_SEED] for run in (first, second)] == ["0", "1"]
    assert (first.info.status, first.data.tags[names.TAG_STATE]) == ("FINISHED", "finished")
    assert first.data.params["lr"] == "0.01"
    assert first.data.metrics.keys() >= {"loss_0", names.EPOCHS, names.SPIKES, names.ENERGY, names.TEST}
    client, _ = open_store(home)
    assert [metric.step for metric in client.get_metric_history(first.info.run_id, "val_accuracy")] == [1, 2, 3]
    assert f"{first.data.metrics[names.TEST]:.2%}" in said
    show, compare = said.splitlines()[-2:]
    folders = sorted((home / "runs").iterdir())
    assert show.startswith("next: ")
    assert f"show {folders[1]}" in show
    assert f"compare {folders[0]} {folders[1]}" in compare
    assert not (home / "mlflow.db-wal").exists() or (home / "mlflow.db-wal").stat().st_size == 0


def test_a_run_that_goes_on_is_the_same_run_also_when_it_was_moved(tmp_path):
    """And what MLflow has of it already is not written twice."""
    home, folder = tmp_path / "mlruns", tmp_path / "mine"
    trained(home, out=folder)
    (id_,) = {run.info.run_id for run in runs_of(home)}
    lines = (folder / HISTORY).read_text().splitlines(keepends=True)
    (folder / HISTORY).write_text("".join(lines[:1]))  # as a kill leaves it: it begins anew, without a checkpoint
    for name in (LAST, PREVIOUS):
        (folder / name).unlink(missing_ok=True)
    moved = folder.rename(tmp_path / "moved")
    trained(home, out=moved)
    (run,) = runs_of(home)
    assert run.info.run_id == id_
    assert str(moved) in run.data.tags[names.TAG_NOTE]
    client, _ = open_store(home)
    assert [metric.step for metric in client.get_metric_history(id_, "val_accuracy")] == [1, 2, 3]


def test_a_run_that_diverges_has_failed(tmp_path):
    home = tmp_path / "mlruns"
    said = trained(home, RUN.replaced({"learning.alpha": 1e300}))
    (run,) = runs_of(home)
    assert run.info.status == "FAILED", said
    assert run.data.tags[names.TAG_STOP_REASON] in said


def test_a_store_that_does_not_answer_stops_no_training(tmp_path):
    said = trained(tmp_path / "mlruns", out=tmp_path / "mine", uri="http://127.0.0.1:1")
    assert "epoch 3/3" in said
    assert "MLflow does not answer" in said
    assert "MLflow lacks a part of this run; the same command with --out FOLDER brings it there" in said
    trained(tmp_path / "mlruns", out=tmp_path / "mine")
    (run,) = runs_of(tmp_path / "mlruns")
    assert run.info.status == "FINISHED"


def test_a_full_disk_is_one_line_and_the_run_has_failed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_folder.RunFolder, "append", full)
    home = tmp_path / "mlruns"
    said = trained(home, out=tmp_path / "mine")
    assert f"stopped: cannot write to {tmp_path / 'mine'}: No space left on device; go on with: " in said
    (run,) = runs_of(home)
    assert run.info.status == "FAILED"


def test_two_processes_never_train_in_one_folder(tmp_path):
    assert [_fresh(tmp_path / "runs", "a.b").name for _ in range(3)] == ["a.b", "a.b-2", "a.b-3"]
    with _held(tmp_path / "mine"), pytest.raises(ConfigError, match=r"another process trains in .*/mine: wait for it"):
        trained(tmp_path / "mlruns", out=tmp_path / "mine")
    trained(tmp_path / "mlruns", out=tmp_path / "mine")
    (run,) = runs_of(tmp_path / "mlruns")
    assert run.info.status == "FINISHED"


def test_a_folder_of_another_configuration_is_left_alone(tmp_path):
    home = tmp_path / "mlruns"
    trained(home, out=tmp_path / "mine")
    with pytest.raises(ConfigError, match="holds a run of another configuration"):
        trained(home, RUN.replaced({"network.tau": 3.0}), tmp_path / "mine")
    (run,) = runs_of(home)
    assert (run.info.status, run.data.params["tau"]) == ("FINISHED", "2.0")


@pytest.mark.parametrize("content", ["", "{}", "[]"])
def test_a_damaged_id_is_made_anew(tmp_path, content):
    from ffsnn.training.run_folder import RUN_FILE, RunFolder

    folder = RunFolder(tmp_path)
    (tmp_path / RUN_FILE).write_text(content)
    assert folder.id == folder.id != ""


def test_a_final_fit_says_that_it_is_one_and_has_no_validation_accuracy(tmp_path):
    home, folder = tmp_path / "mlruns", tmp_path / "mine"
    list(Run(RUN, load(RUN.data, 0), folder))
    fit = final.of_run(folder)
    said = trained(home, fit, tmp_path / "final", test=True)
    assert f"final fit: {fit.final_fit}" in said
    assert "validation " not in said.replace(fit.final_fit, "")
    assert "images (final fit; trained in" in said
    (run,) = [run for run in runs_of(home) if names.TAG_FINAL in run.data.tags]
    assert run.data.tags[names.TAG_FINAL] == fit.final_fit
    assert names.TEST in run.data.metrics
    assert "val_accuracy" not in run.data.metrics
