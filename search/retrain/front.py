"""The front of a search, retrained: each objective of every point on the test images, and which two points are named.

The champion is the best by the quality: the first objective of which more is better, else the first. The cheapest has
the least cost (the first other objective) among those whose quality is not worse than the champion's by more than one
standard error of it: the one-standard-error rule (Breiman et al. 1984, "Classification and regression trees"). Where a
point keeps all limits, only such are named. Both are chosen by what the trainings reached, on validation images; the
test images only say what it comes to.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field
from rich.console import Console
from rich.table import Table

from ffsnn.datasets.dataset import Images
from ffsnn.inference import exits
from ffsnn.network import Network
from ffsnn.validation import Config
from search import names
from search.display.fitted import columns, fitted
from search.objectives import Objective
from search.pareto.goals import Goals
from search.registries import OBJECTIVES
from search.retrain.noise import CONFIDENCE, interval

if TYPE_CHECKING:
    from search.retrain.verdict import RankedConfig

SeedValues = tuple[float | None, ...]


class Spread(Config):
    """A value over seeds, with its interval."""

    values: SeedValues = Field(description="a seed; None: its training failed")
    mean: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread":
        there = [value for value in values if value is not None]
        mean, low, high = interval(there) if there else (None, None, None)
        return cls(values=tuple(values), mean=mean, low=low, high=high)

    def show(self, objective: Objective) -> str:
        """`97.32% ± 0.32%`, half of the interval's width behind the mean."""
        if self.half == 0:
            return objective.show(self.mean)
        return f"{objective.show(self.mean)} ± {objective.show(float(f'{self.half:.2g}'))}"

    @property
    def half(self) -> float:
        """Half of the interval's width; 0 where there is none."""
        return 0.0 if self.high is None or self.mean is None else self.high - self.mean


class PointValue(Spread):
    """An objective of a point."""

    objective: str
    on_test: bool = Field(description="of the test images; else as the training ended, or by the configuration")


class EarlyExit(Config):
    """Early exit of a point's networks on test images, each with the threshold that its own validation images chose."""

    accuracy: Spread
    steps: Spread
    operations: Spread
    curve: tuple[tuple[float, float, float], ...] = Field(
        description="steps, operations and accuracy of every threshold on validation images, of the best seed"
    )


class TestedPoint(Config):
    """A point of the front."""

    trial: int
    best_seed: int
    values: tuple[PointValue, ...]
    exit: EarlyExit | None = Field(description="None: its networks are read after all steps alone")

    def of(self, objective: str) -> PointValue | None:
        return next((it for it in self.values if it.objective == objective), None)


class FrontResult(Config):
    """All points of the front; of those that failed with every seed, none."""

    quality: str
    cost: str
    champion: int
    cheapest: int
    points: tuple[TestedPoint, ...]

    def point(self, trial: int) -> TestedPoint:
        return next(it for it in self.points if it.trial == trial)


class Roles(NamedTuple):
    """Objectives that decide which points are named."""

    quality: Objective
    cost: Objective


def roles(goals: Goals) -> Roles:
    """The quality and the cost of several objectives."""
    quality = next((it for it in goals.objectives if it.direction == "maximize"), goals.objectives[0])
    return Roles(quality, next(it for it in goals.objectives if it.name != quality.name))


def keeping(ranking: "Sequence[RankedConfig]", means: Mapping[int, Sequence[float]], goals: Goals) -> list[int]:
    """The trials that can be named, the best first: those that keep all limits on average, or all where none does.

    Args:
        ranking: by the quality.
        means: of all that is measured, of each trial that has a result.
        goals: with the limits.
    """
    there = [it.trial for it in ranking if it.trial in means]
    return [it for it in there if not goals.violation(means[it])] or there


