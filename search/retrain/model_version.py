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

    from search.retrain.runs import RetrainExporter
    from search.retrain.verdict import RankedConfig, RetrainResult

METRICS = "metrics.json"
NEEDED = ("torch", "spikingjelly", "numba", "numpy", "pandas", "pydantic", "pyyaml", "safetensors", "mlflow")


def version_of(
    exporter: "RetrainExporter", result: "RetrainResult", ranked: "RankedConfig", seed: int
) -> "ModelVersion":  # fmt: skip
    """The version of a configuration's best network, which is made once."""
    versions = exporter.client.search_model_versions(f"name = '{exporter.folder.search.name}'")
    mine = {names.TAG_RETRAIN: exporter.folder.name, names.TAG_RETRAIN_TRIAL: str(ranked.trial)}
    there = next((it for it in versions if mine.items() <= it.tags.items()), None)
    return there or _new_version(exporter, result, ranked, seed)


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
        default_store(exporter.client.tracking_uri),
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
