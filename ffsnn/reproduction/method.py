"""The method of the notes that this project grew from, with its quirks: the line to beat.

The idea is Hinton's forward-forward (arXiv 2212.13345) on spiking layers, trained one after another on a single batch.
What sets it apart from `ffsnn`'s own method, and is kept here on purpose:

- The label's pixel is written to *column 0*, row = label, while the first ten pixels of *row 0* are cleared; its
  amplitude is the batch's largest pixel.
- The norm runs over axis 1. An image (N, 1, 28, 28) has one channel there, so layer 1 is not normalised: a spike
  becomes 1 / (1 + 1e-4). Later layers see (N, F), and are.
- Positive and negative samples share one membrane: within a time step the negative is shown to what the positive left.
- Input and rates between layers are coded as Poisson spikes, afresh each step. A layer hands on the rates of its last
  iteration, taken before that iteration's update.
- The loss in code is log(2 + exp(z)), the formula in the text log(exp(z)) = z; see `FORMULAS`.
- All training is on one batch, and so is the test.

Deviations, none of which changes a sample's distribution: both streams of all T steps are one product and one LIF
sequence of 2T steps; inputs that are 0 in every row of a block never spike, and are left out of it; the ten labels are
predicted as one batch; a spike is drawn where noise < rate, not <=.

Legend: T time steps, N images, R rows (images x labels, or x streams), F inputs, H neurons.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from spikingjelly.activation_based import functional
from torch.nn.functional import linear, mse_loss, one_hot, softplus

from ffsnn.datasets.dataset import Images
from ffsnn.kernels import sparse_input
from ffsnn.kernels.lif_cpu import SpikingLayer
from ffsnn.labels import accuracy_of, clear
from ffsnn.neuron import LIF
from ffsnn.parts.encoders import poisson
from ffsnn.parts.goodness import mean_square
from ffsnn.parts.negatives import uniform_negatives
from ffsnn.parts.registry import GOODNESS
from ffsnn.randomness import generator

SIDE, CLASSES = 28, 10
EPS = 1e-4
ALPHAS = {"sigmoid": 4.0, "atan": 2.0}  # SpikingJelly's defaults
BLOCK = 8  # images predicted at once, under all labels: few, so that many pixels are black in all of them


@dataclass(frozen=True)
class Group:
    """A line of the notes' results table."""

    number: int
    widths: tuple[int, ...]
    v_threshold: float
    theta: float
    surrogate: Literal["sigmoid", "atan"]
    formula: Literal["log_exp", "softplus", "log_2_exp"]
    mse_output: bool  # "loss 2": the last layer learns the one-hot label instead
    goodness: Literal["mean_square", "mean"]
    prediction: Literal["output_rate", "goodness"]
    noted_train: float
    noted_test: float
    tau: float = 2.0


@dataclass(frozen=True)
class Protocol:
    """Settings that all groups share; smaller numbers are for tests."""

    T: int = 100
    iterations: int = 100  # of each layer, all on the same batch
    batch: int = 64
    lr: float = 1e-3


NOTES = Protocol()


@dataclass(frozen=True)
class ReproductionResult:
    """Accuracies."""

    train: float  # on the one batch trained on
    test_batch: float  # on the first batch of the test images, as the notes did
    test_all: float


GROUPS = (
    Group(1, (10,), 0.50, 0.50, "sigmoid", "log_exp", False, "mean", "output_rate", 0.11, 0.0625),
    Group(2, (10,), 0.50, 0.50, "sigmoid", "log_exp", False, "mean_square", "output_rate", 0.172, 0.0994),
    Group(3, (10,), 0.50, 0.50, "sigmoid", "softplus", False, "mean_square", "output_rate", 0.141, 0.0994),
    Group(4, (10,), 0.45, 0.50, "atan", "log_2_exp", False, "mean", "output_rate", 0.11, 0.05),
    Group(5, (10,), 0.45, 0.50, "atan", "log_2_exp", False, "mean_square", "output_rate", 0.125, 0.125),
    Group(6, (500, 10), 0.50, 0.50, "atan", "log_2_exp", True, "mean_square", "output_rate", 0.891, 0.49),
    Group(7, (500, 10), 0.45, 0.35, "atan", "log_2_exp", True, "mean_square", "output_rate", 0.985, 0.61),
    Group(8, (500, 10), 0.45, 0.35, "atan", "log_2_exp", False, "mean_square", "goodness", 0.7879, 0.564),
)


