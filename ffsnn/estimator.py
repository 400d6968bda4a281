"""Forward-forward networks by scikit-learn's conventions.

import ffsnn
model = ffsnn.fit({"network": {"T": 8}, "learning": {"epochs": 30}}, x, y)
model.predict(x_new), model.predict_proba(x_new), model.score(x_new, y_new)

from ffsnn import FFSNNClassifier                   # in a Pipeline, cross_val_score, GridSearchCV
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin  # type: ignore[import-untyped, unused-ignore]
from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped, unused-ignore]
from sklearn.utils.validation import check_is_fitted, validate_data  # type: ignore[import-untyped, unused-ignore]

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.datasets.folder import reading_from
from ffsnn.datasets.own import Card, write
from ffsnn.datasets.scale import Scale
from ffsnn.datasets.sources.raw import array_of, images
from ffsnn.hardware.device import resolve_device
from ffsnn.network import Network
from ffsnn.parts import own
from ffsnn.parts.registry import DATASETS
from ffsnn.training.epoch_metrics import best_of
from ffsnn.training.trainer import Trainer
from ffsnn.validation import read_yaml

Array = npt.NDArray[Any]
Settings = Mapping[str, Any] | RunConfig | str | Path | None
NAME = "arrays"  # of the data set within a configuration
ELSEWHERE = ("data", "seed", "device", "data_dir")  # fields that follow from the other arguments, and from `fit`


class FFSNNClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc, unused-ignore]
    """A spiking network trained by forward-forward.

    Args:
        config: fields of a configuration as a mapping of branches (`{"network": {"tau": 2.5}}`), a RunConfig, or a YAML
            file; None: the defaults. Its data set is the one that `fit` is given, its seed and device are those below.
            Where nothing is said of the label, it has inputs of its own, but in place on images with room to spare.
        validation: share of the samples by which the best epoch is chosen.
        random_state: seed of everything that is drawn.
        device: auto, cpu or cuda.

    Attributes:
        classes_: labels, in the order of `predict_proba`'s columns.
        network_: the trained network.
        history_: an `EpochMetrics` an epoch.
        config_: the configuration that was trained.
    """

    def __init__(
        self, config: Settings = None, validation: float = 0.1, random_state: int = 0, device: str = "auto"
    ) -> None:  # fmt: skip
        self.config = config
        self.validation = validation
        self.random_state = random_state
        self.device = device

    def fit(self, X: Any, y: Any) -> "FFSNNClassifier":
        """Train on samples (N, features), (N, height, width), (N, height, width, channels) or (N, 3, height, width),
        with labels (N,).

        Raises:
            ValueError: scikit-learn's rules for inputs, or a rule of a configuration (ConfigError), in one line.
            DivergedError: a loss is not finite.
        """
        X, y = (array_of(it) if isinstance(it, torch.Tensor) else it for it in (X, y))
        X, y = validate_data(self, X, y, allow_nd=True, dtype="numeric", ensure_min_samples=2)
        if not 0 < self.validation < 1:
            raise ValueError(f"validation must be a share between 0 and 1, but got {self.validation}")
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"two classes at least are needed, but all labels are of one class: {self.classes_[0]!r}")
        shape, part = images(X, labels.tolist(), "X")
        self._scale = Scale.of(part.x, each=shape[:2] == (1, 1))
        tensors = {
            "train.x": torch.from_numpy(np.ascontiguousarray(self._scale.bytes(part.x))),
            "train.y": torch.from_numpy(labels.astype(np.int64)),
        }
        counts = tuple(np.bincount(labels).tolist())
        names = tuple(map(str, self.classes_))
        with TemporaryDirectory() as folder, reading_from(folder):
            write(Card(NAME, "images", shape, names, counts, tuple(0 for _ in counts), "arrays"), tensors)
            self.config_ = self._config_for(sum(counts))
            split = data.load(self.config_.data, self.config_.seed, device=resolve_device(self.device))
        trainer = Trainer(self.config_, split)
        self.history_ = []
        for metrics in trainer:
            self.history_.append(metrics)
            if best_of(self.history_) is metrics:
                kept = {name: weight.clone() for name, weight in trainer.network.state_dict().items()}
        trainer.network.load_state_dict(kept)
        self.network_: Network = trainer.network
        return self

    def predict(self, X: Any) -> Array:
        """Labels (N,) of samples."""
        best = self._scores(X).argmax(1)
        found: Array = self.classes_[best]
        return found

    def predict_proba(self, X: Any) -> Array:
        """Softmax (N, classes) of the goodness under each label, sharpened by alpha as the loss is."""
        scores = self._scores(X) * self.config_.learning.alpha
        weights = np.exp(scores - scores.max(1, keepdims=True))
        shares: Array = weights / weights.sum(1, keepdims=True)
        return shares

    def _scores(self, X: Any) -> Array:
        """The network's scores of the labels, (N, classes)."""
        check_is_fitted(self, "network_")
        X = array_of(X) if isinstance(X, torch.Tensor) else X
        X = validate_data(self, X, allow_nd=True, dtype="numeric", reset=False)
        _, part = images(X, np.zeros(len(X)).tolist(), "X")
        x = torch.from_numpy(np.ascontiguousarray(self._scale.bytes(part.x)))
        network = self.network_
        device = next(network.parameters()).device
        batches = x.to(device).split(network.prediction_batch)
        scores: Array = torch.cat([network.scores(it, n) for n, it in enumerate(batches)]).cpu().double().numpy()
        return scores

    def _config_for(self, samples: int) -> RunConfig:
        """The configuration for so many samples of the data set at hand."""
        tree = _tree(self.config)
        held_out = min(max(round(samples * self.validation), 1), samples - 1)
        network, learning = dict(tree.get("network") or {}), dict(tree.get("learning") or {})
        if "label" not in network:
            facts = DATASETS[NAME].facts
            roomy = facts.is_image and 4 * facts.classes <= facts.inputs
            network["label"] = "in_place" if roomy else "appended"
        learning.pop("chosen_epoch", None)  # of a final fit; here the best epoch is chosen by the images held out
        learning["batch_size"] = min(learning.get("batch_size", 512), samples - held_out)
        return RunConfig.parse({
            **{name: branch for name, branch in tree.items() if name not in ELSEWHERE},
            "data": {"dataset": NAME, "validation": held_out / samples}, "network": network, "learning": learning,
            "seed": self.random_state, "device": self.device,
        })  # fmt: skip


def _tree(config: Settings) -> Mapping[str, Any]:
    if isinstance(config, RunConfig):
        return config.model_dump(mode="json")
    if isinstance(config, str | Path):
        return own.use_named(read_yaml(config), Path(config).parent)
    return config or {}


def fit(config: Settings, x: Any, y: Any, seed: int = 0, device: str = "auto") -> FFSNNClassifier:
    """Train a network on samples and labels; `FFSNNClassifier` says what they may be."""
    return FFSNNClassifier(config, random_state=seed, device=device).fit(x, y)
