"""Early exit of a trained network: its scores after every step, its curve, and the threshold for its images.

All steps are read from one showing of T, in which the membrane potentials go on from step to step. The scores after t
steps are those of the same weights with T=t where what is shown at a step does not depend on T: with constant current
(encoder 'direct'). They are not with 'latency', whose spikes come at times that scale with T; with 'poisson' they are
so in distribution, and a recording that is binned into T steps has other bins with another T.

Operations are additions that spikes cause (`ffsnn.inspection.energy`), of a sample, averaged over all labels that an
image is shown under; the multiply-adds of a constant current are done once, however many steps follow.

Legend: T time steps, B images, C classes.
"""

from functools import partial
from typing import NamedTuple

import torch

from ffsnn.datasets.dataset import Images
from ffsnn.inference import exit_rule
from ffsnn.inference.exit_rule import TOLERANCE, ExitPoint
from ffsnn.labels import every_label
from ffsnn.layer import Input
from ffsnn.network import Network
from ffsnn.parts.registry import GOODNESS, PREDICTIONS
from ffsnn.randomness import generator
from ffsnn.validation import ConfigError


class Exits(NamedTuple):
    """Early exit on a set of images."""

    points: list[ExitPoint]  # ascending thresholds; the last is inf: all T steps
    chosen: ExitPoint

    @property
    def full(self) -> ExitPoint:
        return self.points[-1]

    def words(self) -> str:
        """`early exit at a margin of 0.0213: 1.80 of 4 steps, ...`"""
        one, full = self.chosen, self.full
        return (
            f"early exit at a margin of {one.threshold:.4g}: {one.steps:.2f} of {full.steps:.0f} steps, "
            f"{one.operations:,.0f} of {full.operations:,.0f} synaptic operations a sample (mean over all labels), "
            f"accuracy {one.accuracy:.2%}, of all steps {full.accuracy:.2%} (validation images)"
        )


def refusal(network: Network) -> str | None:
    """The reason why a network cannot be read before its last step; None: it can."""
    prediction, between = network.prediction, network.between
    if PREDICTIONS[prediction].goodness_from is None:
        return f"early exit reads goodness, but prediction={prediction!r} reads something else: take 'goodness'"
    if between != "spikes":
        return f"early exit needs between='spikes', but got between={between!r}: a rate is known after all T steps"
    if network.config.is_final:
        return "early exit's threshold is chosen on validation images, which a final fit has none of"
    if network.T == 1:
        return "early exit needs a step to leave out, but got T=1"
    return None


@torch.no_grad()
def over_time(network: Network, x: torch.Tensor, batch: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (T, B, C) after each step of uint8 images (B, F), and synaptic operations (T, B) up to and with it.

    The last scores are those of `Network.scores`, with the same encoding noise.

    Raises:
        ConfigError: the network is read in another way; one line that names the field.
    """
    if why := refusal(network):
        raise ConfigError(why)
    first = PREDICTIONS[network.prediction].goodness_from
    assert first is not None
    goodness_of, by_rate = GOODNESS[network.config.network.goodness].of, network.config.network.activity == "rate"
    T, C, B = network.T, network.classes, len(x)
    noise = partial(generator, network.seed, "prediction", batch, device=x.device)
    labels = every_label(C, B, x.device)
    seen = Input(network.encode(x, noise(0)))
    scores = torch.zeros(T, C * B, device=x.device)
    operations = torch.zeros(T, C * B, dtype=torch.float64, device=x.device)
    for number, (layer, shape) in enumerate(zip(network.each_layer, network.shapes, strict=True)):
        if not (shape.constant or shape.varying):
            arrived = seen.x[..., : shape.inputs].sum(-1, dtype=torch.float64)
            operations += shape.fan_out * (arrived.repeat(1, C) if number == 0 else arrived)
        if shape.labels:
            operations[: 1 if shape.constant else T] += shape.fan_out
        answer = layer(seen, labels, C)
        spikes, counts = answer.spikes[..., : shape.width], torch.zeros(C * B, shape.width, device=x.device)
        for t in range(T):
            counts += spikes[t]
            if number >= first and not layer.reads_out:
                scores[t] += goodness_of(counts / (t + 1) if by_rate else counts)
        seen = network.hand_on(answer, noise(number + 1))
    return scores.view(T, C, B).transpose(1, 2), operations.cumsum(0).view(T, C, B).mean(1)


def of_images(network: Network, images: Images) -> tuple[torch.Tensor, torch.Tensor]:
    """`over_time` of any number of images, in the batches of a prediction."""
    parts = [over_time(network, x, batch) for batch, x in enumerate(images.x.split(network.prediction_batch))]
    scores, operations = zip(*parts, strict=True)
    return torch.cat(scores, 1), torch.cat(operations, 1)


def choose(network: Network, validation: Images, tolerance: float = TOLERANCE) -> Exits:
    """The curve over validation images, and the point on it that is chosen (`exit_rule.chosen`).

    Raises:
        ConfigError: as `over_time`; or the tolerance is no share.
    """
    scores, operations = of_images(network, validation)
    points = exit_rule.curve(
        scores, operations, validation.y, exit_rule.candidates(exit_rule.margins(scores))
    )  # fmt: skip
    return Exits(points, exit_rule.chosen(points, tolerance))


def applied(network: Network, images: Images, threshold: float) -> ExitPoint:
    """The results of a threshold on other images, such as the test images."""
    return exit_rule.curve(*of_images(network, images), images.y, [threshold])[0]
