"""A retrained network as a version of a registered model, with all that it needs.

Configuration, weights (safetensors), metrics, pictures, this project's `ffsnn` package as it was (MLflow's code_paths:
nothing of ours has to be installed where it is loaded), and the versions of the libraries that must be. Its Python code
is a file (`champion_model.py`): nothing is pickled. Parts of one's own are kept beside the weights, and run only where
the user has named them (`ffsnn.use`, `--use`, `--trust`).
"""

import io
import json
import shutil
import tempfile
from contextlib import redirect_stderr
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ffsnn
from ffsnn.fields import named_parts
from ffsnn.parts import own
from ffsnn.training.run_folder import BEST, CONFIG
from ffsnn.validation import Config
from search import names, objectives
from search.retrain.registered import NETWORK, default_store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from search.retrain.folder import RetrainFolder
    from search.retrain.runs import RetrainExporter
    from search.retrain.verdict import RankedConfig, RetrainResult
    from search.tracking.run_exporter import RunExporter

METRICS = "metrics.json"
NEEDED = ("torch", "spikingjelly", "numba", "numpy", "pandas", "pydantic", "pyyaml", "safetensors", "mlflow")


def version_of(
    exporter: "RetrainExporter", result: "RetrainResult", ranked: "RankedConfig", seed: int
) -> "ModelVersion":  # fmt: skip
    """The version of a configuration's best network, which is made once."""
    folder = exporter.folder
    tags = {**_tags(folder, result, ranked, seed), names.TAG_TEST: _test_accuracy(result, ranked.trial)}
    if (there := _made_before(exporter.client, folder.search.name, tags)) is not None:
        return there
    number = folder.number(ranked.trial, seed)
    metrics = {
        "validation": ranked.model_dump(mode="json"), "test": _tested(result, ranked.trial).model_dump(mode="json"),
        "seeds": result.seeds, "seed": seed,
    }  # fmt: skip
    return _new_version(
        exporter.client, exporter.runs[number], folder.trial(number).path, folder.search.name, tags, metrics
    )


def version_of_final(exporter: "RunExporter", folder: "RetrainFolder", result: "RetrainResult") -> "ModelVersion":
    """The version of a final fit, which is made once; a test accuracy is added to it."""
    client, config, name = exporter.client, exporter.config, folder.search.name
    test, winner = exporter.tracked.test, result.winner
    tags = {**_tags(folder, result, winner, result.best_seed), names.TAG_TEST: test, names.TAG_FINAL: config.final_fit}
    if (there := _made_before(client, name, tags)) is not None:
        if test is not None:
            client.set_model_version_tag(name, there.version, names.TAG_TEST, str(test))
        return there
    chosen_by = {"validation": winner.model_dump(mode="json"), "seeds": result.seeds}
    metrics = {"final_fit": config.final_fit, "chosen_by": chosen_by, "test": test, "seed": config.seed}
    return _new_version(client, exporter.run, exporter.tracked.path, name, tags, metrics)


def _tags(folder: "RetrainFolder", result: "RetrainResult", ranked: "RankedConfig", seed: int) -> dict[str, Any]:
    """Where a version comes from."""
    return {
        names.TAG_RETRAIN: folder.name, names.TAG_RETRAIN_TRIAL: ranked.trial, names.TAG_RETRAIN_SEED: seed,
        names.TAG_CONFIG_ID: ranked.config_id, names.TAG_OBJECTIVE: result.objective, names.TAG_VALIDATION: ranked.mean,
    }  # fmt: skip


def _made_before(client: "MlflowClient", name: str, tags: dict[str, Any]) -> "ModelVersion | None":
    """The version that was made of the same network; a final fit's is another one than that of what it follows."""
    mine = {tag: str(tags[tag]) for tag in (names.TAG_RETRAIN, names.TAG_RETRAIN_TRIAL)}
    final = tags.get(names.TAG_FINAL)
    for it in client.search_model_versions(f"name = '{name}'"):
        if mine.items() <= it.tags.items() and it.tags.get(names.TAG_FINAL) == final:
            return it
    return None


def _new_version(
    client: "MlflowClient", run: str, path: Path, name: str, tags: dict[str, Any], metrics: dict[str, Any]
) -> "ModelVersion":
    """Log a run's network on its own run of MLflow, and register it."""
    import mlflow

    with (
        tempfile.TemporaryDirectory(prefix="ffsnn-champion-") as scratch,
        redirect_stderr(io.StringIO()),  # MLflow's advice on types, which does not suit, and what we say ourselves
        default_store(client.tracking_uri),
    ):
        network, example = _gathered(path, Path(scratch) / NETWORK, metrics)
        with mlflow.start_run(run_id=run):
            logged = mlflow.pyfunc.log_model(
                name=names.MODEL, python_model=str(Path(__file__).with_name("champion_model.py")),
                artifacts={NETWORK: str(network)}, code_paths=[str(Path(ffsnn.__file__).parent)],
                signature=_signature(example.shape[1:]), input_example=example,
                pip_requirements=[f"{it}=={version(it).split('+')[0]}" for it in NEEDED],
            )  # fmt: skip
            mlflow.log_artifacts(str(network), NETWORK)
        return mlflow.register_model(logged.model_uri, name, tags={k: str(v) for k, v in tags.items() if v is not None})


def _tested(result: "RetrainResult", trial: int) -> "Config":
    """The test accuracy of the winner, or all that was tested of a point of the front."""
    return result.test if result.front is None else result.front.point(trial)


def _test_accuracy(result: "RetrainResult", trial: int) -> float | None:
    """Mean test accuracy over seeds; None: of a point whose accuracy was no objective."""
    if trial == result.winner.trial:
        return result.test.mean
    value = None if result.front is None else result.front.point(trial).of(objectives.DEFAULT)
    return None if value is None else value.mean


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
