"""The stack of layers, and its prediction.

Legend: T time steps, B images, F pixels, C classes, L layers.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import nn

from ffsnn.config import RunConfig
from ffsnn.encode import ENCODERS
from ffsnn.labels import clear
from ffsnn.layer import PRECISIONS, Layer
from ffsnn.randomness import generator

LANES = 4096  # samples (images x labels) predicted at once; bounds the memory of a prediction


class Network(nn.Module):
    """Fully connected spiking layers; each learns alone, so no gradient passes between them."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        facts, network = config.data.facts, config.network
        self.classes, self.T = facts.classes, network.T
        self.dtype = PRECISIONS[config.learning.precision]
        self.encoder = ENCODERS[network.encoder]
        self.seed = config.seed
        sizes = (facts.side**2, *network.widths)
        self.layers = nn.ModuleList(
            Layer(inputs, width, facts.classes if first == 0 else 0, network, config.learning)
            for first, (inputs, width) in enumerate(pairwise(sizes))
        )
        for number, layer in enumerate(self.each_layer):
            layer.initialise(generator(config.seed, "weights", number))

    @property
    def each_layer(self) -> list[Layer]:
        """The layers with their type, which `ModuleList` forgets."""
        return cast(list[Layer], list(self.layers))

    def encode(self, x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """uint8 images (B, F) -> input (1 or T, B, F), the label's pixels cleared."""
        return self.encoder(clear(x.to(self.dtype) / 255, self.classes), self.T, noise)

    @torch.no_grad()
    def goodness(self, x: torch.Tensor, batch: int = 0) -> torch.Tensor:
        """Summed goodness of uint8 images (B, F) under every label: (B, C).

        Noise, where the encoder draws any, is a function of (seed, batch) and the same for all labels of an image.
        """
        device = x.device
        h = self.encode(x, generator(self.seed, "prediction", batch, device=device))
        y = torch.arange(self.classes, device=device)[:, None].expand(-1, len(x))
        total = torch.zeros(self.classes * len(x), device=device)
        for number, layer in enumerate(self.each_layer):
            h, rate = layer(h, y if number == 0 else None)
            total += layer.goodness_of(rate)
        return total.view(self.classes, len(x)).T

    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Labels (B,) of uint8 images (B, F), in batches: each the one with the largest summed goodness."""
        size = max(1, LANES // self.classes)
        return torch.cat([self.goodness(part, number).argmax(1) for number, part in enumerate(x.split(size))])

    def accuracy(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """Share of images (B, F) with labels (B,) that are predicted rightly."""
        return (self.predict(x) == y).float().mean().item()
