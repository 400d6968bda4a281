"""The front of a search with several objectives: its trials that no other one dominates, and their hypervolume.

Each trial counts with its values after its last epoch, stopped early or not: the network that it trained has them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search.objectives import Objective
from search.pareto import vectors
from search.pareto.goals import Goals, Values
from search.pareto.hypervolume import hypervolume
from search.pareto.vectors import Standing

Entry = tuple[int, int, Values]  # a trial's number, its epochs (one at least), its values after the last
Place = tuple[Any, ...]


@dataclass(frozen=True)
class Box:
    """The box in which hypervolume is a share, by costs: from the ideal to the reference point.

    Of a share (an accuracy) from 1 to 0, whichever is better first; of another cost from 0, or the least that was seen
    if that is less, to its limit, else to the largest that was seen.
    """

    goals: Goals
    ideal: tuple[float, ...]
    reference: tuple[float, ...]

    @classmethod
    def around(cls, goals: Goals, standings: Sequence[Standing]) -> "Box":
        costs = [it.costs for it in standings if all(map(math.isfinite, it.costs))]
        sides = [_side(goals, at, [it[at] for it in costs] or [0.0]) for at in range(len(goals.objectives))]
        return cls(goals, tuple(low for low, _ in sides), tuple(high for _, high in sides))

    def share(self, standings: Sequence[Standing]) -> float:
        """The share of the box that results dominate; those that break a limit add nothing."""
        return hypervolume([self._scaled(standings[at].costs) for at in vectors.front(standings)], (1.0,) * self.sides)

    def course(self, standings: Sequence[Standing]) -> list[float]:
        """The share after each result, in their order."""
        found: list[float] = []
        front: list[Standing] = []
        for new in standings:
            front = [(*front, new)[at] for at in vectors.front([*front, new])]
            found.append(self.share(front))
        return found

    @property
    def sides(self) -> int:
        return len(self.ideal)

    def _scaled(self, costs: tuple[float, ...]) -> tuple[float, ...]:
        sides = zip(costs, self.ideal, self.reference, strict=True)
        return tuple((cost - low) / (high - low) if high > low else 1.0 for cost, low, high in sides)

    def __str__(self) -> str:
        """`from (100%, 0) to (0%, 51234)`"""
        corners = [
            ", ".join(it.show(it.cost(cost)) for it, cost in zip(self.goals.objectives, corner, strict=True))
            for corner in (self.ideal, self.reference)
        ]
        return f"from ({corners[0]}) to ({corners[1]})"


def _side(goals: Goals, at: int, seen: list[float]) -> tuple[float, float]:
    """The ideal and the reference cost of one objective."""
    it: Objective = goals.objectives[at]
    if it.is_share:
        low, high = sorted((it.cost(0.0), it.cost(1.0)))
        return low, high
    limited = [it.cost(limit.bound) for limit in goals.limits if limit.objective.name == it.name]
    low = min(0.0, *seen) if it.direction == "minimize" else min(seen)
    return low, max([cost for cost in limited if cost > low] or seen)


def said(goals: Goals, standings: Sequence[Standing]) -> str:
    """`front of 3, hypervolume 0.61`"""
    front = [standings[at] for at in vectors.front(standings)]
    return f"front of {len(front)}, hypervolume {Box.around(goals, standings).share(front):.3f}"


def ranking(entries: Sequence[Entry], full: int, goals: Goals) -> list[int]:
    """Indices of trials, the best first; those that break a limit come last.

    By one objective those at full length come before all others; by several each counts as the network that it is.

    Args:
        entries: of the trials.
        full: epochs of a trial at full length.
        goals: by which they are compared.
    """
    if len(goals.objectives) > 1:
        by_number = sorted(range(len(entries)), key=lambda at: entries[at][0])
        standings = [goals.standing(entries[at][-1]) for at in by_number]
        return [by_number[at] for at in vectors.order(standings)]
    return sorted(range(len(entries)), key=lambda at: place(entries[at], full, goals))


def place(entry: Entry, full: int, goals: Goals) -> Place:
    """A key whose least is the first of a `ranking`, whoever else is compared; its last item is the trial's number. By
    one objective it sorts them all."""
    number, epochs, values = entry
    if len(goals.objectives) == 1:
        return goals.violation(values), epochs < full, goals.objectives[0].cost(values[0]), number
    standing = goals.standing(values)
    if standing.is_lost:
        return math.inf, number
    return standing.violation, () if standing.violation else standing.costs, number