def log_exp(z: torch.Tensor) -> torch.Tensor:
    """log(exp(z)) = z: formula 1 in the notes' text. theta - g+ and g- - theta then sum to g- - g+, without theta."""
    return z.exp().log()


def log_2_exp(z: torch.Tensor) -> torch.Tensor:
    """log(1 + (1 + exp(z))): what the notes' code computes where log(1 + exp(z)) was meant."""
    return torch.log1p(1 + z.exp())


Formula = Callable[[torch.Tensor], torch.Tensor]
FORMULAS: dict[str, Formula] = {"log_exp": log_exp, "softplus": softplus, "log_2_exp": log_2_exp}


def formula_loss(formula: str, good_pos: torch.Tensor, good_neg: torch.Tensor, theta: float) -> torch.Tensor:
    """Mean of the formula over both streams, from goodness (N,) each."""
    return FORMULAS[formula](torch.cat([theta - good_pos, good_neg - theta])).mean()


def overlay(x_NF: torch.Tensor, y_N: torch.Tensor) -> torch.Tensor:
    """Images with labels: row 0 loses its first ten pixels, column 0 gets the label's; a copy."""
    x_NF = clear(x_NF.clone(), CLASSES)
    x_NF[torch.arange(len(x_NF)), SIDE * y_N] = x_NF.max()
    return x_NF


