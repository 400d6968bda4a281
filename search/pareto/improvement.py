"""Expected improvement of a hypervolume, of candidates whose objectives are predicted as independent normal
distributions (Emmerich et al. 2006), as pure functions.

Objectives are costs as normal scores (quantiles of the normal distribution at their ranks), so that no scale counts and
no outlier. The hypervolume is of the box from `best` to `WORST` in each: what is among the worst 16 % by any objective,
such as a network that never fires, adds nothing; what is better than all trials lies within. Volumes are shares of
corners, Sobol's points in the box, that are dominated. A candidate's expectation is then exact: the mean, over the
corners that no trial dominates yet, of the probability that it does.

Legend: N trials, M objectives, P corners, K candidates.
"""

import warnings
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
WORST = 1.0
CORNERS = 512  # a power of 2, as Sobol's points are balanced for
LEAST = 1e-300  # whose logarithm is taken in place of that of 0


def best(trials: int) -> float:
    """The better end of the box, beyond the best score of so many trials."""
    return min(-3.0, float(ndtri(0.5 / trials)) - 0.5)


@cache
def _sobol(objectives: int) -> Array:
    with warnings.catch_warnings(action="ignore"):
        points: Array = qmc.Sobol(objectives, scramble=False).random(CORNERS)
    return points


def corners(objectives: int, trials: int) -> Array:
    """Corners in the box of so many trials, (P, M)."""
    low = best(trials)
    return low + (WORST - low) * _sobol(objectives)


def dominates(scores: Array) -> Flags:
    """Table, (N, P): true where a trial with scores (N, M) dominates a corner."""
    return np.asarray((scores[:, None] <= corners(scores.shape[1], len(scores))).all(2))


def spread(dominated: Flags, limit: int) -> list[int]:
    """Trials so that each next one dominates the most corners that none before it does; `limit` at the most, and none
    that adds nothing (the greedy choice of a subset by its hypervolume, Guerreiro et al. 2016)."""
    chosen: list[int] = []
    left = np.ones(dominated.shape[1], bool)
    while len(chosen) < limit:
        gains = (dominated & left).sum(1)
        best = int(gains.argmax())
        if not gains[best]:
            break
        chosen.append(best)
        left &= ~dominated[best]
    return chosen


def log_expected(means: Array, deviations: Array, dominated: Flags) -> Array:
    """Logarithm of the expected improvement of K candidates, (K,).

    Args:
        means, deviations: of their scores, (K, M) each.
        dominated: what trials dominate already (`dominates`).
    """
    left = corners(means.shape[1], len(dominated))[~dominated.any(0)]
    probability = np.ones((len(means), len(left)))
    for mean, deviation, corner in zip(means.T, deviations.T, left.T, strict=True):
        probability *= ndtr((corner - mean[:, None]) / deviation[:, None])
    found: Array = np.log(np.maximum(probability.sum(1) / CORNERS, LEAST))
    return found
