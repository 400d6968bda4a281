"""The prepared view as data, and `ffsnn ui` on a server that runs already; what it looks like: `test_browser.py`."""

import base64
import json
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from rich.console import Console

from ffsnn.validation import ConfigError
from search.pareto.goals import Goals
from search.store.folder import SearchFolder
from search.tracking import landing, search_exporter, ui
from search.tracking.store import open_store
from search.tracking.view import prepare, side_by_side, view
from spaces.space import Space
from tests.faults.server import Server
from tests.search.conftest import ffsnn, refused
from tests.search.test_best import CONFIG, finished


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    finished(home / "mlruns")
    return home


def test_a_view_is_written_once_and_holds_no_run(home):
    mlruns = home / "mlruns"
    open_store(mlruns)
    with pytest.raises(ConfigError, match="has no trial of 'done' yet: bring it there by ffsnn sync done"):
        prepare(mlruns, "done", None)
    search_exporter.export_search(mlruns, SearchFolder.open(mlruns, "done"))
    pages = prepare(mlruns, "done", None)
    tags = MlflowClient(f"sqlite:///{mlruns}/mlflow.db").get_experiment("1").tags
    assert pages == prepare(mlruns, "done", None)
    assert tags == MlflowClient(f"sqlite:///{mlruns}/mlflow.db").get_experiment("1").tags
    envelope = json.loads(tags["mlflow.sharedViewState.done"])
    state = json.loads(zlib.decompress(base64.b64decode(envelope["state"].removeprefix("deflate;"))))
    own = SearchFolder.open(mlruns, "done").id
    assert state == view("done", CONFIG.space, 2, Goals.parse("val_accuracy"), 4, own)
    assert list(pages) == ["charts", "table", "best 4"]


def test_axes_that_only_some_trials_have_stand_apart():
    parameters = {
        "T": {"int": [2, 16], "log": True},
        "loss": {"choice": ["threshold", "swish", "symba"]},
        "theta": {"float": [0.02, 0.5], "log": True, "when": {"loss": "threshold"}},
        "alpha": {"float": [1, 60], "when": {"loss": ["swish", "symba"]}},
    }
    state = view("any", Space.parse({"parameters": parameters}), 3, Goals.parse("val_accuracy"), 101)
    plots = [card["selectedParams"] for card in state["compareRunCharts"] if card["type"] == "PARALLEL"]
    common = ["T_log10", "loss"]
    assert plots == [common, [*common, "theta_log10"], [*common, "alpha"]]
    assert len(json.dumps(state)) < 20_000  # what MLflow takes as a tag of an experiment, before it is compressed
    titles = [section["name"] for section in state["compareRunSections"]]
    assert titles[0] == "Parameters, best 100 of 101 (then Load more)"
    assert max(map(len, titles)) <= 45  # more of a heading is not shown
    curves = [card["metricKey"] for card in state["compareRunCharts"] if card["type"] == "LINE"]
    assert {"val_accuracy", "loss_0", "firing_rate_2", "goodness_neg_1"} <= set(curves)


def test_columns_begin_with_what_decides_and_the_best_with_what_differs():
    space, goals = CONFIG.space, Goals.parse("val_accuracy")
    columns = view("done", space, 2, goals, 4)["selectedColumns"]
    assert columns[:3] == ["metrics.`val_accuracy`", "metrics.`epochs`", "params.`v_threshold`"]
    assert columns.index("params.`theta`") < columns.index("metrics.`best_val_accuracy`")
    one = {path: parameter.ends()[0] for path, parameter in space.parameters.items() if not parameter.when}
    state = side_by_side(space, goals, {"a": one, "b": one | {"network.tau": 2.5}, "c": one | {"network.T": 3}})
    assert [it for it in state["selectedColumns"] if it.startswith("params")] == ["params.`tau`", "params.`T`"]
    assert state["compareRunCharts"][0]["selectedParams"] == ["tau", "T"]
    assert state["searchFilter"] == "attributes.run_id IN ('a', 'b', 'c')"


