"""Searches looked after: list, status, stop, rename, delete, prune-disk."""

import json
import re
import shutil
import signal
import time
from pathlib import Path

import optuna
import pytest
from mlflow.tracking import MlflowClient

from search.store.folder import SearchFolder
from search.study.reconcile import reconcile
from search.tracking import best, orphans, search_exporter
from search.tracking.store import open_store, store_uri
from search.tracking.view import prepare
from search.upkeep.listing import listed, span
from search.upkeep.pruning import prune
from search.upkeep.status import Status
from tests.search.conftest import ffsnn, open_study, refused, started, within
from tests.search.test_best import CONFIG


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """With a finished search, `done`, and one of another name, `other`, that has no trial yet."""
    shutil.copytree(made, tmp_path / "home")
    open_store(tmp_path / "home" / "mlruns")
    SearchFolder.create(tmp_path / "home" / "mlruns", CONFIG.model_copy(update={"name": "other"}), "")
    return tmp_path / "home"


def runs(home: Path, name: str) -> int:
    return len(MlflowClient(store_uri(home / "mlruns")).search_runs(["1"], f"tags.`ffsnn.search` = '{name}'"))


def all_files(home: Path) -> set[Path]:
    return {path for path in home.rglob("*") if not path.name.startswith("mlflow.db")}


# --- list and status ---


def test_searches_are_listed(home):
    (home / "mlruns" / "searches" / "broken").mkdir()
    (home / "mlruns" / "searches" / "broken" / "search.json").write_text("{")
    before = all_files(home)
    told = {it["name"]: it for it in json.loads(within("list", "--json", home=home).stdout)}
    assert all_files(home) == before
    assert {name: it["state"] for name, it in told.items()} == {
        "done": "finished", "other": "stopped", "broken": "damaged",
    }  # fmt: skip
    done = told["done"]
    assert (done["space"], done["dataset"], done["done"], done["trials"]) == ("digits_smoke", "digits", 4, 4)
    assert done["best"] == SearchFolder.open(home / "mlruns", "done").ranked()[0][0]
    assert 10_000 < done["bytes"] < 10_000_000
    assert 0 < time.time() - done["begun"] < 3600
    shown = within("list", home=home).stdout
    assert re.search(r"done .*finished .*4/4 .*\d%.*digits_smoke .*digits .* MB", shown)


def test_one_that_runs_says_which_process(home):
    folder = SearchFolder.open(home / "mlruns", "done")
    with folder.lease():
        (it,) = [it for it in listed(home / "mlruns") if it.name == "done"]
        assert (it.state, it.by) == ("running", folder.runner())
        assert it.since is not None
        assert abs(time.time() - it.since) < 60
        told, said = Status(folder).json(), Status(folder).next()
        assert told["running"]
        assert len(told["events"]) == 4
        assert all(re.fullmatch(r"[\d.]+ \w+ ago: trial \d \w+ \(\w+\) after \d epochs?, [\d.]+%", it)
                   for it in told["events"])  # fmt: skip
        assert said[:4] == told["events"]
        assert said[4].startswith("running: ")
    assert [it.state for it in listed(home / "mlruns")] == ["finished", "stopped"]


def test_a_retrained_one_is_listed_with_its_interval(home):
    folder = SearchFolder.open(home / "mlruns", "done")
    result = {
        "search": "done", "epochs": 2, "seeds": [1, 2], "best_seed": 1, "lead": None,
        "ranking": [{"trial": 1, "config_id": "x", "values": [0.5, 0.6], "mean": 0.55, "low": -0.1, "high": 0.7}],
        "test": {"accuracies": [0.5, 0.6], "mean": 0.55, "spread": None, "images": 9, "opened_before": 0},
    }  # fmt: skip
    (folder.path / "retrain" / "a").mkdir(parents=True)
    (folder.path / "retrain" / "a" / "retrain.json").write_text(json.dumps(result))
    assert listed(home / "mlruns")[0].shown_best == "55.00% (0.00% to 70.00%)"


def test_the_state_of_each_trial(home):
    told = json.loads(within("status", "done", "--json", home=home).stdout)
    assert [trial["state"] for trial in told["table"]] == ["complete"] * 3 + ["pruned"]
    assert not told["running"]
    shown = within("status", "done", home=home).stdout
    assert re.search(r"4/4 trials, 0 running, 3 at full length, 1 pruned, best [\d.]+% \(trial \d\)", shown)
    stopped = within("status", "other", home=home).stdout
    assert "0/4 trials" in stopped
    assert re.search("stopped: go on with: .*search --resume other", stopped)


def test_a_search_that_is_named_where_a_file_is_meant(home):
    best_file = str(home / "mlruns" / "searches" / "done" / "best.yaml")
    for name in ("done", best_file):
        assert re.search("no configuration .*: .*ffsnn best done writes", refused("train", name, home=home))
    said = refused("search", "done", home=home)
    assert re.search("'done' is a search, not a space: .*search --resume done .*, .*search --like done ", said)


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1, "0 s"), (59, "59 s"), (90, "1.5 min"), (7200, "2 h"), (86400 * 30, "30 d")]
)
def test_spans_of_time(seconds, said):
    assert span(seconds) == said


