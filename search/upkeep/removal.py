"""`ffsnn delete`: a search's runs, artifacts and model in MLflow, its study in a database, and its folder.

The folder goes last, so that what a fault leaves can be deleted by the same command; a search whose folder is gone
already is deleted from MLflow alone.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from ffsnn.validation import ConfigError
from search.cluster.servers import check_reachable
from search.config import SearchConfig, problem_of_name
from search.store.folder import SearchFolder
from search.study.study_store import delete_study
from search.tracking import orphans
from search.tracking.store import merged
from search.upkeep.listing import megabytes, size_of
from search.upkeep.stopping import refuse_running

Say = Callable[[str], None]


def what_goes(search: SearchFolder) -> str:
    """Words on what would be deleted."""
    trials = sum(1 for _ in search.trials())
    return f"{trials} trials in {search.path} ({megabytes(size_of(search.path))}), their runs and artifacts in MLflow"


def delete(home: Path, config: SearchConfig, say: Say) -> None:
    """Delete a search.

    Args:
        home: the `mlruns/` folder.
        config: of the search, with the places of its database and its MLflow server.
        say: called with what a person should read.

    Raises:
        ConfigError: it runs, or a server does not answer.
    """
    search = SearchFolder.open(home, config.name)
    refuse_running(search, "delete it")
    if config.tracking_uri:
        check_reachable(config.tracking_uri)
    with search.lease(), merged(home, config.tracking_uri):
        own = None if search.is_settled else search.settle()
        if own:
            say(own)
        runs = orphans.remove(home, search.name, search.id, search.former_names, config.tracking_uri)
        if not config.tracking_uri:  # an earlier search of its name may have left some
            runs += sum(orphans.remove(home, search.name, id_, [], None) for id_ in orphans.ids_of(home, search.name))
        if config.storage:
            for name in (search.name, *search.former_names):
                delete_study(config.storage, name, search.id)
        shutil.rmtree(search.path)
    say(f"deleted: {search.path}, and {runs} runs in MLflow")
    if runs and config.tracking_uri:
        say("the server keeps what is deleted until `mlflow gc` is run there")


def delete_orphan(home: Path, name: str, say: Say) -> None:
    """Delete the runs of a search whose folder is gone.

    Raises:
        ConfigError: there are none.
    """
    if problem_of_name(name) or name not in orphans.gone(home):
        SearchFolder.open(home, name)  # says what is wrong
        raise ConfigError(f"search {name!r} has a folder: its runs go with it")
    with merged(home, None):
        ids = orphans.ids_of(home, name)
        runs = sum(orphans.remove(home, name, id_, [], None) for id_ in ids)
    say(f"deleted: {runs} runs of {name} in MLflow; its folder was gone")
