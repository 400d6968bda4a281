"""Images shown step by step: membrane potentials are carried from one step to the next, and an image that is decided
leaves, so that its further steps are not computed.

Sums are those of a layer's plain path; the compiled one adds up in another order, so that a potential within rounding
of its threshold may differ.

Legend: T time steps, B images (those that are left), C classes, S samples (C x B), H neurons.
"""

from functools import partial
from typing import NamedTuple

import torch

from ffsnn.inference import exits
from ffsnn.labels import every_label
from ffsnn.layer import Input, SteppedLayer
from ffsnn.network import Network
from ffsnn.parts.registry import GOODNESS, PREDICTIONS
from ffsnn.randomness import generator
from ffsnn.validation import ConfigError


class Decided(NamedTuple):
    """Predictions of images (B,)."""

    labels: torch.Tensor
    margins: torch.Tensor
    steps: torch.Tensor  # that each was shown


class Stepper:
    """A batch of images under all labels, shown step by step.

    Raises:
        ConfigError: the network cannot be read before its last step, or its layers cannot be shown steps.
    """

    def __init__(self, network: Network, x: torch.Tensor, batch: int = 0) -> None:
        if why := exits.refusal(network):
            raise ConfigError(why)
        self.network, self.t = network, 0
        self.layers = [layer for layer in network.each_layer if isinstance(layer, SteppedLayer)]
        if len(self.layers) < len(network.each_layer):
            raise ConfigError(f"early exit shows steps, which layer={network.config.network.layer!r} cannot be shown")
        noise = partial(generator, network.seed, "prediction", batch, device=x.device)
        self.x = network.encode(x, noise(0))
        self.constant: torch.Tensor | None = self._first(self.x) if len(self.x) == 1 else None
        samples, like = network.classes * len(x), next(network.parameters())
        self.v = [like.new_zeros(samples, shape.width) for shape in network.shapes]
        self.counts = [torch.zeros_like(v) for v in self.v]

    @torch.no_grad()
    def _first(self, x: torch.Tensor) -> torch.Tensor:
        """Current into the first layer, (S, H), of the input of one step (1, B, F)."""
        return self.layers[0].current(Input(x), *self._labels(self.network.classes * x.shape[1]))[0]

    def _labels(self, samples: int) -> tuple[torch.Tensor, int]:
        """All labels for each image, (C, B), and how many."""
        classes = self.network.classes
        return every_label(classes, samples // classes, self.x.device), classes

    @torch.no_grad()
    def step(self) -> torch.Tensor:
        """Show one more step; the scores (B, C) after it."""
        current = self._first(self.x[self.t][None]) if self.constant is None else self.constant
        self.t += 1
        for number, layer in enumerate(self.layers):
            spikes, self.v[number] = layer.fire(current, self.v[number])
            self.counts[number] += spikes
            if number + 1 < len(self.layers):
                seen = Input(self.network.with_label_inputs(spikes.to(torch.uint8)[None]))
                current = self.layers[number + 1].current(seen, *self._labels(len(spikes)))[0]
        return self._scores()

    def _scores(self) -> torch.Tensor:
        config, first = self.network.config.network, PREDICTIONS[self.network.prediction].goodness_from or 0
        divisor = self.t if config.activity == "rate" else 1
        of = GOODNESS[config.goodness].of
        read = [it / divisor for it, layer in zip(self.counts, self.layers, strict=True) if not layer.reads_out]
        return torch.stack([of(it) for it in read[first:]]).sum(0).view(self.network.classes, -1).T

    def keep(self, left: torch.Tensor) -> None:
        """Go on with some of the images: a mask (B,)."""
        samples = left.repeat(self.network.classes)
        self.x = self.x[:, left]
        self.constant = None if self.constant is None else self.constant[samples]
        self.v, self.counts = [v[samples] for v in self.v], [it[samples] for it in self.counts]


@torch.no_grad()
def decide(network: Network, x: torch.Tensor, threshold: float, batch: int = 0) -> Decided:
    """Labels of uint8 images (B, F), each shown no longer than until its margin is no less than the threshold.

    Raises:
        ConfigError: as `Stepper`.
    """
    stepper, left = Stepper(network, x, batch), torch.arange(len(x), device=x.device)
    labels, steps = torch.zeros_like(left), torch.zeros_like(left)
    margins = torch.zeros(len(x), device=x.device)
    while len(left):
        scores = stepper.step()
        best, second = scores.topk(2, 1).values.T
        done = (best - second >= threshold) | torch.tensor(stepper.t == network.T, device=x.device)
        which = left[done]
        labels[which], margins[which], steps[which] = scores.argmax(1)[done], (best - second)[done].float(), stepper.t
        left = left[~done]
        stepper.keep(~done)
    return Decided(labels, margins, steps)
