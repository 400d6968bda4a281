"""Vectors of costs in order: dominance, fronts and the epsilon-net, as pure functions.

Trials that keep all limits come first, by non-dominated rank (Deb et al. 2002), within a front by an epsilon-net
(MO-ASHA, Schmucker et al. 2021, arXiv 2106.12639): each next one is the farthest from all before it, so that however
few go on are spread along the front. Then come those that break a limit, by how far; then those with no result.

Legend: N vectors, M objectives; all are costs, the less the better.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Standing(NamedTuple):
    """A trial's result as it is ranked."""

    violation: float  # of all limits together, each as a share of its bound; 0: all are kept
    costs: tuple[float, ...]  # one each objective

    @property
    def is_lost(self) -> bool:
        """True where there is no result to compare."""
        return not all(map(math.isfinite, (self.violation, *self.costs)))


def dominated(costs: Array) -> npt.NDArray[np.bool_]:
    """Table, (N, N): true where the one of the row is dominated by the one of the column."""
    no_worse = np.asarray((costs[None] <= costs[:, None]).all(2))
    return no_worse & ~no_worse.T


def fronts(costs: Array) -> list[npt.NDArray[np.int_]]:
    """Indices by non-dominated rank: the first front is dominated by no one."""
    by, left, found = dominated(costs), np.ones(len(costs), bool), []
    while left.any():
        front = left & ~(by & left).any(1)
        found.append(np.flatnonzero(front))
        left &= ~front
    return found


def epsilon_net(costs: Array) -> npt.NDArray[np.int_]:
    """Indices so that each next vector is the farthest from all before it, (N,); the first is the best by the first
    objective. Of equally far ones the first comes first."""
    chosen = [int(np.lexsort(costs.T[::-1])[0])]
    away = np.full(len(costs), np.inf)
    while len(chosen) < len(costs):
        away = np.minimum(away, ((costs - costs[chosen[-1]]) ** 2).sum(1))
        away[chosen] = -1.0
        chosen.append(int(away.argmax()))
    return np.array(chosen)


def scaled(costs: Array) -> Array:
    """Costs by the range that is seen of each, from 0 to 1."""
    low, high = costs.min(0), costs.max(0)
    found: Array = (costs - low) / np.where(high > low, high - low, 1.0)
    return found


def order(standings: Sequence[Standing]) -> list[int]:
    """Indices, the best first; equal ones stay in order."""
    kept, broken, lost = _apart(standings)
    ranked: list[int] = []
    if kept:
        costs = scaled(np.array([standings[at].costs for at in kept]))
        for front in fronts(costs):
            ranked += [kept[front[at]] for at in epsilon_net(costs[front])]
    return [*ranked, *broken, *lost]


def front(standings: Sequence[Standing]) -> list[int]:
    """Indices of the first front of those that keep all limits, in order; of equal ones the first alone."""
    kept, _, _ = _apart(standings)
    if not kept:
        return []
    first = [kept[at] for at in fronts(np.array([standings[at].costs for at in kept]))[0]]
    return sorted({standings[at].costs: at for at in reversed(first)}.values())


def ahead(standings: Sequence[Standing]) -> list[int]:
    """Number of others that are before each, and stay so whoever else comes: those that dominate it, and earlier ones
    that are equal to it. A rank alone may become better, for the front before it may shrink."""
    kept, broken, lost = _apart(standings)
    found = [0] * len(standings)
    if kept:
        costs = np.array([standings[at].costs for at in kept])
        same = (costs[None] == costs[:, None]).all(2)
        counts = dominated(costs).sum(1) + np.tril(same, -1).sum(1)
        for at, count in zip(kept, counts, strict=True):
            found[at] = int(count)
    for count, at in enumerate([*broken, *lost], len(kept)):
        found[at] = count
    return found


def _apart(standings: Sequence[Standing]) -> tuple[list[int], list[int], list[int]]:
    """Indices of those that keep all limits, of those that break one, the nearest first, of those with no result."""
    lost = [at for at, it in enumerate(standings) if it.is_lost]
    kept = [at for at, it in enumerate(standings) if not it.is_lost and not it.violation]
    broken = [at for at, it in enumerate(standings) if not it.is_lost and it.violation]
    broken.sort(key=lambda at: standings[at].violation)
    return kept, broken, lost