# --- stop ---


def test_a_running_search_is_stopped_as_by_ctrl_c_and_goes_on(home):
    long = ["--epochs", "100000", "--scheduler", "none"]
    with started("search", "digits_smoke", "--name", "live", *long, home=home) as (process, output):
        while not (seen := [it for it in listed(home / "mlruns") if it.name == "live"]) or seen[0].state != "running":
            assert process.poll() is None, output.read()
            time.sleep(0.1)
        live = SearchFolder.open(home / "mlruns", "live")
        while not any(state == "running" for state in Status(live).states.values()):
            assert process.poll() is None, output.read()
            time.sleep(0.1)
        assert re.search(r"0/8 trials, [12] running", within("status", "live", home=home).stdout)
        for command in (["delete", "--yes", "live"], ["rename", "live", "another"]):
            assert "is being run by process" in refused(*command, home=home)
        stopped = ffsnn("stop", "live", home=home)
        assert stopped.returncode == 0, stopped.stderr
        assert f"process {process.pid} on" in stopped.stdout
        assert process.wait(timeout=30) == 130
        assert "stopped: interrupted" in output.read()
    assert live.runner() is None
    assert "is not being run: there is nothing to stop" in refused("stop", "live", home=home)


def test_no_other_process_is_stopped_in_its_place(home, monkeypatch):
    """One that has the number of a driver on another machine, or in another container."""
    folder = SearchFolder.open(home / "mlruns", "done")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with folder.lease():
        lock = folder.path / "driver.lock"
        said = lock.read_text()
        lock.write_text(re.sub(r"process \d+", "process 1", said))
        assert re.search("is not seen from here|another user", refused("stop", "done", home=home))
        lock.write_text(re.sub("on .*", "on elsewhere", said))
        assert "stop it there" in refused("stop", "done", home=home)


# --- rename and delete ---


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_renamed_search_is_renamed_everywhere(home, by_hand):
    mlruns = home / "mlruns"
    prepare(mlruns, "done", None)
    client, _ = open_store(mlruns)
    client.create_registered_model("done", {"ffsnn.kind": "champion"})
    parent = client.search_runs(["1"], "tags.`ffsnn.kind` = 'search'")[0]
    tags = {"ffsnn.retrain_of": "done", "ffsnn.search_id": parent.data.tags["ffsnn.search_id"]}
    retrained = client.create_run("1", tags=tags | {"mlflow.runName": "done/0001 seed 1"}).info.run_id
    identity, expected = SearchFolder.open(mlruns, "done").id, best.from_mlflow(store_uri(mlruns), "done", 4, print)
    if by_hand:
        (mlruns / "searches" / "done").rename(mlruns / "searches" / "better")
    renamed = ffsnn(*(["sync", "better"] if by_hand else ["rename", "done", "better"]), home=home)
    assert renamed.returncode == 0, renamed.stderr
    folder = SearchFolder.open(mlruns, "better")
    assert (folder.id, folder.config.name, folder.is_settled) == (identity, "better", True)
    assert (runs(home, "done"), runs(home, "better")) == (0, 5)
    found = best.from_mlflow(store_uri(mlruns), "better", 4, print)
    assert [(it.trial, it.config) for it in found] == [(it.trial, it.config) for it in expected]
    assert client.get_run(retrained).data.tags["ffsnn.retrain_of"] == "better"
    assert client.get_run(retrained).info.run_name == "better/0001 seed 1"
    assert [model.name for model in client.search_registered_models()] == ["better"]
    assert "mlflow.sharedViewState.done" not in client.get_experiment("1").tags
    assert len(open_study(folder).trials) == 4
    for command in ("best", "show", "compare"):
        assert "it is better now" in refused(command, "done", home=home)


def test_what_cannot_be_renamed(home):
    before = all_files(home)
    for new, said in (("other", "is there already"), ("a b", "must have letters"), ("done", "is there already")):
        assert said in refused("rename", "done", new, home=home)
    assert "no search 'nope'" in refused("rename", "nope", "a", home=home)
    assert all_files(home) == before


