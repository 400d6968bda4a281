"""One contract for all ways to read a label, over encoders, losses, goodness types and what layers hand on.

Where a way is compared with the naive loop of `tests/reference.py` it is in float64, in which no spike flips.
"""

from functools import cache
from typing import Any

import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.datasets.data import load
from ffsnn.datasets.dataset import Images
from ffsnn.network import Network
from ffsnn.parts.registry import GOODNESS, LOSSES
from ffsnn.randomness import generator
from ffsnn.training.trainer import Trainer
from tests.combinations import every_pair_occurs, name_of, pairwise
from tests.reference import Reference

READERS = ["goodness", "goodness_after_first", "largest_rate", "one_pass", "two_pass"]
NEUTRAL = {"one_pass", "two_pass"}  # need an output layer that reads out, and a label in place
CHOICES: dict[str, list[Any]] = {
    "prediction, output, label": [
        (prediction, output, label)
        for prediction in READERS
        for output in ("goodness", "mse")
        for label in ("in_place", "appended")
        if prediction not in NEUTRAL or (output, label) == ("mse", "in_place")
    ],
    "network.encoder": ["direct", "centred", "poisson", "latency"],
    "network.between": ["spikes", "rate"],
    "learning.loss": list(LOSSES),
    "network.goodness": list(GOODNESS),
    "network.activity": ["rate", "count"],
    "network.label_layers": ["first", "every"],
}
COMBINATIONS = pairwise(CHOICES)
EVERY_COMBINATION = pytest.mark.parametrize("changes", COMBINATIONS, ids=name_of)
EVERY_READER = pytest.mark.parametrize("prediction", READERS)
CLASSES, B = 10, 40


def config_of(changes: dict[str, Any]) -> RunConfig:
    changes = dict(changes)
    prediction, output, label = changes.pop("prediction, output, label")
    base = {
        "data": {"dataset": "digits"},
        "network": {
            "widths": [30, 20, 10],
            "T": 4,
            "v_threshold": 0.3,
            "label_amplitude": 1.3,
            "prediction": prediction,
            "label": label,
        },
        "learning": {"epochs": 1, "batch_size": 64, "lr": 0.005, "output": output},
        "seed": 5,
    }
    power = GOODNESS[changes["network.goodness"]].power
    scale = 4**power if changes["network.activity"] == "count" else 1
    theta = {"learning.theta": 0.1 * scale} if changes["learning.loss"] == "threshold" else {}
    return RunConfig.parse(base).replaced(changes | theta | {"learning.alpha": 20.0 / scale})


@cache
def images() -> Images:
    return load(config_of(COMBINATIONS[0]).data, seed=5).train


@cache
def network_of(name: str) -> Network:
    """An epoch old: no longer random, still unsure; in float64."""
    config = config_of(next(changes for changes in COMBINATIONS if name_of(changes) == name))
    trainer = Trainer(config, load(config.data, config.seed))
    trainer.train_epoch()
    return trainer.network.double()


def noise_of(network: Network, copies: int, batch: int) -> list[torch.Tensor]:
    """What the network will draw for B images, and behind each of its layers for that many copies of them."""
    sizes = [
        (B, network.each_layer[0].inputs),
        *((copies * B, layer.weight.shape[1]) for layer in network.each_layer),
    ]
    where = network.seed, "prediction", batch
    return [torch.rand(network.T, *size, generator=generator(*where, place)) for place, size in enumerate(sizes)]


def naive(network: Network) -> Reference:
    layers = network.each_layer
    return Reference([layer.weight for layer in layers], CLASSES, layers[0].network, layers[0].learning)


def test_every_pair_of_choices_occurs() -> None:
    assert len(COMBINATIONS) < 60
    assert every_pair_occurs(COMBINATIONS, CHOICES)


