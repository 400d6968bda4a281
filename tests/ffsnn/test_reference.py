"""The fast path against the slow, obvious one of `tests/reference.py`.

In float64 the two differ in the order of additions alone, so they stay together over many updates. In float32 they
need not: where a membrane potential is within rounding of the threshold, a spike may flip, and a flip changes a
gradient by one sample's share, not by rounding. So float32 and bfloat16 are compared over single steps from the same
state, on layers so small (at most 1,920 potentials) that a flip has a chance below one in a thousand.
"""

import math
from typing import Any

import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.datasets.data import Split, load
from ffsnn.dense import DenseLayer
from ffsnn.layer import Input, LayerOutput
from ffsnn.network import Network
from ffsnn.parts.negatives import GoodnessTable, hard_negatives, uniform_negatives
from ffsnn.parts.registry import GOODNESS, LOSSES, SURROGATES
from ffsnn.randomness import generator
from ffsnn.training.augment import shifted
from ffsnn.training.averages import Averages
from ffsnn.training.trainer import Trainer
from tests.combinations import every_pair_occurs, name_of, pairwise
from tests.reference import Reference, Step

CHOICES: dict[str, list[Any]] = {
    "network.surrogate": list(SURROGATES),
    "network.goodness": list(GOODNESS),
    "network.activity": ["rate", "count"],
    "learning.loss": list(LOSSES),
    "learning.output": ["goodness", "mse"],
    "network.reset": ["soft", "hard"],
    "network.encoder": ["direct", "centred", "poisson", "latency"],
    "network.between": ["spikes", "rate"],
    "network.label": ["in_place", "appended"],
    "network.decay_input": [True, False],
    "network.detach_reset": [True, False],
    "network.normalize": [True, False, (True, False), (False, True)],
    "learning.negatives": ["table", "fresh", "uniform"],
    "learning.optimiser": ["adam", "sgd"],
    "learning.layers": ["together", "greedy"],
    "learning.shift": [0, 1],
    "learning.dropout": [0, 0.3],
    "learning.average": [0, 1],
    "learning.negatives_per_image": [1, 3],
    "learning.rate_penalty": [0, 0.1],
    "learning.label_smoothing": [0, 0.1],
    "network.label_layers": ["first", "every"],
    "network.features": ["none", "edges"],
}
COMBINATIONS = pairwise(CHOICES)
EVERY_COMBINATION = pytest.mark.parametrize("changes", COMBINATIONS, ids=name_of)
BATCHES, B = 10, 32  # of an epoch; images


def config_of(changes: dict[str, Any]) -> RunConfig:
    """20 updates on digits; a low threshold, so that small currents (not normalised, late or rare spikes) fire."""
    base = {
        "data": {"dataset": "digits", "train_images": BATCHES * B},
        "network": {"T": 3, "tau": 1.7, "v_threshold": 0.2, "surrogate_alpha": 1.6, "label_amplitude": 1.3},
        "learning": {"epochs": 2, "batch_size": B, "lr": 0.01, "weight_decay": 1e-3},
        "seed": 3,
    }
    power = GOODNESS[changes["network.goodness"]].power
    scale = 3**power if changes["network.activity"] == "count" else 1
    needed: dict[str, Any] = {
        "network.widths": [20, 10] if changes["learning.output"] == "mse" else [20, 15],
        "learning.alpha": 15.0 / scale,
    }
    if changes["network.features"] == "edges" and changes["network.normalize"] is False:
        needed["network.v_threshold"] = 0.1
    if changes["learning.loss"] == "threshold":
        needed["learning.theta"] = 0.2 * scale
    if changes["learning.optimiser"] == "sgd":
        needed["learning.momentum"] = 0.8
    if changes["network.normalize"] in (False, (True, False)):
        needed["learning.dropout"] = 0
    return RunConfig.parse(base).replaced(changes | needed)


@pytest.fixture(scope="module")
def split() -> Split:
    return load(config_of(COMBINATIONS[0]).data, seed=3)


def test_every_pair_of_choices_occurs() -> None:
    assert len(COMBINATIONS) < 40
    assert every_pair_occurs(COMBINATIONS, CHOICES)


def noise_of(network: Network, copies: int, seed: int, name: str, *where: int) -> list[torch.Tensor]:
    """What the network will draw for B images, and behind each of its layers for that many copies of them."""
    sizes = [
        (B, network.each_layer[0].inputs),
        *((copies * B, layer.weight.shape[1]) for layer in network.each_layer),
    ]
    return [
        torch.rand(network.T, *size, generator=generator(seed, name, *where, place)) for place, size in enumerate(sizes)
    ]


