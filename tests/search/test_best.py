"""The best configurations, from the search's folder and from MLflow alone."""

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from ffsnn.config import RunConfig
from ffsnn.datasets.data import load
from ffsnn.training.run import Run
from search.config import SearchConfig
from search.store.ends import End
from search.store.folder import SearchFolder
from search.study.reconcile import report_to_study
from search.study.sampling import suggest
from search.tracking import search_exporter
from spaces.space import Space
from tests.search.conftest import ffsnn, open_study, refused, within

SPACE = Space.load("digits_smoke")
CONFIG = SearchConfig(name="done", space=SPACE, space_name="digits_smoke", trials=4, epochs=2, device="cpu")


def finished(mlruns: Path, config: SearchConfig = CONFIG) -> SearchFolder:
    """A search as its driver leaves it, without Ray: the last trial was pruned after one epoch."""
    split = load(config.base.data, config.seed)
    folder = SearchFolder.create(mlruns, config, split.checksum)
    study = open_study(folder)
    for number in range(config.trials):
        live, trial = study.ask(), folder.trial(number)
        trial.create(config.space.apply(suggest(config.space, live), config.base))
        epochs = 1 if number == config.trials - 1 else config.epochs
        for _, _ in zip(range(epochs), Run(trial.config(), split, trial.path, checkpoint_interval_s=0), strict=False):
            pass
        trial.write_end(End("pruned", "asha") if epochs < config.epochs else End("complete", "finished"))
        report_to_study(study, trial, CONFIG.goals)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    folder = finished(home / "mlruns")
    search_exporter.export_search(home / "mlruns", folder)
    return home


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home, tmp_path / "copy")
    return tmp_path / "copy"


def documents(result: subprocess.CompletedProcess[str]) -> list[RunConfig]:
    assert result.returncode == 0, result.stderr
    return [RunConfig.parse(tree) for tree in yaml.safe_load_all(result.stdout)]


def test_the_best_few_are_documents_and_files(home):
    found = documents(within("best", "done", "--top", "3", home=home))
    folder = SearchFolder.open(home / "mlruns", "done")
    assert found == [trial.config() for _, trial in folder.ranked()[:3]]
    assert found == [RunConfig.load(folder.path / f"best-{rank}.yaml") for rank in (1, 2, 3)]


def test_mlflow_alone_says_the_same(home, tmp_path, monkeypatch):
    store = f"sqlite:///{home}/mlruns/mlflow.db"
    here = within("best", "done", "--top", "4", home=home)
    there = ffsnn("best", "done", "--top", "4", "--tracking-uri", store, home=tmp_path)
    assert documents(there) == documents(here)
    assert there.stdout == here.stdout
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert ffsnn("best", "done", "--top", "4", home=tmp_path).stdout == here.stdout
    assert re.search(r"no search 'dome'.*did you mean done\?", refused("best", "dome", home=tmp_path))


def test_a_run_without_a_configuration_is_passed_over(copy, tmp_path):
    ranked = [trial for _, trial in SearchFolder.open(copy / "mlruns", "done").ranked()]
    store = f"sqlite:///{copy}/mlruns/mlflow.db"
    client = MlflowClient(store)
    (run,) = client.search_runs(["1"], f"tags.`ffsnn.trial` = '{ranked[0].number}'")
    client.delete_run(run.info.run_id)
    tags = {"ffsnn.search": "done", "ffsnn.trial": str(ranked[0].number)}
    bare = client.create_run("1", tags=tags).info.run_id
    client.log_metric(bare, "val_accuracy", 1.0, step=2)
    found = ffsnn("best", "done", "--tracking-uri", store, home=tmp_path)
    assert f"trial {ranked[0].number} is passed over" in found.stderr
    assert documents(found) == [ranked[1].config()]


def test_an_address_that_does_not_answer(tmp_path):
    with socket.socket() as silent:  # takes connections, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        for address, why in (
            (f"http://127.0.0.1:{silent.getsockname()[1]}", "does not answer"),
            ("sqlite:////nowhere/mlflow.db", "is not there"),
            ("nonsense", "is no MLflow address"),
        ):
            assert why in refused("best", "x", "--tracking-uri", address, home=tmp_path)
        assert time.monotonic() - begun < 6
    assert not os.path.exists("/nowhere")


def test_a_sync_with_a_server_that_is_down(tmp_path):
    config = SearchConfig(**{**CONFIG.model_dump(), "tracking_uri": "http://127.0.0.1:9"})
    SearchFolder.create(tmp_path / "mlruns", config, "")
    assert "http://127.0.0.1:9 does not answer" in refused("sync", "done", home=tmp_path)


@pytest.mark.parametrize("command", ["best", "retrain"])
def test_a_front_is_taken_whole(tmp_path, command):
    said = refused(command, "x", "--front", "--top", "2", home=tmp_path)
    assert "--front takes all of its points, but got --top 2: leave one of them out" in said


@pytest.mark.parametrize("command", [["best", "x", "--top", "0"], ["retrain", "x", "--seeds", "0"]])
def test_less_than_one(tmp_path, command):
    assert f"{command[2]} must be at least 1, but got 0" in refused(*command, home=tmp_path)
