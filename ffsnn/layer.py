"""One fully connected LIF layer that learns alone: its weights, its local loss, its optimiser.

The current into a layer is `scale * (W x + offset)`. For the first layer W acts on the image, which positive and
negative copies share, and the offset is the label's column of the weights; deeper layers have no offset and see
spikes.

Legend: T time steps, R rows (images), B samples (copies x R), F inputs, H neurons, C classes.
"""

import math

import torch
from torch import nn

from ffsnn.config import LearningConfig, NetworkConfig
from ffsnn.goodness import GOODNESS, pair_loss, readout_loss
from ffsnn.neuron import LIF, lif

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
EPS = 1e-4  # keeps a silent input's norm away from 0


class Layer(nn.Module):
    """LIF neurons with weights (H, F), without bias; the first `labels` inputs are the label's.

    Weights start uniform in +-1/sqrt(F), as `nn.Linear`'s; with inputs of root mean square 1 the current then has a
    standard deviation of 0.58, near any sensible v_threshold.
    """

    def __init__(
        self, number: int, inputs: int, width: int, labels: int, network: NetworkConfig, learning: LearningConfig
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, inputs))
        self.inputs, self.labels = inputs, labels
        self.network, self.learning = network, learning
        self.neuron = LIF.of(network)
        self.normalize = network.normalize[number] if isinstance(network.normalize, tuple) else network.normalize
        self.reads_out = learning.output == "mse" and number == len(network.widths) - 1
        self.fused = True

    def initialise(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(self.inputs)
        with torch.no_grad():
            self.weight.copy_(torch.rand(self.weight.shape, generator=generator) * (2 * bound) - bound)

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Show an input.

        Args:
            x: (1 or T, R, F) intensities or spikes; the label's inputs, the first ones, are ignored.
            y: (copies, R) labels, a copy a row; None: the neutral label, all C inputs at 1/C. Only the first layer
                looks at it.

        Returns:
            spikes (T, B, H), without a gradient, and rates (B, H).
        """
        weight = self.weight.to(x.dtype)
        current = nn.functional.linear(x[..., self.labels :], weight[:, self.labels :])
        amplitude = self.network.label_amplitude
        if not self.labels:
            offset, power = None, 0.0
        elif y is None:
            neutral = amplitude * self.weight[:, : self.labels].mean(1)
            offset, power = neutral.expand(x.shape[1], -1).contiguous(), amplitude**2 / self.labels
        else:
            offset = amplitude * self.weight[:, : self.labels].T.index_select(0, y.flatten())
            power = amplitude**2
        T = self.network.T
        spikes, counts = lif(self.neuron, T, current, self._scale(x, power), offset, self.fused)
        return spikes, counts / T

    def _scale(self, x: torch.Tensor, label_power: float) -> torch.Tensor:
        """(1 or T, R): what brings each sample's input to a root mean square of 1 at each time step."""
        state = torch.float64 if x.dtype == torch.float64 else torch.float32
        if not self.normalize:
            return torch.ones(x.shape[:2], dtype=state, device=x.device)
        norm: torch.Tensor = torch.linalg.vector_norm(x[..., self.labels :], dim=-1, dtype=state)
        if label_power:
            norm = (norm.square() + label_power).sqrt()
        scale: torch.Tensor = math.sqrt(self.inputs) / (norm + EPS)
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
