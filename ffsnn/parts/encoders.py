"""Encoders: how pixel intensities become the input of a spiking network over time; by name.

Legend: T time steps, B images, F pixels in [0, 1].
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ffsnn.kernels.backends import compiled
from ffsnn.parts.registry import ENCODERS

Encode = Callable[[torch.Tensor, int, torch.Generator], torch.Tensor]  # (B, F), T, noise -> (1, B, F) or (T, B, F)
SAMPLE = 256  # images whose spikes are counted where no formula says how many there are


@dataclass(frozen=True)
class Encoder:
    """An encoder, and what follows from it."""

    encode: Encode
    constant: bool = False  # it gives intensities (1, B, F) that do not change in time, and no spikes
    dense: bool = False  # hardly any intensity is 0
    keeps_rate: bool = False  # a pixel's expected rate of spikes is its intensity
    least_T: int = 1  # time steps that it needs
    random: bool = False  # it draws a number a pixel and time step, for which memory is needed
    expected: Callable[[torch.Tensor, int], float] | None = None  # bytes (N, F), T -> spikes in all

    def spikes(self, x_NF: torch.Tensor, T: int) -> float:
        """Spikes that an image sends, expected and averaged over images (N, F) of bytes; 0: its current is constant."""
        if self.constant:
            return 0.0
        if self.expected is not None:
            return self.expected(x_NF, T) / len(x_NF)
        some = x_NF[:SAMPLE] / 255
        noise = torch.Generator(x_NF.device).manual_seed(0)
        return self.encode(some, T, noise).sum(dtype=torch.float64).item() / len(some)


register = ENCODERS.decorator(Encoder)


@register("direct", constant=True, keeps_rate=True)
def direct(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """(1, B, F): the intensity itself as a constant current."""
    return x_BF[None]


@register("centred", constant=True, dense=True)
def centred(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """(1, B, F): each input less the mean of the image's F inputs, as a constant current (LeCun et al. 1998, section
    4.3). The F inputs are its pixels, its features, and those of the label, which are 0 here.

    Without a bias, and with inputs that are all positive, neurons see how bright an image is before anything else.
    """
    return (x_BF - x_BF.mean(1, keepdim=True))[None]


@register(
    "poisson", keeps_rate=True, random=True, expected=lambda x_NF, T: T * x_NF.sum(dtype=torch.int64).item() / 255
)
def poisson(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """(T, B, F), uint8: a Bernoulli spike of probability x, afresh each time step (rate coding)."""
    if x_BF.device.type == "cpu" and x_BF.dtype == torch.float32 and compiled(x_BF.device):
        from ffsnn.kernels.sparse_input import bernoulli

        return bernoulli(x_BF, T, generator)
    return (torch.rand(T, *x_BF.shape, generator=generator, device=x_BF.device) < x_BF).view(torch.uint8)


@register("latency", least_T=2, expected=lambda x_NF, T: float(x_NF.count_nonzero().item()))
def latency(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """(T, B, F), uint8: one spike a pixel, at step (T - 1)(1 - x), rounded: the brighter, the earlier.

    SpikingJelly's `LatencyEncoder`; unlike there, a black pixel sends none.
    """
    when = ((T - 1) * (1 - x_BF)).round()
    when.masked_fill_(x_BF <= 0, T)  # never
    steps = torch.arange(T, device=x_BF.device, dtype=when.dtype)
    return (when == steps[:, None, None]).to(torch.uint8)
