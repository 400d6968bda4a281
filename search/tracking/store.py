"""The MLflow store: where it is, and how it is opened."""

import logging
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from search.names import ARTIFACTS, DATABASE, ENVIRONMENT, EXPERIMENT

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def store_uri(home: Path) -> str:
    return f"sqlite:///{home / DATABASE}"


def imported() -> type["MlflowClient"]:
    """MLflow's client, told before its import (a second and a half) to be quiet."""
    os.environ |= {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return MlflowClient


def open_store(home: Path, uri: str | None = None) -> tuple["MlflowClient", str]:
    """The store and its experiment, made where missing; (client, experiment id).

    Args:
        home: the `mlruns/` folder.
        uri: of a tracking server; None: the local store.
    """
    client_type = imported()
    if not uri and not (home / DATABASE).exists():
        _create(home)
    client = client_type(uri or store_uri(home))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        return client, experiment.experiment_id
    return client, client.create_experiment(EXPERIMENT, None if uri else (home / ARTIFACTS).as_uri())


def _create(home: Path) -> None:
    """Make the local store whole under another name, then give it its own: MLflow cannot go on from half its tables."""
    from mlflow.tracking import MlflowClient

    scratch = Path(tempfile.mkdtemp(prefix=".mlflow-", dir=home))
    try:
        MlflowClient(f"sqlite:///{scratch / DATABASE}").get_experiment_by_name(EXPERIMENT)
        with closing(sqlite3.connect(scratch / DATABASE)) as database:
            database.execute("VACUUM INTO ?", (str(scratch / "whole"),))
        with closing(sqlite3.connect(scratch / "whole")) as database:
            database.execute("PRAGMA journal_mode=WAL")  # writing is two to five times as fast, and it stays set
        with suppress(FileExistsError):  # another search was first
            os.link(scratch / "whole", home / DATABASE)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
