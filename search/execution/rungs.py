"""Successive halving by promotion, as a pure bookkeeping: no trial, no clock, no Ray.

Asynchronous successive halving as published (Li et al. 2020, arXiv 1810.05934, algorithm 2): a trial rests at every
rung, and goes on when it is among the best `1/factor` of all that have come to that rung so far.
"""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Place = tuple[float, int]  # cost at a rung, the less the better, and the trial's number, which breaks ties


@dataclass
class Rung:
    """An epoch at which trials are compared, and those that have come to it."""

    epoch: int
    came: list[Place] = field(default_factory=list)  # all, best first
    resting: list[Place] = field(default_factory=list)  # those that have not gone on, best first
    cost: dict[int, float] = field(default_factory=dict)  # of each that came

    def rank(self, place: Place) -> int:
        """Number of those that came and are better."""
        return bisect.bisect_left(self.came, place)


class Rungs:
    """The rungs of a search, the first one first.

    Args:
        epochs: at which trials are compared.
        factor: one in so many goes on.
        trials: how many there will be.
    """

    def __init__(self, epochs: Sequence[int], factor: int, trials: int) -> None:
        self.rungs = [Rung(epoch) for epoch in epochs]
        self.at = {rung.epoch: rung for rung in self.rungs}
        self.factor, self.trials = factor, trials
        self.resting: dict[int, int] = {}  # number of each trial that rests -> the epoch of its rung

    def arrive(self, number: int, epoch: int, cost: float, resting: bool = True) -> None:
        """A trial has come to a rung; told again, it changes nothing."""
        rung = self.at[epoch]
        if number in rung.cost:
            return
        rung.cost[number] = cost
        bisect.insort(rung.came, (cost, number))
        if resting:
            bisect.insort(rung.resting, (cost, number))
            self.resting[number] = epoch

    def leave(self, number: int, epoch: int) -> None:
        """A trial goes on from a rung, or has ended there."""
        rung = self.at[epoch]
        del rung.resting[bisect.bisect_left(rung.resting, (rung.cost[number], number))]
        del self.resting[number]

    def next(self) -> tuple[int, int] | None:
        """The trial that is to go on, and the epoch of its rung; None: no one has earned it yet.

        The last rungs come first, and at each the best trial.
        """
        for rung in reversed(self.rungs):
            if rung.resting and rung.rank(rung.resting[0]) < len(rung.came) // self.factor:
                return rung.resting[0][1], rung.epoch
        return None

    def last(self) -> tuple[int, int] | None:
        """The trial that is to go on where there will be no more trials and no one has earned it: the best one of the
        last rung that any came to, as in successive halving of a fixed number, which always leaves one."""
        for rung in reversed(self.rungs):
            if rung.resting:
                return rung.resting[0][1], rung.epoch
        return None

    def hopeless(self) -> Iterator[tuple[int, int]]:
        """Trials, with the epochs of their rungs, that will not go on whatever is still to come.

        Ranks only get worse, so it is enough that even with all trials that may yet come to a rung one in `factor` of
        them would not reach down to it. The best of a rung always may go on (`last`).
        """
        most = self.trials  # that may come to the rung in all
        for rung in self.rungs:
            good = max(most // self.factor, 1)
            first = bisect.bisect_left(rung.resting, good, key=rung.rank)
            yield from ((number, rung.epoch) for _, number in rung.resting[first:])
            to_come = max(most - len(rung.came), 0)
            most = len(rung.came) - len(rung.resting) + first + to_come
