"""Goodness of a layer's activity and the local losses on it: pure functions, by name.

Of counts instead of rates, goodness grows by T^power: `mean_square` by T^2, `mean` by T. theta is compared with
goodness and alpha multiplies it, so both mean something only with their goodness and activity: for the same loss, theta
grows by that factor and alpha shrinks by it.

A goodness that is a mean over neurons, of counts or of their squares, needs no more of a layer than one sum a sample,
which the compiled paths have; any other is worked out from the counts of all neurons, as is a loss that is not
compiled (`loss_gradients.py`). Either way the result is the same, but for rounding.

Legend: B samples, F neurons, C classes; rates in [0, 1] (spikes / T).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import mse_loss, one_hot, silu, softplus

from ffsnn.config import LearningConfig


def mean_square(rate_BF: torch.Tensor) -> torch.Tensor:
    """Mean of squared rates (B,): Hinton 2022 (arXiv 2212.13345), section 2, divided by the width."""
    return rate_BF.square().mean(1)


def mean(rate_BF: torch.Tensor) -> torch.Tensor:
    """Mean rate (B,): linear in the spikes."""
    return rate_BF.mean(1)


@dataclass(frozen=True)
class Goodness:
    """A goodness, and what the compiled paths need to know of it."""

    of: Callable[[torch.Tensor], torch.Tensor]  # activity (B, F), rates or counts -> (B,)
    statistic: Literal["total", "squares", "counts"] = "counts"  # a mean of counts, of their squares, or neither
    power: int = 1  # it grows by T^power where activity is counts instead of rates


GOODNESS = {
    "mean_square": Goodness(mean_square, "squares", 2),
    "mean": Goodness(mean, "total", 1),
}


def threshold_loss(good_pos: torch.Tensor, good_neg: torch.Tensor, theta: float, alpha: float) -> torch.Tensor:
    """softplus(alpha (theta - g+)) + softplus(alpha (g- - theta)), averaged: Hinton 2022, section 2."""
    return (softplus(alpha * (theta - good_pos)) + softplus(alpha * (good_neg - theta))).mean()


def swish_loss(good_pos: torch.Tensor, good_neg: torch.Tensor, alpha: float) -> torch.Tensor:
    """silu(-alpha (g+ - g-)), averaged: the pairwise loss of Ghader et al. (arXiv 2502.20411)."""
    return silu(-alpha * (good_pos - good_neg)).mean()


def symba_loss(good_pos: torch.Tensor, good_neg: torch.Tensor, alpha: float) -> torch.Tensor:
    """softplus(-alpha (g+ - g-)), averaged: SymBa (Lee & Song 2023, arXiv 2303.08418)."""
    return softplus(-alpha * (good_pos - good_neg)).mean()


def readout_loss(rate_BC: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
    """Mean squared error of an output layer's rates (B, C) to the one-hot labels (B,)."""
    return mse_loss(rate_BC, one_hot(y_B, rate_BC.shape[1]).to(rate_BC.dtype))


def _threshold(config: LearningConfig, good_pos: torch.Tensor, good_neg: torch.Tensor) -> torch.Tensor:
    assert config.theta is not None
    return threshold_loss(good_pos, good_neg, config.theta, config.alpha)


def _swish(config: LearningConfig, good_pos: torch.Tensor, good_neg: torch.Tensor) -> torch.Tensor:
    return swish_loss(good_pos, good_neg, config.alpha)


def _symba(config: LearningConfig, good_pos: torch.Tensor, good_neg: torch.Tensor) -> torch.Tensor:
    return symba_loss(good_pos, good_neg, config.alpha)


LOSSES: dict[str, Callable[[LearningConfig, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "threshold": _threshold, "swish": _swish, "symba": _symba,
}  # fmt: skip


def pair_loss(config: LearningConfig, good_pos: torch.Tensor, good_neg: torch.Tensor) -> torch.Tensor:
    """The local loss of a layer from the goodness of positive and negative samples, (B,) each; a mean over pairs."""
    return LOSSES[config.loss](config, good_pos, good_neg)
