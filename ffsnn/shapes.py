"""The shape of every layer of a network, worked out from its configuration in one place."""

from typing import NamedTuple

from ffsnn.config import RunConfig


class LayerShape(NamedTuple):
    """A fully connected layer: weights (inputs, width)."""

    inputs: int  # those of the label among them
    width: int  # neurons
    labels: int  # inputs that are the label's, the first ones; 0 behind the first layer
    constant: bool  # it sees intensities that do not change in time, and no spikes

    @property
    def weights(self) -> int:
        return self.inputs * self.width


def layer_shapes(config: RunConfig) -> list[LayerShape]:
    """Each layer's shape, the first one first."""
    facts, network = config.data.facts, config.network
    inputs = facts.side**2 + (facts.classes if network.label == "appended" else 0)
    shapes = []
    for number, width in enumerate(network.widths):
        constant = network.encoder == "direct" and (number == 0 or network.between == "rate")
        shapes.append(LayerShape(inputs, width, facts.classes if number == 0 else 0, constant))
        inputs = width
    return shapes