def cheapest(trials: Sequence[int], ranking: "Sequence[RankedConfig]", costs: Mapping[int, float], asked: Roles) -> int:
    """The trial of the least cost within one standard error of the champion's quality.

    Args:
        trials: that can be named; the first is the champion.
        ranking: with the values of the quality over seeds.
        costs: the mean cost of each.
        asked: which is better.
    """
    by_trial = {it.trial: it for it in ranking}
    champion = by_trial[trials[0]]
    values = [value for value in champion.values if value is not None]
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0

    def worse(trial: int) -> float:
        mean = by_trial[trial].mean
        assert mean is not None
        assert champion.mean is not None
        return asked.quality.cost(mean) - asked.quality.cost(champion.mean)

    near = [trial for trial in trials if worse(trial) <= error]
    return min(near, key=lambda trial: (asked.cost.cost(costs[trial]), worse(trial)))


class RetrainedPoint(NamedTuple):
    """A point of the front as it was trained anew."""

    trial: int
    best_seed: int
    networks: dict[int, Network | None]  # by seed, on the device; None: its training failed
    ended: Mapping[str, Sequence[float | None]]  # each objective as the trainings ended, a value a seed


def tested_point(
    point: RetrainedPoint, test: Images, validation: Callable[[int], Images], goals: Goals
) -> TestedPoint:  # fmt: skip
    """All objectives of a point's networks on the test images.

    Args:
        point: what is tested; an objective that cannot be measured of a network has the values of its trainings' ends.
        test: the test images.
        validation: the validation images of a seed.
        goals: with the objectives.
    """
    values = []
    for it in goals.measured:
        found = point.ended[it.name]
        if it.measure is not None:
            found = [None if network is None else it.measure(network, test) for network in point.networks.values()]
        values.append(PointValue(objective=it.name, on_test=it.measure is not None, **dict(Spread.of(found))))
    early, there = None, {seed: network for seed, network in point.networks.items() if network is not None}
    if exits.refusal(there[point.best_seed]) is None:
        chosen = {seed: exits.choose(network, validation(seed)) for seed, network in there.items()}
        on_test = [
            exits.applied(there[seed], test, chosen[seed].chosen.threshold) if seed in there else None
            for seed in point.networks
        ]
        spreads = {
            name: Spread.of([None if one is None else getattr(one, name) for one in on_test])
            for name in ("accuracy", "steps", "operations")
        }
        curve = tuple((it.steps, it.operations, it.accuracy) for it in chosen[point.best_seed].points)
        early = EarlyExit(**spreads, curve=curve)
    return TestedPoint(trial=point.trial, best_seed=point.best_seed, values=tuple(values), exit=early)


def column(value: PointValue) -> str:
    """Head of an objective's column: `test accuracy`."""
    title = OBJECTIVES[value.objective].title.removeprefix("validation ")
    return f"test {title}" if value.on_test else title


def cells(front: FrontResult) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The points as a table: its head, and a row each, the least cost first."""
    cost = OBJECTIVES[front.cost]

    def by_cost(point: TestedPoint) -> float:
        value = point.of(front.cost)
        return math.inf if value is None or value.mean is None else cost.cost(value.mean)

    points = sorted(front.points, key=by_cost)
    head = ("trial", *map(column, points[0].values), "with early exit", "named")
    rows = []
    for it in points:
        named = (names.CHAMPION, front.champion), (names.CHEAPEST, front.cheapest)
        shown = (value.show(OBJECTIVES[value.objective]) for value in it.values)
        early = "-" if it.exit is None else f"{it.exit.accuracy.mean:.2%} in {it.exit.steps.mean:.2f} steps"
        rows.append((str(it.trial), *shown, early, ", ".join(name for name, trial in named if trial == it.trial)))
    return head, rows


def tables(search: str, front: FrontResult, seeds: int, console: Console) -> list[Table]:
    """The points on the test images, a row each, in as many tables as the console's width asks for."""
    title = f"{search}: the front on the test images, mean ± {CONFIDENCE:.0%} interval of {seeds} seeds"
    return fitted(columns(*cells(front)), console, title)


def words(front: FrontResult) -> list[str]:
    """Sentences on the points that are named."""
    quality, cost = OBJECTIVES[front.quality], OBJECTIVES[front.cost]
    return [
        f"champion: trial {front.champion}, the best {quality.title}; cheapest: trial {front.cheapest}, the least "
        f"{cost.title} of those within one standard error of it"
    ]
