"""Early exit: the rule against a slow, obvious one; carried membrane potentials against a network with fewer steps."""

import math

import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.inference import exit_rule, exits, stepping
from ffsnn.inference.exit_rule import ExitPoint
from ffsnn.inspection import energy
from ffsnn.network import Network
from ffsnn.training.trainer import Trainer
from ffsnn.validation import ConfigError

NETWORK = {"widths": [32, 24], "T": 5, "v_threshold": 0.4}
BASE = {
    "data": {"dataset": "digits"}, "network": NETWORK,
    "learning": {"batch_size": 128, "epochs": 8, "lr": 0.02, "alpha": 20},
}  # fmt: skip


def config(**network: object) -> RunConfig:
    return RunConfig.parse(BASE | {"network": NETWORK | network})


@pytest.fixture(scope="module")
def trained() -> tuple[Network, data.Split]:
    split = data.load(config().data, 0)
    trainer = Trainer(config(), split)
    assert len(list(trainer)) == 8
    return trainer.network, split


def copied(network: Network, **changes: object) -> Network:
    """The same weights in a network of another configuration."""
    other = Network(config(**changes))
    other.load_state_dict(network.state_dict())
    return other


def slow_exit(scores: list[list[float]], threshold: float) -> tuple[int, int]:
    """An image's label and step, by its scores after each step."""
    for t, labels in enumerate(scores, 1):
        first, second = sorted(labels, reverse=True)[:2]
        if first - second >= threshold:
            return labels.index(max(labels)), t
    return scores[-1].index(max(scores[-1])), len(scores)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, math.inf])
def test_the_rule_is_the_obvious_one(threshold: float) -> None:
    T, B, C = 4, 50, 3
    scores = torch.rand(T, B, C, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    operations = torch.arange(1.0, T + 1)[:, None] * torch.arange(1.0, B + 1)
    y = torch.arange(B) % C
    slow = [slow_exit(scores[:, b].tolist(), threshold) for b in range(B)]
    steps = exit_rule.exits(exit_rule.margins(scores), threshold)
    assert steps.tolist() == [t for _, t in slow]
    (point,) = exit_rule.curve(scores, operations, y, [threshold])
    assert point.accuracy == pytest.approx(sum(label == true for (label, _), true in zip(slow, y, strict=True)) / B)
    assert point.steps == pytest.approx(sum(t for _, t in slow) / B)
    assert point.operations == pytest.approx(sum(t * (b + 1) for b, (_, t) in enumerate(slow)) / B)


def test_the_threshold_with_the_fewest_steps_within_the_tolerance_is_chosen() -> None:
    points = [ExitPoint(0.0, 0.6, 1.0, 10), ExitPoint(0.1, 0.89, 1.5, 15), ExitPoint(0.2, 0.9, 2.0, 20),
              ExitPoint(0.3, 0.9, 2.0, 20), ExitPoint(math.inf, 0.9, 4.0, 40)]  # fmt: skip
    assert exit_rule.chosen(points, 0.0) == points[3]
    assert exit_rule.chosen(points, 0.02) == points[1]
    assert exit_rule.chosen(points[-1:], 0.0) == points[-1]
    at_the_edge = [ExitPoint(0.1, 0.009, 1.0, 1), ExitPoint(math.inf, 0.01, 4.0, 4)]  # one image of 1,000 less
    assert exit_rule.chosen(at_the_edge, 0.001) == at_the_edge[0]
    with pytest.raises(ConfigError, match=r"a share of accuracy from 0 to 1, but got 1\.5"):
        exit_rule.chosen(points, 1.5)


def test_thresholds_are_few_and_end_with_none() -> None:
    margins = torch.rand(5, 1000)
    tried = exit_rule.candidates(margins, 16)
    assert len(tried) == 17
    assert tried == sorted(tried)
    assert (tried[0], tried[-1]) == (margins[:-1].min().item(), math.inf)


@pytest.mark.parametrize("changes", [{}, {"activity": "count"}, {"goodness": "mean"}, {"label": "appended"},
                                     {"label_layers": "every"},
                                     {"reset": "hard", "decay_input": False}, {"normalize": [True, False]},
                                     {"prediction": "goodness_after_first"}])  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scores_after_t_steps_are_those_of_a_network_with_so_many(changes, dtype) -> None:
    """With constant current; membrane potentials are carried, in one showing and step by step."""
    x = data.load(config().data, 0).validation.x[:40]
    network = Network(config(**changes)).to(dtype)
    scores, _ = exits.over_time(network, x)
    stepper = stepping.Stepper(network, x)
    assert scores[-1].max() > 0
    for t in range(1, network.T + 1):
        shorter = Network(config(**changes, T=t)).to(dtype)
        shorter.load_state_dict(network.state_dict())
        assert torch.allclose(shorter.scores(x).float(), scores[t - 1].float(), atol=1e-6)
        assert torch.allclose(stepper.step().float(), scores[t - 1].float(), atol=1e-6)


def test_latency_spikes_come_at_times_that_scale_with_T() -> None:
    """So it is another network after t steps than with T=t."""
    x = data.load(config().data, 0).validation.x[:40]
    network = Network(config(encoder="latency"))
    scores, _ = exits.over_time(network, x)
    assert torch.allclose(scores[-1], network.scores(x))
    assert not torch.allclose(scores[2], copied(network, encoder="latency", T=3).scores(x))


@pytest.mark.parametrize(("encoder", "label_layers"), [("direct", "first"), ("poisson", "first"), ("latency", "every")])
def test_operations_of_all_steps_are_those_of_the_energy(encoder: str, label_layers: str) -> None:
    split = data.load(config().data, 0)
    images = split.validation[torch.arange(30)]
    network = Network(config(encoder=encoder, label_layers=label_layers))
    _, operations = exits.over_time(network, images.x)
    every = [energy.measure(network, images, torch.full_like(images.y, c)) for c in range(network.classes)]
    mean = sum(sum(it.synaptic_operations) for it in every) / network.classes
    assert operations[-1].mean().item() == pytest.approx(mean)
    assert (operations.diff(dim=0) >= 0).all()


def test_images_that_leave_are_decided_as_the_curve_says(trained) -> None:
    network, split = trained
    found = exits.choose(network, split.validation, tolerance=0.02)
    assert 1 <= found.chosen.steps < found.full.steps == network.T
    assert found.chosen.accuracy >= found.full.accuracy - 0.02
    # Scores that are equal but for rounding, of few neurons and steps, may be told apart differently.
    assert found.full.accuracy == pytest.approx(network.accuracy(split.validation.x, split.validation.y), abs=0.02)
    decided = stepping.decide(network, split.validation.x, found.chosen.threshold)
    assert decided.steps.double().mean().item() == pytest.approx(found.chosen.steps, abs=0.05)
    right = (decided.labels == split.validation.y).double().mean().item()
    assert right == pytest.approx(found.chosen.accuracy, abs=0.02)
    whole = stepping.decide(network, split.validation.x, math.inf)
    assert set(whole.steps.tolist()) == {network.T}
    assert (whole.labels == network.predict(split.validation.x)).double().mean() > 0.97


@pytest.mark.parametrize(("changes", "said"), [
    ({"between": "rate"}, "needs between='spikes', but got between='rate'"),
    ({"T": 1}, "T=1"),
    ({"widths": [24, 10], "prediction": "largest_rate"}, "prediction='largest_rate' reads something else"),
])  # fmt: skip
def test_networks_that_are_read_at_the_end_alone_are_refused(changes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        stepping.Stepper(Network(config(**changes)), torch.zeros(2, 64, dtype=torch.uint8))
