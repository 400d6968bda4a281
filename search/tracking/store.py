"""The MLflow store: where it is, and how it is opened."""

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ffsnn.validation import ConfigError, brief
from search import environment
from search.display.sentences import remark
from search.hints import command
from search.names import ARTIFACTS, CHAMPION, DATABASE, EXPERIMENT, TAG_KIND, TAG_KIND_OF_EXPERIMENT

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Metric, Run
    from mlflow.entities.model_registry import RegisteredModel
    from mlflow.tracking import MlflowClient


MACHINE_LEARNING = "custom_model_development"  # else MLflow asks a person whether it is about language models
PAGE = 1000  # runs of an answer
BUSY = 60.0  # seconds to wait for another process that writes,
MERGING = 5.0  # and where it only is for tidiness
LOCATIONS = (  # where MLflow keeps addresses of artifacts
    ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
    ("model_versions", "source"), ("model_versions", "storage_location"), ("workspaces", "default_artifact_root"),
)  # fmt: skip


def store_uri(home: Path) -> str:
    return f"sqlite:///{home / DATABASE}"


def imported() -> type["MlflowClient"]:
    """MLflow's client, told before its import (a second and a half) to be quiet."""
    environment.prepare()
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return MlflowClient


def open_store(home: Path, uri: str | None = None) -> tuple["MlflowClient", str]:
    """The store and its experiment, made where missing, restored where deleted; (client, experiment id).

    Args:
        home: the `mlruns/` folder.
        uri: of a tracking server, or of a store; None: the local one.
    """
    if not uri and not (home / DATABASE).exists():
        _create(home)
    client = client_of(uri or store_uri(home))
    experiment = _experiment(client) if uri else _of_file(client, home)
    if experiment is None:
        kind = {TAG_KIND_OF_EXPERIMENT: MACHINE_LEARNING}
        return client, client.create_experiment(EXPERIMENT, None if uri else (home / ARTIFACTS).as_uri(), kind)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
        remark(f"the experiment {EXPERIMENT!r} had been deleted in MLflow: it is restored, with its runs")
    return client, experiment.experiment_id


def _experiment(client: "MlflowClient") -> "Experiment | None":
    return client.get_experiment_by_name(EXPERIMENT)


def _of_file(client: "MlflowClient", home: Path) -> "Experiment | None":
    """The experiment in the local store.

    Raises:
        ConfigError: its file is damaged, or of another version of MLflow.
    """
    from mlflow.exceptions import MlflowException

    try:
        return _experiment(client)
    except MlflowException as error:
        raise ConfigError(
            f"{home / DATABASE} cannot be opened ({brief(error)}): move it away, and {command('sync')} with a "
            "search's name brings that into a new one"
        ) from error


def client_of(uri: str) -> "MlflowClient":
    """MLflow's client of a server or store; a store that lies with its artifacts names them as they lie now."""
    client = imported()
    scheme, _, path = uri.partition(":///")
    file = Path(path)
    if scheme == "sqlite" and file.is_file() and file.name == DATABASE:
        relocate(file.parent)
    return client(uri)


def merge(home: Path) -> None:
    """Have the local store's file hold all that was written to it: SQLite leaves the last writes in a file beside it
    (`mlflow.db-wal`), without which a copy of the one file lacks runs. Nothing, while another process writes."""
    if (home / DATABASE).is_file():
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(home / DATABASE, timeout=MERGING)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def merged(home: Path, uri: str | None) -> Iterator[None]:
    """Afterwards the local store, where no other one is written to, is one file."""
    try:
        yield
    finally:
        if not uri:
            merge(home)


def registered_model(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    """The registered model of that name; None: there is none."""
    found = client.search_registered_models(f"name = '{name}'")
    return found[0] if found else None


def is_ours(model: "RegisteredModel | None") -> bool:
    """True if there is a model, and `ffsnn retrain` made it."""
    return model is not None and model.tags.get(TAG_KIND) == CHAMPION


def all_runs(client: "MlflowClient", experiment: str, query: str) -> "list[Run]":
    """All runs of an experiment that a filter of MLflow's finds, oldest first."""
    found: list[Run] = []
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            [experiment], query, max_results=PAGE, order_by=["attributes.start_time ASC"], page_token=token or None
        )
        found += page
        token = page.token or None
    return found


def write(
    client: "MlflowClient", run: str, metrics: "list[Metric] | None" = None, parameters: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
) -> None:  # fmt: skip
    """Write to a run in one call."""
    from mlflow.entities import Param, RunTag

    client.log_batch(
        run, metrics or [], [Param(name, str(value)) for name, value in (parameters or {}).items()],
        [RunTag(name, value) for name, value in (tags or {}).items()],
    )  # fmt: skip


def relocate(home: Path) -> None:
    """Make the local store point to the artifacts beside it, once the folder was moved, copied or renamed.

    MLflow keeps absolute addresses: it would write where the folder was before, and show nothing.
    """
    here = home.resolve()
    with closing(sqlite3.connect(home / DATABASE, timeout=BUSY)) as database, database:
        before = _home_before(database)
        if before is None or before == here or (before.exists() and before.samefile(here)):
            return
        try:
            database.execute("BEGIN IMMEDIATE")
            for table, column in LOCATIONS:
                for old, new in ((f"{before.as_uri()}/", f"{here.as_uri()}/"), (f"{before}/", f"{here}/")):
                    _replace_beginning(database, table, column, old, new)
        except sqlite3.OperationalError as error:
            raise ConfigError(
                f"the MLflow store in {home} was moved here from {before}, but cannot be told so ({error}): make "
                f"{home / DATABASE} writable"
            ) from error
    remark(f"this MLflow store was in {before} before: its runs point to {here} now")


def _replace_beginning(database: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    if column in {row[1] for row in database.execute(f"PRAGMA table_info({table})")}:
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
            (new, len(old) + 1, len(old), old),
        )


def _home_before(database: sqlite3.Connection) -> Path | None:
    """Home that the store's own artifacts belong to; None: it names none that we understand."""
    try:
        row = database.execute("SELECT artifact_location FROM experiments WHERE name = ?", (EXPERIMENT,)).fetchone()
    except sqlite3.DatabaseError:  # not yet a store, or none of MLflow's: its client says so
        return None
    parts = urlsplit(row[0]) if row and row[0] else None
    if parts is None or parts.scheme != "file":
        return None
    path = Path(unquote(parts.path))
    return path.parent if path.name == ARTIFACTS else None


def _create(home: Path) -> None:
    """Make the local store whole under another name, then give it its own: MLflow cannot go on from half its tables."""
    client = imported()
    scratch = Path(tempfile.mkdtemp(prefix=".mlflow-", dir=home))
    try:
        client(f"sqlite:///{scratch / DATABASE}").get_experiment_by_name(EXPERIMENT)
        with closing(sqlite3.connect(scratch / DATABASE)) as database:
            database.execute("VACUUM INTO ?", (str(scratch / "whole"),))
        with closing(sqlite3.connect(scratch / "whole")) as database:
            database.execute("PRAGMA journal_mode=WAL")  # writing is two to five times as fast, and it stays set
        with suppress(FileExistsError):  # another search was first
            os.link(scratch / "whole", home / DATABASE)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
