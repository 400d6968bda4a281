"""A study in a database: whose it is, and what becomes of one that says another thing than the folders.

SQLite stands for PostgreSQL, which `tests/cluster/test_hosts.py` has.
"""

from pathlib import Path

import optuna
import pytest

from ffsnn.validation import ConfigError
from search.config import SearchConfig
from search.execution.study_searcher import study_searcher
from search.stop import StopRequest
from search.store.folder import SearchFolder
from search.study.database import wait_for
from search.study.reconcile import reconcile
from search.study.study_store import ensure_owned, study_store
from spaces.space import Space
from tests.search.conftest import session_of

SPACE = Space.load("digits_smoke")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


def searched(home: Path, url: str) -> tuple[SearchFolder, SearchConfig]:
    """A search with a trial that has ended and one that has not."""
    config = SearchConfig(name="s", space=SPACE, trials=4, epochs=3, storage=url, device="cpu")
    folder = SearchFolder.create(home, config, "")
    searcher = study_searcher(session_of(folder, config))
    searcher.suggest("a")
    searcher.suggest("b")
    searcher.on_trial_complete("a", {"problem": "diverged: layer 0 diverged"})
    return folder, config


def states(url: str) -> list[str]:
    return [trial.state.name for trial in optuna.load_study(study_name="s", storage=url).get_trials()]


def test_a_search_goes_on_with_its_study(tmp_path, url):
    folder, config = searched(tmp_path, url)
    assert not folder.study_file.exists()
    study, unfinished = reconcile(folder, config, print)
    assert unfinished == [1]
    assert [trial.params for trial in study.get_trials()] == [SPACE.read(trial.config()) for trial in folder.trials()]
    ensure_owned(url, "s", folder.id)
    assert not wait_for(url, StopRequest(), print)


def test_a_study_that_another_search_owns(tmp_path, url):
    searched(tmp_path, url)
    with pytest.raises(ConfigError, match=r"study 's' in sqlite:.* belongs to another search: choose another"):
        ensure_owned(url, "s", None)
    ensure_owned(url, "other", None)
    (tmp_path / "elsewhere").mkdir()
    elsewhere = SearchFolder.create(tmp_path / "elsewhere", SearchConfig(name="s", space=SPACE, trials=4, epochs=3), "")
    with pytest.raises(ConfigError, match="belongs to another search"):
        study_store(elsewhere, url).opened(print)
    assert states(url) == ["PRUNED", "RUNNING"]


def test_a_study_of_no_search(tmp_path, url):
    """Somebody's own, of the same name, is left alone; an empty one is what a killed driver left."""
    folder = SearchFolder.create(tmp_path, SearchConfig(name="s", space=SPACE, trials=4, epochs=3), "")
    study = optuna.create_study(storage=url, study_name="s", direction="maximize")
    study_store(folder, url).opened(print)
    study.set_user_attr("ffsnn.search", None)
    study.ask()
    with pytest.raises(ConfigError, match="belongs to another search"):
        study_store(folder, url).opened(print)


def test_a_study_that_was_lost_or_differs_is_written_anew(tmp_path, url):
    folder, config = searched(tmp_path, url)
    said: list[str] = []
    optuna.delete_study(study_name="s", storage=url)
    reconcile(folder, config, said.append)
    assert states(url) == ["PRUNED", "RUNNING"]
    assert said == [f"study s in {url}: it lacked 2 trials, which are added from their folders"]
    study = optuna.load_study(study_name="s", storage=url)
    study.tell(1, state=optuna.trial.TrialState.FAIL)
    said.clear()
    trial = folder.trial(1)
    trial.write_history([])
    (trial.path / "end.json").write_text((folder.trial(0).path / "end.json").read_text())
    reconcile(folder, config, said.append)
    assert states(url) == ["PRUNED", "PRUNED"]
    assert said[0] == f"study s in {url}: its trials differ from their folders; it is rebuilt from the trials' folders"
    ensure_owned(url, "s", folder.id)


def test_a_database_that_does_not_come_back_stops_the_search(monkeypatch):
    from search.study import database as module

    monkeypatch.setattr(module, "DATABASE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(module, "RETRY_INTERVAL_S", 0.1)
    stop, said = StopRequest(), []
    assert wait_for("postgresql://me:hunter2@127.0.0.1:9/d", stop, said.append)
    assert stop.failed
    assert "postgresql://me@127.0.0.1:9/d cannot be used" in stop.reason
    assert len(said) == 1
