"""A champion as MLflow loads it: this file runs where the model is loaded; nothing is unpickled.

Images come as one row each, white 255 on black 0, as IDX files have them; (N, height, width) is taken too where
MLflow's own check of the signature does not stand before (`unwrap_python_model`). What was recorded over time comes as
(N, T, inputs), binned to the network's T. Labels go out as (N,) int64.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc.model import PythonModel


def labels(network: Any, images: Any) -> Any:
    """Labels (N,) of images (N, F), (N, height, width) or (N, T, F) in 0..255: an array, or a DataFrame with a column a
    pixel.

    Raises:
        ValueError: there is no image, one of another size, or a pixel out of range.
    """
    import torch

    x, facts = np.asarray(images, dtype=np.float64), network.config.data.facts
    shape = (network.T, facts.inputs) if facts.temporal else (facts.inputs,)
    if not len(x) or x[0].size != np.prod(shape):
        pixels = " x ".join(map(str, shape))
        raise ValueError(f"images of {pixels} pixels, one at least, must be given, but got {np.shape(images)}")
    x = x.reshape(len(x), *shape)
    if not (x.min() >= 0 and x.max() <= 255):  # a NaN fails, too
        raise ValueError(f"pixels must be in 0..255, but go from {x.min():g} to {x.max():g}")
    return network.predict(torch.from_numpy(np.rint(x).astype(np.uint8))).numpy()


class Champion(PythonModel):
    """A trained network, on the CPU."""

    def load_context(self, context: Any) -> None:
        from ffsnn.training.run_folder import load

        self.network = load(Path(context.artifacts["network"]))

    # MLflow takes a type of `model_input` for a schema of its own, which would not suit both arrays and data frames.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return labels(self.network, model_input)


mlflow.models.set_model(Champion())
