"""The forward-forward step and the five ways to read a label, slow and obvious, to stand beside the fast ones.

What `ffsnn` does in one go is done here in the plainest way known: the label is written into the input, positive and
negative samples pass one after the other, every time step is normalised, multiplied and shown to SpikingJelly's
`LIFNode` alone, and autograd does the rest. Nothing is shared, fused or cast.

Noise is given, not drawn: for the image and for each layer a tensor of uniform numbers in [0, 1), of the shape of what
is encoded. Only Poisson spikes look at it.

Legend: T time steps, B images, F inputs, H neurons, C classes.
"""

import math
from dataclasses import dataclass
from itertools import product

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch.nn.functional import cross_entropy, silu, softplus

from ffsnn.config import LearningConfig, NetworkConfig
from ffsnn.parts.features import CONTRAST
from ffsnn.parts.registry import FEATURES

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
    margin_KB: torch.Tensor


class Reference:
    """Layers of weights (F, H), taken from the network to be compared with, in the weights' own precision."""

    def __init__(
        self, weights: list[torch.Tensor], classes: int, network: NetworkConfig, learning: LearningConfig
    ) -> None:
        self.weights = [weight.detach().clone().requires_grad_() for weight in weights]
        self.classes, self.network, self.learning, self.shape = classes, network, learning, (1, 8, 8)
        self.optimisers = [self.optimiser(weight) for weight in self.weights]

    def optimiser(self, weight: torch.Tensor) -> torch.optim.Optimizer:
        learning = self.learning
        if learning.optimiser == "adam":
            return torch.optim.Adam([weight], lr=0.0, weight_decay=learning.weight_decay)
        return torch.optim.SGD([weight], lr=0.0, momentum=learning.momentum, weight_decay=learning.weight_decay)

    def step(
        self,
        images_BF: torch.Tensor,
        true_B: torch.Tensor,
        wrong_KB: torch.Tensor,
        lr: float,
        noise: list[torch.Tensor],
        learner: int | None = None,
        kept: list[torch.Tensor] | None = None,
    ) -> Step:
        """One update of every layer, or of one: then the layers below it only pass on, those above are not asked.

        Args:
            wrong_KB: different wrong labels of each image; its positive sample is beside each of its negative ones.
            noise: (T, B, inputs) for the images; (T, (1 + K) B, H) behind each layer, positive samples first.
            kept: (B, H) behind each layer, the neurons that dropout leaves; None: all.
        """
        x_TBF = self.encoded(self.pixels(images_BF), noise[0])
        labels = [self.one_hot(label_B) for label_B in (true_B, *wrong_KB)]
        shown = [self.labelled(x_TBF, label_BC) for label_BC in labels]
        margins = torch.zeros(wrong_KB.shape, dtype=shown[0].dtype)
        done = Step(*([0.0] * len(self.weights) for _ in range(4)), margins)
        for number, weight in enumerate(self.weights):
            spikes = [self.layer(number, sample) for sample in shown]
            rates = [each.mean(0) for each in spikes]
            good_pos, *good_neg = [self.goodness(rate) for rate in rates]
            if self.reads_out(number):
                errors = [(rate - self.one_hot(true_B)) ** 2 for rate in rates]
                loss = torch.cat(errors).mean()
            else:
                loss = self.loss(good_pos, good_neg)
                if share := self.learning.label_smoothing:
                    mean = sum([good_pos, *good_neg]) / len(shown)
                    loss = loss + share * self.learning.alpha * (good_pos - mean).mean()
                done.margin_KB += torch.stack([(good - good_pos).detach() for good in good_neg])
            loss = loss + self.learning.rate_penalty * torch.stack(rates).mean()
            if learner is None or number == learner:
                self.optimisers[number].param_groups[0]["lr"] = lr
                weight.grad = None
                loss.backward()
                self.optimisers[number].step()
            done.loss[number] = loss.item()
            done.good_pos[number] = good_pos.mean().item()
            done.good_neg[number] = torch.stack(good_neg).mean().item()
            done.rate[number] = torch.stack(rates).mean().item()
            if number == learner:
                break
            behind = noise[number + 1].chunk(len(shown), 1)
            shown = [self.handed_on(each, its) for each, its in zip(spikes, behind, strict=True)]
            if kept is not None:
                shown = [each * kept[number] for each in shown]
            shown = [self.labelled_again(each, label_BC) for each, label_BC in zip(shown, labels, strict=True)]
        return done

    def scores(self, images_BF: torch.Tensor, prediction: str, noise: list[torch.Tensor]) -> torch.Tensor:
        """(B, C) by any of the ways to read a label but `two_pass`; one label after the other.

        Args:
            noise: (T, B, inputs) for the images; (T, C B, H) behind each layer, the samples under label 0 first; for
                `one_pass` (T, B, H).
        """
        if prediction == "one_pass":
            neutral = torch.ones(len(images_BF), self.classes) / self.classes
            return self.rates(images_BF, neutral, noise)[-1]
        behind = [layer.chunk(self.classes, 1) for layer in noise[1:]]
        columns = []
        for label in range(self.classes):
            labels = self.one_hot(torch.full((len(images_BF),), label))
            rates = self.rates(images_BF, labels, [noise[0], *(layer[label] for layer in behind)])
            if prediction == "largest_rate":
                columns.append(rates[-1])
                continue
            total = torch.zeros(len(images_BF), dtype=noise[0].dtype)
            for number, rate in enumerate(rates):
                if not self.reads_out(number) and not (prediction == "goodness_after_first" and number == 0):
                    total = total + self.goodness(rate)
            columns.append(total)
        return sum(columns) if prediction == "largest_rate" else torch.stack(columns, 1)

    @torch.no_grad()
    def rates(self, images_BF: torch.Tensor, label_BC: torch.Tensor, noise: list[torch.Tensor]) -> list[torch.Tensor]:
        """Every layer's rates (B, H) under label inputs that the amplitude scales."""
        h, rates = self.labelled(self.encoded(self.pixels(images_BF), noise[0]), label_BC), []
        for number in range(len(self.weights)):
            spikes = self.layer(number, h)
            rates.append(spikes.mean(0))
            h = self.labelled_again(self.handed_on(spikes, noise[number + 1]), label_BC)
        return rates

    def pixels(self, images_BF: torch.Tensor) -> torch.Tensor:
        """uint8 images as inputs in [0, 1]; those of the label come first and are 0 so far."""
        x = images_BF.to(self.weights[0].dtype) / 255
        more = FEATURES[self.network.features].extract(x, self.shape)  # rounded as there, or spikes would move
        if self.network.label == "appended":
            return torch.cat([torch.zeros(len(x), self.classes, dtype=x.dtype), x, more], 1)
        x[:, : self.classes] = 0
        return torch.cat([x, more], 1)

    def encoded(self, x_BF: torch.Tensor, noise_TBF: torch.Tensor) -> torch.Tensor:
        """(T, B, F): what is shown at each time step."""
        T, steps = self.network.T, []
        for t in range(T):
            if self.network.encoder == "direct":
                steps.append(x_BF)
            elif self.network.encoder == "centred":
                steps.append(x_BF - x_BF.sum(1, keepdim=True) / x_BF.shape[1])
            elif self.network.encoder == "poisson":
                steps.append((noise_TBF[t] < x_BF).to(x_BF.dtype))
            else:
                its_time = ((T - 1) * (1 - x_BF)).round() == t
                steps.append((its_time & (x_BF > 0)).to(x_BF.dtype))
        return torch.stack(steps)

    def one_hot(self, label_B: torch.Tensor) -> torch.Tensor:
        rows = torch.zeros(len(label_B), self.classes, dtype=self.weights[0].dtype)
        for row, label in zip(rows, label_B.tolist(), strict=True):
            row[label] = 1
        return rows

    def labelled(self, x_TBF: torch.Tensor, label_BC: torch.Tensor) -> torch.Tensor:
        """The label, scaled by its amplitude, on the first C inputs of every time step."""
        label_inputs = self.network.label_amplitude * label_BC.to(x_TBF.dtype)
        return torch.stack([torch.cat([label_inputs, x_BF[:, self.classes :]], 1) for x_BF in x_TBF])

    def labelled_again(self, x_TBH: torch.Tensor, label_BC: torch.Tensor) -> torch.Tensor:
        """What the next layer sees: the label again, on inputs of its own in front, where every layer sees it."""
        if self.network.label_layers == "first":
            return x_TBH
        return self.labelled(torch.cat([torch.zeros(len(x_TBH), *label_BC.shape), x_TBH], 2), label_BC)

    def handed_on(self, spikes_TBH: torch.Tensor, noise_TBH: torch.Tensor) -> torch.Tensor:
        """What the next layer sees, without a gradient: the spikes as they are, or the rate encoded again."""
        spikes_TBH = spikes_TBH.detach()
        if self.network.between == "spikes":
            return spikes_TBH
        return self.encoded(spikes_TBH.mean(0), noise_TBH)

    def layer(self, number: int, x_TBF: torch.Tensor) -> torch.Tensor:
        """Spikes (T, B, H) of one layer."""
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
        return torch.stack([neurons(self.normalised(number, x_BF) @ self.weights[number]) for x_BF in x_TBF])

    def normalised(self, number: int, x_BF: torch.Tensor) -> torch.Tensor:
        """Root mean square 1; the 1e-4 keeps a silent sample at 0."""
        normalize = self.network.normalize
        if not (normalize[number] if isinstance(normalize, tuple) else normalize):
            return x_BF
        return x_BF / (x_BF.norm(dim=1, keepdim=True) + 1e-4) * x_BF.shape[1] ** 0.5

    def goodness(self, rate_BH: torch.Tensor) -> torch.Tensor:
        """(B,) of one layer's rates, or of its spike counts."""
        activity = rate_BH * self.network.T if self.network.activity == "count" else rate_BH
        return {"mean_square": lambda: (activity**2).mean(1), "mean": lambda: activity.mean(1)}[self.network.goodness]()

    def reads_out(self, number: int) -> bool:
        """Is this an output layer that learns the labels and has no goodness to speak of?"""
        return self.learning.output == "mse" and number == len(self.network.widths) - 1

    def loss(self, good_pos: torch.Tensor, good_negs: list[torch.Tensor]) -> torch.Tensor:
        alpha, theta, parts = self.learning.alpha, self.learning.theta, []
        if self.learning.loss == "softmax":
            scores = alpha * torch.stack([good_pos, *good_negs], 1)
            return cross_entropy(scores, torch.zeros(len(scores), dtype=torch.int64))
        for good_neg in good_negs:
            if self.learning.loss == "threshold":
                parts.append(softplus(alpha * (theta - good_pos)) + softplus(alpha * (good_neg - theta)))
            else:
                function = {"swish": silu, "symba": softplus}[self.learning.loss]
                parts.append(function(alpha * (good_neg - good_pos)))
        return torch.stack(parts).mean()


