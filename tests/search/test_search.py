"""The whole chain on real digits: Ray, Optuna, MLflow, as a user runs it."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow.tracking import MlflowClient

from ffsnn.config import RunConfig
from search.store.folder import SearchFolder
from tests.faults.reader import broken_promises, read
from tests.search.conftest import FFSNN, ffsnn, refused, started, within


def test_a_search_ends_with_every_trial_told_once(searched):
    home, result = searched
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert "next: ffsnn best smoke" in result.stdout
    assert broken_promises(home, "smoke", trials=8) == []
    assert {"complete", "pruned"} <= {trial.state for (trial,) in read(home, "smoke").study.values()}


def test_the_stores_file_alone_has_all_runs(searched, tmp_path):
    """SQLite would leave the last of them in a file beside it."""
    home, _ = searched
    left = home / "mlruns" / "mlflow.db-wal"
    assert not left.exists() or left.stat().st_size == 0
    (tmp_path / "mlflow.db").write_bytes((home / "mlruns" / "mlflow.db").read_bytes())
    runs = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_runs(["1"], "tags.`ffsnn.kind` = 'trial'")
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == 8


def test_the_best_configuration_trains_as_it_is(searched, tmp_path):
    home, _ = searched
    best = within("best", "smoke", home=home)
    assert best.returncode == 0, best.stderr
    written = home / "mlruns" / "searches" / "smoke" / "best.yaml"
    assert RunConfig.parse(yaml.safe_load(best.stdout)) == RunConfig.load(written)
    trained = ffsnn("train", str(written), "--test", "--out", str(tmp_path / "run"), home=home)
    assert trained.returncode == 0, trained.stderr
    assert "test accuracy" in trained.stdout
    assert (tmp_path / "run" / "best.safetensors").exists()


def test_the_best_trial_is_kept_in_mlflow_with_its_pictures(searched):
    home, _ = searched
    client = MlflowClient(f"sqlite:///{home}/mlruns/mlflow.db")
    best = SearchFolder.open(home / "mlruns", "smoke").ranked()[0][1].number
    (run,) = client.search_runs(["1"], f"tags.`ffsnn.kept` != '' AND tags.`ffsnn.trial` = '{best}'")
    names = [file.path for folder in ("model", "pictures") for file in client.list_artifacts(run.info.run_id, folder)]
    assert {"model/config.json", "model/best.safetensors", "pictures/confusion.png"} <= set(names)
    head = within("best", "smoke", home=home).stdout.splitlines()[0]
    assert f"trial {run.data.tags['ffsnn.trial']}:" in head


def test_mlflow_can_be_rebuilt_and_synced_again(searched, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(searched[0], home)
    before = read(home, "smoke")
    for file in (home / "mlruns").glob("mlflow.db*"):
        file.unlink()
    for _ in range(2):
        assert ffsnn("sync", "smoke", home=home).returncode == 0
        assert read(home, "smoke") == before


def test_a_finished_search_goes_on_to_more_trials(searched, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(searched[0], home)
    before = read(home, "smoke")
    result = ffsnn("search", "--resume", "smoke", "--trials", "10", home=home)
    assert result.returncode == 0, result.stderr
    assert broken_promises(home, "smoke", trials=10) == []
    after = read(home, "smoke").folder
    for number, (trial,) in before.folder.items():
        (now,) = after[number]
        if trial.state == "complete":
            assert now == trial
        else:  # one that had ended at a rung may go on among more
            assert (now.config, now.history[: len(trial.history)]) == (trial.config, trial.history)


def test_a_finished_search_starts_nothing_to_see_that_nothing_is_left(searched):
    home, _ = searched
    before = read(home, "smoke")
    result = ffsnn("search", "--resume", "smoke", home=home)
    assert result.returncode == 0, result.stderr
    assert "all of its 8 have ended: nothing is left to run" in result.stdout
    assert read(home, "smoke") == before


def test_fewer_trials_than_there_are_is_refused(searched):
    said = refused("search", "--resume", "smoke", "--trials", "2", home=searched[0])
    assert said == "ffsnn: search 'smoke' has 8 trials already, but got --trials 2: name 8\n"


def test_the_ui_answers_on_loopback_and_stops(searched):
    home, _ = searched
    server = subprocess.Popen(
        [FFSNN, "ui", "--port", "0"], env={**os.environ, "FFSNN_HOME": str(home)}, stdout=subprocess.PIPE, text=True
    )
    try:
        said = server.stdout.readline()
        port = re.match(r"http://ffsnn\.localhost:(\d+)/#/", said)[1]
        address = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(
            f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=ffsnn"
        ) as answer:
            assert json.load(answer)["experiment"]["name"] == "ffsnn"
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
        server.stdout.close()


def test_a_signal_while_ray_starts_stops_a_search(tmp_path: Path):
    """Ray answers SIGTERM by itself then."""
    (tmp_path / "mlruns").mkdir()
    with started("search", "digits_smoke", "--name", "early", home=tmp_path) as (driver, said):
        while {"name": "gcs_server", "ppid": driver.pid} not in [p.info for p in psutil.process_iter(["name", "ppid"])]:
            assert driver.poll() is None, said.read()
            time.sleep(0.01)
        driver.terminate()
        assert driver.wait(60) == 130
        assert "stopped: interrupted; go on with: ffsnn search --resume early" in said.read()
    assert not (tmp_path / "mlruns" / "searches" / "early" / "trials" / "0000").exists()


@pytest.mark.slow
def test_a_search_whose_time_is_up_goes_on_with_more(tmp_path: Path):
    (tmp_path / "mlruns").mkdir()
    options = ("--name", "brief", "--trials", "4", "--epochs", "1500", "--scheduler", "none", "--time-budget", "0.4")
    result = ffsnn("search", "digits_smoke", *options, home=tmp_path)
    assert result.returncode == 0, result.stderr
    trials = list(SearchFolder.open(tmp_path / "mlruns", "brief").trials())
    before = {trial.number: trial.history() for trial in trials if trial.end() is None}
    assert before
    result = ffsnn("search", "--resume", "brief", "--time-budget", "20", home=tmp_path, timeout=600)
    assert result.returncode == 0, result.stderr
    assert broken_promises(tmp_path, "brief", trials=4) == []
    assert all(trials[number].history()[: len(history)] == history for number, history in before.items())


def test_the_clock_leaves_each_trial_with_the_weights_of_its_best_epoch(tmp_path: Path):
    """In the folder and in MLflow: epochs of milliseconds, of which the last checkpoint is seconds old."""
    (tmp_path / "mlruns").mkdir()
    options = ("--trials", "2", "--epochs", "100000", "--scheduler", "none", "--time-budget", "0.3")
    result = ffsnn("search", "digits_smoke", "--name", "brief", *options, home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "its time budget of 0.3 minutes is spent" in result.stdout
    trials = list(SearchFolder.open(tmp_path / "mlruns", "brief").trials())
    best = [max(trial.history(), key=lambda epoch: epoch.val_accuracy).epoch for trial in trials]
    assert [trial.best_epoch() for trial in trials] == best
    runs = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db").search_runs(["1"], "tags.`ffsnn.kept` != ''")
    kept = {int(run.data.tags["ffsnn.trial"]): int(run.data.tags["ffsnn.kept"]) for run in runs}  # one may be surpassed
    first = SearchFolder.open(tmp_path / "mlruns", "brief").ranked()[0][1].number
    assert kept[first] == best[first]
    assert all(trial.end() is None for trial in trials)
