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
from ffsnn.goodness import GOODNESS, loss
from ffsnn.neuron import LIF, lif

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
EPS = 1e-4  # keeps a silent input's norm away from 0


class Layer(nn.Module):
    """LIF neurons with weights (H, F), without bias; the first `labels` inputs are the label's.

    Weights start uniform in +-1/sqrt(F), as `nn.Linear`'s; with inputs of root mean square 1 the current then has a
    standard deviation of 0.58, near any sensible v_threshold.
    """

    def __init__(self, inputs: int, width: int, labels: int, network: NetworkConfig, learning: LearningConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, inputs))
        self.inputs, self.labels = inputs, labels
        self.network, self.learning = network, learning
        self.neuron = LIF.of(network)
        self.goodness_of = GOODNESS[network.goodness]
        self.fused = True

    def initialise(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(self.inputs)
        with torch.no_grad():
            self.weight.copy_(torch.rand(self.weight.shape, generator=generator) * (2 * bound) - bound)

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Show an input.

        Args:
            x: (1 or T, R, F) intensities or spikes; the label's inputs are ignored where y is given.
            y: (copies, R) labels, a copy a row; only the first layer takes them.

        Returns:
            spikes (T, B, H), without a gradient, and rates (B, H).
        """
        weight = self.weight.to(x.dtype)
        if y is None:
            current, offset, power = nn.functional.linear(x, weight), None, None
        else:
            amplitude = self.network.label_amplitude
            current = nn.functional.linear(x[..., self.labels :], weight[:, self.labels :])
            offset = amplitude * self.weight[:, : self.labels].T.index_select(0, y.flatten())
            power = amplitude**2
        T = self.network.T
        spikes, counts = lif(self.neuron, T, current, self._scale(x, power), offset, self.fused)
        return spikes, counts / T

    def _scale(self, x: torch.Tensor, label_power: float | None) -> torch.Tensor:
        """(1 or T, R): what brings each sample's input to a root mean square of 1 at each time step."""
        state = torch.float64 if x.dtype == torch.float64 else torch.float32
        if not self.network.normalize:
            return torch.ones(x.shape[:2], dtype=state, device=x.device)
        if label_power is None:
            norm: torch.Tensor = torch.linalg.vector_norm(x, dim=-1, dtype=state)
        else:
            norm = torch.linalg.vector_norm(x[..., self.labels :], dim=-1, dtype=state)
            norm = (norm.square() + label_power).sqrt()
        scale: torch.Tensor = math.sqrt(self.inputs) / (norm + EPS)
        return scale

    def local_loss(self, rate: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Loss, goodness of the positive and of the negative samples, from rates (2R, H): positives first."""
        good_pos, good_neg = self.goodness_of(rate).chunk(2)
        return loss(self.learning, good_pos, good_neg), good_pos.detach(), good_neg.detach()

    def optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            self.parameters(), lr=self.learning.lr, weight_decay=self.learning.weight_decay, fused=True
        )
