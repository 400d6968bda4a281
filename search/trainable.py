"""The trainable: a trial's configuration in, an epoch a step, its own folder as the record.

It never talks to MLflow or Optuna. Actors are reused from trial to trial, so the imports, the data and the compiled
kernels are paid for once.
"""

from functools import lru_cache
from typing import Any

import torch
from ray.tune import Trainable

from ffsnn.config import DataConfig
from ffsnn.data import Split, load
from ffsnn.memory import OutOfMemory
from ffsnn.parallel import use_threads
from ffsnn.run_folder import train
from ffsnn.trainer import DivergedError, resolve_device
from search.folder import End, TrialFolder
from search.names import EPOCH, FOLDER, OBJECTIVE, THREADS


@lru_cache(maxsize=1)
def _split(config: DataConfig, seed: int, data_dir: str | None, device: torch.device) -> Split:
    return load(config, seed, data_dir, device)


class TrialTrainable(Trainable):
    """Trains the trial whose folder it is given, from where that folder stopped."""

    def setup(self, config: dict[str, Any]) -> None:
        use_threads(config[THREADS])
        self.folder = TrialFolder(config[FOLDER])
        self.run = self.folder.config()
        split = _split(self.run.data, self.run.seed, self.run.data_dir, resolve_device(self.run.device))
        self.epochs = train(self.run, split, self.folder.path)
        # A trial that comes back first repeats its last report: the driver may have died before it judged it.
        self.repeat = self.folder.history()[-1:]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        try:
            metrics = self.repeat.pop() if self.repeat else next(self.epochs)
        except (DivergedError, OutOfMemory) as error:
            self.folder.write_end(End("failed", str(error)))
            return {EPOCH: 0, OBJECTIVE: float("nan"), "done": True}
        done = metrics.epoch >= self.run.learning.epochs
        return {EPOCH: metrics.epoch, OBJECTIVE: metrics.val_accuracy, "done": done}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the trial's folder is the checkpoint."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: `setup` reads the trial's folder."""
