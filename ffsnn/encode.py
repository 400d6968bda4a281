"""Images -> input over time: how pixel intensities enter a spiking network.

`direct` shows the intensity itself as a constant current; `poisson` draws a Bernoulli spike with the intensity as its
probability, afresh each time step (rate coding). What does not change in time keeps a time axis of length 1.

Legend: T time steps, B images, F pixels in [0, 1].
"""

import torch


def direct(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """(1, B, F): the intensities, the same at every step."""
    return x_BF[None]


def poisson(x_BF: torch.Tensor, T: int, generator: torch.Generator) -> torch.Tensor:
    """(T, B, F): independent spikes of probability x."""
    noise = torch.rand(T, *x_BF.shape, generator=generator, device=x_BF.device, dtype=torch.float32)
    return (noise < x_BF).to(x_BF.dtype)


ENCODERS = {"direct": direct, "poisson": poisson}