@EVERY_COMBINATION
def test_contract(changes: dict[str, Any]) -> None:
    """Scores (B, C), labels (B,) that are classes; repeated bits, no trace on images, weights or torch's own stream."""
    network, x = network_of(name_of(changes)), images().x[:B]
    before, weights = x.clone(), [layer.weight.clone() for layer in network.each_layer]
    torch.manual_seed(0)
    scores = network.scores(x, 3)
    torch.manual_seed(1)
    assert torch.equal(scores, network.scores(x, 3))
    assert scores.shape == (B, CLASSES)
    assert not scores.requires_grad
    assert not scores.isnan().any()
    assert (scores.max(1).values > 0).float().mean() > 0.3  # a young output layer may not fire at all
    labels = network.predict(x)
    assert labels.shape == (B,)
    assert labels.dtype == torch.int64
    assert torch.equal(labels, network.scores(x, 0).argmax(1))
    assert len(labels.unique()) > 1
    assert torch.equal(x, before)
    assert all(torch.equal(layer.weight, weight) for layer, weight in zip(network.each_layer, weights, strict=True))
    for name in READERS if changes["prediction, output, label"][1:] == ("mse", "in_place") else []:
        assert network.predict(x, name).shape == (B,)  # by another way than the configured one


@EVERY_COMBINATION
def test_images_are_independent_and_so_are_batches(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = network_of(name_of(changes)), images().x[: 2 * B - 3]
    first, rest = x[:B], x[B:]
    monkeypatch.setattr("ffsnn.network.MAX_SAMPLES", CLASSES * B)
    expected = torch.cat([network.scores(first, 0).argmax(1), network.scores(rest, 1).argmax(1)])
    assert torch.equal(network.predict(x), expected)
    if changes["network.encoder"] != "poisson":  # nothing is drawn: an image's scores are its own in any batch
        every = network.scores(x[:B], 7)
        torch.testing.assert_close(network.scores(x[5:9], 2), every[5:9], rtol=0, atol=1e-9)
        torch.testing.assert_close(network.scores(x[:B].flip(0)), every.flip(0), rtol=0, atol=1e-9)
    else:
        assert not torch.equal(network.scores(rest, 0), network.scores(rest, 1))


@EVERY_COMBINATION
def test_scores_are_those_of_a_naive_loop(changes: dict[str, Any]) -> None:
    """A pass for each label, or under all C inputs at amplitude / C, in plain steps of SpikingJelly's neuron."""
    network, x = network_of(name_of(changes)), images().x[:B]
    prediction, slow, batch = network.prediction, naive(network), 2
    scores = network.scores(x, batch)
    if prediction != "two_pass":
        noise = noise_of(network, 1 if prediction == "one_pass" else CLASSES, batch)
        torch.testing.assert_close(scores, slow.scores(x, prediction, noise), rtol=0, atol=1e-9)
        return

    proposal = slow.scores(x, "one_pass", noise_of(network, 1, batch))
    second_best = proposal.sort(1, descending=True).values[:, 1]
    noise = noise_of(network, 2, batch)
    for image in range(B):
        proposed = scores[image].isfinite().nonzero().flatten().tolist()
        assert len(proposed) == 2
        assert (proposal[image, proposed] >= second_best[image] - 1e-9).all()  # two rates may be the same
        assert scores[image].argmax().item() in proposed
    best = proposal.topk(2, 1).indices.T  # the better one first: its samples are the first copy, with its noise
    for copy, labels in enumerate(best):
        behind = [layer.chunk(2, 1)[copy] for layer in noise[1:]]
        rates = slow.rates(x, slow.one_hot(labels), [noise[0], *behind])
        good = sum(slow.goodness(rate) for rate in rates[:-1])  # the output layer reads out
        torch.testing.assert_close(scores.gather(1, labels[:, None])[:, 0], good, rtol=0, atol=1e-9)


@EVERY_READER
def test_accuracy_is_the_share_of_right_labels(prediction: str) -> None:
    changes = next(row for row in COMBINATIONS if row["prediction, output, label"][0] == prediction)
    network, x, y = network_of(name_of(changes)), images().x[:500], images().y[:500]
    assert network.accuracy(x, y) == (network.predict(x) == y).sum().item() / 500  # of all bits: 0.97 is 0.97


@EVERY_READER
def test_in_float32_all_but_a_few_labels_are_those_of_float64(prediction: str) -> None:
    """The fused path; a flipped spike moves a score, and an output layer's rates are often the same for two labels."""
    changes = next(row for row in COMBINATIONS if row["prediction, output, label"][0] == prediction)
    exact, x = network_of(name_of(changes)), images().x[:B]
    network = Network(config_of(changes))
    network.load_state_dict({name: weight.float() for name, weight in exact.state_dict().items()})
    scores, expected = network.scores(x), exact.scores(x)
    assert scores.dtype == torch.float32
    differs = ~scores.double().isclose(expected, rtol=0, atol=1e-5).all(1)
    assert differs.sum() <= 2
