"""One contract for every registry: its parts, its names, and what a configuration says of a name that is none."""

import subprocess
import sys
from importlib import import_module
from typing import Annotated, Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

import ffsnn
from ffsnn.config import RunConfig
from ffsnn.datasets.dataset import Dataset
from ffsnn.fields import field_kinds
from ffsnn.kernels.backends import remarks
from ffsnn.kernels.loss_gradients import COMPILED
from ffsnn.layer import LayerKind
from ffsnn.network import Network
from ffsnn.parts import registry
from ffsnn.parts.encoders import Encoder
from ffsnn.parts.features import Features
from ffsnn.parts.goodness import Goodness
from ffsnn.parts.losses import Loss
from ffsnn.parts.negatives import Negatives
from ffsnn.parts.predictions import Prediction
from ffsnn.parts.registry import Registry
from ffsnn.parts.surrogates import Surrogate
from ffsnn.validation import ConfigError

REGISTRIES: dict[str, tuple[Registry[Any], Any]] = {
    "data.dataset": (registry.DATASETS, Dataset),
    "network.encoder": (registry.ENCODERS, Encoder),
    "network.features": (registry.FEATURES, Features),
    "network.goodness": (registry.GOODNESS, Goodness),
    "network.layer": (registry.LAYERS, LayerKind),
    "network.prediction": (registry.PREDICTIONS, Prediction),
    "network.surrogate": (registry.SURROGATES, Surrogate),
    "learning.loss": (registry.LOSSES, Loss),
    "learning.negatives": (registry.NEGATIVES, type),
}
EVERY = pytest.mark.parametrize("path", REGISTRIES)


def test_none_is_forgotten_here() -> None:
    there = [value for value in vars(registry).values() if isinstance(value, Registry)]
    assert sorted(map(id, there)) == sorted(id(known) for known, _ in REGISTRIES.values())


@EVERY
def test_the_field_takes_the_names_of_the_parts_and_no_other(path: str) -> None:
    parts, kind = REGISTRIES[path]
    assert field_kinds(path) == set(parts)
    assert all(isinstance(part, kind) for part in parts.values())
    one = next(iter(parts))
    with pytest.raises(ConfigError, match=rf"^{path}: must be .*'{one}'.*, but got '{one}x': did you mean '{one}'\?$"):
        RunConfig().replaced({path: f"{one}x"})


@EVERY
def test_a_part_that_is_registered_can_be_named_and_once_only(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, _ = REGISTRIES[path]
    monkeypatch.setattr(parts, "_parts", dict(parts))
    part = next(iter(parts.values()))
    with pytest.raises(ValueError, match=f"there is a {parts.kind} '{next(iter(parts))}' already"):
        parts.add(next(iter(parts)), part)
    with pytest.raises(ValueError, match="letters, digits"):
        parts.add("no name", part)
    parts.add("mine", part)
    assert field_kinds(path) == set(parts) >= {"mine"}
    assert TypeAdapter(Annotated[str, parts]).validate_python("mine") == "mine"


@EVERY
def test_the_home_registers_them(path: str) -> None:
    parts, _ = REGISTRIES[path]
    assert all(hasattr(import_module(home), "register") for home in parts.homes)
    with pytest.raises(KeyError, match="nonesuch"):
        parts["nonesuch"]


def test_a_goodness_is_one_function_and_one_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.GOODNESS, "_parts", dict(registry.GOODNESS))

    @ffsnn.goodness.register("largest")
    def largest(rate_BF: torch.Tensor) -> torch.Tensor:
        return rate_BF.amax(1)

    assert RunConfig().replaced({"network.goodness": "largest"}).network.goodness == "largest"


def test_a_name_of_the_project_is_taken_before_its_home_is_imported() -> None:
    """Else the home itself could not be imported any more."""
    code = "import ffsnn.parts.registry as r; r.LOSSES.add('swish', None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "ValueError: there is a loss 'swish' already, which ships with ffsnn: choose another name" in done.stderr


def test_kinds_of_negatives_are_classes_of_it() -> None:
    assert all(issubclass(kind, Negatives) for kind in registry.NEGATIVES.values())


def test_a_field_without_a_registry_is_as_it_was() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Annotated[str, registry.LOSSES]).validate_python(3)


def test_a_part_without_a_compiled_path_says_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOODNESS", "LOSSES", "SURROGATES"):
        parts = getattr(registry, name)
        monkeypatch.setattr(parts, "_parts", dict(parts))
    ffsnn.goodness.register("largest")(lambda rate_BF: rate_BF.amax(1))
    ffsnn.losses.register("hinge")(lambda good_pos, good_neg, alpha, theta: (good_neg - good_pos).relu().mean())
    ffsnn.surrogates.register("mine")(registry.SURROGATES["atan"].make)
    assert remarks(RunConfig()) == []
    (said,) = remarks(RunConfig().replaced({"network.goodness": "largest", "learning.loss": "hinge"}))
    assert said.startswith("goodness=largest and loss=hinge is differentiated by autograd")
    config = RunConfig().replaced({"network.surrogate": "mine", "network.widths": [8], "network.T": 2})
    assert remarks(config)[0].startswith("surrogate=mine has no compiled path: training takes the plain one")
    (layer,) = Network(config).each_layer
    assert not layer.compiled
    assert tuple(name for name, loss in registry.LOSSES.items() if loss.compiled) == COMPILED
