"""Registered models as they are read: whose they are, who is the champion, a model's folder for a while."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ffsnn.validation import ConfigError
from search import names, settings
from search.cluster.servers import check_reachable, tracking_store
from search.hints import command
from search.tracking.store import is_ours, open_store, registered_model

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.tracking import MlflowClient

NETWORK = "network"  # the folder within the model's artifacts that `ffsnn show` and `ffsnn predict` can take


def ensure_owned(home: Path, name: str, uri: str | None) -> None:
    """Make sure that the model of that name is ours, or that there is none; a store that is down is no matter yet.

    Raises:
        ConfigError: it is another project's.
    """
    try:
        client, _ = open_store(home, uri)
        ours(client, name)
    except ConfigError:
        raise
    except Exception:  # whatever a store may raise; the tracker says so, and goes on
        return


def ours(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    """A search's registered model; None: there is none.

    Raises:
        ConfigError: the model of that name is another project's.
    """
    model = registered_model(client, name)
    if model is not None and not is_ours(model):
        raise ConfigError(f"the registered model {name!r} is another project's: give the search another --name")
    return model


def champion_of(client: "MlflowClient", name: str) -> "ModelVersion | None":
    """The version that bears the alias."""
    model = client.get_registered_model(name)
    number = model.aliases.get(names.CHAMPION)
    return None if number is None else client.get_model_version(name, str(number))


def is_registered(home: Path, name: str, uri: str | None) -> bool:
    """True if there is a champion of a search.

    Raises:
        ConfigError: the server does not answer, or the model of that name is another project's.
    """
    if uri:
        check_reachable(uri)
    client, _ = open_store(home, uri)
    return ours(client, name) is not None and champion_of(client, name) is not None


@contextmanager
def downloaded(home: Path, uri: str, tracking_uri: str | None = None) -> Iterator[Path]:
    """The folder with configuration and weights of a registered model, for a while.

    Args:
        home: the `mlruns/` folder.
        uri: `models:/NAME@champion` or `models:/NAME/VERSION`.
        tracking_uri: of an MLflow server; None: MLFLOW_TRACKING_URI, else the local store.

    Raises:
        ConfigError: there is no such model, it is another project's, or the server does not answer.
    """
    store = tracking_store(tracking_uri)
    name = uri.removeprefix("models:/").split("@")[0].split("/")[0]
    client, _ = open_store(home, store)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="ffsnn-model-") as scratch:
        try:
            with default_store(client.tracking_uri):
                if ours(client, name) is None:
                    makes = command("retrain", name)
                    raise ConfigError(f"there is no model {name!r} in {store or home}: {makes} makes one")
                path = Path(download_artifacts(uri, dst_path=scratch)) / "artifacts" / NETWORK
        except MlflowException as error:
            raise ConfigError(f"cannot get {uri}: {' '.join(str(error).split())[:200]}") from error
        yield path


@contextmanager
def default_store(uri: str) -> Iterator[None]:
    """MLflow's own functions work on the address of the process; it gets back what it had."""
    import mlflow

    address = settings.ENVIRONMENT["tracking_uri"]
    before = os.environ.get(address)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # its way to forget
        if before is not None:
            os.environ[address] = before
