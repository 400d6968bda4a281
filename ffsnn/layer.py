"""One fully connected LIF layer that learns alone: its weights, its local loss, its optimiser.

The current into a layer is `scale * (x @ weight)`: a row of the weights is what one input spike adds. Positive and
negative samples are copies of an image that differ in their label: copy 0 comes first, then copy 1, and so on.

Legend: T time steps, R rows (images), B samples (copies x R), F inputs, H neurons, C classes.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from ffsnn.config import LearningConfig, NetworkConfig
from ffsnn.goodness import GOODNESS, pair_loss, readout_loss
from ffsnn.neuron import LIF, compiled, lif

EPS = 1e-4  # keeps a silent input's norm away from 0


class Driven(NamedTuple):
    """What drives a layer's neurons: those of sample b, of row r, with `scale[b] * (current[r] + label[which[b]])`."""

    current: torch.Tensor  # (1 or T, R, H), in the products' type; 1: the same at every time step
    label: torch.Tensor | None  # (C or 1, H) that a label adds; None: the input carries none
    which: torch.Tensor | None  # (B,) each sample's label
    scale: torch.Tensor  # (1 or T, B)


class Layer(nn.Module):
    """LIF neurons with weights (F, H), without bias; the first `labels` inputs are the label's.

    Weights start uniform in +-1/sqrt(F), as `nn.Linear`'s; with inputs of root mean square 1 the current then has a
    standard deviation of 0.58, near any sensible v_threshold.
    """

    def __init__(
        self, number: int, inputs: int, width: int, labels: int, network: NetworkConfig, learning: LearningConfig
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, width))
        self.inputs, self.labels = inputs, labels
        self.network, self.learning = network, learning
        self.neuron = LIF.of(network)
        self.normalize = network.normalize[number] if isinstance(network.normalize, tuple) else network.normalize
        self.reads_out = learning.output == "mse" and number == len(network.widths) - 1
        self.fused = True  # take the compiled path where there is one; see `compiled`

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights in products."""
        return torch.bfloat16 if self.learning.precision == "bfloat16" else self.weight.dtype

    @property
    def _state(self) -> torch.dtype:
        """Of what is summed and of potentials."""
        return torch.promote_types(self.dtype, torch.float32)

    @property
    def compiled(self) -> bool:
        """Whether this layer takes a compiled path: in float32, with a compiler for its device."""
        return self.fused and self.weight.dtype == torch.float32 and compiled(self.weight.device.type)

    def initialise(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(self.inputs)
        with torch.no_grad():
            self.weight.copy_(torch.rand(self.weight.T.shape, generator=generator).T * (2 * bound) - bound)

    def forward(
        self, x: torch.Tensor, y: torch.Tensor | None, copies: int, wanted: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Show an input.

        Args:
            x: (1, R, F) intensities, or spikes (T, R, F) as uint8. Into the first layer all copies of a row are the
                same and its first inputs, the label's, are 0; into a deeper one R is the number of samples.
            y: (copies, R) labels, a copy a row; None: the neutral label, all C inputs at 1/C. Only the first layer
                looks at it.
            copies: samples of an image, one a label.
            wanted: whether spikes are; a GPU is spared writing them.

        Returns:
            spikes (T, B, H) as uint8, and rates (B, H), which alone carry a gradient.
        """
        T = self.network.T
        if not self.compiled:
            spikes, counts = self._plain(self._driven(x, y, copies))
        elif x.is_cuda:
            from ffsnn.lif_triton import SpikingNeurons  # triton is needed on this path alone

            spikes, counts = SpikingNeurons.apply(*self._driven(x, y, copies), T, self.neuron, wanted)
        else:
            from ffsnn import events  # numba is needed on this path alone
            from ffsnn.lif_cpu import SpikingLayer

            if self.labels:
                seen = events.of_images(x, self.labels, y, copies, self.network.label_amplitude)
            else:
                seen = events.of_spikes(x, copies)
            weight = self.weight.to(self.dtype)
            spikes, counts = SpikingLayer.apply(weight, seen, self._scale(seen.power), T, self.neuron)
        return spikes, counts / T

    def _driven(self, x: torch.Tensor, y: torch.Tensor | None, copies: int) -> Driven:
        """The layer as a matrix product, of an image once for all its copies."""
        labels, amplitude, state = self.labels, self.network.label_amplitude, self._state
        power = x.sum(-1, dtype=state) if x.dtype == torch.uint8 else x.to(state).square().sum(-1)
        begin = 0 if x.is_cuda else labels  # a GPU is slower on rows that are not aligned than on inputs that are 0
        current = x[..., begin:].to(self.dtype) @ self.weight[begin:].to(self.dtype)
        if not labels:
            return Driven(current, None, None, self._scale(power))
        if y is None:
            neutral = torch.zeros(copies * x.shape[1], dtype=torch.int64, device=x.device)
            label, which, power = self.weight[:labels].mean(0, keepdim=True), neutral, power + amplitude**2 / labels
        else:
            label, which, power = self.weight[:labels], y.flatten(), power + amplitude**2
        return Driven(current, amplitude * label, which, self._scale(power).repeat(1, copies))

    def _plain(self, driven: Driven) -> tuple[torch.Tensor, torch.Tensor]:
        """By SpikingJelly's LIF: for float64, where nothing is compiled, and to be compared with."""
        current, label, which, scale = driven
        current = current.to(self._state)
        if label is not None and which is not None:
            current = current.repeat(1, len(which) // current.shape[1], 1) + label[which]
        return lif(self.neuron, self.network.T, current * scale[:, :, None])

    def _scale(self, power: torch.Tensor) -> torch.Tensor:
        """What brings inputs with these sums of squares to a root mean square of 1."""
        if not self.normalize:
            return torch.ones_like(power)
        scale: torch.Tensor = math.sqrt(self.inputs) / (power.sqrt() + EPS)
        return scale

    def goodness_of(self, rate: torch.Tensor) -> torch.Tensor:
        """Goodness (B,) of rates (B, H), or of the counts behind them."""
        activity = rate * self.network.T if self.network.activity == "count" else rate
        return GOODNESS[self.network.goodness](activity)

    def local_loss(self, rate: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Loss, goodness of the positive and of the negative samples.

        Args:
            rate: (2R, H), positive samples first.
            y: (R,) true labels; a layer that reads out learns them from positive and negative samples alike.
        """
        good_pos, good_neg = self.goodness_of(rate).chunk(2)
        if self.reads_out:
            loss = readout_loss(rate, y.repeat(2))
        else:
            loss = pair_loss(self.learning, good_pos, good_neg)
        return loss, good_pos.detach(), good_neg.detach()

    def optimiser(self) -> torch.optim.Optimizer:
        """On a GPU its learning rate is a tensor there, which a captured step reads anew each time it runs."""
        learning, weight = self.learning, self.weight
        lr: float | torch.Tensor = torch.tensor(learning.lr, device=weight.device) if weight.is_cuda else learning.lr
        if learning.optimiser == "sgd":
            return torch.optim.SGD(
                [weight], lr=lr, momentum=learning.momentum or 0.0, weight_decay=learning.weight_decay,
                fused=weight.is_cuda or None,
            )  # fmt: skip
        return torch.optim.Adam(
            [weight], lr=lr, weight_decay=learning.weight_decay, fused=True, capturable=weight.is_cuda
        )
