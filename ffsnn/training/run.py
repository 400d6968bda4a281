"""A training run in its folder: goes on from where it was stopped, bit for bit."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ffsnn.config import RunConfig
from ffsnn.datasets.data import Split
from ffsnn.datasets.dataset import Images
from ffsnn.network import Network
from ffsnn.training.epoch_metrics import EpochMetrics, best_of
from ffsnn.training.run_folder import RunFolder, Weights
from ffsnn.training.trainer import Trainer

CHECKPOINT_INTERVAL_S = 10.0
Measure = Callable[[Network, Images], float]  # of a network on images


class Run(Iterator[EpochMetrics]):
    """Trains in a folder: goes on where that folder stopped; yields the epochs that are new.

    for metrics in Run(config, split, "runs/a"):
        print(metrics.epoch, metrics.val_accuracy)

    Args:
        config: what to train.
        split: its data, on the training device.
        path: the folder.
        checkpoint_interval_s: seconds from checkpoint to checkpoint; an epoch may take milliseconds.
        checkpoint_epochs: epochs that have a checkpoint in any case, besides the last one.
        veto: end a run whose network is dead after a tenth of its first epoch, and 20 batches at least.
        measures: what is measured of the network on the validation images after every epoch, by name.

    Raises:
        ConfigError: the folder holds another run, or cannot be written.
        DivergedError: a loss is not finite (from an epoch).
        DeadLayerError: with `veto` (from the first epoch).
    """

    def __init__(
        self,
        config: RunConfig,
        split: Split,
        path: str | Path,
        checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S,
        checkpoint_epochs: Collection[int] = (),
        veto: bool = False,
        measures: Mapping[str, Measure] = MappingProxyType({}),
    ) -> None:
        self.measures = measures
        self.folder = RunFolder(path)
        self.folder.create(config)
        self.trainer = Trainer(config, split, veto=veto)
        self.history = self.folder.restore(self.trainer)
        self.epochs = iter(self.trainer)
        self.checkpoint_interval_s = checkpoint_interval_s
        self.checkpoint_epochs = {*checkpoint_epochs, config.learning.last_epoch}
        self.saved, self.saved_at = len(self.history), time.monotonic()
        self.best: Weights | None = None  # not in the folder yet

    def __next__(self) -> EpochMetrics:
        metrics = next(self.epochs)
        if self.measures:
            network, images = self.trainer.network, self.trainer.validation
            metrics = replace(metrics, measured={name: of(network, images) for name, of in self.measures.items()})
        self.history.append(metrics)
        if best_of(self.history) is metrics:
            self.best = {name: weights.clone() for name, weights in self.trainer.network.state_dict().items()}
        if metrics.epoch in self.checkpoint_epochs or time.monotonic() - self.saved_at >= self.checkpoint_interval_s:
            self.save()
        self.folder.append(metrics)
        return metrics

    def save(self) -> None:
        """Write a checkpoint now, if there is anything new; only between epochs."""
        if self.saved < len(self.history):
            self.folder.save(self.trainer, self.history, self.best)
            self.saved, self.saved_at, self.best = len(self.history), time.monotonic(), None

    def save_best(self) -> None:
        """Write the best weights now, if they are new, and no checkpoint: nothing comes after."""
        self.folder.save_best(self.history, self.best)
        self.best = None
