"""Predictions: how a label is read from a network; functions by name that give each label a score.

An output layer that reads out (learning.output = mse) has no goodness to speak of and is left out of the sums.

Legend: B images, F pixels, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ffsnn.labels import every_label
from ffsnn.parts.registry import PREDICTIONS

if TYPE_CHECKING:
    from ffsnn.network import Network

Noise = Callable[[int], torch.Generator]  # the generator of a layer's encoding noise
Scores = Callable[["Network", torch.Tensor, Noise], torch.Tensor]  # uint8 images (B, F) -> (B, C)


@dataclass(frozen=True)
class Prediction:
    """A way to read a label, and what it needs of the network."""

    scores: Scores
    passes: int | None = None  # samples that are shown for an image; None: one a class
    hidden: int = 0  # layers with goodness that there must be
    one_a_class: bool = False  # it reads the output layer, which must have a neuron a class
    goodness_from: int | None = None  # it sums the goodness of the layers from this one on; None: it reads otherwise
    neutral: bool = False  # it shows the neutral label, which is in place, to a network with a trained output layer

    def samples(self, classes: int) -> int:
        """Samples that are shown for an image."""
        return classes if self.passes is None else self.passes


register = PREDICTIONS.decorator(Prediction)


def _by_goodness(network: "Network", x: torch.Tensor, noise: Noise, first: int) -> torch.Tensor:
    good = network.goodness(network.answers(x, every_label(network.classes, len(x), x.device), noise), first)
    return good.view(network.classes, len(x)).T


@register("goodness", hidden=1, goodness_from=0)
def goodness(network: "Network", x: torch.Tensor, noise: Noise) -> torch.Tensor:
    """The layers' summed goodness under each label (Hinton 2022, section 3.3)."""
    return _by_goodness(network, x, noise, first=0)


@register("goodness_after_first", hidden=2, goodness_from=1)
def goodness_after_first(network: "Network", x: torch.Tensor, noise: Noise) -> torch.Tensor:
    """Summed goodness without the first layer's."""
    return _by_goodness(network, x, noise, first=1)


@register("largest_rate", one_a_class=True)
def largest_rate(network: "Network", x: torch.Tensor, noise: Noise) -> torch.Tensor:
    """The output neurons' rates, summed over a pass under each label."""
    rates = network.answers(x, every_label(network.classes, len(x), x.device), noise, rates=True)[-1].rates
    return rates.view(network.classes, len(x), -1).sum(0)


@register("one_pass", passes=1, one_a_class=True, neutral=True)
def one_pass(network: "Network", x: torch.Tensor, noise: Noise) -> torch.Tensor:
    """The output neurons' rates under a neutral label (all C inputs at 1/C)."""
    return network.answers(x, None, noise, rates=True)[-1].rates


@register("two_pass", passes=3, hidden=1, one_a_class=True, neutral=True)
def two_pass(network: "Network", x: torch.Tensor, noise: Noise) -> torch.Tensor:
    """`one_pass` proposes two labels; the hidden layers' goodness under each decides."""
    best = one_pass(network, x, noise).topk(2, 1).indices
    good = network.goodness(network.answers(x, best.T, noise)).view(2, len(x)).T
    return good.new_full((len(x), network.classes), float("-inf")).scatter(1, best, good)
