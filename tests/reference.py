"""One forward-forward step, slow and obvious, to be stepped beside the fast one.

What `ffsnn` does in one go is done here in the plainest way known: the label is written into the image, positive and
negative samples pass one after the other, every time step is normalised, multiplied and shown to SpikingJelly's
`LIFNode` alone, and autograd does the rest. Nothing is shared, fused or cast.

Legend: T time steps, B samples, F inputs, H neurons, C classes.
"""

from dataclasses import dataclass

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch.nn.functional import silu, softplus

from ffsnn.config import LearningConfig, NetworkConfig
from ffsnn.labels import embed

SURROGATES = {
    "atan": surrogate.ATan,
    "sigmoid": surrogate.Sigmoid,
    "piecewise_quadratic": surrogate.PiecewiseQuadratic,
    "piecewise_exp": surrogate.PiecewiseExp,
    "soft_sign": surrogate.SoftSign,
    "super_spike": surrogate.SuperSpike,
    "erf": surrogate.Erf,
}


@dataclass
class Step:
    """What one update did: a value a layer, averaged over the batch; and how well each negative fooled the network."""

    loss: list[float]
    good_pos: list[float]
    good_neg: list[float]
    rate: list[float]
    gradients: list[torch.Tensor]
    margin_B: torch.Tensor


class Reference:
    """Layers of weights (H, F), taken from the network to be compared with, in the weights' own precision."""

    def __init__(
        self, weights: list[torch.Tensor], classes: int, network: NetworkConfig, learning: LearningConfig
    ) -> None:
        self.weights = [weight.detach().clone().requires_grad_() for weight in weights]
        self.classes, self.network, self.learning = classes, network, learning
        self.optimisers = [
            torch.optim.Adam([weight], lr=learning.lr, weight_decay=learning.weight_decay) for weight in self.weights
        ]

    def step(self, x_TBF: torch.Tensor, true_B: torch.Tensor, wrong_B: torch.Tensor, lr: float) -> Step:
        """One update of every layer; `x_TBF` is the encoded input of all T time steps, or of one for all."""
        positive, negative = self.labelled(x_TBF, true_B), self.labelled(x_TBF, wrong_B)
        done = Step([], [], [], [], [], torch.zeros(len(true_B), dtype=x_TBF.dtype))
        for weight, optimiser in zip(self.weights, self.optimisers, strict=True):
            positive, good_pos = self.layer(weight, positive)
            negative, good_neg = self.layer(weight, negative)
            loss = self.loss(good_pos, good_neg)
            optimiser.param_groups[0]["lr"] = lr
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            positive, negative = positive.detach(), negative.detach()
            done.loss.append(loss.item())
            done.good_pos.append(good_pos.mean().item())
            done.good_neg.append(good_neg.mean().item())
            done.rate.append((positive.mean().item() + negative.mean().item()) / 2)
            done.gradients.append(weight.grad.clone())
            done.margin_B += (good_neg - good_pos).detach()
        return done

    @torch.no_grad()
    def goodness(self, x_TBF: torch.Tensor) -> torch.Tensor:
        """Summed goodness (B, C) of every sample under every label, one label after the other."""
        columns = []
        for label in range(self.classes):
            h = self.labelled(x_TBF, torch.full(x_TBF.shape[1:2], label))
            total = torch.zeros(x_TBF.shape[1], dtype=x_TBF.dtype)
            for weight in self.weights:
                h, goodness = self.layer(weight, h)
                total = total + goodness
            columns.append(total)
        return torch.stack(columns, 1)

    def labelled(self, x_TBF: torch.Tensor, label_B: torch.Tensor) -> torch.Tensor:
        """The input of all T time steps, the label written into each."""
        steps = list(x_TBF) if len(x_TBF) > 1 else [x_TBF[0]] * self.network.T
        return torch.stack([embed(x_BF, label_B, self.classes, self.network.label_amplitude) for x_BF in steps])

    def layer(self, weight_HF: torch.Tensor, x_TBF: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Spikes (T, B, H) and goodness (B,) of one layer."""
        network = self.network
        neurons = neuron.LIFNode(
            tau=network.tau,
            decay_input=network.decay_input,
            v_threshold=network.v_threshold,
            v_reset=None if network.reset == "soft" else 0.0,
            surrogate_function=SURROGATES[network.surrogate](alpha=network.surrogate_alpha),
            detach_reset=network.detach_reset,
            step_mode="s",
        )
        spikes_TBH = torch.stack([neurons(self.normalised(x_BF) @ weight_HF.T) for x_BF in x_TBF])
        rate_BH = spikes_TBH.mean(0)
        goodness_B = (rate_BH**2).mean(1) if network.goodness == "mean_square" else rate_BH.mean(1)
        return spikes_TBH, goodness_B

    def normalised(self, x_BF: torch.Tensor) -> torch.Tensor:
        """Root mean square 1; the 1e-4 keeps a silent sample at 0."""
        if not self.network.normalize:
            return x_BF
        return x_BF / (x_BF.norm(dim=1, keepdim=True) + 1e-4) * x_BF.shape[1] ** 0.5

    def loss(self, good_pos: torch.Tensor, good_neg: torch.Tensor) -> torch.Tensor:
        alpha, theta = self.learning.alpha, self.learning.theta
        if self.learning.loss == "threshold":
            return (softplus(alpha * (theta - good_pos)) + softplus(alpha * (good_neg - theta))).mean()
        if self.learning.loss == "swish":
            return silu(alpha * (good_neg - good_pos)).mean()
        return softplus(alpha * (good_neg - good_pos)).mean()
