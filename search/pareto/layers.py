"""The order of `search.pareto.vectors` over results that come one after the other: each costs a look at all that came
before it, and not a sort of them all."""

import bisect
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from search.pareto.vectors import Array, Standing, epsilon_net, scaled


class Layers:
    """Vectors of costs that come one after the other, by non-dominated rank and an epsilon-net; each has a number, and
    of equal ones the lower number comes first."""

    def __init__(self) -> None:
        self.numbers: npt.NDArray[np.int_] = np.empty(0, int)
        self.costs: Array = np.empty((0, 0))
        self.rank: npt.NDArray[np.int_] = np.empty(0, int)  # non-dominated rank of each
        self.ahead: npt.NDArray[np.int_] = np.empty(0, int)  # how many come before each, whoever else may come

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, number: int, costs: tuple[float, ...]) -> None:
        """One more has come."""
        new, old = np.array(costs), self.costs.reshape(-1, len(costs))
        no_worse, no_better = (old <= new).all(1), (old >= new).all(1)
        same, above, below = no_worse & no_better, no_worse & ~no_better, no_better & ~no_worse
        self.ahead[below | (same & (self.numbers > number))] += 1
        rank = int(self.rank[above].max(initial=-1)) + 1
        self.ahead = np.append(self.ahead, (above | (same & (self.numbers < number))).sum())
        self.numbers, self.costs = np.append(self.numbers, number), np.vstack([old, new])
        self.rank = np.append(self.rank, rank)
        moved = np.array([len(old)])
        while len(moved):  # those of its rank that it dominates go to the next one, and push others on from there
            here = np.setdiff1d(np.flatnonzero(self.rank == rank), moved)
            moved = here[_dominated(self.costs[here], self.costs[moved])]
            rank += 1
            self.rank[moved] = rank

    def best_of(self, numbers: Collection[int]) -> tuple[int, int] | None:
        """The first of some, and how many of all come before it; None: none of them has come."""
        asked = np.isin(self.numbers, list(numbers))
        if not asked.any():
            return None
        rank = self.rank[asked].min()
        here = np.flatnonzero(self.rank == rank)
        here = here[np.argsort(self.numbers[here])]
        net = here[epsilon_net(scaled(self.costs)[here])]
        place = int(asked[net].argmax())
        return int(self.numbers[net[place]]), int((self.rank < rank).sum()) + place


class Order:
    """The order of results as `vectors.order` has it, by number: those that keep all limits in layers, then those that
    break one, by how far, then those with no result."""

    def __init__(self) -> None:
        self.kept = Layers()
        self.last: list[tuple[bool, float, int]] = []  # of those that keep not all: lost, violation, number; sorted

    def __len__(self) -> int:
        return len(self.kept) + len(self.last)

    def add(self, number: int, it: Standing) -> None:
        """One more has come."""
        if it.is_lost or it.violation:
            bisect.insort(self.last, (it.is_lost, 0.0 if it.is_lost else it.violation, number))
        else:
            self.kept.add(number, it.costs)

    def best_of(self, numbers: Collection[int]) -> tuple[int, int] | None:
        """The first of some, and how many of all come before it; None: none of them has come."""
        return self.kept.best_of(numbers) or next(
            ((number, len(self.kept) + at) for at, (*_, number) in enumerate(self.last) if number in numbers), None
        )

    def ahead(self) -> dict[int, int]:
        """Number of others that are before each, and stay so whoever else comes: those that dominate it, and earlier
        ones that are equal to it. A rank alone may become better, for the front before it may shrink."""
        counts = dict(zip(self.kept.numbers.tolist(), self.kept.ahead.tolist(), strict=True))
        return counts | {number: at for at, (*_, number) in enumerate(self.last, len(self.kept))}


def _dominated(costs: Array, by: Array) -> npt.NDArray[np.bool_]:
    """True for those, (N,), that one of others dominates at least."""
    no_worse = np.all(by[None] <= costs[:, None], 2)
    found: npt.NDArray[np.bool_] = np.any(no_worse & np.any(by[None] < costs[:, None], 2), 1)
    return found
