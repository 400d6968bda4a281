"""Promotion as a scheduler of Ray Tune: a trial that comes to a rung stops there and rests in its folder, with its
checkpoint, until it is among the best of its rung.

What rests, and what goes on next, is a function of the trials' folders alone: a search that was stopped anywhere
decides as if it never had been.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

from ray.tune.schedulers import TrialScheduler

from search.config import SearchConfig
from search.execution.fifo import LiveFIFO
from search.execution.rungs import FrontRung, Rung, Rungs
from search.names import EPOCH, NUMBER
from search.store.trial_folder import TrialFolder
from search.store.trials_folder import TrialsFolder


class PausingScheduler(LiveFIFO, ABC):
    """A scheduler that has trials rest, and says which one goes on."""

    @abstractmethod
    def add(self, trial: TrialFolder, reopened: str | None = None) -> None:
        """A trial is where its folder says; one that ended for a reason `reopened` as if it rested."""

    @abstractmethod
    def rests(self, number: int) -> bool:
        """True if a trial waits for the scheduler to let it go on."""

    @abstractmethod
    def next(self, at_rest: Collection[int]) -> int | None:
        """A trial that is to go on, which no longer rests; None: none for now.

        Args:
            at_rest: those whose processes have let go of them; others have come to a rung, and will be in a moment.
        """

    @abstractmethod
    def last(self) -> int | None:
        """One more to go on, now that no trial runs and there will be no more; None: the search is over."""

    @abstractmethod
    def given_up(self) -> list[int]:
        """Trials that rested and will not go on, whatever happens; each is named once."""


class Promotion(PausingScheduler):
    """Asynchronous successive halving by promotion.

    Args:
        config: of the search.
    """

    def __init__(self, config: SearchConfig) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.goals, self.full = config.goals, config.epochs
        self.finished = False  # a trial has come to its full length
        epochs = [epoch for epoch in config.milestones if epoch < config.epochs]
        self.rungs = Rungs(epochs, config.rungs[1], config.trials, Rung if self.goals.is_plain else FrontRung)

    def refill(self, folder: TrialsFolder, reopened: str | None = None) -> None:
        """Have all trials of a folder where it says that they are."""
        for trial in folder.trials():
            self.add(trial, reopened)

    def add(self, trial: TrialFolder, reopened: str | None = None) -> None:
        costs, end = [self.goals.cost(values) for values in self.goals.values(trial)], trial.end()
        self.finished |= len(costs) >= self.full
        for rung in self.rungs.rungs:
            if len(costs) >= rung.epoch:
                resting = (end is None or end.reason == reopened) and len(costs) == rung.epoch
                self.rungs.arrive(trial.number, rung.epoch, costs[rung.epoch - 1], resting)
        if end and end.is_untrainable:
            self._untrainable(trial.number)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        number, epoch, values = trial.config[NUMBER], result[EPOCH], self.goals.told(result)
        if not all(map(math.isfinite, values)):
            self._untrainable(number)
            return str(TrialScheduler.STOP)
        if epoch not in self.rungs.at:
            return str(TrialScheduler.CONTINUE)
        self.rungs.arrive(number, epoch, self.goals.cost(values))
        if self.rungs.next() == (number, epoch):
            self.rungs.leave(number, epoch)
        return str(TrialScheduler.STOP if self.rests(number) else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A trial's last report: at its full length, or that it diverged or was dead."""
        self.finished |= result.get(EPOCH, 0) >= self.full
        if not all(map(math.isfinite, self.goals.told(result))):
            self._untrainable(trial.config[NUMBER])

    def rests(self, number: int) -> bool:
        return number in self.rungs.resting

    def next(self, at_rest: Collection[int]) -> int | None:
        found = self.rungs.next()
        return self._goes_on(found) if found and found[0] in at_rest else None

    def last(self) -> int | None:
        return None if self.finished else self._goes_on(self.rungs.last())

    def _goes_on(self, found: tuple[int, int] | None) -> int | None:
        if found is None:
            return None
        self.rungs.leave(*found)
        return found[0]

    def given_up(self) -> list[int]:
        hopeless = list(self.rungs.hopeless())
        for number, epoch in hopeless:
            self.rungs.leave(number, epoch)
        return [number for number, _ in hopeless]

    def _untrainable(self, number: int) -> None:
        """One that diverged or was dead came to the next rung as the worst."""
        to_come = [rung.epoch for rung in self.rungs.rungs if number not in rung.cost]
        if to_come:
            self.rungs.arrive(number, to_come[0], self.goals.lost, resting=False)
