"""The fast path against the slow, obvious one of `tests/reference.py`.

In float64 the two differ in the order of additions alone, so they stay together over many updates. In float32 they
need not: where a membrane potential is within rounding of the threshold, a spike may flip, and a flip changes a
gradient by one sample's share, not by rounding. So float32 and bfloat16 are compared over single steps from the same
state, on layers so small (at most 1,920 potentials) that a flip has a chance below one in a thousand.
"""

import itertools
import math
from typing import Any

import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.data import Split, load
from ffsnn.labels import GoodnessTable, uniform_negatives
from ffsnn.layer import Layer
from ffsnn.network import Network
from ffsnn.neuron import SURROGATES
from ffsnn.randomness import generator
from ffsnn.trainer import Trainer
from tests.reference import Reference

CHOICES: dict[str, list[Any]] = {
    "network.surrogate": list(SURROGATES),
    "network.goodness": ["mean_square", "mean"],
    "learning.loss": ["threshold", "swish", "symba"],
    "network.reset": ["soft", "hard"],
    "network.encoder": ["direct", "poisson"],
    "network.decay_input": [True, False],
    "network.detach_reset": [True, False],
    "network.normalize": [True, False],
    "learning.negatives": ["table", "uniform"],
}


def pairwise(choices: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """A short list of combinations in which every pair of values of two fields occurs; greedy, the same every time."""
    names = list(choices)
    wanted = {
        frozenset([(a, u), (b, v)])
        for a, b in itertools.combinations(names, 2)
        for u, v in itertools.product(choices[a], choices[b])
    }
    rows = []
    while wanted:
        row = dict(min(wanted, key=lambda pair: sorted(map(repr, pair))))
        for name in names:
            if name not in row:
                row[name] = max(
                    choices[name],
                    key=lambda value: sum(frozenset([(name, value), other]) in wanted for other in row.items()),
                )
        wanted -= {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}
        rows.append({name: row[name] for name in names})
    return rows


COMBINATIONS = pairwise(CHOICES)


def config_of(changes: dict[str, Any]) -> RunConfig:
    """20 updates on digits; with Poisson spikes and without normalisation the currents are small: a low threshold."""
    base = {
        "data": {"dataset": "digits", "train_images": 320},
        "network": {
            "widths": [20, 15],
            "T": 3,
            "tau": 1.7,
            "v_threshold": 0.3,
            "surrogate_alpha": 1.6,
            "label_amplitude": 1.3,
        },
        "learning": {"epochs": 2, "batch_size": 32, "lr": 0.01, "alpha": 15.0, "weight_decay": 1e-3},
        "seed": 3,
    }
    theta = {"learning.theta": 0.1} if changes["learning.loss"] == "threshold" else {}
    return RunConfig.parse(base).replaced(changes | theta)


def name_of(changes: dict[str, Any]) -> str:
    return "-".join(str(value) for value in changes.values())


@pytest.fixture(scope="module")
def split() -> Split:
    return load(config_of({"learning.loss": "swish"}).data, seed=3)


def test_every_pair_of_choices_occurs() -> None:
    assert len(COMBINATIONS) < 40
    for a, b in itertools.combinations(CHOICES, 2):
        assert {(row[a], row[b]) for row in COMBINATIONS} == set(itertools.product(CHOICES[a], CHOICES[b]))


@pytest.mark.parametrize("changes", COMBINATIONS, ids=name_of)
def test_twenty_updates_in_float64_agree_with_the_reference(changes: dict[str, Any], split: Split) -> None:
    config = config_of(changes)
    trainer = Trainer(config, split)
    trainer.network.double()
    trainer.network.dtype = torch.float64
    slow = Reference([layer.weight for layer in trainer.layers], 10, config.network, config.learning)
    table = GoodnessTable(320, 10, config.learning.alpha, torch.device("cpu"))

    for epoch in range(2):
        steps = []
        order = torch.randperm(320, generator=generator(config.seed, "order", epoch))
        for batch, index in enumerate(order.split(32)):
            x, y = split.train.x[index], split.train.y[index]
            draw = generator(config.seed, "negatives", epoch, batch)
            if config.learning.negatives == "table":
                wrong = table.draw(index, y, draw)
            else:
                wrong = uniform_negatives(y, 10, draw)
            encoded = trainer.network.encode(x, generator(config.seed, "encoding", epoch, batch))
            lr = config.learning.lr * 0.5 * (1 + math.cos(math.pi * (10 * epoch + batch) / 20))
            steps.append(slow.step(encoded, y, wrong, lr))
            table.write(index, wrong, steps[-1].margin_B.float())
        metrics = trainer.train_epoch()

        for mine, theirs in (
            (metrics.loss, "loss"),
            (metrics.goodness_pos, "good_pos"),
            (metrics.goodness_neg, "good_neg"),
            (metrics.firing_rate, "rate"),
        ):
            expected = [sum(values) / 10 for values in zip(*(getattr(step, theirs) for step in steps), strict=True)]
            assert mine == pytest.approx(expected, rel=1e-6)  # the trainer adds up in float32
        for layer, weight in zip(trainer.layers, slow.weights, strict=True):
            torch.testing.assert_close(layer.weight, weight, rtol=0, atol=1e-9)
    assert min(metrics.firing_rate) > 0.003  # no layer fell silent: at least 80 spikes in the last epoch


def gradient(layer: Layer, x: torch.Tensor, y: torch.Tensor | None, fused: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes, and the gradient of the layer's local loss."""
    layer.fused = fused
    layer.zero_grad()
    spikes, rate = layer(x, y)
    layer.local_loss(rate, torch.zeros(len(rate) // 2, dtype=torch.long))[
        0
    ].backward()  # no layer here reads labels out
    assert layer.weight.grad is not None
    return spikes, layer.weight.grad.clone()


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def single_step(config: RunConfig, split: Split) -> tuple[Network, torch.Tensor, torch.Tensor]:
    network = Network(config)
    x, true = split.train.x[:16], split.train.y[:16]
    wrong = uniform_negatives(true, 10, torch.Generator().manual_seed(1))
    return network, network.encode(x, torch.Generator().manual_seed(2)), torch.stack([true, wrong])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("changes", COMBINATIONS, ids=name_of)
def test_a_fused_step_agrees_with_a_plain_one(changes: dict[str, Any], precision: str, split: Split) -> None:
    """1e-4 lies between rounding (3e-7 seen) and a flipped spike (about 1e-2); a gradient in bfloat16 has 8 bits."""
    tolerance = {"float32": 1e-4, "bfloat16": 5e-3}[precision]
    network, h, labels = single_step(config_of(changes | {"learning.precision": precision}), split)
    for number, layer in enumerate(network.layers):
        y = labels if number == 0 else None
        spikes, fast = gradient(layer, h, y, fused=True)
        plain_spikes, slow = gradient(layer, h, y, fused=False)
        assert spikes.dtype == plain_spikes.dtype == network.dtype
        assert torch.equal(spikes, plain_spikes)
        assert slow.norm() > 0
        print("DIST", precision, distance(fast, slow))
        assert distance(fast, slow) < tolerance
        h = spikes


@pytest.mark.parametrize("changes", COMBINATIONS, ids=name_of)
def test_a_bfloat16_step_points_where_the_reference_does(changes: dict[str, Any], split: Split) -> None:
    """Wide on purpose: rounding currents to 8 bits flips about one spike in 300, each worth a sample's share."""
    config = config_of(changes | {"learning.precision": "bfloat16"})
    network, h, labels = single_step(config, split)
    layer = network.layers[0]
    exact = single_step(config_of(changes), split)[1].double()
    slow = Reference([layer.weight.double()], 10, config.network, config.learning)
    expected = slow.step(exact, *labels, lr=0.0).gradients[0]
    got = gradient(layer, h, labels, fused=True)[1].double()
    print(
        "COS",
        torch.cosine_similarity(got.flatten(), expected.flatten(), 0).item(),
        (got.norm() / expected.norm()).item(),
    )
    assert torch.cosine_similarity(got.flatten(), expected.flatten(), 0) > 0.95
    assert got.norm().item() == pytest.approx(expected.norm().item(), rel=0.15)
