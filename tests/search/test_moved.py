"""Homes and searches that a person moved, copied or renamed, and an experiment that was deleted in MLflow's pages."""

import json
import re
import shutil
from pathlib import Path

import optuna
import pytest
from mlflow.tracking import MlflowClient

from ffsnn.validation import ConfigError
from search.report.studies import times
from search.store.folder import SearchFolder
from search.study.reconcile import reconcile
from search.tracking import best, orphans, search_exporter
from search.tracking.store import open_store, store_uri
from search.tracking.view import prepare
from tests.search.conftest import ffsnn, open_study, refused
from tests.search.test_best import finished


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """As its user made it, at a place of its own."""
    shutil.copytree(made, tmp_path / "home")
    open_store(tmp_path / "home" / "mlruns")
    return tmp_path / "home"


def runs(home: Path, name: str) -> dict[str, str]:
    """The trials' runs of a search, and where their artifacts are."""
    client = MlflowClient(store_uri(home / "mlruns"))
    found = client.search_runs(["1"], f"tags.`ffsnn.search` = '{name}' AND tags.`ffsnn.kind` = 'trial'")
    return {run.data.tags["ffsnn.trial"]: run.info.artifact_uri for run in found}


def files(home: Path) -> dict[Path, int]:
    """All but the store's, and when they were written."""
    return {path: path.stat().st_mtime_ns for path in home.rglob("*") if not path.name.startswith("mlflow.db")}


def test_a_home_that_was_moved_points_to_itself(home, tmp_path, capsys):
    before = runs(home, "done")
    moved = tmp_path / "other place #1"
    home.rename(moved)
    mlruns = moved / "mlruns"
    client, experiment = open_store(mlruns)
    assert f"was in {home}/mlruns before: its runs point to {mlruns} now" in capsys.readouterr().err
    assert client.get_experiment(experiment).artifact_location == (mlruns / "artifacts").as_uri()
    after = runs(moved, "done")
    assert after.keys() == before.keys()
    assert all(uri.startswith(f"{mlruns.as_uri()}/artifacts/") for uri in after.values())
    open_store(mlruns)
    assert capsys.readouterr().err == ""  # said once
    assert search_exporter.export_search(mlruns, SearchFolder.open(mlruns, "done")) == 4
    assert not home.exists()


def test_mlflow_alone_is_asked_where_a_store_was_moved(home, tmp_path):
    """The first that opens it is `best`, with its address."""
    expected = best.from_folder(SearchFolder.open(home / "mlruns", "done"), 4)
    moved = tmp_path / "moved"
    home.rename(moved)
    assert best.from_mlflow(store_uri(moved / "mlruns"), "done", 4, print) == expected


