"""The model registry: a retraining's best network as a version of the model that is named like its search, and as its
`champion` where it is no worse than the one before.

A version carries what it needs: configuration, weights (safetensors), metrics, pictures, this project's `ffsnn` package
as it was (MLflow's code_paths: nothing of ours has to be installed where it is loaded), and the versions of the
libraries that must be. Its Python code is a file (`champion_model.py`): nothing is pickled. Parts of one's own are kept
beside the weights, and run only where the user has named them (`ffsnn.use`, `--use`, `--trust`).
"""

import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ffsnn
from ffsnn.fields import named_parts
from ffsnn.parts import own
from ffsnn.training.epoch_metrics import SINGLE_PRECISION
from ffsnn.training.run_folder import BEST, CONFIG
from ffsnn.validation import Config, ConfigError
from search import names, objectives, settings
from search.cluster.servers import check_reachable, tracking_store
from search.hints import command
from search.registries import OBJECTIVES
from search.tracking.store import open_store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.tracking import MlflowClient

    from search.retrain.runs import RetrainExporter
    from search.retrain.verdict import RankedConfig, RetrainResult

NETWORK = "network"  # the folder within the model's artifacts that `ffsnn show` and `ffsnn predict` can take
METRICS = "metrics.json"
NEEDED = ("torch", "spikingjelly", "numba", "numpy", "pandas", "pydantic", "pyyaml", "safetensors", "mlflow")


def ensure_owned(home: Path, name: str, uri: str | None) -> None:
    """Make sure that the model of that name is ours, or that there is none; a store that is down is no matter yet.

    Raises:
        ConfigError: it is another project's.
    """
    try:
        client, _ = open_store(home, uri)
        _ours(client, name)
    except ConfigError:
        raise
    except Exception:  # whatever a store may raise; the tracker says so, and goes on
        return


def register(exporter: "RetrainExporter", result: "RetrainResult", force: bool) -> str:
    """Make the winner's best network a version, once; and the champion, if it is no worse or `force`d. What was done.

    Of a front the cheapest is made one, too, and gets its alias with the champion.

    Raises:
        ConfigError: the model of that name is another project's.
    """
    client, folder = exporter.client, exporter.folder
    name = folder.search.name
    if _ours(client, name) is None:
        client.create_registered_model(
            name,
            {names.TAG_KIND: names.CHAMPION},
            f"The best network of the search {name}, retrained with several seeds.",
        )
    mine = _version(exporter, result, result.winner, result.best_seed)
    said = f"models:/{name}/{mine.version} (seed {result.best_seed} of trial {result.winner.trial})"
    before = champion_of(client, name)
    if before is not None and before.version != mine.version and not force:
        why = _why_it_stays(before, result, folder.search.config.goal.name)
        if why:
            return f"registered: {said}; version {before.version} stays the champion: {why} (--force replaces it)"
    client.set_registered_model_alias(name, names.CHAMPION, mine.version)
    trusted = ("--trust",) if folder.search.own_parts else ()
    told = f"champion: {said}; use it with:\n{uses(name, client.tracking_uri, exporter.uri, trusted)}"
    if result.front is None:
        return told
    point = result.front.point(result.front.cheapest)
    ranked = next(it for it in result.ranking if it.trial == point.trial)
    other = _version(exporter, result, ranked, point.best_seed)
    client.set_registered_model_alias(name, names.CHEAPEST, other.version)
    return (
        f"{told}\ncheapest: models:/{name}/{other.version} (seed {point.best_seed} of trial {point.trial}): the same "
        f"with @{names.CHEAPEST}"
    )


def _why_it_stays(before: "ModelVersion", result: "RetrainResult", goal: str) -> str:
    """Why the present champion is not replaced by the winner; empty: the winner is no worse.

    Args:
        before: the present champion.
        result: with the winner.
        goal: by which a version was chosen that does not say it: an earlier ffsnn registered it.
    """
    mean, its = result.winner.mean, float(before.tags[names.TAG_VALIDATION])
    assert mean is not None
    objective, by = OBJECTIVES[result.objective], before.tags.get(names.TAG_OBJECTIVE, goal)
    if by != objective.name:
        return f"it was chosen by {by}, this one by {objective.name}, which do not compare"
    if objective.cost(mean) > objective.cost(its) + SINGLE_PRECISION * abs(its):
        return f"{objective.title} {objective.show(its)}, against {objective.show(mean)}"
    return ""


def uses(name: str, store: str, server: str | None, trusted: tuple[str, ...] = ()) -> str:
    """The lines that use a champion, to be pasted: into a shell, and into Python, where MLflow has to be told which
    store is meant.

    Args:
        name: of the model.
        store: address of the store that has it.
        server: the same, where it is not the local one.
        trusted: the option that lets its own parts run, where it has some.
    """
    model = f"models:/{name}@{names.CHAMPION}"
    at = ("--tracking-uri", settings.without_password(server)) if server else ()
    return (
        f"  {command('predict', model, 'image.png', *at, *trusted)}\n"
        f"  import mlflow; mlflow.set_tracking_uri({settings.without_password(store)!r})\n"
        f"  mlflow.pyfunc.load_model({model!r}).predict(images)  # rows of pixels in 0..255, as floating point"
    )


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
    return _ours(client, name) is not None and champion_of(client, name) is not None


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
            with _default_store(client.tracking_uri):
                if _ours(client, name) is None:
                    makes = command("retrain", name)
                    raise ConfigError(f"there is no model {name!r} in {store or home}: {makes} makes one")
                path = Path(download_artifacts(uri, dst_path=scratch)) / "artifacts" / NETWORK
        except MlflowException as error:
            raise ConfigError(f"cannot get {uri}: {' '.join(str(error).split())[:200]}") from error
        yield path


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
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


