"""The trainable: a trial's configuration in, an epoch a step, its own folder as the record.

It never talks to MLflow or Optuna. Actors are reused from trial to trial, so the imports, the data and the compiled
kernels are paid for once.
"""

import errno
import faulthandler
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
from search.names import EPOCH, FOLDER, OBJECTIVE, PROBLEM, THREADS
from search.trial_folder import TrialFolder

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


@lru_cache(maxsize=1)
def _split(config: DataConfig, seed: int, data_dir: str | None, device: torch.device) -> Split:
    return load(config, seed, data_dir, device)


class TrialTrainable(Trainable):
    """Trains the trial whose folder it is given, from where that folder stopped."""

    def setup(self, config: dict[str, Any]) -> None:
        use_threads(config[THREADS])
        self.folder, self.held = TrialFolder(config[FOLDER]), ExitStack()
        self.held.enter_context(self.folder.occupied())
        faulthandler.enable(2)  # a crash in native code prints where
        self.run, self.epochs = self.folder.config(), self._epochs()
        self.folder.mend()
        # A trial that comes back first repeats its last report: the driver may have died before it judged it.
        self.repeat = self.folder.history()[-1:]

    def _epochs(self) -> Iterator[Any]:
        split = _split(self.run.data, self.run.seed, self.run.data_dir, resolve_device(self.run.device))
        yield from train(self.run, split, self.folder.path)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.held.close()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        with self._failure_recorded():
            try:
                metrics = self.repeat.pop() if self.repeat else next(self.epochs)
            except DivergedError as error:
                return self._stopped("diverged", error)
            except OutOfMemory as error:
                return self._stopped("out_of_memory", error)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                return self._stopped("disk_full", error)
        done = metrics.epoch >= self.run.learning.epochs
        return {EPOCH: metrics.epoch, OBJECTIVE: metrics.val_accuracy, "done": done}

    def _stopped(self, reason: str, error: Exception) -> dict[str, Any]:
        return {EPOCH: 0, OBJECTIVE: float("nan"), PROBLEM: f"{reason}: {error}", "done": True}

    @contextmanager
    def _failure_recorded(self) -> Iterator[None]:
        """What is raised costs the trial this process; the folder says why."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            self.folder.add_failure("error", f"{type(error).__name__}: {error}")
            raise

    def cleanup(self) -> None:
        self.held.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the trial's folder is the checkpoint."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: `setup` reads the trial's folder."""
