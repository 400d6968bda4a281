"""Local losses of a layer, from the goodness of positive and negative samples: pure functions by name.

A loss that is not compiled (`ffsnn.kernels.loss_gradients`) has its gradient by autograd.

Legend: B images or pairs, K negative samples of an image, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import mse_loss, one_hot, silu, softplus

from ffsnn.parts.registry import LOSSES

if TYPE_CHECKING:
    from ffsnn.config import LearningConfig

# g+ (B,), g- (B,), alpha, theta -> (); of a loss that sees all samples of an image at once g- is (K, B).
Formula = Callable[[torch.Tensor, torch.Tensor, float, float], torch.Tensor]


@dataclass(frozen=True)
class Loss:
    """A loss of pairs; with several negative samples an image, the mean over their pairs.

    It must be a mean of what each pair (or image) has by itself, for a CPU shows it a few images at a time.
    """

    of: Formula
    has_theta: bool = False  # it compares goodness with a threshold theta; otherwise it is given theta = 0
    compiled: bool = False  # the kernels know its formula and derivatives
    joint: bool = False  # it sees all samples of an image at once, not pair by pair


register = LOSSES.decorator(Loss)


@register("threshold", has_theta=True, compiled=True)
def threshold_loss(good_pos: torch.Tensor, good_neg: torch.Tensor, alpha: float, theta: float) -> torch.Tensor:
    """softplus(alpha (theta - g+)) + softplus(alpha (g- - theta)), averaged: Hinton 2022, section 2."""
    return (softplus(alpha * (theta - good_pos)) + softplus(alpha * (good_neg - theta))).mean()


@register("swish", compiled=True)
def swish_loss(good_pos: torch.Tensor, good_neg: torch.Tensor, alpha: float, theta: float = 0.0) -> torch.Tensor:
    """silu(-alpha (g+ - g-)), averaged: the pairwise loss of Ghader et al. (arXiv 2502.20411)."""
    return silu(-alpha * (good_pos - good_neg)).mean()


@register("symba", compiled=True)
def symba_loss(good_pos: torch.Tensor, good_neg: torch.Tensor, alpha: float, theta: float = 0.0) -> torch.Tensor:
    """softplus(-alpha (g+ - g-)), averaged: SymBa (Lee & Song 2023, arXiv 2303.08418)."""
    return softplus(-alpha * (good_pos - good_neg)).mean()


@register("softmax", compiled=True, joint=True)
def softmax_loss(good_pos: torch.Tensor, good_neg: torch.Tensor, alpha: float, theta: float = 0.0) -> torch.Tensor:
    """-log softmax(alpha g) of the true label among those shown, averaged: N-pair loss (Sohn 2016) of goodness.

    With one negative sample it is `symba`, with all wrong labels the cross-entropy of a classifier by goodness.
    """
    shown = alpha * torch.cat([good_pos[None], good_neg.view(-1, len(good_pos))])
    return (shown.logsumexp(0) - shown[0]).mean()


def goodness_loss(config: "LearningConfig", good: torch.Tensor) -> torch.Tensor:
    """The local loss that a configuration names, of the goodness ((1 + K) B,) of positive and, behind them, negative
    samples."""
    part, (good_pos, *good_neg), theta = LOSSES[config.loss], good.chunk(config.copies), config.theta or 0.0
    if part.joint:
        loss = part.of(good_pos, torch.stack(good_neg), config.alpha, theta)
    else:
        loss = part.of(good_pos.repeat(len(good_neg)), torch.cat(good_neg), config.alpha, theta)
    return with_label_smoothing(config, loss, good)


def with_label_smoothing(config: "LearningConfig", loss: torch.Tensor, good: torch.Tensor) -> torch.Tensor:
    """A layer's loss, and s alpha (g+ - mean g) with s = `label_smoothing`; the mean is over all samples of an image,
    the positive one too.

    With `softmax` this is cross-entropy with the share s of the target spread evenly over the labels shown (Szegedy et
    al. 2016, arXiv 1512.00567, section 7), with `symba` the same of two labels. With any loss it keeps margins from
    growing without end.

    Args:
        loss: ().
        good: ((1 + K) B,) goodness of positive and, behind them, negative samples.
    """
    if not config.label_smoothing:
        return loss
    shown = good.view(config.copies, -1)
    return loss + config.label_smoothing * config.alpha * (shown[0] - shown.mean(0)).mean()


def pair_loss(config: "LearningConfig", good_pos: torch.Tensor, good_neg: torch.Tensor) -> torch.Tensor:
    """`goodness_loss` of goodness in two parts: layers of one's own from before there were several negative samples say
    `pair_loss(config, *good.chunk(2))`."""
    return goodness_loss(config, torch.cat([good_pos, good_neg]))


def with_rate_penalty(config: "LearningConfig", loss: torch.Tensor, firing: torch.Tensor) -> torch.Tensor:
    """A layer's loss, and `rate_penalty` times its firing rate: spikes a neuron and time step, averaged over all
    samples, with their gradient (after Sorbaro et al. 2020, doi 10.3389/fnins.2020.00662, who penalise all layers'
    synaptic operations)."""
    return loss + config.rate_penalty * firing if config.rate_penalty else loss


def readout_loss(rate_BC: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
    """Mean squared error of an output layer's rates (B, C) to the one-hot labels (B,)."""
    return mse_loss(rate_BC, one_hot(y_B, rate_BC.shape[1]).to(rate_BC.dtype))
