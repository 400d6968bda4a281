"""All that MLflow has of a search beside its trials, to be removed or renamed; and what the local store has of searches
whose folders are gone.

For the latter only the store in `mlruns/` is looked at: a server's runs may be those of other homes.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ffsnn.validation import ConfigError
from search import names
from search.hints import command
from search.names import DATABASE
from search.store.folder import SearchFolder, all_searches
from search.tracking import landing
from search.tracking.shared_view import BEST
from search.tracking.store import all_runs, is_ours, open_store, registered_model

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.tracking import MlflowClient


def gone(home: Path) -> list[str]:
    """Names of searches that the local store has, and that no folder bears; there is none where there is no store."""
    if not (home / DATABASE).exists():
        return []
    return _gone(home, *open_store(home))


def _gone(home: Path, client: "MlflowClient", experiment: str) -> list[str]:
    ids, known, found = _ids(home), set[str](), []
    for folder in all_searches(home):
        known.add(folder.name)
        with suppress(ConfigError):  # a damaged one is there all the same
            known.update(folder.former_names)
    for run in all_runs(client, experiment, names.IS_SEARCH):
        name, id_ = run.data.tags.get(names.TAG_SEARCH, ""), run.data.tags.get(names.TAG_ID)
        if (id_ not in ids if id_ is not None else name not in known) and not SearchFolder.exists(home, name):
            found.append(name)  # those of a name that was taken again go with the search that has it now
    return list(dict.fromkeys(found))


def _ids(home: Path) -> set[str | None]:
    """Ids of the searches that have a folder; a damaged one does not say."""
    found = set[str | None]()
    for folder in all_searches(home):
        with suppress(ConfigError):
            found.add(folder.read().get("id"))
    return found


def remark(home: Path) -> str | None:
    """Words on them for who looks at the store, or on why it cannot be looked at; None: there are none."""
    try:
        left = gone(home)
    except ConfigError as error:
        return str(error)
    if not left:
        return None
    shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
    return f"MLflow has runs of {shown}, whose folders are gone: {command('delete', left[0])} removes them"


def ids_of(home: Path, name: str) -> list[str | None]:
    """Ids of the searches of a name that the local store has, and no folder; None: of an earlier version's."""
    client, experiment = open_store(home)
    runs = all_runs(client, experiment, f"{names.IS_SEARCH} AND tags.`{names.TAG_SEARCH}` = '{name}'")
    ids, there = (run.data.tags.get(names.TAG_ID) for run in runs), _ids(home)
    return [id_ for id_ in dict.fromkeys(ids) if id_ is None or id_ not in there]


def remove(home: Path, name: str, id_: str | None, former: Sequence[str], uri: str | None) -> int:
    """Delete a search's runs, its retrainings' and its model; the number of runs. Artifacts in the local store go, too;
    a server keeps them, and any store a deleted run's numbers, until `mlflow gc` is run on it.

    Args:
        home: the `mlruns/` folder.
        name: of the search.
        id_: its own; runs that say another one stay.
        former: names that it had before.
        uri: of an MLflow server; None: the local store.
    """
    if not uri and not (home / DATABASE).exists():
        return 0
    client, experiment = open_store(home, uri)
    runs = [run for it in (name, *former) for run in _runs_of(client, experiment, it, id_)]
    ids = {run.info.run_id for run in runs}
    names_of_it = [it for it in (name, *former) if it == name or not SearchFolder.exists(home, it)]
    for it in names_of_it:
        if is_ours(registered_model(client, it)) and _is_registered_from(client, it, ids):
            client.delete_registered_model(it)
    for model in _logged_models(client, experiment, ids):
        client.delete_logged_model(model.model_id)
        _without_files(home, model.artifact_location)
    for run in runs:
        client.delete_run(run.info.run_id)
        _without_files(home, run.info.artifact_uri)
    for it in names_of_it:
        forget_page(client, experiment, it)
    landing.describe(client, experiment)
    return len(ids)


def follow(client: "MlflowClient", experiment: str, search: SearchFolder, before: str) -> None:
    """Give retrainings and model of a search its name of now, and delete its page of before. What belongs to another
    search that took the former name stays."""
    for run in retrainings(client, experiment, before, search.id):
        shown = run.data.tags.get(names.TAG_NAME, "")
        client.set_tag(run.info.run_id, names.TAG_RETRAIN_OF, search.name)
        client.set_tag(run.info.run_id, names.TAG_NAME, search.name + shown.removeprefix(before))
    home = search.path.parent.parent
    if SearchFolder.exists(home, before):
        return
    if is_ours(registered_model(client, before)) and registered_model(client, search.name) is None:
        client.rename_registered_model(before, search.name)
    forget_page(client, experiment, before)


def retrainings(client: "MlflowClient", experiment: str, name: str, id_: str | None) -> "list[Run]":
    """The runs of a search's retrainings."""
    return _mine(all_runs(client, experiment, f"tags.`{names.TAG_RETRAIN_OF}` = '{name}'"), id_)


def forget_page(client: "MlflowClient", experiment: str, name: str) -> None:
    """Delete the prepared views of a search."""
    there = client.get_experiment(experiment).tags
    for key in (name, name + BEST):
        if names.VIEW + key in there:
            client.delete_experiment_tag(experiment, names.VIEW + key)


def _runs_of(client: "MlflowClient", experiment: str, name: str, id_: str | None) -> "list[Run]":
    own = _mine(all_runs(client, experiment, f"tags.`{names.TAG_SEARCH}` = '{name}'"), id_)
    return own + retrainings(client, experiment, name, id_)


def _mine(runs: "list[Run]", id_: str | None) -> "list[Run]":
    """Without those of another search that has, or had, the name."""
    return [run for run in runs if run.data.tags.get(names.TAG_ID) in (None, id_)]


def _logged_models(client: "MlflowClient", experiment: str, runs: set[str]) -> "list[LoggedModel]":
    """The models that were logged by some runs."""
    found, token = [], None
    while True:
        page = client.search_logged_models([experiment], page_token=token)
        found += [model for model in page if model.source_run_id in runs]
        token = page.token
        if not token:
            return found


def _is_registered_from(client: "MlflowClient", name: str, runs: set[str]) -> bool:
    """True if all versions of a model are of some runs: it would be left without its files."""
    return all(version.run_id in runs for version in client.search_model_versions(f"name = '{name}'"))


def _without_files(home: Path, uri: str) -> None:
    """Delete the folder of a run's or a model's artifacts, if it lies in the local store."""
    parts = urlsplit(uri)
    folder = Path(unquote(parts.path)).parent  # .../RUN/artifacts
    if parts.scheme == "file" and (home / names.ARTIFACTS).resolve() in folder.resolve().parents:
        shutil.rmtree(folder, ignore_errors=True)
