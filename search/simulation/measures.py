"""What simulated searches have come to: pure functions of their steps and of the surface.

With one objective, a search's incumbent is what `ffsnn best` would give at that moment. It counts with its value at
full length, over all recorded seeds: what a person would get who stops there and trains it to its end.

With several, a search has at each moment the front of the networks that it has trained, stopped early or not, each
after its last epoch (`search.pareto.front`). It is chosen by what the search saw, under one seed, and counts by its
means over all recorded seeds: to be on a front by luck does not pay.

Legend: K steps of a search, an epoch each; B points of a budget; R searches, which differ in their seeds; C
configurations, E epochs and M objectives of a surface.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, t

from search.objectives import Objective
from search.pareto import vectors
from search.pareto.hypervolume import hypervolume
from search.simulation.recorded import Answers
from search.simulation.virtual import Step

Array = npt.NDArray[np.float64]
CONFIDENCE = 0.95
RESAMPLES = 2000  # of the bootstrap
FEWEST = 6  # values whose least and largest hold a median with that confidence


@dataclass(frozen=True)
class Course:
    """The course of one search."""

    seconds: Array  # (K,) of the virtual clock
    value: Array  # (K,) the incumbent's at full length; of several objectives, the front's hypervolume
    away: Array  # (K,) distance of the best so far from the surface's: a rank, or a missing share; inf: none yet

    def epochs_to(self, near: float) -> float:
        """Epochs spent until a search was no farther away than `near`; inf: it never was."""
        found = np.flatnonzero(self.away <= near)
        return float(found[0]) + 1 if len(found) else math.inf

    def seconds_to(self, near: float) -> float:
        found = np.flatnonzero(self.away <= near)
        return float(self.seconds[found[0]]) if len(found) else math.inf

    def after_epochs(self, budget: Array) -> Array:
        """The value after numbers of epochs (B,)."""
        values: Array = self.value[np.clip(budget.astype(int) - 1, 0, len(self.value) - 1)]
        return values

    def after_seconds(self, budget: Array) -> Array:
        """The value after seconds of the virtual clock (B,); before the first epoch ends, of that one."""
        at = np.searchsorted(self.seconds, budget, side="right") - 1
        values: Array = self.value[np.clip(at, 0, len(self.value) - 1)]
        return values


def course(steps: Sequence[Step], answers: Answers, seed: int, objective: Objective, epochs: int) -> Course:
    """The course of a search by one objective that saw the surface under its n-th seed.

    It is as far away as the rank of the best configuration that was trained to its end by then.

    Args:
        steps: of the search.
        answers: of the surface.
        seed: the n-th of the recorded ones.
        objective: of the search.
        epochs: of a trial at full length.
    """
    incumbent = np.empty(len(steps))
    rank, first = np.empty(len(steps)), math.inf
    places: dict[int, tuple[bool, float]] = {}  # of each configuration as `ffsnn best` ranks them, the least first
    holder = steps[0].index
    for at, step in enumerate(steps):
        cost = objective.cost(answers.values[step.index, seed, step.epoch - 1])
        places[step.index] = step.epoch < epochs, cost
        if step.index == holder:  # it may be worse now than another one
            holder = min(places, key=places.__getitem__)
        elif places[step.index] < places[holder]:
            holder = step.index
        if step.epoch >= epochs:
            first = min(first, int(answers.rank[step.index]))
        incumbent[at], rank[at] = answers.final[holder], first
    return Course(np.array([step.seconds for step in steps]), incumbent, rank)


def course_of_fronts(steps: Sequence[Step], seen: Array, counted: Array, whole: float) -> Course:
    """The course of a search by several objectives.

    Args:
        steps: of the search.
        seen: (C, E, M) costs under the seed that the search saw; in a box whose reference point is 1 everywhere.
        counted: (C, E, M) costs that a network counts with.
        whole: hypervolume of the surface's own front.
    """
    place: dict[int, int] = {}  # of each configuration, in the order in which they came
    known, worth = np.empty((2, len(steps), seen.shape[2]))
    volumes, front, volume = np.empty(len(steps)), np.empty(0, int), 0.0
    for at, step in enumerate(steps):
        mine = place.setdefault(step.index, len(place))
        known[mine], worth[mine] = seen[step.index, step.epoch - 1], counted[step.index, step.epoch - 1]
        others = known[front[front != mine]]
        if len(others) == len(front) and (np.all(others <= known[mine], 1) & np.any(others < known[mine], 1)).any():
            volumes[at] = volume  # it was not on the front, and is not now
            continue
        front = np.flatnonzero(vectors.undominated(known[: len(place)]))
        volumes[at] = volume = share(worth[front])
    away = np.minimum.accumulate(1 - volumes / whole)
    return Course(np.array([step.seconds for step in steps]), volumes, away)


def share(costs: Array) -> float:
    """The share of a box from 0 to 1 that costs dominate, (N, M); what lies beyond 0 counts as if it were there."""
    return hypervolume([tuple(it) for it in np.maximum(costs, 0).tolist()], (1.0,) * costs.shape[1])


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def median(values: Sequence[float]) -> Estimate:
    """Median with the interval of its order statistics, which holds for any distribution; inf: later than was seen,
    nan: so few have none."""
    ordered = np.sort(values)
    if len(ordered) < FEWEST:
        return Estimate(float(_median(ordered)), math.nan, math.nan)
    below = max(int(binom.ppf((1 - CONFIDENCE) / 2, len(ordered), 0.5)) - 1, 0)
    return Estimate(float(_median(ordered)), float(ordered[below]), float(ordered[len(ordered) - 1 - below]))


def mean(values: Array) -> tuple[Array, Array]:
    """Mean of (R, B) over R, and half of its t interval, (B,); nan: one alone has none."""
    count = len(values)
    if count < 2:
        return values.mean(0), np.full(values.shape[1:], np.nan)
    half = t.ppf((1 + CONFIDENCE) / 2, count - 1) * values.std(0, ddof=1) / math.sqrt(count)
    return values.mean(0), np.broadcast_to(half, values.shape[1:])


def ratio(
    values: Sequence[float] | Array, others: Sequence[float] | Array, middle: Callable[[Array], Any] | None = None
) -> Estimate:  # fmt: skip
    """Ratio of two medians, or other middles, over the same seeds, with the interval of its bootstrap, in which 0 says
    that the other was not seen; nan: there is no ratio, for it was not seen in all."""
    middle = middle or _middle
    pairs = np.array([values, others], float)
    draws = np.random.default_rng(0).integers(pairs.shape[1], size=(RESAMPLES, pairs.shape[1]))
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.sort([middle(pairs[0][draw]) / middle(pairs[1][draw]) for draw in draws])
        whole = middle(pairs[0]) / middle(pairs[1])
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn) or np.isinf(middle(pairs[1])):
        return Estimate(math.nan, math.nan, math.nan)
    low, high = (drawn[min(int(q * len(drawn)), len(drawn) - 1)] for q in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Estimate(float(whole), float(low), float(high))


def area(courses: Sequence[Course], budget: int) -> Array:
    """Area under the curve: the value on the mean over a budget of epochs, (R,)."""
    return np.array([each.after_epochs(np.arange(1.0, budget + 1)).mean() for each in courses])


def regret(courses: Sequence[Course], best: float, budget: int, cost: Callable[[float], float]) -> Array:
    """Area under the curve: how much worse than the surface's best the incumbent was, on the mean over a budget of
    epochs, (R,)."""
    at = np.arange(1.0, budget + 1)
    return np.array([np.mean([cost(value) - cost(best) for value in each.after_epochs(at)]) for each in courses])


@dataclass(frozen=True)
class AnswerError:
    """Mean absolute differences of the objective at an epoch."""

    epoch: int
    nearest: float  # of a held-out configuration to the nearest other one, which would answer for it
    seeds: float  # of a configuration to itself under another seed; nan: it has one seed alone
    any: float  # of two configurations at random


def answer_errors(answers: Answers, objective: Objective, epochs: Sequence[int]) -> list[AnswerError]:
    """Error of the surface's answers for configurations that it does not have: each is left out once."""
    surface, points = answers.surface, answers.surface.points
    away = ((points[:, None] - points[None]) ** 2).sum(2)
    np.fill_diagonal(away, np.inf)
    nearest, found = away.argmin(1), []
    for epoch in epochs:
        values = answers.by_objective[objective.name][:, :, epoch - 1]  # (C, S)
        trained = (values != objective.worst).all(1)  # what diverged has no value that could be near another
        first, both = values[:, 0], trained & trained[nearest]
        apart = np.abs(values[trained, 1:] - values[trained, :1]).mean() if len(surface.seeds) > 1 else math.nan
        anyone = np.abs(first[trained, None] - first[None, trained]).mean()
        near = np.abs(first - first[nearest])[both].mean()
        found.append(AnswerError(epoch, float(near), float(apart), float(anyone)))
    return found


def _middle(values: Array) -> float:
    return _median(np.sort(values))


def _median(ordered: Array) -> float:
    """Median of sorted numbers, of which the last may be infinite."""
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float(low if low == high else (low + high) / 2)
