"""Whether configurations are apart, or within the noise of their seeds: Student's t, on a handful of values.

A configuration is trained with n seeds. Its mean has an interval of t(n - 1) s / sqrt(n); two configurations trained
with the same seeds saw the same splits and orders, so they are compared by their differences, seed by seed (the paired
t-test), which takes out what a seed does to both.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import stdtr, stdtrit

CONFIDENCE, LEVEL = 0.95, 0.05


class Interval(NamedTuple):
    """Confidence interval of a mean."""

    mean: float
    low: float | None  # None: of one value, nothing can be said
    high: float | None


class Paired(NamedTuple):
    """Difference of two means, and how often chance alone would make it as large (two-sided)."""

    difference: float
    p: float | None  # None: fewer than two pairs say nothing, nor do pairs that are all as far apart

    @property
    def is_noise(self) -> bool:
        """True if the difference may be chance, at `LEVEL`."""
        return self.p is None or self.p >= LEVEL


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of n values, and Student's interval of it.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("the mean of no value was asked for")
    n, mean = len(values), statistics.mean(values)
    if n < 2:
        return Interval(mean, None, None)
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * statistics.stdev(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def paired(a: Sequence[float], b: Sequence[float]) -> Paired:
    """The paired t-test of `a` against `b`, which stand in the same order of seeds.

    Raises:
        ValueError: they are not of one length, or empty.
    """
    if len(a) != len(b) or not a:
        raise ValueError(f"pairs were asked for, but got {len(a)} and {len(b)} values")
    differences = [x - y for x, y in zip(a, b, strict=True)]
    n, mean = len(differences), statistics.mean(differences)
    if n < 2:
        return Paired(mean, None)
    error = statistics.stdev(differences) / math.sqrt(n)
    if error == 0:  # of images counted on a few seeds, and no proof that chance does nothing
        return Paired(mean, 1.0 if mean == 0 else None)
    return Paired(mean, 2 * float(stdtr(n - 1, -abs(mean) / error)))