def edges(x_BF: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """The features `edges`, (B, 4 R K), cell by cell and orientation by orientation."""
    (channels, height, width), rows = shape, []
    for image in x_BF.view(-1, *shape):

        def light(c: int, i: int, j: int, image: torch.Tensor = image) -> float:
            return float(image[c, i, j]) if 0 <= i < height and 0 <= j < width else 0.0

        strength = torch.zeros(4, height + 2, width + 2, dtype=x_BF.dtype)  # with a rim of nothing
        for d, c, i, j in product(range(4), range(channels), range(height), range(width)):
            to_right, down = light(c, i, j + 1) - light(c, i, j - 1), light(c, i + 1, j) - light(c, i - 1, j)
            angle = (0, math.pi / 2, math.pi / 4, -math.pi / 4)[d]
            strength[d, i + 1, j + 1] += abs(to_right * math.cos(angle) + down * math.sin(angle)) / channels
        cells = torch.zeros(4, height // 2 + 2, width // 2 + 2, dtype=x_BF.dtype)
        for d, i, j in product(range(4), range(height // 2), range(width // 2)):
            cells[d, i + 1, j + 1] = strength[d, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4].sum() / 16
        found = torch.zeros(4, height // 2, width // 2, dtype=x_BF.dtype)
        for d, i, j in product(range(4), range(height // 2), range(width // 2)):
            around = (cells[:, i : i + 3, j : j + 3] ** 2).sum() / 36
            found[d, i, j] = min(1.0, float(cells[d, i + 1, j + 1] / (around + CONTRAST**2) ** 0.5))
        rows.append(found.flatten())
    return torch.stack(rows)
