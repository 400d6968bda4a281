"""A search folder in memory: its trials' epochs are read from a recorded surface."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ffsnn.config import RunConfig
from ffsnn.training.epoch_metrics import EpochMetrics
from search.forecast.surface import Surface
from search.objectives import Objective
from search.pareto.goals import Goals
from search.store.ends import End, Failure
from search.store.trial_folder import Holder, TrialFolder
from search.store.trials_folder import TrialsFolder
from spaces.parameter import Sample


class Answers:
    """A surface as it answers objectives: values and seconds of each configuration under each seed."""

    def __init__(self, surface: Surface, goals: Goals) -> None:
        self.surface, self.goals = surface, goals
        objective = goals.objectives[0]
        self.by_objective = {it.name: surface.values(it) for it in goals.measured}  # (C, S, E) each
        self.values = self.by_objective[objective.name]
        self.seconds = np.nan_to_num(surface.curves[..., 2].astype(np.float64))
        self.lengths = np.isfinite(surface.curves[..., 0]).sum(2)  # (C, S): epochs before it diverged
        self.silent = surface.silent  # (C, S)
        self.final = self.values[:, :, -1].mean(1)  # (C,)
        order = np.argsort([objective.cost(value) for value in self.final], kind="stable")
        self.rank = np.empty(len(order), int)  # (C,): 0 is the best at full length, over all its seeds
        self.rank[order] = np.arange(len(order))


class RecordedTrial(TrialFolder):
    """A trial whose epochs are looked up."""

    def __init__(self, number: int, answers: Answers, seed: int) -> None:
        super().__init__(Path(f"{number:04d}"))
        self.answers, self.seed = answers, seed
        self.index: int | None = None  # of its configuration on the surface
        self.epochs = 0  # done
        self.ended: End | None = None

    @property
    def at(self) -> tuple[int, int]:
        """Where it stands on the surface: configuration, seed."""
        assert self.index is not None
        return self.index, self.seed

    def config(self) -> RunConfig:
        return self.answers.surface.config(self.at[0])

    def values(self, objective: Objective, history: list[EpochMetrics] | None = None) -> list[float]:
        found: list[float] = self.answers.by_objective[objective.name][self.at][: self.epochs].tolist()
        return found

    def history(self) -> list[EpochMetrics]:
        return self.answers.surface.history(*self.at)[: self.epochs]

    def end(self) -> End | None:
        return self.ended

    def write_end(self, end: End) -> None:
        self.ended = end

    def failures(self) -> list[Failure]:
        return []

    def holder(self) -> Holder | None:
        return None

    def repair(self) -> list[str]:
        return []


class RecordedFolder(TrialsFolder):
    """The trials of one simulated search.

    Args:
        answers: of the surface.
        seed: which of the recorded ones its trials have.
    """

    def __init__(self, answers: Answers, seed: int) -> None:
        super().__init__(Path("simulated"))
        self.answers, self.seed = answers, seed
        self.made: dict[int, RecordedTrial] = {}
        self.free: npt.NDArray[np.bool_] = np.ones(len(answers.surface.samples), bool)

    def spent(self) -> float:
        return 0.0

    def trial(self, number: int) -> RecordedTrial:
        if number not in self.made:
            self.made[number] = RecordedTrial(number, self.answers, self.seed)
        return self.made[number]

    def trials(self) -> Iterator[TrialFolder]:
        return (trial for _, trial in sorted(self.made.items()) if trial.index is not None)

    def take(self, sample: Sample) -> int:
        """The nearest configuration to a sample that no trial has yet; the sample itself where it is recorded."""
        surface = self.answers.surface
        away = ((surface.points - surface.encoding.points(surface.encoding.places([sample]))) ** 2).sum(1)
        away[~self.free] = np.inf
        index = int(away.argmin())
        self.free[index] = False
        return index
