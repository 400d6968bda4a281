"""Private names of Ray and Optuna: all there in the pinned versions; where one is missing, the public way is taken."""

import warnings
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import ray

from search.cluster import ray_private
from search.config import SearchConfig
from search.execution.asha import FolderASHA
from search.study import optuna_private, samplers
from search.study.subset import StudySubset
from spaces.space import Space

CONFIG = SearchConfig(name="s", space=Space.load("digits_smoke"), trials=9, epochs=9)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said of names that are missing; each once a process, so forgotten here."""
    said: list[str] = []
    for private in (ray_private, optuna_private):
        private.missing.cache_clear()
    monkeypatch.setattr(warnings, "warn", lambda text, stacklevel=1: said.append(text))
    return said


@pytest.mark.parametrize("name", ray_private.NAMES)
def test_ray_has_them_all(name: str, told: list[str]) -> None:
    module, _, leaf = name.rpartition(".")
    assert hasattr(import_module(module), leaf)


@pytest.mark.parametrize("name", optuna_private.NAMES)
def test_optuna_has_them_all(name: str) -> None:
    _, kind, leaf = name.rsplit(".", 2)
    frozen = optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL)
    assert hasattr(frozen if kind == "FrozenTrial" else optuna.create_study(), leaf)


def test_tunes_asha_has_its_rungs(told: list[str]) -> None:
    assert [int(epoch) for epoch, _ in ray_private.rungs(FolderASHA(CONFIG, print))] == [9, 3, 1]
    assert told == []


def lose(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module, _, leaf = name.rpartition(".")
    monkeypatch.delattr(import_module(module), leaf)


@pytest.mark.parametrize("name", ray_private.NAMES)
def test_a_ray_without_one_costs_a_remark(name: str, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, name)
    ray_private.read_settings()
    ray_private.kill_at_once()
    ray_private.address_of_this_host()
    ray_private.token()
    for _ in range(2):
        with ray_private.quick_start(prestarted=True), ray_private.few_processes():
            pass
    silent = name.endswith("_global_node")  # which is None as well where Ray is not up
    assert told == [] if silent else len(told) == 1 and told[0].startswith(f"Ray {ray.__version__} has no {name}: ")


def test_the_public_ways_to_a_token_and_an_address(monkeypatch: pytest.MonkeyPatch, told: list[str], tmp_path) -> None:
    lose(monkeypatch, "ray._raylet.AuthenticationTokenLoader")
    lose(monkeypatch, "ray._private.services.get_ray_address_from_environment")
    for variable in ("RAY_AUTH_TOKEN", "RAY_ADDRESS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert (ray_private.token(), ray_private.address_of_this_host()) == (None, None)
    (tmp_path / "token").write_text("secret\n")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert (ray_private.token(), ray_private.address_of_this_host()) == ("secret", "10.0.0.1:6379")


def test_an_asha_that_hides_its_rungs_is_not_refilled(told: list[str]) -> None:
    assert ray_private.rungs(object()) == []
    assert "ASHA forgets at a resume" in told[0]


def test_an_optuna_without_them_takes_the_public_way(told: list[str]) -> None:
    study: Any = optuna.create_study()
    study.ask()

    class Frozen:
        number = 0

    optuna_private.live_trial(study, Frozen()).report(0.5, 1)  # type: ignore[arg-type]
    assert study.trials[0].intermediate_values == {1: 0.5}

    class Study:
        """One without the method that can be replaced."""

    assert samplers.seen_by("tpe", Study()).__class__ is Study  # type: ignore[arg-type]
    assert "samplers look at all trials" in told[0]
    assert isinstance(samplers.seen_by("tpe", study), StudySubset)


def test_one_trial_is_read_and_made_the_public_way_too(told: list[str]) -> None:
    study = optuna.create_study()
    public = SimpleNamespace(ask=study.ask, get_trials=study.get_trials)
    assert [optuna_private.new_trial(it) for it in (study, public, study)] == [0, 1, 2]
    for it in (study, public):
        assert optuna_private.trial_of(it, 1).number == 1
    assert told == [
        f"Optuna {optuna.__version__} has no _study_id: one trial is read with all others, and a long search slows down"
    ]
