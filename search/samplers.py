"""Optuna's samplers for a search space, and what each cannot do with choices and conditions.

A sampler is built anew for every trial, from the search's seed and the trial's number, so that what it suggests is a
function of these and of the study alone: a search that was stopped and resumed asks for the same points.
"""

import hashlib
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.samplers import BaseSampler

from search.evolution import Evolution
from search.horizon import Horizon
from spaces.parameter import Choice
from spaces.space import Space


def seed_of(seed: int, number: int, attempt: int = 0) -> int:
    """A seed of its own for each trial of a search, and for each point drawn for it."""
    place = f"{seed}/sampler/{number}" + (f"/{attempt}" if attempt else "")
    digest = hashlib.blake2b(place.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") & 0x7FFFFFFF


def _tpe(seed: int, own: int, number: int) -> BaseSampler:
    """Over all active parameters jointly, in groups where conditions make them differ."""
    return optuna.samplers.TPESampler(seed=own, multivariate=True, group=True, constant_liar=True)


def _random(seed: int, own: int, number: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=own)


class _Sobol(optuna.samplers.QMCSampler):
    """Optuna counts its points in the study, where a kill would leave one out; here a trial's number is its point's."""

    def __init__(self, number: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.number = number

    def _find_sample_id(self, study: optuna.Study, search_space: Any) -> int:
        return self.number


def _qmc(seed: int, own: int, number: int) -> BaseSampler:
    """One Sobol sequence for the whole search: all its trials share the seed."""
    return _Sobol(
        number, seed=seed, scramble=True, independent_sampler=optuna.samplers.RandomSampler(seed=own),
        warn_independent_sampling=False, warn_asynchronous_seeding=False,
    )  # fmt: skip


def _gp(seed: int, own: int, number: int) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=own, independent_sampler=optuna.samplers.RandomSampler(seed=own))


def _cmaes(seed: int, own: int, number: int) -> BaseSampler:
    return Evolution(own)


SAMPLERS: dict[str, Callable[[int, int, int], BaseSampler]] = {
    "tpe": _tpe, "random": _random, "qmc": _qmc, "gp": _gp, "cmaes": _cmaes,
}  # fmt: skip
HORIZONS = {"tpe": 300, "gp": 200}  # trials; TPE's time for a suggestion grows with their number, GP's with its cube
WITHOUT_CHOICES = ("qmc", "cmaes")
WITHOUT_CONDITIONS = ("qmc", "gp", "cmaes")


def build(name: str, seed: int, number: int, attempt: int = 0) -> BaseSampler:
    """The sampler for trial `number` of a search; `attempt`: how many points for it broke a rule."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name](seed, seed_of(seed, number, attempt), number)


def seen_by(name: str, study: optuna.Study) -> Any:
    """The study, or as much of it as the sampler looks at."""
    return Horizon(study, HORIZONS[name]) if name in HORIZONS else study


def limits(name: str, space: Space) -> str | None:
    """What the sampler leaves to chance in this space; None: nothing."""
    left = []
    for path, parameter in space.parameters.items():
        choice, condition = isinstance(parameter, Choice), bool(parameter.when)
        if (choice and name in WITHOUT_CHOICES) or (condition and name in WITHOUT_CONDITIONS):
            left.append(path.rsplit(".", 1)[-1])
    if not left:
        return None
    return f"the {name} sampler draws {', '.join(left)} at random: it cannot model such choices or conditions"
