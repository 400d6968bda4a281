"""The shape of every layer of a network, worked out from its configuration in one place."""

from typing import NamedTuple

from ffsnn.config import RunConfig
from ffsnn.parts.registry import LAYERS


class LayerShape(NamedTuple):
    """A layer as memory, energy, disk and pictures need to know it."""

    inputs: int  # those of the label among them
    width: int  # neurons
    labels: int  # inputs that are the label's, the first ones; 0: it does not see the label
    constant: bool  # it sees intensities that do not change in time, and no spikes
    weights: int
    fan_out: int  # neurons that an input reaches
    matrix_inputs: int = 0  # the last inputs: while constant, a CPU multiplies them as a matrix, and lists no events
    varying: bool = False  # it sees intensities that change from time step to time step, and no spikes


def layer_shapes(config: RunConfig) -> list[LayerShape]:
    """Each layer's shape, the first one first."""
    return LAYERS[config.network.layer].shapes(config)
