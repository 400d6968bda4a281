r"""A control for forward-forward learning: each layer has a linear classifier on its rates, and learns with it.

    ffsnn train mnist --use examples/class_head.py --layer class_head

The local loss of a layer is the cross-entropy of its own classifier (local errors: Mostafa et al. 2018, arXiv
1711.06756; Nokland & Eidnes 2019, arXiv 1901.06656), so nothing passes between layers here either. But there are no
positive and negative images: the label is not in the image, whatever `network.label_amplitude` says. What is called
goodness here is a layer's log probability of the label that it is asked about, so that all else stays as it is:
predictions by the sum over layers, searches, reports.

Neurons are SpikingJelly's, gradients autograd's. An image is shown once a label, which all give the same answer: so it
is no measure of speed.

Legend: R images, B samples (copies x R), H neurons, C classes.
"""

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ffsnn import dense
from ffsnn.config import RunConfig
from ffsnn.layer import Input, Layer, LayerOutput, register
from ffsnn.neuron import lif
from ffsnn.parts.losses import with_rate_penalty
from ffsnn.shapes import LayerShape
from ffsnn.training.optimiser import Joint, Optimiser


class ClassHeadLayer(dense.DenseLayer):
    """LIF neurons with weights (F, H), and their classifier's (H, C)."""

    def __init__(self, number: int, shape: LayerShape, config: RunConfig) -> None:
        network = config.network.model_copy(update={"label_amplitude": 0.0})
        super().__init__(number, shape, network, config.learning)
        self.fused = False
        self.head = nn.Parameter(torch.empty(shape.width, config.data.facts.classes))

    def initialise(self, generator: torch.Generator) -> None:
        super().initialise(generator)
        bound = 1 / math.sqrt(len(self.head))
        with torch.no_grad():
            self.head.copy_((2 * torch.rand(self.head.shape, generator=generator) - 1) * bound)

    def forward(
        self, seen: Input, y: torch.Tensor | None, copies: int, spikes: bool = True, rates: bool = True,
        loss: bool = False,
    ) -> LayerOutput:  # fmt: skip
        fired, counts = lif(self.neuron, self.network.T, self.current(seen, y, copies))
        rate = counts / self.network.T
        shown = (math.sqrt(self.shape.width) * rate @ self.head).log_softmax(1)
        good = shown.mean(1) if y is None else shown.gather(1, y.flatten()[:, None]).squeeze(1)
        answer = LayerOutput(fired, rate, good, rate.mean())
        if not loss or y is None:
            return answer
        own = cross_entropy(shown[: y.shape[1]], y[0])  # the other copies are the same images
        return answer._replace(loss=with_rate_penalty(self.learning, own, answer.firing))

    def optimiser(self) -> Optimiser:
        head = self._optimiser_of(self.head, self.learning)
        return Joint(self._optimiser_of(self.weight, self.learning), {"head": head})


def shapes(config: RunConfig) -> list[LayerShape]:
    """Those of dense layers, with the classifiers' weights."""
    classes = config.data.facts.classes
    return [it._replace(weights=it.weights + it.width * classes) for it in dense.shapes(config)]


def build(number: int, shape: LayerShape, config: RunConfig) -> Layer:
    return ClassHeadLayer(number, shape, config)


register("class_head", shapes, build, supports=("learning.rate_penalty",))
