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


def dominators(costs: Array) -> npt.NDArray[np.int_]:
    """Number of others that dominate each, (N,)."""
    columns = np.ascontiguousarray(costs.T)
    _, which, equal = np.unique(costs, axis=0, return_inverse=True, return_counts=True)
    found: npt.NDArray[np.int_] = -equal[which.ravel()]
    for at, one in enumerate(costs):
        found[at] += np.count_nonzero(np.logical_and.reduce(columns <= one[:, None]))
    return found


def undominated(costs: Array) -> npt.NDArray[np.bool_]:
    """True for those that no other one dominates, (N,): a look at all that are left for each point of the front."""
    found, left = np.zeros(len(costs), bool), np.lexsort(costs.T[::-1])  # one can be dominated by earlier ones alone
    while len(left):
        first, others = costs[left[0]], costs[left]
        found[left[(others == first).all(1)]] = True
        left = left[~(others >= first).all(1)]
    return found


def fronts(costs: Array) -> list[npt.NDArray[np.int_]]:
    """Indices by non-dominated rank: the first front is dominated by no one."""
    left, found = np.arange(len(costs)), []
    while len(left):
        first = undominated(costs[left])
        found.append(left[first])
        left = left[~first]
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
    first = [kept[at] for at in np.flatnonzero(undominated(np.array([standings[at].costs for at in kept])))]
    return sorted({standings[at].costs: at for at in reversed(first)}.values())


def _apart(standings: Sequence[Standing]) -> tuple[list[int], list[int], list[int]]:
    """Indices of those that keep all limits, of those that break one, the nearest first, of those with no result."""
    lost = [at for at, it in enumerate(standings) if it.is_lost]
    kept = [at for at, it in enumerate(standings) if not it.is_lost and not it.violation]
    broken = [at for at, it in enumerate(standings) if not it.is_lost and it.violation]
    broken.sort(key=lambda at: standings[at].violation)
    return kept, broken, lost
