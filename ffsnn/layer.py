"""One fully connected LIF layer that learns alone: its weights, its local loss, its optimiser.

The current into a layer is `scale * (x @ weight)`: a row of the weights is what one input spike adds. Positive and
negative samples are copies of an image that differ in their label: copy 0 comes first, then copy 1, and so on.

Legend: T time steps, R rows (images), B samples (copies x R), F inputs, H neurons, C classes.
"""

import math

import torch
from torch import nn

from ffsnn.config import LearningConfig, NetworkConfig
from ffsnn.goodness import GOODNESS, pair_loss, readout_loss
from ffsnn.neuron import LIF, compiled, lif

EPS = 1e-4  # keeps a silent input's norm away from 0


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
    def compiled(self) -> bool:
        """Whether this layer takes the compiled path: on a CPU, in float32, with a compiler."""
        return self.fused and self.weight.device.type == "cpu" and self.weight.dtype == torch.float32 and compiled()

    def initialise(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(self.inputs)
        with torch.no_grad():
            self.weight.copy_(torch.rand(self.weight.T.shape, generator=generator).T * (2 * bound) - bound)

    def forward(self, x: torch.Tensor, y: torch.Tensor | None, copies: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Show an input.

        Args:
            x: (1, R, F) intensities, or spikes (T, R, F) as uint8. Into the first layer all copies of a row are the
                same and its first inputs, the label's, are 0; into a deeper one R is the number of samples.
            y: (copies, R) labels, a copy a row; None: the neutral label, all C inputs at 1/C. Only the first layer
                looks at it.
            copies: samples of an image, one a label.

        Returns:
            spikes (T, B, H) as uint8, and rates (B, H), which alone carry a gradient.
        """
        T = self.network.T
        if self.compiled:
            from ffsnn import events  # numba is needed on this path alone
            from ffsnn.lif_cpu import SpikingLayer

            if self.labels:
                seen = events.of_images(x, self.labels, y, copies, self.network.label_amplitude)
            else:
                seen = events.of_spikes(x, copies)
            weight = self.weight.to(self.dtype)
            spikes, counts = SpikingLayer.apply(weight, seen, self._scale(seen.power), T, self.neuron)
        else:
            spikes, counts = self._plain(x, y, copies)
        return spikes, counts / T

    def _plain(self, x: torch.Tensor, y: torch.Tensor | None, copies: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The same as matrix products and SpikingJelly's LIF: for GPUs, for float64, and to be compared with."""
        state = torch.promote_types(self.dtype, torch.float32)
        labels, amplitude = self.labels, self.network.label_amplitude
        power = x.to(state).square().sum(-1)
        current = (x[..., labels:].to(self.dtype) @ self.weight[labels:].to(self.dtype)).to(state)
        if labels:
            power, current = power.repeat(1, copies), current.repeat(1, copies, 1)
            if y is None:
                power, current = power + amplitude**2 / labels, current + amplitude * self.weight[:labels].mean(0)
            else:
                power, current = power + amplitude**2, current + amplitude * self.weight[y.flatten()]
        return lif(self.neuron, self.network.T, current * self._scale(power)[:, :, None])

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
        learning = self.learning
        if learning.optimiser == "sgd":
            return torch.optim.SGD(
                self.parameters(), lr=learning.lr, momentum=learning.momentum or 0.0, weight_decay=learning.weight_decay
            )
        return torch.optim.Adam(self.parameters(), lr=learning.lr, weight_decay=learning.weight_decay, fused=True)
