"""What showing one image under one label costs: spikes, operations, and the customary estimate in nanojoules.

A spike into a layer is one addition for each of its neurons: a synaptic operation. An intensity (direct current, or a
rate handed on as one) needs a multiplication besides, and is counted densely, black pixels too, but once an image: a
current that is the same at every time step is computed at the first and kept; of a series it is another one at each.
The label is one input that is on: an addition a neuron, once where the current is constant, else at every step (its
amplitude is folded into the weights).

Energies are those of 32-bit floating point in 45 nm: 0.9 pJ an addition, 3.7 pJ a multiplication (M. Horowitz,
"Computing's energy problem (and what we can do about it)", ISSCC 2014, doi 10.1109/ISSCC.2014.6757323). As is the
custom, arithmetic of the synapses alone is counted: no memory, which costs more, no leak, reset or normalisation.

Legend: T time steps, B images, F inputs of a layer, H its neurons, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ffsnn.config import RunConfig
from ffsnn.datasets.dataset import Images
from ffsnn.inspection.trace import trace
from ffsnn.network import Network
from ffsnn.parts.registry import ENCODERS, PREDICTIONS
from ffsnn.shapes import layer_shapes

ADDITION_PJ = 0.9
MULTIPLY_ADD_PJ = 4.6


@dataclass(frozen=True)
class Energy:
    """Energy of one sample (an image under a label), on average. Tuples hold a value a layer.

    A dense network of these widths that is read in one pass does each of `dense_multiply_adds` once. A spiking one does
    its operations `passes` times to predict a label, except the first layer's multiply-adds, which all passes share.
    """

    spikes: tuple[float, ...]  # fired by the layer, all time steps
    synaptic_operations: tuple[float, ...]  # additions: spikes into the layer (and the label) times its neurons
    multiply_adds: tuple[float, ...]  # of a constant current of intensities, once; 0 where spikes come in
    dense_multiply_adds: tuple[int, ...]  # inputs times neurons: the same layer in a network without spikes
    passes: int  # samples that a prediction shows: C, or 1 (one_pass), or 3 (two_pass)

    @property
    def nanojoules(self) -> float:
        """Estimated energy of one sample."""
        return (ADDITION_PJ * sum(self.synaptic_operations) + MULTIPLY_ADD_PJ * sum(self.multiply_adds)) / 1000

    @property
    def dense_nanojoules(self) -> float:
        """Estimated energy of one sample in a network of the same widths without spikes."""
        return MULTIPLY_ADD_PJ * sum(self.dense_multiply_adds) / 1000

    def table(self) -> str:
        """For a person: a line a layer, the sums, the estimate."""
        lines = [f"{'':8}{'spikes':>12}{'additions':>14}{'multiply-adds':>15}{'dense network':>15}"]
        columns = (self.spikes, self.synaptic_operations, self.multiply_adds, self.dense_multiply_adds)
        for number, row in enumerate(zip(*columns, strict=True)):
            lines.append(_row(f"layer {number}", *row))
        lines.append(_row("sum", *map(sum, columns)))
        lines.append(
            f"45 nm estimate: {self.nanojoules:,.0f} nJ a sample; dense: {self.dense_nanojoules:,.0f} nJ "
            f"({ADDITION_PJ} pJ an addition, {MULTIPLY_ADD_PJ} pJ a multiply-add; Horowitz, ISSCC 2014); "
            f"samples a prediction: {self.passes}"
        )
        return "\n".join(lines)


def _row(name: str, spikes: float, additions: float, multiply_adds: float, dense: float) -> str:
    return f"{name:8}{spikes:12,.1f}{additions:14,.0f}{multiply_adds:15,.0f}{dense:15,.0f}"


def measure(network: Network, images: Images, labels: torch.Tensor | None = None) -> Energy:
    """Average over images (N of them), each shown under one label.

    Args:
        network: a trained one.
        images: on its device.
        labels: (N,) to show the images under, e.g. `images.y`; None: as the network predicts them.

    Raises:
        ValueError: there is no image.
    """
    if not len(images):
        raise ValueError("energy is an average over images and needs one, but got 0")
    labels = network.predict(images.x) if labels is None else labels
    layers = len(network.shapes)
    fired = torch.zeros(layers, dtype=torch.float64)
    arrived = torch.zeros(layers, dtype=torch.float64)  # spikes into each layer
    size = network.prediction_batch  # as `Network.predict` does: an image sees the same encoding noise
    for batch, (x, y) in enumerate(zip(images.x.split(size), labels.split(size), strict=True)):
        for number, seen in enumerate(trace(network, x, y, batch)):
            fired[number] += seen.spikes.sum(dtype=torch.float64).cpu()
            arrived[number] += seen.input.sum(dtype=torch.float64).cpu()
    return _energy(network.config, *((sums / len(images)).tolist() for sums in (fired, arrived)))


def of_rates(config: RunConfig, rates: Sequence[float], input_spikes: float) -> Energy | None:
    """Energy from firing rates that training has recorded, averaged over its samples.

    None where that does not tell: a layer has not been shown anything yet, or sends the time of its rates.

    Args:
        config: of the network.
        rates: each layer's firing rate.
        input_spikes: that an image sends; 0: a constant current.
    """
    network = config.network
    encoder = ENCODERS[network.encoder]
    unknown = network.between == "rate" and not (encoder.constant or encoder.keeps_rate)  # how often rates are sent
    if unknown or (config.learning.layers == "greedy" and 0 in rates):
        return None
    fired = _fired(config, rates)
    return _energy(config, fired, [input_spikes, *fired[:-1]])


def spikes_of(config: RunConfig, rates: Sequence[float]) -> float:
    """Spikes that a network fires for a sample, from the firing rates that training has recorded."""
    return sum(_fired(config, rates))


def _fired(config: RunConfig, rates: Sequence[float]) -> list[float]:
    """Spikes of each layer for a sample."""
    shapes = layer_shapes(config)
    return [rate * config.network.T * shape.width for rate, shape in zip(rates, shapes, strict=True)]


def _energy(config: RunConfig, fired: Sequence[float], arrived: Sequence[float]) -> Energy:
    """The energy of a sample, from the spikes that each layer fires and those that come into it."""
    T, shapes, additions = config.network.T, layer_shapes(config), []
    for shape, spikes in zip(shapes, arrived, strict=True):
        label = 0 if not shape.labels else 1 if shape.constant else T
        additions.append(((0.0 if shape.constant or shape.varying else spikes) + label) * shape.fan_out)
    return Energy(
        spikes=tuple(fired),
        synaptic_operations=tuple(additions),
        multiply_adds=tuple(
            float((it.inputs - it.labels) * it.fan_out * (T if it.varying else it.constant)) for it in shapes
        ),
        dense_multiply_adds=tuple(shape.inputs * shape.fan_out for shape in shapes),
        passes=PREDICTIONS[config.network.prediction].samples(config.data.facts.classes),
    )