@EVERY_COMBINATION
def test_twenty_updates_in_float64_agree_with_the_reference(changes: dict[str, Any], split: Split) -> None:
    config = config_of(changes)
    learning, seed = config.learning, config.seed
    greedy = learning.layers == "greedy"
    trainer = Trainer(config, split)
    trainer.network.double()
    trainer.optimisers = [layer.optimiser() for layer in trainer.layers]
    trainer.averages = Averages(trainer.network) if learning.average else None
    slow = Reference([layer.weight for layer in trainer.layers], 10, config.network, learning)
    before = [weight.detach().clone() for weight in slow.weights]
    labels = 10 if config.network.label_layers == "every" else 0  # inputs of the later layers
    averages, count = [weight.clone() for weight in before], learning.negatives_per_image
    table = GoodnessTable(BATCHES * B, 10, learning.alpha, torch.device("cpu"))

    def wrong_labels(x: torch.Tensor, y: torch.Tensor, index: torch.Tensor, epoch: int, batch: int) -> torch.Tensor:
        draw = generator(seed, "negatives", epoch, batch)
        if learning.negatives == "table":
            return table.draw(index, y, draw, count)
        if learning.negatives == "fresh":
            noise = noise_of(trainer.network, 10, seed, "prediction", batch)
            return hard_negatives(learning.alpha * slow.scores(x, "goodness", noise), y, draw, count)
        return uniform_negatives(y, 10, draw, count)

    for epoch in range(2):
        steps: list[Step] = []
        order = torch.randperm(BATCHES * B, generator=generator(seed, "order", epoch))
        for batch, index in enumerate(order.split(B)):
            x, y = split.train.x[index], split.train.y[index]
            if learning.shift:
                x = shifted(x, (1, 8, 8), learning.shift, generator(seed, "shift", epoch, batch))
            wrong = wrong_labels(x, y, index, epoch, batch)
            done = batch / BATCHES if greedy else (epoch + batch / BATCHES) / 2
            lr = learning.lr * 0.5 * (1 + math.cos(math.pi * done))
            noise = noise_of(trainer.network, 1 + count, seed, "encoding", epoch, batch)
            kept = [
                (torch.rand(B, labels + width, generator=generator(seed, "dropout", epoch, batch, number)))[:, labels:]
                >= learning.dropout
                for number, width in enumerate(config.network.widths)
            ]
            steps.append(slow.step(x, y, wrong, lr, noise, epoch if greedy else None, kept))
            steps_done = batch if greedy else epoch * BATCHES + batch
            pace = max(1 / BATCHES, 9 / (10 + steps_done))
            averages = [(1 - pace) * mean + pace * w.detach() for mean, w in zip(averages, slow.weights, strict=True)]
            table.write(index, wrong, steps[-1].margin_KB.float())
        metrics = trainer.train_epoch()

        for mine, theirs in (
            (metrics.loss, "loss"),
            (metrics.goodness_pos, "good_pos"),
            (metrics.goodness_neg, "good_neg"),
            (metrics.firing_rate, "rate"),
        ):
            expected = [
                sum(values) / BATCHES for values in zip(*(getattr(step, theirs) for step in steps), strict=True)
            ]
            assert mine == pytest.approx(expected, rel=1e-6, abs=1e-8)  # the trainer adds up in float32
        for layer, weight in zip(trainer.layers, averages if learning.average else slow.weights, strict=True):
            torch.testing.assert_close(layer.weight, weight, rtol=0, atol=1e-6 if learning.average else 1e-9)
    assert min(metrics.firing_rate) > 0.003  # no layer fell silent: at least 57 spikes in the last epoch
    for layer, weight in zip(trainer.layers, before, strict=True):
        assert (layer.weight - weight).abs().max() > 1e-4


def gradient(layer: DenseLayer, seen: Input, labels: torch.Tensor, fused: bool) -> tuple[LayerOutput, torch.Tensor]:
    """The answer, and the gradient of the layer's local loss."""
    layer.fused = fused
    layer.zero_grad()
    answer: LayerOutput = layer(seen, labels, len(labels), loss=True)
    assert answer.loss is not None
    answer.loss.backward()
    assert layer.weight.grad is not None
    return answer, layer.weight.grad.clone()


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def sixteen_images(split: Split, config: RunConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and their true and wrong labels (copies, 16)."""
    true, draw = split.train.y[:16], torch.Generator().manual_seed(1)
    wrong = uniform_negatives(true, 10, draw, config.learning.negatives_per_image)
    return split.train.x[:16], torch.cat([true[None], wrong])


@EVERY_COMBINATION
def test_a_fused_step_agrees_with_a_plain_one(
    changes: dict[str, Any], split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1e-4 lies between rounding (3e-7 seen) and a flipped spike (about 1e-2)."""
    monkeypatch.setattr("ffsnn.kernels.lif_cpu.POTENTIAL_BYTES", 2500)  # five of the sixteen rows pass at once
    network = Network(config_of(changes))
    x, labels = sixteen_images(split, network.config)
    seen = Input(network.encode(x, generator(0, "noise", 0)))
    for number, layer in enumerate(network.each_layer):
        answer, fast = gradient(layer, seen, labels, fused=True)
        plain, slow = gradient(layer, seen, labels, fused=False)
        assert answer.spikes.dtype == plain.spikes.dtype == torch.uint8
        assert torch.equal(answer.spikes, plain.spikes)
        assert torch.equal(answer.rates, plain.rates)
        assert answer.loss is not None
        assert plain.loss is not None
        assert answer.loss.item() == pytest.approx(plain.loss.item(), rel=1e-5)
        assert slow.norm() > 0
        assert distance(fast, slow) < 1e-4
        seen = network.hand_on(answer, generator(0, "noise", number + 1))


@EVERY_COMBINATION
def test_a_bfloat16_step_points_where_the_reference_does(changes: dict[str, Any], split: Split) -> None:
    """Wide on purpose: rounding currents to 8 bits flips about one spike in 300, each worth a sample's share."""
    config = config_of(changes | {"learning.precision": "bfloat16"})
    network = Network(config)
    x, labels = sixteen_images(split, config)
    layer = network.each_layer[0]
    shown = network.encode(x, generator(0, "noise"))
    noise = 1.0 - shown if config.network.encoder == "poisson" else torch.zeros(3, 16, layer.inputs)
    slow = Reference([layer.weight.double()], 10, config.network, config.learning)
    slow.step(x, labels[0], labels[1:], lr=0.0, noise=[noise, torch.zeros(3, labels.numel(), 20)])
    expected = slow.weights[0].grad
    assert expected is not None
    got = gradient(layer, Input(shown), labels, fused=True)[1].double()
    assert torch.cosine_similarity(got.flatten(), expected.flatten(), 0) > 0.95
    assert got.norm().item() == pytest.approx(expected.norm().item(), rel=0.15)
