"""The whole chain on real digits: Ray, Optuna, MLflow, as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from ffsnn.config import RunConfig
from tests.search.conftest import FFSNN, check, ffsnn, read


def test_a_search_ends_with_every_trial_told_once(searched):
    home, result = searched
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert "next: ffsnn best smoke" in result.stdout
    seen = read(home / "mlruns", "smoke")
    check(seen, trials=8)
    assert {"COMPLETE", "PRUNED"} <= set(seen.study.values())


def test_the_best_configuration_trains_as_it_is(searched, tmp_path):
    home, _ = searched
    best = ffsnn("best", "smoke", home=home)
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
    (run,) = client.search_runs([client.get_experiment_by_name("ffsnn").experiment_id], "tags.`ffsnn.kept` != ''")
    names = [file.path for folder in ("model", "pictures") for file in client.list_artifacts(run.info.run_id, folder)]
    assert {"model/config.json", "model/best.safetensors", "pictures/confusion.png"} <= set(names)
    head = ffsnn("best", "smoke", home=home).stdout.splitlines()[0]
    assert f"trial {run.data.tags['ffsnn.trial']}:" in head


def test_mlflow_can_be_rebuilt_and_synced_again(searched, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(searched[0], home)
    before = read(home / "mlruns", "smoke")
    for file in (home / "mlruns").glob("mlflow.db*"):
        file.unlink()
    for _ in range(2):
        assert ffsnn("sync", "smoke", home=home).returncode == 0
        assert read(home / "mlruns", "smoke") == before


def test_a_finished_search_goes_on_to_more_trials(searched, tmp_path):
    home = tmp_path / "copy"
    shutil.copytree(searched[0], home)
    before = read(home / "mlruns", "smoke")
    result = ffsnn("search", "--resume", "smoke", "--trials", "10", home=home)
    assert result.returncode == 0, result.stderr
    seen = read(home / "mlruns", "smoke")
    check(seen, trials=10)
    assert {number: seen.histories[number] for number in range(8)} == before.histories


@pytest.mark.parametrize(
    "signal_number", [signal.SIGKILL, signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_search_stopped_anywhere_is_resumed_to_the_right_count(tmp_path: Path, signal_number: int):
    home = tmp_path / "home"
    (home / "mlruns").mkdir(parents=True)
    with (tmp_path / "log").open("w") as log:
        driver = subprocess.Popen(
            [FFSNN, "search", "digits_smoke", "--name", "hurt", "--trials", "6"],
            env={**os.environ, "FFSNN_HOME": str(home)}, stdout=log, stderr=log,
        )  # fmt: skip
    trials = home / "mlruns" / "searches" / "hurt" / "trials"
    deadline = time.monotonic() + 120
    while sum(1 for _ in trials.glob("*/history.jsonl")) < 3:
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        assert driver.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.05)
    driver.send_signal(signal_number)
    assert driver.wait(timeout=60) == (-signal.SIGKILL if signal_number == signal.SIGKILL else 130)
    assert sum(1 for _ in trials.glob("*/end.json")) < 6, "the search had ended before it could be stopped"
    result = ffsnn("search", "--resume", "hurt", home=home)
    assert result.returncode == 0, result.stderr
    check(read(home / "mlruns", "hurt"), trials=6)


def test_killed_and_resumed_a_search_asks_for_the_same_points(tmp_path: Path):
    """One trial at a time and a fixed seed: the study equals that of a search that was left alone, trial by trial."""
    command = ["search", "digits_smoke", "--name", "one", "--trials", "5", "--epochs", "4", "--concurrency", "1"]
    whole, hurt = tmp_path / "whole", tmp_path / "hurt"
    for home in (whole, hurt):
        (home / "mlruns").mkdir(parents=True)
    assert ffsnn(*command, home=whole).returncode == 0
    driver = subprocess.Popen([FFSNN, *command], env={**os.environ, "FFSNN_HOME": str(hurt)}, stdout=subprocess.DEVNULL)
    trials = hurt / "mlruns" / "searches" / "one" / "trials"
    deadline = time.monotonic() + 120
    while sum(1 for _ in trials.glob("*/history.jsonl")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    assert ffsnn(*command, home=hurt).returncode == 0  # the same command goes on
    seen = [read(home / "mlruns", "one") for home in (whole, hurt)]
    for one in seen:
        check(one, trials=5)
    assert seen[0].values == seen[1].values
    assert seen[0].study == seen[1].study
    configs = [
        [json.loads((home / "mlruns/searches/one/trials" / f"{n:04d}" / "config.json").read_text()) for n in range(5)]
        for home in (whole, hurt)
    ]
    assert configs[0] == configs[1]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "qmc", "gp"])
def test_every_sampler_finishes_a_search(tmp_path: Path, sampler: str):
    (tmp_path / "mlruns").mkdir()
    command = ["search", "digits_smoke", "--name", "mine", "--trials", "6", "--epochs", "3", "--scheduler", "none"]
    result = ffsnn(*command, "--sampler", sampler, home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert ("at random" in result.stdout) == (sampler != "random")
    seen = read(tmp_path / "mlruns", "mine")
    check(seen, trials=6)
    assert set(seen.study.values()) == {"COMPLETE"}


def test_the_ui_answers_on_loopback_and_stops(searched):
    home, _ = searched
    server = subprocess.Popen(
        [FFSNN, "ui", "--port", "0"], env={**os.environ, "FFSNN_HOME": str(home)}, stdout=subprocess.PIPE, text=True
    )
    try:
        address = server.stdout.readline().split("/#/")[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(
            f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=ffsnn"
        ) as answer:
            assert json.load(answer)["experiment"]["name"] == "ffsnn"
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0
        server.stdout.close()


def test_a_time_budget_ends_a_search(tmp_path: Path):
    (tmp_path / "mlruns").mkdir()
    result = ffsnn(
        "search", "digits_smoke", "--name", "brief", "--trials", "500", "--time-budget", "0.5", home=tmp_path
    )
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "mlruns" / "searches" / "brief" / "trials"
    check(read(tmp_path / "mlruns", "brief"), trials=len(list(folder.iterdir())))