def test_a_home_that_was_copied_leaves_the_original_alone(home, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    (original, *_) = [*(home / "mlruns" / "artifacts").iterdir()]
    before = files(home)
    search_exporter.export_search(copy / "mlruns", SearchFolder.open(copy / "mlruns", "done"))
    prepare(copy / "mlruns", "done", None)
    assert files(home) == before
    assert all(str(copy) in uri for uri in runs(copy, "done").values())
    assert all(str(home) in uri for uri in runs(home, "done").values())
    assert (copy / "mlruns" / "artifacts" / original.name).is_dir()


def test_a_home_by_another_path_is_the_same(home, tmp_path, capsys):
    (tmp_path / "link").symlink_to(home)
    open_store(tmp_path / "link" / "mlruns")
    assert capsys.readouterr().err == ""
    assert all(f"{home}/" in uri for uri in runs(home, "done").values())


def test_models_of_a_moved_store_are_found(home, tmp_path):
    client, _ = open_store(home / "mlruns")
    source = f"{(home / 'mlruns' / 'artifacts').as_uri()}/models/m-1/artifacts"
    client.create_registered_model("done")
    client.create_model_version("done", source)
    moved = tmp_path / "moved"
    home.rename(moved)
    client, _ = open_store(moved / "mlruns")
    assert client.get_model_version("done", "1").source == source.replace(str(home), str(moved))


@pytest.mark.parametrize("name", ["why?", "50%25", b"\xff".decode(errors="surrogateescape")])
@pytest.mark.parametrize("command", [("best", "x"), ("search",), ("ui",), ("train", "mnist"), ("report", "x")])
def test_a_home_that_mlflow_cannot_address_is_refused_at_once(tmp_path, name, command):
    assert "the address of MLflow's store takes no folder" in refused(*command, home=tmp_path / name)


@pytest.mark.parametrize("name", ["a b", "größe", "搜索", "#1 50%", "it's", 'a"b', "a:b@c", "~", "$HOME", "-x", "[a]*"])
def test_any_other_home_works(made, tmp_path, name):
    home = tmp_path / name
    shutil.copytree(made, home)
    mlruns = home / "mlruns"
    folder = SearchFolder.open(mlruns, "done")
    assert search_exporter.export_search(mlruns, folder) == 4
    assert prepare(mlruns, "done", None)
    assert best.from_mlflow(store_uri(mlruns), "done", 4, print) == best.from_folder(folder, 4)
    assert [*tmp_path.iterdir()] == [home]


# --- one search ---


def test_a_search_whose_folder_was_renamed_goes_by_its_folders_name(home):
    mlruns = home / "mlruns"
    before = SearchFolder.open(mlruns, "done")
    identity, was, ids = before.id, runs(home, "done"), times(before)
    before.path.rename(before.path.with_name("renamed"))
    folder = SearchFolder.open(mlruns, "renamed")
    assert (folder.config.name, folder.id, folder.former_names) == ("renamed", identity, ["done"])
    assert times(folder) == ids
    synced = ffsnn("sync", "renamed", home=home)
    assert synced.returncode == 0, synced.stderr
    assert "this search was 'done' before its folder was renamed: it goes on as 'renamed'" in synced.stdout
    assert runs(home, "renamed") == was
    assert runs(home, "done") == {}
    again = ffsnn("sync", "renamed", home=home)
    assert "renamed: it goes on" not in again.stdout
    study, unfinished = reconcile(folder, folder.config, print)
    assert (len(study.trials), unfinished) == (4, [])
    assert len(optuna.get_all_study_names(study._storage)) == 1
    assert re.search(
        "no search .done..*its folder was renamed, and it is renamed now", refused("sync", "done", home=home)
    )


def test_every_command_goes_by_the_folders_name(home, capsys):
    """Also those that look into MLflow, before anything else was done with the renamed search."""
    mlruns = home / "mlruns"
    expected = [(it.trial, it.config) for it in best.from_folder(SearchFolder.open(mlruns, "done"), 4)]
    (mlruns / "searches" / "done").rename(mlruns / "searches" / "renamed")
    found = best.best(mlruns, "renamed", 4, store_uri(mlruns), print)
    assert [(it.trial, it.config) for it in found] == expected
    assert prepare(mlruns, "renamed", None).keys() == {"charts", "table", "best 4"}
    assert "it goes on as 'renamed'" in capsys.readouterr().err
    assert (len(runs(home, "renamed")), runs(home, "done")) == (4, {})
    assert [it.trial for it in best.best(mlruns, "renamed", 4, store_uri(mlruns), print)] == [it[0] for it in expected]
    for command in (["best"], ["sync"], ["report"], ["ui"], ["retrain"], ["search", "--resume"]):
        assert "its folder was renamed, and it is renamed now" in refused(*command, "done", home=home)


def test_runs_of_a_search_whose_folder_is_gone_are_said(home):
    mlruns = home / "mlruns"
    first = SearchFolder.open(mlruns, "done")
    assert orphans.remark(mlruns) is None
    shutil.copytree(first.path, mlruns / "searches" / "copy")
    SearchFolder.open(mlruns, "copy").settle()
    first.path.rename(mlruns / "searches" / "renamed")
    assert orphans.gone(mlruns) == []  # its runs will follow
    shutil.rmtree(mlruns / "searches" / "renamed")
    assert orphans.gone(mlruns) == ["done"]
    synced = ffsnn("sync", "copy", home=home)
    assert "MLflow has runs of done, whose folders are gone: ffsnn delete done removes them" in synced.stdout


def test_a_renamed_search_leaves_the_runs_of_one_that_took_its_name(home):
    mlruns = home / "mlruns"
    first = SearchFolder.open(mlruns, "done")
    first.path.rename(first.path.with_name("older"))
    search_exporter.export_search(mlruns, SearchFolder.open(mlruns, "older"))
    search_exporter.export_search(mlruns, finished(mlruns))
    search_exporter.export_search(mlruns, SearchFolder.open(mlruns, "older"))
    assert len(runs(home, "done")) == len(runs(home, "older")) == 4
    assert not runs(home, "done").items() & runs(home, "older").items()


def test_a_copied_search_is_one_of_its_own(home):
    mlruns = home / "mlruns"
    original = SearchFolder.open(mlruns, "done")
    before = {path: path.read_bytes() for path in original.path.rglob("*") if path.is_file()}
    was = runs(home, "done")
    shutil.copytree(original.path, original.path.with_name("copy"))
    resumed = ffsnn("search", "--resume", "copy", "--trials", "5", "--epochs", "2", home=home)
    assert resumed.returncode == 0, resumed.stderr
    assert "this is a copy of the search 'done', and from now on one of its own" in resumed.stdout
    copy = SearchFolder.open(mlruns, "copy")
    assert (copy.config.name, len([*copy.trials()]), copy.former_names) == ("copy", 5, [])
    assert copy.id not in (None, original.id)
    assert len(open_study(copy).trials) == 5
    assert {path: path.read_bytes() for path in original.path.rglob("*") if path.is_file()} == before
    assert runs(home, "done") == was
    assert len(runs(home, "copy")) == 5
    shutil.rmtree(original.path)
    assert SearchFolder.open(mlruns, "copy").id == copy.id


def test_a_copied_home_does_not_share_what_is_shared(home, tmp_path):
    """A search with a database or a server: the copy's runs and study would be the original's."""
    folder = SearchFolder.open(home / "mlruns", "done")
    tree = json.loads((folder.path / "search.json").read_text())
    tree["config"]["tracking_uri"] = "http://127.0.0.1:9"
    (folder.path / "search.json").write_text(json.dumps(tree | {"folder": str(folder.path)}))
    shutil.copytree(home, tmp_path / "copy")
    copy = SearchFolder.open(tmp_path / "copy" / "mlruns", "done")
    assert copy.id is None
    assert copy.settle() == "this is a copy of the search 'done', and from now on one of its own"
    assert copy.id != folder.id


@pytest.mark.parametrize("name", ["x" * 300, "../done", "a/b", "/etc", "my search", "größe", "", "-x", "a'b"])
def test_what_can_be_no_name_is_refused(home, name):
    asked = [[command, "--", name] for command in ("best", "sync", "retrain", "report", "ui")]
    if name:
        asked += [["search", "digits_smoke", f"--name={name}"], ["search", f"--resume={name}"]]
        asked += [["search", "digits_smoke", f"--warm-start=done,{name}"], ["report", "done", f"--against={name}"]]
    before = files(home)
    for command in asked:
        said = refused(*command, home=home)
        assert re.search("name:? must have letters and digits of ASCII", said)
        assert len(said) < 400
    assert files(home) == before


def test_a_path_to_a_search_is_told_its_name(home):
    assert "did you mean done" in refused("best", "../done", home=home)
    assert "did you mean done" in refused("best", str(home / "mlruns" / "searches" / "done"), home=home)


# --- MLflow ---


def test_an_experiment_that_was_deleted_is_restored_with_its_runs(home, capsys):
    mlruns = home / "mlruns"
    was = runs(home, "done")
    client = MlflowClient(store_uri(mlruns))
    client.delete_experiment("1")
    assert runs(home, "done") == {}
    search_exporter.export_search(mlruns, SearchFolder.open(mlruns, "done"))
    assert "had been deleted in MLflow: it is restored, with its runs" in capsys.readouterr().err
    assert runs(home, "done") == was
    client.delete_experiment("1")
    assert prepare(mlruns, "done", None)


def test_a_view_of_a_search_that_has_just_begun_advises_nothing_that_is_refused(home):
    """`sync` is refused while it runs."""
    mlruns = home / "mlruns"
    (mlruns / "mlflow.db").rename(mlruns / "another.db")
    home = home.rename(home.with_name("bare"))  # a new name: MLflow keeps open what it had
    mlruns = home / "mlruns"
    folder = SearchFolder.open(mlruns, "done")
    with folder.lease(), pytest.raises(ConfigError, match=r"no trial of 'done' yet: it is being run.*wait"):
        prepare(mlruns, "done", None)
    with pytest.raises(ConfigError, match="no trial of 'done' yet: bring it there by ffsnn sync done"):
        prepare(mlruns, "done", None)
