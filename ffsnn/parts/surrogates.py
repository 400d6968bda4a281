"""Surrogates: the derivative that is used for a spike's, which has none (Neftci et al. 2019, arXiv 1901.09948).

Those of SpikingJelly are compiled; any other trains by the plain path, 5 to 9 times slower.
"""

from collections.abc import Callable
from dataclasses import dataclass

from spikingjelly.activation_based import surrogate
from torch import nn

from ffsnn.parts.registry import SURROGATES

Make = Callable[..., nn.Module]  # alpha=sharpness -> a module from h - v_threshold to spikes, with a gradient


@dataclass(frozen=True)
class Surrogate:
    """A surrogate: the function that makes it, and whether the kernels know its formula."""

    make: Make
    compiled: bool = False


register = SURROGATES.decorator(Surrogate)


for _name, _make in {
    "atan": surrogate.ATan, "sigmoid": surrogate.Sigmoid, "piecewise_quadratic": surrogate.PiecewiseQuadratic,
    "piecewise_exp": surrogate.PiecewiseExp, "soft_sign": surrogate.SoftSign, "super_spike": surrogate.SuperSpike,
    "erf": surrogate.Erf,
}.items():  # fmt: skip
    SURROGATES.add(_name, Surrogate(_make, compiled=True))
