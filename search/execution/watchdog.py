"""Looks after a running search from within Tune's loop: hung trials, room on the disk, Ray itself, the time spent."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.tune import Callback, Stopper

from search.cluster import ray_cluster
from search.execution.searcher import FolderSearcher
from search.execution.session import Session, TrialEvent

INTERVAL_S = 2.0  # seconds
SLACK = 10.0  # a trial has hung when an epoch takes so many times its slowest one before,
SHORTEST = 60.0  # and no less than so many seconds


class RayLost(RuntimeError):
    """No node of the cluster is alive."""


@dataclass
class TrialProgress:
    """Time of a running trial's last progress, and its slowest epoch, in seconds.

    A trial that goes on first repeats its last report, at once: that tells nothing of how long its epochs take.
    """

    known: int = 0  # epochs that it had when it was handed out
    last: float = field(default_factory=time.monotonic)
    slowest: float | None = None

    def epoch_done(self, epoch: int) -> None:
        now = time.monotonic()
        if epoch > self.known:
            self.slowest = max(self.slowest or 0.0, now - self.last)
        self.last = now

    def limit(self, patience: float) -> float:
        """Seconds after which no progress means a hang; `patience` while no epoch has been seen."""
        return patience if self.slowest is None else max(min(SHORTEST, patience), SLACK * self.slowest)


class Watchdog(Callback):
    """Told of every trial's events; looks around every two seconds.

    Args:
        session: that it looks after.
        begun: called when Tune's loop begins.
    """

    def __init__(self, session: Session, begun: Callable[[], None]) -> None:
        self.session, self.begun = session, begun
        self.folder, self.disk, self.stop = session.folder, session.disk, session.stop
        self.patience = session.config.patience * 60  # seconds that a trial may take for its first epoch
        self.searcher: FolderSearcher | None = None
        self.paces: dict[int, TrialProgress] = {}
        self.next = 0.0

    def setup(self, *_: Any, **info: Any) -> None:
        """Tune's loop begins: it has just put its own answer to SIGUSR1 in place of ours."""
        self.begun()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing for Tune's snapshots, which are never read."""
        return {}

    def on_event(self, event: TrialEvent) -> None:
        if event.end or event.rests:
            self.paces.pop(event.number, None)
        elif event.epoch and event.number in self.paces:
            self.paces[event.number].epoch_done(event.epoch)
        else:
            self.paces[event.number] = TrialProgress(known=len(self.folder.trial(event.number).history()))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + INTERVAL_S
        self.session.write_spent()
        free = shutil.disk_usage(self.folder.path).free
        if free < self.disk:
            self.stop.ask(
                f"the disk is full: {free / 1e6:,.0f} MB are free in {self.folder.path}, "
                f"but running trials need {self.disk / 1e6:,.0f}", failed=True,
            )  # fmt: skip
        if not ray_cluster.alive():
            raise RayLost("Ray's node died")
        self._end_hung(trials)

    def _end_hung(self, trials: list[Any]) -> None:
        assert self.searcher is not None
        for trial in trials:
            if trial.status == trial.PENDING and trial.trial_id in self.searcher.live:  # it waits for its share
                self.paces[self.searcher.live[trial.trial_id]].last = time.monotonic()
        for trial_id, number in self.searcher.live.items():
            pace = self.paces[number]
            waited, limit = time.monotonic() - pace.last, pace.limit(self.patience)
            if waited <= limit:
                continue
            pace.last = time.monotonic()
            folder = self.folder.trial(number)
            folder.add_failure("hung", f"no epoch for {waited:.0f} s, more than {limit:.0f} s")
            if ray_cluster.end(folder):
                continue  # Tune learns of it as of any process that dies
            for trial in trials:
                if trial.trial_id == trial_id and (actor := trial.temporary_state.ray_actor):
                    ray.kill(actor)


class StopAtNextEpoch(Stopper):
    """Stops each trial at its next epoch once the search is to stop, and what is late by force."""

    def __init__(self, session: Session, searcher: FolderSearcher) -> None:
        self.folder, self.stop, self.searcher = session.folder, session.stop, searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self.stop.requested

    def stop_all(self) -> bool:
        if not self.stop.overdue:
            return False
        for number in self.searcher.live.values():
            ray_cluster.end(
                self.folder.trial(number)
            )  # Tune would wait, and the epoch be written after the trial's end
        return True
