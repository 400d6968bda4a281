"""What a search has come to, read once from its folder: a snapshot, of a running search too; nothing is written.

Values are the objective's. Trials that were stopped at different epochs are compared at one that enough reached.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ffsnn.fields import short
from ffsnn.inspection.energy import of_rates, spikes_of
from search.config import SearchConfig
from search.names import ENERGY, SPIKES
from search.pareto import vectors
from search.pareto.front import ranking
from search.pareto.goals import Values
from search.registries import SCHEDULERS
from search.store.ends import Failure, State
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from spaces.parameter import Sample

ENOUGH = 50  # trials to compare at an epoch; in a smaller search half of those that have a result
TrialStatus = State | Literal["unfinished"]


@dataclass(frozen=True)
class TrialResult:
    """One trial."""

    number: int
    state: TrialStatus
    reason: str  # finished, asha, diverged, died, ...; empty while it has not ended
    detail: str
    sample: Sample
    values: tuple[float, ...]  # of the objective, an epoch; of several, of the first
    seconds: float  # of training and validation
    failures: tuple[Failure, ...]  # of its processes
    last: Values  # all that is measured, after the last epoch; empty: it has none
    spikes: float | None = None  # that its network fires for a sample, in its last epoch
    nanojoules: float | None = None  # of a sample, estimated (`ffsnn.inspection.energy`)
    measured: tuple[Values, ...] = ()  # all that is measured, an epoch

    @property
    def epochs(self) -> int:
        return len(self.values)

    def at(self, epoch: int) -> float | None:
        """Its value after that epoch; None: it did not get there."""
        return self.values[epoch - 1] if epoch <= self.epochs else None


@dataclass(frozen=True)
class RungResult:
    """One of the scheduler's rungs, or the full length."""

    epoch: int
    promoted: list[float]  # values at that epoch
    stopped: list[float]  # by the scheduler, there
    other: int  # trials that got there and no further, for another reason or not yet

    @property
    def reached(self) -> int:
        return len(self.promoted) + len(self.stopped) + self.other


class Results:
    """A search's trials, in the order of their numbers.

    Raises:
        ConfigError: search.json or a trial's configuration cannot be read.
    """

    def __init__(self, folder: SearchFolder) -> None:
        self.folder, self.name, self.config = folder, folder.name, folder.config
        self.spent = folder.spent()
        self.trials = [_result(trial, self.config) for trial in folder.trials()]

    def of(self, *states: TrialStatus) -> list[TrialResult]:
        return [trial for trial in self.trials if trial.state in states]

    def reached(self, epoch: int) -> list[TrialResult]:
        return [trial for trial in self.trials if trial.epochs >= epoch]

    def keeps(self, trial: TrialResult, epoch: int | None = None) -> bool:
        """True if a trial keeps all limits after an epoch of its own; None: after its last."""
        return not self.config.goals.violation(trial.last if epoch is None else trial.measured[epoch - 1])

    def ranked(self) -> list[TrialResult]:
        """Those with a result, as `SearchFolder.ranked` has them."""
        there = self.reached(1)
        entries = [(trial.number, trial.epochs, trial.last) for trial in there]
        return [there[at] for at in ranking(entries, self.config.epochs, self.config.goals)]

    def front(self) -> list[TrialResult]:
        """Those that no other one dominates, by their number."""
        there, goals = self.reached(1), self.config.goals
        return [there[at] for at in vectors.front([goals.standing(trial.last) for trial in there])]

    def common_epoch(self) -> int | None:
        """The last rung that enough trials have reached, before the first rung the last epoch; None: no result yet."""
        epochs = sorted((trial.epochs for trial in self.reached(1)), reverse=True)
        if not epochs:
            return None
        last = epochs[min(ENOUGH, (len(epochs) + 1) // 2) - 1]
        return max((epoch for epoch in self.milestones if epoch <= last), default=last)

    @property
    def milestones(self) -> list[int]:
        """The scheduler's rungs, and the full length."""
        return sorted({*self.config.milestones, self.config.epochs})

    def rungs(self) -> list[RungResult]:
        """Rungs and how trials came through them; the last is the full length."""
        rungs, reason = [], SCHEDULERS[self.config.scheduler].stop_reason
        for epoch in self.milestones:
            reached = self.reached(epoch)
            promoted = [trial for trial in reached if trial.epochs > epoch or trial.state == "complete"]
            stopped = [trial for trial in reached if trial.epochs == epoch and trial.reason == reason]
            rungs.append(RungResult(
                epoch, [trial.values[epoch - 1] for trial in promoted],
                [trial.values[epoch - 1] for trial in stopped], len(reached) - len(promoted) - len(stopped),
            ))  # fmt: skip
        return rungs

    @property
    def columns(self) -> list[str]:
        """Names of the columns of `rows`."""
        objective, *others = (it.name for it in self.config.goals.measured)
        front = ["front"] if len(self.config.goals.objectives) > 1 else []
        own = ["trial", "state", "reason", "epochs", objective, f"best_{objective}", *others, *front, "seconds"]
        return list(dict.fromkeys([*own, SPIKES, ENERGY])) + [short(path) for path in self.config.space.parameters]

    def rows(self) -> list[dict[str, Any]]:
        """A row a trial: how it ended, last and best value, seconds, spikes and energy of a sample, and its parameters
        by their short names."""
        goal, others = self.config.goal, self.config.goals.measured[1:]
        front = {trial.number for trial in self.front()} if len(self.config.goals.objectives) > 1 else None
        return [
            {
                "trial": trial.number, "state": trial.state, "reason": trial.reason, "epochs": trial.epochs,
                SPIKES: trial.spikes, ENERGY: trial.nanojoules, goal.name: trial.values[-1] if trial.epochs else None,
                f"best_{goal.name}": goal.best(list(trial.values)) if trial.epochs else None,
                **{it.name: trial.last[at] if trial.last else None for at, it in enumerate(others, 1)},
                **({} if front is None else {"front": int(trial.number in front)}), "seconds": trial.seconds,
                **{short(path): value for path, value in trial.sample.items()},
            }
            for trial in self.trials
        ]  # fmt: skip

    def csv(self) -> str:
        """The rows, numbers in full precision; what a trial does not have is left empty."""
        file = io.StringIO()
        writer = csv.DictWriter(file, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        return file.getvalue()


def epochs_of(trials: Sequence[TrialResult]) -> int:
    return sum(trial.epochs for trial in trials)


def seconds_of(trials: Sequence[TrialResult]) -> float:
    return sum(trial.seconds for trial in trials)


def _result(trial: TrialFolder, config: SearchConfig) -> TrialResult:
    end, sealed = trial.end(), trial.sealed_history()
    history = trial.history() if sealed is None else sealed
    run, values = trial.config(), config.goals.values(trial, history)
    spikes = spikes_of(run, history[-1].firing_rate) if history else None
    energy = of_rates(run, history[-1].firing_rate, history[-1].input_spikes) if history else None
    return TrialResult(
        number=trial.number,
        state=end.state if end else "unfinished",
        reason=end.reason if end else "",
        detail=end.detail if end else "",
        sample=config.space.read(run),
        values=tuple(value for value, *_ in values),
        seconds=sum(epoch.seconds for epoch in history),
        failures=tuple(trial.failures()),
        last=values[-1] if values else (),
        spikes=spikes,
        nanojoules=energy.nanojoules if energy else None,
        measured=tuple(values),
    )
