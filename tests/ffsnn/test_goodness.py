"""Goodness and losses: values by hand, and what every loss must do whatever its formula."""

import math
from typing import Any

import pytest
import torch

from ffsnn.config import LearningConfig
from ffsnn.goodness import GOODNESS, mean, mean_square, pair_loss, swish_loss, symba_loss, threshold_loss

LOSSES = [
    LearningConfig(loss="threshold", theta=0.2, alpha=10.0),
    LearningConfig(loss="swish", alpha=10.0),
    LearningConfig(loss="symba", alpha=10.0),
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
    values = GOODNESS[name](rates)
    assert values.shape == (6,)
    assert values.min() >= 0
    assert values.max() <= 1
    assert (torch.autograd.grad(values.sum(), rates)[0] > 0).all()


def test_losses_by_hand() -> None:
    good_pos, good_neg = torch.tensor([0.3, 0.1]), torch.tensor([0.1, 0.4])
    expected = [softplus(-1) + softplus(-1), softplus(1) + softplus(2)]  # alpha (theta - g+), alpha (g- - theta)
    assert threshold_loss(good_pos, good_neg, 0.2, 10.0).item() == pytest.approx(sum(expected) / 2)
    margins = [-2.0, 3.0]  # alpha (g- - g+)
    swish = [x / (1 + math.exp(-x)) for x in margins]
    assert swish_loss(good_pos, good_neg, 10.0).item() == pytest.approx(sum(swish) / 2)
    assert symba_loss(good_pos, good_neg, 10.0).item() == pytest.approx(sum(map(softplus, margins)) / 2)


@EVERY_LOSS
def test_the_configuration_picks_the_loss(config: LearningConfig) -> None:
    good = torch.tensor([0.3, 0.1]), torch.tensor([0.1, 0.4])
    arguments: dict[str, Any] = {"alpha": 10.0} | ({"theta": 0.2} if config.loss == "threshold" else {})
    function = {"threshold": threshold_loss, "swish": swish_loss, "symba": symba_loss}[config.loss]
    assert torch.equal(pair_loss(config, *good), function(*good, **arguments))


@EVERY_LOSS
def test_a_step_down_raises_positive_and_lowers_negative_goodness(config: LearningConfig) -> None:
    """Near the boundary (swish turns where the pair is right by more than 1.28 / alpha)."""
    good_pos, good_neg = (torch.tensor(g, requires_grad=True) for g in ([0.1, 0.2, 0.25], [0.3, 0.2, 0.2]))
    pair_loss(config, good_pos, good_neg).backward()
    assert good_pos.grad is not None
    assert good_neg.grad is not None
    assert (good_pos.grad < 0).all()
    assert (good_neg.grad > 0).all()


@EVERY_LOSS
def test_every_loss_has_the_gradient_of_its_values(config: LearningConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    pair = [torch.rand(5, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda p, n: pair_loss(config, p, n), pair)


@EVERY_LOSS
def test_every_loss_stays_finite_where_goodness_is_extreme(config: LearningConfig) -> None:
    sharp = config.model_copy(update={"alpha": 1e6})
    pair = [torch.tensor(g, requires_grad=True) for g in ([0.0, 1.0, 0.5], [1.0, 0.0, 0.5])]
    value = pair_loss(sharp, *pair)
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, pair))
