"""Every goodness, loss and surrogate of the tables is what it says on every path: an entry that is forgotten somewhere
fails here, and one that only its table knows works at once."""

from typing import Any

import pytest
import torch
from torch.nn.functional import relu

from ffsnn.config import LearningConfig, NetworkConfig
from ffsnn.dense import DenseLayer
from ffsnn.fields import field_kinds
from ffsnn.layer import Input, LayerOutput
from ffsnn.parts.goodness import Goodness
from ffsnn.parts.losses import Loss
from ffsnn.parts.registry import GOODNESS, LOSSES, SURROGATES
from ffsnn.shapes import LayerShape
from tests.reference import Reference

ROWS, T = 5, 3


def layer_of(goodness: str, loss: str, surrogate: str = "atan", activity: str = "rate") -> DenseLayer:
    """The second layer of a small network, whose inputs are spikes."""
    network = NetworkConfig.model_construct(
        **NetworkConfig(widths=(9, 7), T=T, tau=1.7, v_threshold=0.23, activity=activity).model_dump()
        | {"goodness": goodness, "surrogate": surrogate}
    )
    theta = {"theta": 0.2} if loss == "threshold" else {}
    learning = LearningConfig.model_construct(**LearningConfig(alpha=9).model_dump() | {"loss": loss} | theta)
    layer = DenseLayer(1, LayerShape(9, 7, 0, False, 63, 7), network, learning)
    layer.initialise(torch.Generator().manual_seed(1))
    return layer


def stepped(layer: DenseLayer, fused: bool) -> tuple[LayerOutput, torch.Tensor]:
    """What a layer answers to positive and negative samples, and the gradient of its loss."""
    layer.fused = fused
    spikes = torch.rand(T, 2 * ROWS, 9, generator=torch.Generator().manual_seed(2)) < 0.4
    answer = layer(Input(spikes.to(torch.uint8)), torch.zeros(2, ROWS, dtype=torch.int64), 2, loss=True)
    assert answer.loss is not None
    return answer, torch.autograd.grad(answer.loss, layer.weight)[0]


def assert_paths_agree(layer: DenseLayer) -> None:
    (fast, fast_gradient), (slow, slow_gradient) = (stepped(layer, fused) for fused in (True, False))
    assert torch.equal(fast.spikes, slow.spikes)
    assert torch.equal(fast.rates, slow.rates)
    assert fast.loss is not None
    assert slow.loss is not None
    torch.testing.assert_close(fast.goodness, slow.goodness)
    torch.testing.assert_close(fast.loss.float(), slow.loss.float())
    largest = slow_gradient.abs().max().item()
    assert largest > 1e-6
    torch.testing.assert_close(fast_gradient, slow_gradient, rtol=0, atol=1e-3 * largest)


def test_the_tables_hold_what_a_configuration_may_name() -> None:
    assert field_kinds("network.goodness") == GOODNESS.keys()
    assert field_kinds("learning.loss") == LOSSES.keys()
    assert field_kinds("network.surrogate") == SURROGATES.keys()


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("goodness", GOODNESS)
def test_the_compiled_path_is_the_plain_one(goodness: str, loss: str, surrogate: str) -> None:
    assert_paths_agree(layer_of(goodness, loss, surrogate))


@pytest.mark.parametrize("activity", ["rate", "count"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("goodness", GOODNESS)
def test_the_plain_path_is_the_reference(goodness: str, loss: str, activity: str) -> None:
    layer = layer_of(goodness, loss, activity=activity)
    slow = Reference([layer.weight], 10, layer.network, layer.learning)
    rates = torch.rand(2 * ROWS, 7, generator=torch.Generator().manual_seed(3))
    of_samples = layer.goodness_of(rates)
    torch.testing.assert_close(of_samples, slow.goodness(rates))
    answer = LayerOutput(rates, rates, of_samples, rates.mean())
    good_pos, good_neg = of_samples.chunk(2)
    expected = slow.loss(good_pos, [good_neg])
    torch.testing.assert_close(layer.local_loss(answer, torch.zeros(ROWS, dtype=torch.int64)), expected)


# --- parts that only their tables know ---


def largest(rate_BF: torch.Tensor) -> torch.Tensor:
    return rate_BF.logsumexp(1)


def hinge(good_pos: torch.Tensor, good_neg: torch.Tensor, alpha: float, theta: float) -> torch.Tensor:
    return relu(0.3 - alpha * (good_pos - good_neg)).mean()


@pytest.fixture
def more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GOODNESS._parts, "largest", Goodness(largest))
    monkeypatch.setitem(LOSSES._parts, "hinge", Loss(hinge))


@pytest.mark.parametrize(("goodness", "loss"), [("largest", "swish"), ("largest", "hinge"), ("mean", "hinge")])
def test_a_part_that_is_not_compiled_trains_as_what_it_is(goodness: str, loss: str, more: None) -> None:
    layer = layer_of(goodness, loss)
    assert_paths_agree(layer)
    answer, _ = stepped(layer, True)
    torch.testing.assert_close(answer.goodness, GOODNESS[goodness].of(answer.rates))


@pytest.mark.parametrize("field", ["goodness", "loss", "surrogate"])
def test_a_part_that_no_table_knows_is_never_another_one(field: str) -> None:
    names: dict[str, Any] = {"goodness": "mean", "loss": "swish"} | {field: "nonesuch"}
    with pytest.raises((KeyError, ValueError), match=r"nonesuch|x not in tuple"):
        stepped(layer_of(**names), True)


def test_nor_in_the_reference() -> None:
    layer = layer_of("mean", "swish")
    with pytest.raises(KeyError, match="nonesuch"):
        Reference([], 10, layer.network.model_copy(update={"goodness": "nonesuch"}), layer.learning).goodness(
            torch.rand(4, 3)
        )
    with pytest.raises(KeyError, match="nonesuch"):
        Reference([], 10, layer.network, layer.learning.model_copy(update={"loss": "nonesuch"})).loss(*torch.rand(2, 3))
