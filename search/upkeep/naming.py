"""`ffsnn rename`: a search's folder, its runs and model in MLflow, and its study in a database get another name.

The folder comes first, and decides: what a fault leaves undone, the next `sync` or search of it does; but for the study
under the former name, which goes with the next renaming, or with the search.
"""

import os
from collections.abc import Callable
from pathlib import Path

from ffsnn.validation import ConfigError
from search.cluster.servers import check_reachable
from search.config import SearchConfig, problem_of_name
from search.names import DATABASE, SEARCHES
from search.store.folder import SearchFolder
from search.study import database
from search.study.reconcile import reconcile
from search.study.study_store import delete_study
from search.tracking.search_exporter import export_search
from search.tracking.store import merged
from search.upkeep.stopping import refuse_running


def rename(home: Path, config: SearchConfig, new: str, say: Callable[[str], None]) -> SearchFolder:
    """Give a search another name.

    Args:
        home: the `mlruns/` folder.
        config: of the search, with the places of its database and its MLflow server.
        new: the name.
        say: called with what a person should read.

    Raises:
        ConfigError: the name is not valid or is taken, the search runs, or a server does not answer.
    """
    name = config.name
    if wrong := problem_of_name(new):
        raise ConfigError(f"a search's name {wrong}")
    if (home / SEARCHES / new).exists():
        raise ConfigError(f"{home / SEARCHES / new} is there already: choose another name than {new!r}")
    before = SearchFolder.open(home, name)
    refuse_running(before, "rename it")
    if config.tracking_uri:
        check_reachable(config.tracking_uri)
    if config.storage:
        database.check_reachable(config.storage)
    with before.lease(), merged(home, config.tracking_uri):
        before.settle()
        os.rename(before.path, home / SEARCHES / new)
        search = SearchFolder.open(home, new)
        search.settle()
        if config.storage:
            reconcile(search, config.model_copy(update={"name": new}), say)
            for former in search.former_names:
                delete_study(config.storage, former, search.id)
        if config.tracking_uri or (home / DATABASE).exists():
            export_search(home, search, config.tracking_uri)
    return search
