"""Goodness and losses: values by hand, and what every loss must do whatever its formula."""

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from ffsnn.config import LearningConfig, NetworkConfig
from ffsnn.dense import DenseLayer
from ffsnn.layer import LayerOutput
from ffsnn.parts.goodness import mean, mean_square
from ffsnn.parts.losses import (
    goodness_loss,
    pair_loss,
    readout_loss,
    softmax_loss,
    swish_loss,
    symba_loss,
    threshold_loss,
)
from ffsnn.parts.registry import GOODNESS
from ffsnn.shapes import LayerShape

LOSSES = [
    LearningConfig(loss="threshold", theta=0.2, alpha=10.0),
    LearningConfig(loss="swish", alpha=10.0),
    LearningConfig(loss="symba", alpha=10.0),
    LearningConfig(loss="softmax", alpha=10.0),
]
EVERY_LOSS = pytest.mark.parametrize("config", LOSSES, ids=lambda config: config.loss)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_goodness_by_hand() -> None:
    rates = torch.tensor([[0.0, 0.5, 1.0, 0.5], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    assert mean(rates).tolist() == [0.5, 0.0, 1.0]
    assert mean_square(rates).tolist() == [0.375, 0.0, 1.0]  # (0 + 1/4 + 1 + 1/4) / 4


@pytest.mark.parametrize("name", GOODNESS)
def test_every_goodness_is_a_share_and_grows_with_each_rate(name: str) -> None:
    rates = torch.rand(6, 9, generator=torch.Generator().manual_seed(0)).clamp_min(0.01).requires_grad_()
    values = GOODNESS[name].of(rates)
    assert values.shape == (6,)
    assert values.min() >= 0
    assert values.max() <= 1
    assert (torch.autograd.grad(values.sum(), rates)[0] > 0).all()


def answer_of(layer: DenseLayer, rates: torch.Tensor) -> LayerOutput:
    return LayerOutput(rates, rates, layer.goodness_of(rates), rates.mean())


@pytest.mark.parametrize("count", [1, 3])
@EVERY_LOSS
def test_layers_that_know_of_two_halves_alone_have_the_same_loss(config: LearningConfig, count: int) -> None:
    config = config.model_copy(update={"negatives_per_image": count})
    good = torch.rand((1 + count) * 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pair_loss(config, *good.chunk(2)), goodness_loss(config, good))


def test_losses_by_hand() -> None:
    good_pos, good_neg = torch.tensor([0.3, 0.1]), torch.tensor([0.1, 0.4])
    expected = [softplus(-1) + softplus(-1), softplus(1) + softplus(2)]  # alpha (theta - g+), alpha (g- - theta)
    assert threshold_loss(good_pos, good_neg, 10.0, 0.2).item() == pytest.approx(sum(expected) / 2)
    margins = [-2.0, 3.0]  # alpha (g- - g+)
    swish = [x / (1 + math.exp(-x)) for x in margins]
    assert swish_loss(good_pos, good_neg, 10.0).item() == pytest.approx(sum(swish) / 2)
    assert symba_loss(good_pos, good_neg, 10.0).item() == pytest.approx(sum(map(softplus, margins)) / 2)


@pytest.mark.parametrize("activity", ["rate", "count"])
@pytest.mark.parametrize("name", GOODNESS)
def test_goodness_of_counts_is_that_of_rates_times_a_power_of_T(name: str, activity: str) -> None:
    """As documented: T^2 for the mean square, T for the mean; and counts are what the formula is then of."""
    counts = torch.tensor([[0.0, 2.0, 4.0], [1.0, 1.0, 3.0]])
    network = NetworkConfig(T=4, goodness=name, activity=activity, widths=(3, 3))
    by_hand = {"mean_square": [20 / 3, 11 / 3], "mean": [2.0, 5 / 3]}[name]
    scale = {"rate": 4 ** GOODNESS[name].power, "count": 1}[activity]
    goodness = DenseLayer(1, LayerShape(3, 3, 0, False, 9, 3), network, LearningConfig()).goodness_of(counts / 4)
    assert (scale * goodness).tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("name", GOODNESS)
@EVERY_LOSS
def test_theta_and_alpha_scaled_with_counts_give_the_loss_of_rates(config: LearningConfig, name: str) -> None:
    """theta grows and alpha shrinks by the factor that goodness grows by."""
    T, rates = 4, torch.tensor([[0.25, 0.5], [1.0, 0.75], [0.5, 0.5], [0.25, 0.0]])
    factor = T ** GOODNESS[name].power
    theta = None if config.theta is None else config.theta * factor
    scaled = config.model_copy(update={"alpha": config.alpha / factor, "theta": theta})
    y = torch.tensor([1, 0])
    losses = []
    for activity, learning in (("rate", config), ("count", scaled)):
        network = NetworkConfig(T=T, goodness=name, activity=activity, widths=(2, 2))
        layer = DenseLayer(1, LayerShape(2, 2, 0, False, 4, 2), network, learning)
        losses.append(layer.local_loss(answer_of(layer, rates), y).item())
    assert losses[1] == pytest.approx(losses[0])


@EVERY_LOSS
def test_the_configuration_picks_the_loss(config: LearningConfig) -> None:
    good = torch.tensor([0.3, 0.1]), torch.tensor([0.1, 0.4])
    arguments: dict[str, Any] = {"alpha": 10.0} | ({"theta": 0.2} if config.loss == "threshold" else {})
    every = {"threshold": threshold_loss, "swish": swish_loss, "symba": symba_loss, "softmax": softmax_loss}
    assert torch.equal(goodness_loss(config, torch.cat(good)), every[config.loss](*good, **arguments))


@EVERY_LOSS
def test_with_several_negatives_the_loss_is_the_mean_over_pairs_or_sees_all(config: LearningConfig) -> None:
    good = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    found = goodness_loss(config.model_copy(update={"negatives_per_image": 2}), good.flatten())
    if config.loss == "softmax":
        expected = cross_entropy(config.alpha * good.T, torch.zeros(4, dtype=torch.int64))
    else:
        expected = (goodness_loss(config, good[:2].flatten()) + goodness_loss(config, good[::2].flatten())) / 2
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("loss", ["softmax", "symba"])
def test_label_smoothing_is_that_of_cross_entropy(loss: str) -> None:
    good, smoothing = torch.rand(3 if loss == "softmax" else 2, 4, generator=torch.Generator().manual_seed(0)), 0.2
    learning = LearningConfig(loss=loss, alpha=7, negatives_per_image=len(good) - 1, label_smoothing=smoothing)
    expected = cross_entropy(7 * good.T, torch.zeros(4, dtype=torch.int64), label_smoothing=smoothing)
    torch.testing.assert_close(goodness_loss(learning, good.flatten()), expected)


def test_softmax_of_one_pair_is_symba() -> None:
    good = torch.rand(10, generator=torch.Generator().manual_seed(0))
    losses = [goodness_loss(LearningConfig(loss=loss, alpha=7.0), good) for loss in ("softmax", "symba")]
    torch.testing.assert_close(*losses)


@EVERY_LOSS
def test_a_step_down_raises_positive_and_lowers_negative_goodness(config: LearningConfig) -> None:
    """Near the boundary (swish turns where the pair is right by more than 1.28 / alpha)."""
    good_pos, good_neg = (torch.tensor(g, requires_grad=True) for g in ([0.1, 0.2, 0.25], [0.3, 0.2, 0.2]))
    goodness_loss(config, torch.cat([good_pos, good_neg])).backward()
    assert good_pos.grad is not None
    assert good_neg.grad is not None
    assert (good_pos.grad < 0).all()
    assert (good_neg.grad > 0).all()


@EVERY_LOSS
def test_every_loss_has_the_gradient_of_its_values(config: LearningConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    pair = [torch.rand(5, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda p, n: goodness_loss(config, torch.cat([p, n])), pair)


@EVERY_LOSS
def test_every_loss_stays_finite_where_goodness_is_extreme(config: LearningConfig) -> None:
    sharp = config.model_copy(update={"alpha": 1e6})
    pair = [torch.tensor(g, requires_grad=True) for g in ([0.0, 1.0, 0.5], [1.0, 0.0, 0.5])]
    value = goodness_loss(sharp, torch.cat(pair))
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, pair))


def test_the_readout_loss_by_hand() -> None:
    """Rates (1/2, 0, 1/4) to (1, 0, 0), and (0, 1, 1/2) to (0, 0, 1): squares 1/4, 1/16; 1, 1/4; six in all."""
    rates = torch.tensor([[0.5, 0.0, 0.25], [0.0, 1.0, 0.5]], requires_grad=True)
    loss = readout_loss(rates, torch.tensor([0, 2]))
    assert loss.item() == pytest.approx((1 / 4 + 1 / 16 + 1 + 1 / 4) / 6)
    loss.backward()
    assert rates.grad is not None
    torch.testing.assert_close(rates.grad, torch.tensor([[-1 / 6, 0, 1 / 12], [0, 1 / 3, -1 / 6]]))


def output_layer(**learning: Any) -> DenseLayer:
    return DenseLayer(1, LayerShape(3, 3, 0, False, 9, 3), NetworkConfig(widths=(3, 3)), LearningConfig(**learning))


@EVERY_LOSS
def test_an_output_layer_learns_the_true_label_from_both_samples(config: LearningConfig) -> None:
    """Whatever the hidden layers' loss; the same loss when positive and negative samples change places."""
    layer = output_layer(**config.model_dump() | {"output": "mse"})
    assert layer.reads_out
    rates, y = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([2, 0])
    loss = layer.local_loss(answer_of(layer, rates), y)
    expected = sum(((rates[row] - torch.eye(3)[y[row % 2]]) ** 2).sum() for row in range(4)) / 12
    assert loss.item() == pytest.approx(float(expected))
    assert layer.local_loss(answer_of(layer, rates.roll(2, 0)), y).item() == pytest.approx(loss.item())


def test_only_the_last_layer_reads_out_and_only_if_asked() -> None:
    network = NetworkConfig(widths=(3, 3))
    assert not DenseLayer(0, LayerShape(3, 3, 0, False, 9, 3), network, LearningConfig(output="mse")).reads_out
    assert not output_layer(output="goodness").reads_out
