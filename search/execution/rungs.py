"""Successive halving by promotion, as a pure bookkeeping: no trial, no clock, no Ray.

Asynchronous successive halving as published (Li et al. 2020, arXiv 1810.05934, algorithm 2): a trial rests at every
rung, and goes on when it is among the best `1/factor` of all that have come to that rung so far.
"""

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.pareto.layers import Order

Place = tuple[Any, int]  # cost at a rung, the less the better, and the trial's number, which breaks ties


@dataclass
class Rung:
    """An epoch at which trials are compared by a number, and those that have come to it."""

    epoch: int
    came: list[Place] = field(default_factory=list)  # all, best first
    resting: list[Place] = field(default_factory=list)  # those that have not gone on, best first
    cost: dict[int, Any] = field(default_factory=dict)  # of each that came

    def rank(self, place: Place) -> int:
        """Number of those that came and are better."""
        return bisect.bisect_left(self.came, place)

    def arrive(self, number: int, cost: Any, resting: bool) -> None:
        """One more has come."""
        self.cost[number] = cost
        bisect.insort(self.came, (cost, number))
        if resting:
            bisect.insort(self.resting, (cost, number))

    def leave(self, number: int) -> None:
        """One rests no more."""
        del self.resting[bisect.bisect_left(self.resting, (self.cost[number], number))]

    def best(self) -> tuple[int, int] | None:
        """The best one that rests, and its rank among all that came; None: none rests."""
        return (self.resting[0][1], self.rank(self.resting[0])) if self.resting else None

    def beyond(self, good: int) -> list[int]:
        """Those that rest and will not be among the best `good`, whoever else comes: ranks only get worse."""
        first = bisect.bisect_left(self.resting, good, key=self.rank)
        return [number for _, number in self.resting[first:]]


@dataclass
class FrontRung(Rung):
    """A rung at which trials are compared by several objectives, or within limits: costs are `vectors.Standing`.

    The order is that of all that have come, in whichever sequence they came.
    """

    order: Order = field(default_factory=Order)
    at_rest: set[int] = field(default_factory=set)

    def arrive(self, number: int, cost: Any, resting: bool) -> None:
        self.cost[number] = cost
        self.order.add(number, cost)
        if resting:
            self.at_rest.add(number)

    def leave(self, number: int) -> None:
        self.at_rest.remove(number)

    def best(self) -> tuple[int, int] | None:
        return self.order.best_of(self.at_rest)

    def beyond(self, good: int) -> list[int]:
        if not self.at_rest or len(self.cost) <= good:
            return []
        ahead = self.order.ahead()
        return [number for number in sorted(self.at_rest) if ahead[number] >= good]


class Rungs:
    """The rungs of a search, the first one first.

    Args:
        epochs: at which trials are compared.
        factor: one in so many goes on.
        trials: how many there will be.
        rung: makes a rung: how trials are compared.
    """

    def __init__(
        self, epochs: Sequence[int], factor: int, trials: int, rung: Callable[[int], Rung] = Rung
    ) -> None:  # fmt: skip
        self.rungs = [rung(epoch) for epoch in epochs]
        self.at = {rung.epoch: rung for rung in self.rungs}
        self.factor, self.trials = factor, trials
        self.resting: dict[int, int] = {}  # number of each trial that rests -> the epoch of its rung

    def arrive(self, number: int, epoch: int, cost: Any, resting: bool = True) -> None:
        """A trial has come to a rung; told again, it changes nothing."""
        rung = self.at[epoch]
        if number in rung.cost:
            return
        rung.arrive(number, cost, resting)
        if resting:
            self.resting[number] = epoch

    def leave(self, number: int, epoch: int) -> None:
        """A trial goes on from a rung, or has ended there."""
        self.at[epoch].leave(number)
        del self.resting[number]

    def next(self) -> tuple[int, int] | None:
        """The trial that is to go on, and the epoch of its rung; None: no one has earned it yet.

        The last rungs come first, and at each the best trial.
        """
        for rung in reversed(self.rungs):
            if (found := rung.best()) and found[1] < len(rung.cost) // self.factor:
                return found[0], rung.epoch
        return None

    def last(self) -> tuple[int, int] | None:
        """The trial that is to go on where there will be no more trials and no one has earned it: the best one of the
        last rung that any came to, as in successive halving of a fixed number, which always leaves one."""
        for rung in reversed(self.rungs):
            if found := rung.best():
                return found[0], rung.epoch
        return None

    def hopeless(self) -> Iterator[tuple[int, int]]:
        """Trials, with the epochs of their rungs, that will not go on whatever is still to come.

        It is enough that even with all trials that may yet come to a rung one in `factor` of them would not reach down
        to it. The best of a rung always may go on (`last`).
        """
        most = self.trials  # that may come to the rung in all
        for rung in self.rungs:
            good = max(most // self.factor, 1)
            gone = rung.beyond(good)
            yield from ((number, rung.epoch) for number in gone)
            to_come = max(most - len(rung.cost), 0)
            most = len(rung.cost) - len(gone) + to_come
