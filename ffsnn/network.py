"""The stack of layers, and the scores from which a label is read (`ffsnn/parts/predictions.py`).

Legend: T time steps, B images, F pixels, C classes, H neurons.
"""

from functools import partial
from typing import cast

import torch
from torch import nn
from torch.nn.functional import pad

from ffsnn.config import RunConfig
from ffsnn.labels import accuracy_of, clear
from ffsnn.layer import TILE, Input, Layer, LayerOutput
from ffsnn.parts.predictions import Noise
from ffsnn.parts.registry import ENCODERS, FEATURES, LAYERS, PREDICTIONS
from ffsnn.randomness import generator
from ffsnn.shapes import layer_shapes

MAX_SAMPLES = 4096  # samples (images x labels) predicted at once; bounds the memory of a prediction
ROOM = 2**29  # bytes of a layer's spikes and currents in a GPU's prediction, which is slow on fewer samples


class Network(nn.Module):
    """Spiking layers; each learns alone, so no gradient passes between them."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        facts, network, self.config = config.data.facts, config.network, config
        self.classes, self.T, self.seed = facts.classes, network.T, config.seed
        self.events = facts.time == "events"
        self.encoder, self.shape = ENCODERS[network.encoder].encode, facts.shape
        self.features = FEATURES[network.features].extract
        self.label_inputs = facts.classes if network.label_layers == "every" else 0  # of each later layer
        self.appended, self.between, self.prediction = network.label == "appended", network.between, network.prediction
        self.shapes = layer_shapes(config)
        self.layers = nn.ModuleList(
            LAYERS[network.layer].build(number, shape, config) for number, shape in enumerate(self.shapes)
        )
        for number, layer in enumerate(self.each_layer):
            layer.initialise(generator(config.seed, "weights", number))

    @property
    def each_layer(self) -> list[Layer]:
        """The layers with their type, which `ModuleList` forgets."""
        return cast(list[Layer], list(self.layers))

    @property
    def prediction_batch(self) -> int:
        """Images that are predicted at once."""
        lanes, (first, *_) = MAX_SAMPLES, self.each_layer
        if next(first.parameters()).is_cuda:
            lanes = max(lanes, ROOM // (8 * self.T * max(shape.width for shape in self.shapes)))
        return max(1, lanes // self.classes)

    def encode(self, x: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        """uint8 images (B, F) -> input (1, B, inputs) or spikes (T, B, inputs); the label's come first and are 0, the
        features last.

        Of what was recorded over time, (B, T, F), each time step is encoded by itself: (T, B, inputs). Events are
        spikes as they are.
        """
        if self.events:
            x = (x > 0).to(torch.uint8)
            x = pad(x, (self.classes, 0)) if self.appended else clear(x, self.classes)
            return x.transpose(0, 1).contiguous()
        x = x / torch.tensor(255, dtype=next(self.parameters()).dtype)
        features = self.features(x, self.shape) if x.dim() == 2 else x[..., :0]
        x = pad(x, (self.classes, 0)) if self.appended else clear(x, self.classes)
        x = torch.cat([x, features], -1)
        if x.dim() == 3:
            encoded = torch.cat([self.encoder(step, 1, noise) for step in x.unbind(1)])
        else:
            encoded = self.encoder(x, self.T, noise)
        return clear(encoded, self.classes)  # not every encoder leaves 0 as it is

    def show(
        self, number: int, seen: Input, y: torch.Tensor | None, rates: bool = False, loss: bool = False
    ) -> LayerOutput:
        """Layer `number` sees an input under labels (copies, B), or the neutral one.

        Its answer has what the next layer needs; `rates`, `loss`: and these in any case.
        """
        more, copies = number + 1 < len(self.layers), 1 if y is None else len(y)
        spikes, rates = more and self.between == "spikes", rates or (more and self.between == "rate")
        return cast(LayerOutput, self.each_layer[number](seen, y, copies, spikes, rates, loss))

    def hand_on(self, answer: LayerOutput, noise: torch.Generator) -> Input:
        """Input of the next layer: spikes as they are, or the rates encoded again; the label's inputs come first."""
        if self.between == "spikes":
            return Input(self.with_label_inputs(answer.spikes), answer.squared_norm)
        return Input(self.with_label_inputs(self.encoder(answer.rates.detach(), self.T, noise)))

    def with_label_inputs(self, x: torch.Tensor) -> torch.Tensor:
        """Spikes or rates (1 or T, B, H) that a layer hands on; with `label_layers: every` behind C zeros, where the
        next layer writes the label.

        Hinton's recurrent network has the label reach all layers from above (arXiv 2212.13345, section 3.4), that of
        Karkehabadi et al. 2024 (arXiv 2405.12443, "direct labeling") is given it at each, as here.
        """
        if not self.label_inputs:
            return x
        return pad(x, (self.label_inputs, -(self.label_inputs + x.shape[-1]) % TILE if x.is_cuda else 0))

    def answers(self, x: torch.Tensor, y: torch.Tensor | None, noise: Noise, rates: bool = False) -> list[LayerOutput]:
        """Each layer's answer to uint8 images (B, F) under labels (copies, B), or the neutral one."""
        seen, answers = Input(self.encode(x, noise(0))), []
        for number in range(len(self.layers)):
            answers.append(self.show(number, seen, y, rates))
            if number + 1 < len(self.layers):
                seen = self.hand_on(answers[-1], noise(number + 1))
        return answers

    def goodness(self, answers: list[LayerOutput], first: int = 0) -> torch.Tensor:
        """Goodness (B,) summed over the layers from `first` that learn by it."""
        layers = self.each_layer
        return torch.stack([answers[n].goodness for n in range(first, len(layers)) if not layers[n].reads_out]).sum(0)

    @torch.no_grad()
    def scores(
        self, x: torch.Tensor, batch: int = 0, prediction: str | None = None, noise: Noise | None = None
    ) -> torch.Tensor:
        """Scores of the labels, (B, C) for uint8 images (B, F); the largest is the prediction.

        Encoding noise is a function of (seed, batch), unless given; the image's is the same under all labels.
        """
        noise = noise or partial(generator, self.seed, "prediction", batch, device=x.device)
        return PREDICTIONS[prediction or self.prediction].scores(self, x, noise)

    def predict(self, x: torch.Tensor, prediction: str | None = None) -> torch.Tensor:
        """Labels (B,) of uint8 images (B, F), in batches; by the configured way of reading, or another."""
        parts = x.split(self.prediction_batch)
        return torch.cat([self.scores(part, number, prediction).argmax(1) for number, part in enumerate(parts)])

    def accuracy(self, x: torch.Tensor, y: torch.Tensor, prediction: str | None = None) -> float:
        """Share of images (B, F) with labels (B,) that are predicted rightly."""
        return accuracy_of(self.predict(x, prediction) == y)