def test_a_deleted_search_leaves_nothing(home):
    mlruns = home / "mlruns"
    shutil.copytree(mlruns / "searches" / "done", mlruns / "searches" / "kept")
    SearchFolder.open(mlruns, "kept").settle()
    search_exporter.export_search(mlruns, SearchFolder.open(mlruns, "kept"))
    kept = {path for path in all_files(home) if "kept" in str(path)}
    client, _ = open_store(mlruns)
    client.create_registered_model("done", {"ffsnn.kind": "champion"})
    artifacts = {run.info.artifact_uri for run in client.search_runs(["1"], "tags.`ffsnn.search` = 'done'")}
    deleted = ffsnn("delete", "done", "--yes", home=home)
    assert deleted.returncode == 0, deleted.stderr
    assert "5 runs in MLflow" in deleted.stdout
    assert (runs(home, "done"), runs(home, "kept")) == (0, 5)
    assert not (mlruns / "searches" / "done").exists()
    assert not any(Path(uri.removeprefix("file://")).exists() for uri in artifacts)
    assert kept <= all_files(home)
    assert list(client.search_registered_models()) == []
    assert len(best.from_mlflow(store_uri(mlruns), "kept", 4, print)) == 4
    assert "no search 'done'" in refused("delete", "done", "--yes", home=home)


def test_a_search_whose_folder_is_gone_is_deleted_from_mlflow(home):
    shutil.rmtree(home / "mlruns" / "searches" / "done")
    assert "ffsnn delete done removes them" in within("list", home=home).stdout
    assert "4 runs" not in ffsnn("delete", "done", "--yes", home=home).stdout  # 5, with its own
    assert runs(home, "done") == 0
    assert orphans.gone(home / "mlruns") == []


def test_runs_of_a_search_whose_name_was_taken_again_go_with_that_one(home):
    mlruns = home / "mlruns"
    kept = mlruns / "searches" / "done" / "search.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"id": "another"}))
    (mlruns / "searches" / "broken").mkdir()
    (mlruns / "searches" / "broken" / "search.json").write_text("{")
    assert "folders are gone" not in within("list", home=home).stdout
    assert "5 runs" in ffsnn("delete", "done", "--yes", home=home).stdout
    assert runs(home, "done") == 0


def test_a_store_that_is_no_store_is_one_line(home):
    (home / "mlruns" / "mlflow.db").write_text("no database")
    listed = within("list", home=home)
    assert listed.returncode == 0
    assert "mlflow.db cannot be opened" in listed.stdout
    assert "mlflow.db cannot be opened" in refused("ui", "done", home=home)


def test_it_asks_before_it_deletes(home):
    before = all_files(home)
    asked = ffsnn("delete", "done", home=home)  # nobody answers
    assert asked.returncode != 0
    assert re.search(r"delete 4 trials in .*done \(\d+\.\d MB\), their runs and artifacts in MLflow\?", asked.stdout)
    assert all_files(home) == before


def test_a_study_in_a_database_is_renamed_and_deleted_with_its_search(home, tmp_path):
    url, folder = f"sqlite:///{tmp_path}/study.db", SearchFolder.open(home / "mlruns", "done")
    optuna.create_study(storage=url, study_name="another")
    reconcile(folder, folder.config.model_copy(update={"storage": url}), print)
    renamed = ffsnn("rename", "done", "better", "--storage", url, home=home)
    assert renamed.returncode == 0, renamed.stderr
    assert sorted(optuna.get_all_study_names(url)) == ["another", "better"]
    assert len(optuna.load_study(study_name="better", storage=url).trials) == 4
    assert ffsnn("delete", "better", "--yes", "--storage", url, home=home).returncode == 0
    assert optuna.get_all_study_names(url) == ["another"]


@pytest.mark.parametrize("command", [["rename", "done", "better"], ["delete", "done", "--yes"]])
def test_nothing_is_changed_where_the_server_does_not_answer(home, command):
    before = all_files(home)
    assert "does not answer" in refused(*command, "--tracking-uri", "http://127.0.0.1:9", home=home)
    assert all_files(home) - before <= {home / "mlruns" / "searches" / "done" / "driver.lock"}
    assert before <= all_files(home)


# --- prune-disk ---


def test_what_ended_trials_need_no_more_is_deleted(home):
    folder = SearchFolder.open(home / "mlruns", "done")
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    for trial in folder.trials():
        (trial.path / "last.safetensors").write_bytes(b"x" * 1000)
        (trial.path / "previous.safetensors").write_bytes(b"x" * 1000)
        (trial.path / "trial.lock").write_bytes(b"x" * 100)
        (trial.path / "output.log").touch()
    (folder.path / ".tune" / "a").mkdir(parents=True)
    (folder.path / ".tune" / "a" / "b").write_bytes(b"x" * 500)
    unfinished = folder.trial(3)
    (unfinished.path / "end.json").rename(folder.path / "kept")
    with folder.lease():
        assert prune(folder) == (0, 0)  # its driver does
    assert prune(folder) == (3, 3 * 2100 + 500)
    assert prune(folder) == (0, 0)
    assert (unfinished.path / "last.safetensors").exists()
    (folder.path / "kept").rename(unfinished.path / "end.json")
    assert "0.0 MB freed in all" in within("prune-disk", home=home).stdout
    left = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    assert {path: content for path, content in left.items() if path.name != "driver.lock"} == {
        path: content for path, content in before.items() if path.name != "driver.lock"
    }
