"""v_threshold and tau that the neurons of a layer learn, each layer by its own loss, as its weights.

    1/tau       = sigmoid(decay_logit)          PLIF: Fang et al. 2021, arXiv 2007.05785, equation 9
    v_threshold = exp(log_threshold)            as LTMD learns it (Wang et al. 2022), but unbounded

So tau stays above 1 and v_threshold above 0 whatever a step does. Both start at the configuration's values. They are
stepped by the layer's optimiser with its learning rate, and have no weight decay: 0 is no natural value of theirs.

Legend: H neurons.
"""

import math

import torch
from torch import nn

from ffsnn.config import NetworkConfig
from ffsnn.neuron import LIF


class LearnedNeurons(nn.Module):
    """The parameters of a layer's neurons, of which some are learned: one for all of them, or one each."""

    def __init__(self, network: NetworkConfig, width: int) -> None:
        super().__init__()
        self.neuron, self.width = LIF.of(network), width
        count = width if network.learn_scope == "neuron" else 1
        self.log_threshold = self.decay_logit = None
        if network.learn in ("threshold", "both"):
            self.log_threshold = nn.Parameter(torch.full((count,), math.log(network.v_threshold)))
        if network.learn in ("tau", "both"):
            self.decay_logit = nn.Parameter(torch.full((count,), -math.log(network.tau - 1)))

    def forward(self) -> torch.Tensor:
        """Leak, gain and v_threshold of each neuron, (3, H); they carry a gradient."""
        like = next(self.parameters())
        leak, gain, threshold = (
            like.new_tensor([value]) for value in (self.neuron.leak, self.neuron.gain, self.neuron.v_threshold)
        )
        if self.decay_logit is not None:
            decay = self.decay_logit.sigmoid()
            leak, gain = 1 - decay, decay if self.neuron.decay_input else gain
        if self.log_threshold is not None:
            threshold = self.log_threshold.exp()
        return torch.stack([it.expand(self.width) for it in (leak, gain, threshold)])

    @torch.no_grad()
    def taus_and_thresholds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """tau and v_threshold of each neuron, (H,) both."""
        leak, _, threshold = self()
        return 1 / (1 - leak), threshold

    @torch.no_grad()
    def take(self, tau: torch.Tensor, threshold: torch.Tensor) -> None:
        """Take values (H,) for what is learned; of a layer's one value, the first neuron's."""
        if self.log_threshold is not None:
            self.log_threshold.copy_(threshold[: len(self.log_threshold)].log())
        if self.decay_logit is not None:
            self.decay_logit.copy_(-(tau[: len(self.decay_logit)] - 1).log())

    def words(self) -> str:
        """`v_threshold 0.412 (0.31 to 0.55), tau 4.96`: the mean, and from least to most where neurons differ."""
        tau, threshold = self.taus_and_thresholds()
        said = []
        for name, values, learned in (
            ("v_threshold", threshold, self.log_threshold), ("tau", tau, self.decay_logit),
        ):  # fmt: skip
            if learned is not None:
                span = f" ({values.min():.3g} to {values.max():.3g})" if len(learned) > 1 else ""
                said.append(f"{name} {values.mean():.3g}{span}")
        return ", ".join(said)