def currents(
    weight_HF: torch.Tensor, rate_RF: torch.Tensor, first: bool, T: int, noise: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Input of a layer, (T, R, H), from rates coded as spikes, and what it has to be scaled by, (T, R)."""
    alive = rate_RF.amax(0) > 0
    spikes = poisson(rate_RF[:, alive], T, noise)
    return linear(spikes.float(), weight_HF[:, alive]), scale_of(spikes.sum(2), first)


def scale_of(power: torch.Tensor, first: bool) -> torch.Tensor:
    """Scale of inputs, from how many of them spike."""
    if first:  # x / (|x| + EPS), pixel by pixel
        return torch.full(power.shape, 1 / (1 + EPS))
    return 1 / (power.sqrt() + EPS)  # a norm: spikes are 0 or 1


def neuron(group: Group) -> LIF:
    """SpikingJelly's LIF node as the notes build it: hard reset to 0, decaying input."""
    return LIF(
        tau=group.tau, v_threshold=group.v_threshold, decay_input=True, reset="hard", detach_reset=False,
        surrogate=group.surrogate, surrogate_alpha=ALPHAS[group.surrogate],
    )  # fmt: skip


def stream_rates(group: Group, current_TRH: torch.Tensor, scale_TR: torch.Tensor) -> torch.Tensor:
    """Rates (2, N, H) of positive and negative samples (the halves of R) that share one membrane.

    Step t shows the positive, then the negative: a sequence of 2T steps on N rows.
    """
    T, R, H = current_TRH.shape
    x = (current_TRH * scale_TR[:, :, None]).view(2 * T, R // 2, H)
    node = neuron(group)
    spikes, _, _ = functional.lif_multi_step(
        x, torch.zeros_like(x[0]), node.tau, node.decay_input, node.v_threshold, 0.0,
        node.surrogate_function, node.detach_reset,
    )  # fmt: skip
    rates: torch.Tensor = spikes.view(T, 2, R // 2, H).mean(0)
    return rates


def layer_loss(group: Group, rates_2NH: torch.Tensor, y_N: torch.Tensor, last: bool) -> torch.Tensor:
    """A layer's loss; an MSE output looks at the positive samples alone."""
    if last and group.mse_output:
        return mse_loss(rates_2NH[0], one_hot(y_N, CLASSES).float())
    good_pos, good_neg = (GOODNESS[group.goodness].of(rate) for rate in rates_2NH)
    return formula_loss(group.formula, good_pos, good_neg, group.theta)


class Learner(NamedTuple):
    """A layer's weights with their optimiser, which the notes keep from batch to batch."""

    weight_HF: torch.Tensor
    optimiser: torch.optim.Optimizer

    @classmethod
    def of(cls, weight_HF: torch.Tensor, protocol: Protocol = NOTES) -> "Learner":
        return cls(weight_HF, torch.optim.Adam([weight_HF], lr=protocol.lr))


def train_layer(
    group: Group, learner: Learner, rate_RF: torch.Tensor, y_N: torch.Tensor, number: int,
    protocol: Protocol, noise: torch.Generator,
) -> torch.Tensor:  # fmt: skip
    """Train a layer in place on one batch (positives, then negatives); its rates (2N, H) in the last iteration."""
    weight_HF, optimiser = learner
    weight_HF.requires_grad_()
    rates = torch.empty(0)
    for _ in range(protocol.iterations):
        rates = stream_rates(group, *currents(weight_HF, rate_RF, number == 0, protocol.T, noise))
        optimiser.zero_grad()
        layer_loss(group, rates, y_N, last=number == len(group.widths) - 1).backward()
        optimiser.step()
    weight_HF.requires_grad_(False)
    return rates.detach().flatten(0, 1)


def initial_weights(group: Group, seed: int) -> list[torch.Tensor]:
    """(H, F) a layer, uniform in +-1/sqrt(F), as `nn.Linear`'s."""
    return [
        (torch.rand(H, F, generator=generator(seed, "weights", number)) * 2 - 1) / math.sqrt(F)
        for number, (F, H) in enumerate(pairwise((SIDE**2, *group.widths)))
    ]


def scores(
    group: Group, weights: list[torch.Tensor], x_NF: torch.Tensor, T: int, noise: torch.Generator
) -> torch.Tensor:
    """Scores (N, 10), of which the largest decides: summed goodness a label, or output rates summed over labels."""
    per_label = torch.stack([overlay(x_NF, torch.full((len(x_NF),), label)) for label in range(CLASSES)], 1)
    parts = []
    for block in per_label.split(BLOCK):
        rate, goodness = block.flatten(0, 1), torch.zeros(len(block) * CLASSES)
        for number, weight in enumerate(weights):
            seen = sparse_input.of_spikes(poisson(rate, T, noise), copies=1)
            scale = scale_of(seen.squared_norm, number == 0)
            counts = SpikingLayer.apply(weight.T.contiguous(), seen, scale, T, neuron(group), False, None)[3]
            rate = counts / T
            goodness += mean_square(rate)  # in prediction it is this one in every group
        by_label = goodness if group.prediction == "goodness" else rate
        parts.append(by_label.view(len(block), CLASSES, -1).sum(2 if group.prediction == "goodness" else 1))
    return torch.cat(parts)


@torch.no_grad()
def hits(
    group: Group, weights: list[torch.Tensor], images: Images, protocol: Protocol, noise: torch.Generator
) -> torch.Tensor:
    """Which of the images are predicted rightly, (N,), in batches as they were trained on."""
    parts = (x.float() / 255 for x in images.x.split(protocol.batch))
    found = torch.cat([scores(group, weights, x, protocol.T, noise).argmax(1) for x in parts])
    return found == images.y


def positives_and_negatives(batch: Images, seed: int) -> torch.Tensor:
    """Input (2N, F): each image under its own label, then under a wrong one, drawn once for all iterations."""
    wrong_N = uniform_negatives(batch.y, CLASSES, generator(seed, "negatives"))[0]
    x_NF = batch.x.float() / 255
    return torch.cat([overlay(x_NF, batch.y), overlay(x_NF, wrong_N)])


def run_group(group: Group, seed: int, images: Images, test: Images, protocol: Protocol = NOTES) -> ReproductionResult:
    """Train a group on one batch drawn from `images` (28x28, on the CPU) and predict that batch and `test`."""
    batch = images[torch.randperm(len(images), generator=generator(seed, "order"))[: protocol.batch]]
    noise = generator(seed, "encoding")
    weights = initial_weights(group, seed)
    rate = positives_and_negatives(batch, seed)
    for number, weight in enumerate(weights):
        rate = train_layer(group, Learner.of(weight, protocol), rate, batch.y, number, protocol, noise)
    trained = accuracy_of(hits(group, weights, batch, protocol, noise))
    tested = hits(group, weights, test, protocol, noise)
    return ReproductionResult(trained, accuracy_of(tested[: protocol.batch]), accuracy_of(tested))


def theta_matters(formula: str, batch: Images, thetas: tuple[float, float] = (0.35, 0.5), T: int = 20) -> float:
    """Largest difference of two thetas' gradients of group 2's untrained layer, as a share of the largest entry."""
    group = GROUPS[1]
    weight = initial_weights(group, 0)[0].requires_grad_()
    rate = positives_and_negatives(batch, 0)
    rates = stream_rates(group, *currents(weight, rate, True, T, generator(0, "encoding")))
    good_pos, good_neg = (GOODNESS[group.goodness].of(stream) for stream in rates)
    losses = [formula_loss(formula, good_pos, good_neg, theta) for theta in thetas]
    one, other = (torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in losses)
    return ((one - other).abs().max() / one.abs().max()).item()
