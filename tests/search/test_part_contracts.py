"""What layers, negatives, samplers and other parts of one's own are asked before a search begins: all that ship pass,
others are named with the rule that they break."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
import torch
from ray.tune.schedulers import FIFOScheduler

from ffsnn.dense import DenseLayer, shapes
from ffsnn.handover.formats import EXPORTS
from ffsnn.kernels.lif_kernels import SURROGATES as COMPILED_SURROGATES
from ffsnn.kernels.loss_gradients import COMPILED
from ffsnn.layer import LayerKind, LayerOutput
from ffsnn.layer import register as register_layer
from ffsnn.parts import contract
from ffsnn.parts.features import register as register_features
from ffsnn.parts.goodness import register as register_goodness
from ffsnn.parts.losses import register as register_loss
from ffsnn.parts.negatives import Negatives, uniform_negatives
from ffsnn.parts.predictions import Prediction
from ffsnn.parts.registry import (
    DATASETS,
    FEATURES,
    GOODNESS,
    LAYERS,
    LOSSES,
    NEGATIVES,
    PREDICTIONS,
    SURROGATES,
    Registry,
)
from search.execution.schedulers import Scheduler
from search.execution.schedulers import register as register_scheduler
from search.objectives import register as register_objective
from search.registries import OBJECTIVES, SAMPLERS, SCHEDULERS
from search.study.samplers import register as register_sampler

EVERY = [(registry, name) for registry in Registry.every if registry.kind in contract.CHECKS for name in registry]


@pytest.fixture(autouse=True)
def _forgets():
    yield
    for registry in Registry.every:
        if registry.ships("mine"):
            registry.forget(registry.origin("mine"))


@pytest.mark.parametrize(("registry", "name"), EVERY, ids=lambda it: it if isinstance(it, str) else it.kind)
def test_what_ships_keeps_its_contract(registry: Registry[Any], name: str) -> None:
    assert contract.broken(registry, name) is None


def test_every_kind_of_part_of_ones_own_has_a_contract() -> None:
    kinds = {registry.kind for registry in Registry.every}
    assert kinds - contract.CHECKS.keys() == {DATASETS.kind, EXPORTS.kind}


# --- layers ---


def layer_of(method: str, function: Callable[..., Any]) -> LayerKind:
    """Dense layers with one method that is another one."""
    kind = type("Own", (DenseLayer,), {method: function})
    return LayerKind(shapes, lambda number, shape, config: kind(number, shape, config.network, config.learning))


def changed(**fields: Any) -> Callable[..., LayerOutput]:
    """`forward` with fields of the answer made by functions of it."""

    def forward(self: DenseLayer, *arguments: Any, **named: Any) -> LayerOutput:
        answer = DenseLayer.forward(self, *arguments, **named)
        return answer._replace(**{name: value(answer) for name, value in fields.items()})

    return forward


def by_torchs_own_numbers(self: DenseLayer, generator: torch.Generator) -> None:
    torch.nn.init.uniform_(self.weight)


class Lazy:
    def __init__(self, layer: DenseLayer) -> None:
        self.step = self.forget_gradient = lambda: None


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            layer_of("forward", changed(rates=lambda it: it.rates[:, :3])),
            r"must give rates of shape \(6, 12\) for 3 images under 2 labels each, but gave \(6, 3\) \(layer 0 of 2\)",
        ),
        (layer_of("forward", changed(rates=lambda it: it.rates + 2)), "must give rates from 0 to 1, but gave 2 to "),
        (layer_of("forward", changed(goodness=lambda it: it.goodness / 0)), "gives goodness that are not finite"),
        (layer_of("forward", changed(loss=lambda it: None)), "must give loss of shape .*, but gave NoneType"),
        (layer_of("forward", lambda self, *_, **__: 7), "must give a LayerOutput, but gave int"),
        (layer_of("forward", changed(loss=lambda it: it.firing)), "has a loss without a gradient"),
        (layer_of("initialise", by_torchs_own_numbers), "must draw its weights from the generator"),
        (layer_of("optimiser", lambda self: Lazy(self)), "has an optimiser whose step changes no weight"),
        (layer_of("forward", lambda self, *_, **__: 1 / 0), r"fails when it is tried out, at .*ZeroDivisionError"),
    ],
)  # fmt: skip
def test_a_layer_that_breaks_its_contract_is_told_the_rule(kind: LayerKind, said: str) -> None:
    register_layer("mine", kind.shapes, kind.build)
    broken = contract.broken(LAYERS, "mine")
    assert broken is not None
    assert broken.startswith("the layer 'mine' ")
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(broken)


def test_a_goodness_is_what_its_statistic_says() -> None:
    """The kernels sum by it, and never call the function."""
    register_goodness("mine", statistic="squares")(lambda rate: rate.mean(1))
    assert "is not the mean of squares of the rates: leave statistic out" in str(contract.broken(GOODNESS, "mine"))


def test_only_what_ships_is_compiled() -> None:
    register_loss("mine", compiled=True)(LOSSES["symba"].of)
    assert "must not say compiled=True" in str(contract.broken(LOSSES, "mine"))
    assert {name for name, loss in LOSSES.items() if loss.compiled and name != "mine"} == set(COMPILED)
    assert {name for name, it in SURROGATES.items() if it.compiled} == set(COMPILED_SURROGATES)


def test_features_leave_the_pixels_alone() -> None:
    register_features("mine")(lambda x, shape: x.mul_(0.5))
    assert "must leave the pixels as they are" in str(contract.broken(FEATURES, "mine"))


# --- negatives and predictions ---


def drawing(draw: Callable[..., Any]) -> type[Negatives]:
    return type("Own", (Negatives,), {"draw": draw})


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda self, index, x, y, random: (y + 1) % 10, r"for K = 1 and 3 images, whole numbers, but drew .*\(3,\)"),
        (lambda self, index, x, y, random: y.expand(self.count, -1), r"but drew \[\[0\], \[1\], \[2\]\] for the true"),
        (lambda self, index, x, y, random: ((y + 1) % 10).expand(self.count, -1), "must draw different wrong labels"),
        (
            lambda self, index, x, y, random: uniform_negatives(y, 10, torch.default_generator, self.count),
            "must draw by the generators that it is given",
        ),
        (lambda self, index, x, y, random: 1 / 0, r"fails when it is tried out, at .*ZeroDivisionError"),
    ],
)  # fmt: skip
def test_negatives_that_break_their_contract_are_told_the_rule(draw: Callable[..., Any], said: str) -> None:
    NEGATIVES.add("mine", drawing(draw))
    with pytest.raises(AssertionError, match=f"the kind of negatives 'mine' .*{said}"):
        raise AssertionError(contract.broken(NEGATIVES, "mine"))


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (lambda network, x, noise: torch.zeros(len(x), 3), r"must give scores .* = \(3, 10\) .*, but gave \(3, 3\)"),
        (lambda network, x, noise: torch.full((len(x), 10), torch.nan), "must give each image a largest score"),
        (lambda network, x, noise: torch.rand(len(x), 10), "must give the same scores each time"),
    ],
)  # fmt: skip
def test_a_prediction_that_breaks_its_contract_is_told_the_rule(scores: Callable[..., Any], said: str) -> None:
    PREDICTIONS.add("mine", Prediction(scores))
    with pytest.raises(AssertionError, match=f"the prediction 'mine' {said}"):
        raise AssertionError(contract.broken(PREDICTIONS, "mine"))


# --- samplers ---


class Drifting(optuna.samplers.RandomSampler):
    """Whatever seed it is given, it goes on from where the last one stopped."""

    drawn = 0

    def sample_independent(self, study, trial, param_name, param_distribution):
        Drifting.drawn += 1
        choices = getattr(param_distribution, "choices", None)
        return choices[0] if choices else param_distribution.high - Drifting.drawn % 5 // 4


class Outside(optuna.samplers.RandomSampler):
    def sample_independent(self, study, trial, param_name, param_distribution):
        return 99


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda seed, config: 7, r"must make an optuna\.samplers\.BaseSampler of a seed and a search, but made int"),
        (lambda seed, config: Outside(), r"suggested .*99.*, which the space does not have: "),
        (lambda seed, config: Drifting(), r"must suggest the same point for the same seed and the same trials before"),
        (lambda seed: 7, r"fails when it is tried out, at .*TypeError"),
    ],
)
def test_a_sampler_that_breaks_its_contract_is_told_the_rule(make: Callable[..., Any], said: str) -> None:
    register_sampler("mine")(make)
    with pytest.raises(AssertionError, match=f"^the sampler 'mine' {said}"):
        raise AssertionError(contract.broken(SAMPLERS, "mine"))


# --- schedulers ---


class Own(Scheduler):
    def build(self, config, folder, on_stop):
        return FIFOScheduler()

    def describe(self, config):
        return "mine"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"milestones": lambda self, config: [3, 1]}, r"must have milestones that rise .*, but gave \[3, 1\]"),
        ({"milestones": lambda self, config: [1, 12]}, r"must have milestones that .* \(1 to 9\), but gave \[1, 12\]"),
        ({"describe": lambda self, config: None}, "must describe itself in a sentence, but gave None"),
        ({"build": lambda self, *_: None}, r"must build a ray\.tune\.schedulers\.TrialScheduler, but built NoneType"),
    ],
)
def test_a_scheduler_that_breaks_its_contract_is_told_the_rule(changes: dict[str, Any], said: str) -> None:
    register_scheduler("mine")(type("Mine", (Own,), changes))
    with pytest.raises(AssertionError, match=f"^the scheduler 'mine' {said}"):
        raise AssertionError(contract.broken(SCHEDULERS, "mine"))


def test_those_that_keep_it_are_taken() -> None:
    register_scheduler("mine")(Own)
    register_sampler("mine")(lambda seed, config: optuna.samplers.RandomSampler(seed=seed))
    register_layer("mine", *[(kind := LAYERS["dense"]).shapes, kind.build])
    assert [contract.broken(parts, "mine") for parts in (SCHEDULERS, SAMPLERS, LAYERS)] == [None, None, None]


# --- objectives ---


def test_an_objective_that_is_no_number_counts_as_its_worst() -> None:
    facts = {"title": "mine", "direction": "minimize", "worst": 9.0}
    register_objective("mine", **facts)(lambda epoch, config: 2.0)
    assert [OBJECTIVES["mine"].ranked(value) for value in (2.0, float("nan"), float("inf"))] == [2.0, 9.0, 9.0]


def test_the_worst_value_of_an_objective_is_finite() -> None:
    register_objective("mine", title="mine", direction="minimize", worst=float("inf"))(lambda epoch, config: 1.0)
    assert "must have a finite worst value" in str(contract.broken(OBJECTIVES, "mine"))


def test_an_objective_that_is_measured_after_each_epoch_finds_its_measure() -> None:
    """It is tried out on an epoch that has it; and must say how it is measured."""
    facts = {"title": "a measure", "direction": "minimize", "worst": 1.0, "each_epoch": True}
    for measure, said in ((lambda network, images: 0.5, None), (None, "the objective 'mine' must have a measure")):
        register_objective("mine", **facts, measure=measure)(lambda epoch, config: epoch.measured["mine"])
        broken = contract.broken(OBJECTIVES, "mine")
        assert broken is None if said is None else broken.startswith(said)
        OBJECTIVES.forget(OBJECTIVES.origin("mine"))