def test_each_search_is_shown_with_what_it_has_come_to(home):
    mlruns = home / "mlruns"
    search_exporter.export_search(mlruns, folder := SearchFolder.open(mlruns, "done"))
    client = MlflowClient(f"sqlite:///{mlruns}/mlflow.db")
    (run,) = client.search_runs(["1"], "tags.`ffsnn.kind` = 'search'")
    best, _ = folder.ranked()[0]
    assert run.data.metrics["best_val_accuracy"] == best
    assert {name: run.data.metrics[name] for name in ("trials_ended", "epochs")} == {"trials_ended": 4, "epochs": 7}
    experiment = client.get_experiment("1")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert f"| done | {best:.2%} | 4 | 7 |" in experiment.tags["mlflow.note.content"]
    client.set_experiment_tag("1", "mlflow.note.content", "mine")
    search_exporter.export_search(mlruns, folder)
    assert client.get_experiment("1").tags["mlflow.note.content"] == "mine"
    client.set_experiment_tag("1", "mlflow.note.content", "")
    landing.describe(client, "1")
    assert "| done |" in client.get_experiment("1").tags["mlflow.note.content"]


@pytest.mark.slow
def test_a_server_that_runs_already_is_taken(home, tmp_path):
    server = Server(tmp_path / "server").start()
    try:
        folder = SearchFolder.open(home / "mlruns", "done")
        search_exporter.export_search(home / "mlruns", folder, server.address)
        said = ffsnn("ui", "done", "--tracking-uri", server.address, home=home)
        assert said.returncode == 0, said.stderr
        client = MlflowClient(server.address)
        experiment = client.get_experiment_by_name("ffsnn")
        assert "mlflow.sharedViewState.done" in experiment.tags
        begin = f"{server.address}/#/experiments/{experiment.experiment_id}/runs?"
        assert [line.split()[-1].startswith(begin) for line in said.stdout.splitlines()] == [True, True, True]
        all_runs = ffsnn("ui", "--tracking-uri", server.address, home=home)
        assert all_runs.stdout.strip().startswith(begin)
        assert "viewStateShareKey=all%20searches" in all_runs.stdout
    finally:
        server.stop()


def test_totals_may_become_less(home, tmp_path):
    """Where trials that had ended go on, as when a search is to have more epochs."""
    shutil.copytree(home / "mlruns" / "searches", tmp_path / "searches")
    folder = SearchFolder.open(tmp_path, "done")
    search_exporter.export_search(tmp_path, folder)
    folder.trial(0).reopen()
    search_exporter.export_search(tmp_path, folder)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs(["1"], "tags.`ffsnn.kind` = 'search'")
    assert run.data.metrics["trials_ended"] == 3


def test_runs_of_a_deleted_search_of_the_same_name_are_not_shown(home, tmp_path):
    shutil.copytree(home / "mlruns" / "searches", tmp_path / "searches")
    client, experiment = open_store(tmp_path)
    tags = {"ffsnn.search": "done", "ffsnn.kind": "trial", "ffsnn.trial": "0", "ffsnn.search_id": "another"}
    client.create_run(experiment, tags=tags, start_time=1)
    with pytest.raises(ConfigError, match="has no trial of 'done' yet"):
        prepare(tmp_path, "done", None)


def test_a_server_that_ends_by_itself_is_one_line(tmp_path, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], start_new_session=True) as server:
        server.wait()
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: server)
        with pytest.raises(ConfigError, match="the MLflow server ended with code 3"):
            ui._serve(tmp_path, "127.0.0.1", 1, {}, Console())


def test_what_cannot_be_shown_is_one_line(home):
    assert re.search(r"no search 'dome'.*did you mean done\?", refused("ui", "dome", home=home))
    said = refused("ui", "done", "--tracking-uri", "sqlite:///x.db", home=home)
    assert re.search("need an MLflow server.*sqlite:///x.db", said)
    assert "does not answer" in refused("ui", "--tracking-uri", "http://127.0.0.1:9", home=home)
