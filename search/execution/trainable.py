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
from pathlib import Path
from typing import Any

import ray
import torch
from ray.tune import Trainable

from ffsnn.config.data import DataConfig
from ffsnn.datasets.data import Split, load
from ffsnn.datasets.own import bring
from ffsnn.hardware.device import resolve_device
from ffsnn.hardware.memory import ran_out
from ffsnn.kernels.parallel import use_threads
from ffsnn.parts import own
from ffsnn.training.dead_layers import DeadLayerError
from ffsnn.training.run import Run
from ffsnn.training.trainer import DivergedError
from search import names
from search.cluster import ray_cluster
from search.cluster.head_monitor import HeadMonitor
from search.registries import OBJECTIVES
from search.store.trial_folder import TrialFolder

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


@lru_cache(maxsize=1)
def _split(config: DataConfig, seed: int, data_dir: str | None, device: torch.device, T: int) -> Split:
    return load(config, seed, data_dir, device, T)


@lru_cache(maxsize=1)
def _head_monitor(head: tuple[str, int]) -> None:
    HeadMonitor(head).start()


class TrialTrainable(Trainable):
    """Trains the trial whose folder it is given, from where that folder stopped.

    It takes the trial with its first step: Tune may ask for a new process, and then take one that has become free in
    the meantime. The new one would end that, for whoever comes last has the trial.
    """

    def setup(self, config: dict[str, Any]) -> None:
        use_threads(config[names.THREADS])
        self.asked, self.folder, self.held = config, TrialFolder(config[names.FOLDER]), ExitStack()
        self.run: Run | None = None
        if config[names.ON_CLUSTER]:
            _head_monitor(ray_cluster.head())
        torch.cuda.empty_cache()  # what PyTorch keeps back of the trial before is another process's room

    def _take(self) -> None:
        self.held.enter_context(self.folder.occupied(ray_cluster.here() if self.asked[names.ON_CLUSTER] else ""))
        faulthandler.enable(2)  # a crash in native code prints where

    def _begin(self) -> Run:
        if self.asked[names.OWN_DATA]:
            bring(Path(self.asked[names.OWN_DATA]), self.asked[names.DATA_DIR])
        for path, sha256 in self.asked[names.PARTS]:
            own.use(path, sha256)
        self.objectives = [OBJECTIVES[name] for name in self.asked[names.OBJECTIVES]]
        config = self.folder.config()
        # Ray hides no card from a process that was given none.
        device = "cpu" if config.device == "auto" and not ray.get_gpu_ids() else config.device
        split = _split(config.data, config.seed, config.data_dir, resolve_device(device), config.frames)
        measures = {it.name: it.measure for it in self.objectives if it.each_epoch and it.measure}
        run = Run(
            config, split, self.folder.path, checkpoint_epochs=self.asked[names.RUNGS], veto=self.asked[names.VETO],
            measures=measures,
        )  # fmt: skip
        # A trial that comes back first repeats its last report: the driver may have died before it judged it.
        self.repeat = run.history[-1:]
        return run

    def _let_go(self) -> None:
        """Between trials; one that is to go on has a checkpoint of its last epoch."""
        if self.run is not None:
            if self.folder.end() is None:
                self.run.save()
            else:  # by its last epoch, or by a rung
                self.run.save_best()
        self.held.close()
        self.folder.tidy()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._let_go()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self.run is None:
            self._take()
        with self._failure_recorded():
            try:
                self.run = self.run or self._begin()
                metrics = self.repeat.pop() if self.repeat else next(self.run)
            except DivergedError as error:
                return self._stopped("diverged", error)
            except DeadLayerError as error:
                return self._stopped("dead", error)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                return self._stopped("disk_full", error)
        done = metrics.epoch >= self.run.trainer.learning.last_epoch
        config = self.run.trainer.config
        values = {it.name: it.ranked(it.value(metrics, lambda: config)) for it in self.objectives}
        return {names.EPOCH: metrics.epoch, **values, "done": done}

    def _stopped(self, reason: str, error: Exception) -> dict[str, Any]:
        self.run = None  # within an epoch, so nothing to be kept
        values = dict.fromkeys(self.asked[names.OBJECTIVES], float("nan"))
        return {names.EPOCH: 0, **values, names.PROBLEM: f"{reason}: {error}", "done": True}

    @contextmanager
    def _failure_recorded(self) -> Iterator[None]:
        """Record a failure in the trial's folder; what is raised costs the trial this process and all that it holds."""
        try:
            yield
        except Exception as error:
            self.run = None
            traceback.print_exc()
            if ran_out(error):
                self.folder.add_failure(names.OUT_OF_MEMORY, str(error) or type(error).__name__)
            else:
                self.folder.add_failure("error", f"{type(error).__name__}: {error}")
            raise

    def cleanup(self) -> None:
        self._let_go()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the trial's folder is the checkpoint."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: `setup` reads the trial's folder."""
