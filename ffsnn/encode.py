"""Images -> input over time: how pixel intensities enter a spiking network.

`direct` shows the intensity itself as a constant current; `poisson` draws a Bernoulli spike with the intensity as its
probability, afresh each time step (rate coding). What does not change in time keeps a time axis of length 1.

`latency` sends one spike a pixel, at step (T - 1)(1 - x), rounded: the brighter, the earlier (SpikingJelly's
`LatencyEncoder`; unlike there, a black pixel sends none).

Legend: T time steps, B images, F pixels in [0, 1].
"""

import torch

from ffsnn.kernels.backends import compiled


def direct(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """(1, B, F): the intensities, the same at every step."""
    return x_BF[None]


def poisson(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """(T, B, F), uint8: independent spikes of probability x."""
    if x_BF.device.type == "cpu" and x_BF.dtype == torch.float32 and compiled(x_BF.device):
        from ffsnn.kernels.sparse_input import bernoulli

        return bernoulli(x_BF, T, generator)
    return (torch.rand(T, *x_BF.shape, generator=generator, device=x_BF.device) < x_BF).view(torch.uint8)


def latency(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """(T, B, F), uint8: one spike for each pixel not black, at a time that falls linearly with its intensity."""
    when = ((T - 1) * (1 - x_BF)).round()
    when.masked_fill_(x_BF <= 0, T)  # never
    steps = torch.arange(T, device=x_BF.device, dtype=when.dtype)
    return (when == steps[:, None, None]).to(torch.uint8)


ENCODERS = {"direct": direct, "poisson": poisson, "latency": latency}


def spikes(encoder: str, x_NF: torch.Tensor, T: int) -> float:
    """Spikes that an image sends, expected and averaged over images (N, F) of bytes; 0: its current is constant."""
    if encoder == "direct":
        return 0.0
    sent = T * x_NF.sum(dtype=torch.int64).item() / 255 if encoder == "poisson" else x_NF.count_nonzero().item()
    return sent / len(x_NF)
