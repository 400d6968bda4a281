"""What every layer sees and fires while images are shown under labels; for looking, not for training.

Legend: T time steps, B images, F inputs of a layer, H its neurons.
"""

from functools import partial
from typing import NamedTuple

import torch

from ffsnn.layer import Input
from ffsnn.network import Network
from ffsnn.randomness import generator


class Seen(NamedTuple):
    """One layer during one showing."""

    input: torch.Tensor  # (1 or T, B, F) intensities or spikes; 1: the same at every step; the label's inputs are 0
    spikes: torch.Tensor  # (T, B, H) of 0 and 1
    rate: torch.Tensor  # (B, H) spikes / T


@torch.no_grad()
def trace(network: Network, x: torch.Tensor, y: torch.Tensor, batch: int = 0) -> list[Seen]:
    """Show uint8 images (B, F) under labels (B,); a `Seen` for each layer.

    Encoding noise is that of a prediction: a function of (seed, batch).
    """
    noise = partial(generator, network.seed, "prediction", batch, device=x.device)
    seen, layers = Input(network.encode(x, noise(0))), []
    for number, (layer, shape) in enumerate(zip(network.each_layer, network.shapes, strict=True)):
        answer = layer(seen, y[None], 1)
        layers.append(Seen(seen.x[..., : shape.inputs], answer.spikes[..., : shape.width], answer.rates))
        seen = network.hand_on(answer, noise(number + 1))
    return layers
