"""Goodness of a layer's activity: pure functions by name.

A goodness that is a mean over neurons of spike counts, or of their squares, needs one sum a sample, which the compiled
kernels have. Any other is worked out from the counts of all neurons, and its gradient by autograd: the same result but
for rounding, at 1.2 to 1.3 times the time of a step (784-500-500 on a CPU).

Of counts instead of rates, goodness grows by T^power. theta is compared with goodness and alpha multiplies it, so both
mean something only with their goodness and activity: for the same loss, theta grows by that factor and alpha shrinks.

Legend: B samples, F neurons; rates in [0, 1] (spikes / T).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from ffsnn.parts.registry import GOODNESS

Formula = Callable[[torch.Tensor], torch.Tensor]  # activity (B, F), rates or counts -> (B,)
Statistic = Literal["total", "squares", "counts"]


@dataclass(frozen=True)
class Goodness:
    """A goodness, and what the compiled kernels need to know of it."""

    of: Formula
    statistic: Statistic = "counts"  # it is the mean (total) or the mean of squares (squares) of activity, or neither

    @property
    def power(self) -> int:
        """It grows by T^power where activity is counts instead of rates; of one of one's own it is taken for 1."""
        return 2 if self.statistic == "squares" else 1


register = GOODNESS.decorator(Goodness)


@register("mean_square", statistic="squares")
def mean_square(rate_BF: torch.Tensor) -> torch.Tensor:
    """Mean of squared rates (B,): Hinton 2022 (arXiv 2212.13345), section 2, divided by the width."""
    return rate_BF.square().mean(1)


@register("mean", statistic="total")
def mean(rate_BF: torch.Tensor) -> torch.Tensor:
    """Mean rate (B,): linear in the spikes."""
    return rate_BF.mean(1)