def _ours(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    """The registered model; None: there is none."""
    found = client.search_registered_models(f"name = '{name}'")
    if not found:
        return None
    if found[0].tags.get(names.TAG_KIND) != names.CHAMPION:
        raise ConfigError(f"the registered model {name!r} is another project's: give the search another --name")
    return found[0]


def _version(
    exporter: "RetrainExporter", result: "RetrainResult", ranked: "RankedConfig", seed: int
) -> "ModelVersion":  # fmt: skip
    """The version of a configuration's best network, which is made once."""
    versions = exporter.client.search_model_versions(f"name = '{exporter.folder.search.name}'")
    mine = {names.TAG_RETRAIN: exporter.folder.name, names.TAG_RETRAIN_TRIAL: str(ranked.trial)}
    there = next((it for it in versions if mine.items() <= it.tags.items()), None)
    return there or _new_version(exporter, result, ranked, seed)


def _tested(result: "RetrainResult", trial: int) -> "Config":
    """The test accuracy of the winner, or all that was tested of a point of the front."""
    return result.test if result.front is None else result.front.point(trial)


def _test_accuracy(result: "RetrainResult", trial: int) -> float | None:
    """Mean test accuracy over seeds; None: of a point whose accuracy was no objective."""
    if trial == result.winner.trial:
        return result.test.mean
    value = None if result.front is None else result.front.point(trial).of(objectives.DEFAULT)
    return None if value is None else value.mean


def _new_version(
    exporter: "RetrainExporter", result: "RetrainResult", ranked: "RankedConfig", seed: int
) -> "ModelVersion":  # fmt: skip
    """Log the network on its own run, and register it."""
    import mlflow

    folder = exporter.folder
    number = folder.number(ranked.trial, seed)
    tags = {
        names.TAG_RETRAIN: folder.name, names.TAG_RETRAIN_TRIAL: ranked.trial, names.TAG_RETRAIN_SEED: seed,
        names.TAG_CONFIG_ID: ranked.config_id, names.TAG_OBJECTIVE: result.objective, names.TAG_VALIDATION: ranked.mean,
        names.TAG_TEST: _test_accuracy(result, ranked.trial),
    }  # fmt: skip
    with (
        tempfile.TemporaryDirectory(prefix="ffsnn-champion-") as scratch,
        redirect_stderr(io.StringIO()),  # MLflow's advice on types, which does not suit, and what we say ourselves
        _default_store(exporter.client.tracking_uri),
    ):
        metrics = {
            "validation": ranked.model_dump(mode="json"), "test": _tested(result, ranked.trial).model_dump(mode="json"),
            "seeds": result.seeds, "seed": seed,
        }  # fmt: skip
        network, example = _gathered(folder.trial(number).path, Path(scratch) / NETWORK, metrics)
        with mlflow.start_run(run_id=exporter.runs[number]):
            logged = mlflow.pyfunc.log_model(
                name=names.MODEL, python_model=str(Path(__file__).with_name("champion_model.py")),
                artifacts={NETWORK: str(network)}, code_paths=[str(Path(ffsnn.__file__).parent)],
                signature=_signature(example.shape[1:]), input_example=example,
                pip_requirements=[f"{it}=={version(it).split('+')[0]}" for it in NEEDED],
            )  # fmt: skip
            mlflow.log_artifacts(str(network), NETWORK)
        return mlflow.register_model(
            logged.model_uri, folder.search.name, tags={k: str(v) for k, v in tags.items() if v is not None}
        )


def _gathered(run: Path, folder: Path, metrics: dict[str, Any]) -> tuple[Path, Any]:
    """A folder with all that stands beside the weights; and two images (2, F) to try the model with."""
    from ffsnn.inspection import pictures
    from ffsnn.inspection.show import trained

    folder.mkdir()
    for file in (CONFIG, BEST):
        shutil.copy(run / file, folder)
    network, images = trained(run)
    own.keep(own.files_of(named_parts(network.config)), folder)
    pictures.save_all(network, images, folder)
    (folder / METRICS).write_text(json.dumps(metrics, indent=2))
    return folder, images.x[:2].double().numpy()


def _signature(shape: tuple[int, ...]) -> Any:
    """Images (N, *shape) of float64 to labels (N,): MLflow casts a DataFrame, and checks an array's type and shape."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images, labels = TensorSpec(np.dtype("float64"), (-1, *shape)), TensorSpec(np.dtype("int64"), (-1,))
    return ModelSignature(Schema([images]), Schema([labels]))
