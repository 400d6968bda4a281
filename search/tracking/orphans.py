"""Runs in the local MLflow store of searches whose folders are gone, by hand: they are said, and can be removed.

Only the store in `mlruns/` is looked at: a server's may belong to searches of other homes.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ffsnn.validation import ConfigError
from search import names
from search.hints import command
from search.names import DATABASE
from search.store.folder import all_searches
from search.tracking.store import all_runs, open_store

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def gone(home: Path) -> list[str]:
    """Names of searches that the local store has, and no folder; there is none where there is no store."""
    if not (home / DATABASE).exists():
        return []
    return _gone(home, *open_store(home))


def _gone(home: Path, client: "MlflowClient", experiment: str) -> list[str]:
    ids, known = set[str | None](), set[str]()
    for folder in all_searches(home):
        try:
            ids.add(folder.read().get("id"))
            known |= {folder.name, *folder.former_names}
        except ConfigError:  # a damaged one is there all the same
            known.add(folder.name)
    found = []
    for run in all_runs(client, experiment, f"tags.`{names.TAG_KIND}` = 'search'"):
        name, id_ = run.data.tags.get(names.TAG_SEARCH, ""), run.data.tags.get(names.TAG_ID)
        if id_ not in ids if id_ is not None else name not in known:
            found.append(name)
    return list(dict.fromkeys(found))


def remark(home: Path) -> str | None:
    """Words on them for who looks at the store; None: there are none."""
    if not (left := gone(home)):
        return None
    shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
    return f"MLflow has runs of {shown}, whose folders are gone: {command('delete', left[0])} removes them"
