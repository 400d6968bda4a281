"""The stack of layers, and how a label is read from it.

    goodness               the label under which the layers' summed goodness is largest (Hinton 2022, section 3.3)
    goodness_after_first   the same without the first layer
    largest_rate           the output neuron that fires most, summed over a pass under each label
    one_pass               the output neuron that fires most under a neutral label (all C inputs at 1/C)
    two_pass               one_pass proposes two labels, the hidden layers' goodness under each decides

An output layer that reads out (learning.output = mse) has no goodness to speak of and is left out of the sums.

Legend: T time steps, B images, F pixels, C classes, H neurons.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import nn
from torch.nn.functional import pad

from ffsnn.config import RunConfig
from ffsnn.encode import ENCODERS
from ffsnn.labels import clear
from ffsnn.layer import Layer
from ffsnn.randomness import generator

LANES = 4096  # samples (images x labels) predicted at once; bounds the memory of a prediction

Noise = Callable[[int], torch.Generator]  # the generator of a layer's encoding noise


class Network(nn.Module):
    """Fully connected spiking layers; each learns alone, so no gradient passes between them."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        facts, network = config.data.facts, config.network
        self.classes, self.T, self.seed = facts.classes, network.T, config.seed
        self.encoder = ENCODERS[network.encoder]
        self.appended, self.between, self.prediction = network.label == "appended", network.between, network.prediction
        sizes = (facts.side**2 + (facts.classes if self.appended else 0), *network.widths)
        self.layers = nn.ModuleList(
            Layer(number, inputs, width, facts.classes if number == 0 else 0, network, config.learning)
            for number, (inputs, width) in enumerate(pairwise(sizes))
        )
        for number, layer in enumerate(self.each_layer):
            layer.initialise(generator(config.seed, "weights", number))

    @property
    def each_layer(self) -> list[Layer]:
        """The layers with their type, which `ModuleList` forgets."""
        return cast(list[Layer], list(self.layers))

    def encode(self, x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """uint8 images (B, F) -> input (1, B, inputs) or spikes (T, B, inputs); the label's come first and are 0."""
        x = x.to(self.each_layer[0].weight.dtype) / 255
        x = pad(x, (self.classes, 0)) if self.appended else clear(x, self.classes)
        return self.encoder(x, self.T, noise)

    def hands_on_spikes(self, number: int) -> bool:
        """Whether there is a next layer, and it sees the spikes of layer `number`."""
        return self.between == "spikes" and number + 1 < len(self.layers)

    def hand_on(self, spikes: torch.Tensor, rate: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """What the next layer sees: spikes (T, B, H) as they are, or the rates (B, H) encoded again."""
        if self.between == "spikes":
            return spikes
        return self.encoder(rate.detach(), self.T, noise)

    def rates(self, x: torch.Tensor, y: torch.Tensor | None, noise: Noise) -> list[torch.Tensor]:
        """Each layer's rates (copies x B, H) for uint8 images (B, F) under labels (copies, B), or the neutral one."""
        h, rates, copies = self.encode(x, noise(0)), [], 1 if y is None else len(y)
        for number, layer in enumerate(self.each_layer):
            spikes, rate = layer(h, y, copies, self.hands_on_spikes(number))
            rates.append(rate)
            if number + 1 < len(self.layers):
                h = self.hand_on(spikes, rate, noise(number + 1))
        return rates

    def goodness(self, rates: list[torch.Tensor], first: int = 0) -> torch.Tensor:
        """Goodness (B,) summed over the layers from `first` that learn by it."""
        layers = self.each_layer
        good = [layers[n].goodness_of(rates[n]) for n in range(first, len(layers)) if not layers[n].reads_out]
        return torch.stack(good).sum(0)

    @torch.no_grad()
    def scores(
        self, x: torch.Tensor, batch: int = 0, prediction: str | None = None, noise: Noise | None = None
    ) -> torch.Tensor:
        """How much speaks for each label: (B, C) for uint8 images (B, F); the largest is the prediction.

        Encoding noise is a function of (seed, batch), unless given; the image's is the same under all labels.
        """
        prediction = prediction or self.prediction
        noise = noise or partial(generator, self.seed, "prediction", batch, device=x.device)
        if prediction == "one_pass":
            return self.rates(x, None, noise)[-1]
        if prediction == "two_pass":
            best = self.rates(x, None, noise)[-1].topk(2, 1).indices
            good = self.goodness(self.rates(x, best.T, noise)).view(2, len(x)).T
            return good.new_full((len(x), self.classes), float("-inf")).scatter(1, best, good)
        every = torch.arange(self.classes, device=x.device)[:, None].expand(-1, len(x))
        rates = self.rates(x, every, noise)
        if prediction == "largest_rate":
            return rates[-1].view(self.classes, len(x), -1).sum(0)
        return self.goodness(rates, 1 if prediction == "goodness_after_first" else 0).view(self.classes, len(x)).T

    def predict(self, x: torch.Tensor, prediction: str | None = None) -> torch.Tensor:
        """Labels (B,) of uint8 images (B, F), in batches; by the configured way of reading, or another."""
        parts = x.split(max(1, LANES // self.classes))
        return torch.cat([self.scores(part, number, prediction).argmax(1) for number, part in enumerate(parts)])

    def accuracy(self, x: torch.Tensor, y: torch.Tensor, prediction: str | None = None) -> float:
        """Share of images (B, F) with labels (B,) that are predicted rightly."""
        return (self.predict(x, prediction) == y).float().mean().item()
