"""Optuna's samplers for a search space, and what each cannot do with conditions.

A sampler is built anew for every trial, from the search's seed and the trial's number, so that what it suggests is a
function of these and of the study alone: a search that was stopped and resumed asks for the same points.
"""

import hashlib
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.samplers import BaseSampler

from search.study.subset import StudySubset
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


def _gp(seed: int, own: int, number: int) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=own, independent_sampler=optuna.samplers.RandomSampler(seed=own))


SAMPLERS: dict[str, Callable[[int, int, int], BaseSampler]] = {
    "tpe": _tpe, "random": _random, "gp": _gp,
}  # fmt: skip
# Trials that a sampler looks at: the time of a suggestion grows with them, for TPE linearly, for GP with their cube.
SUBSET_SIZES = {"tpe": 300, "gp": 200}
WITHOUT_CONDITIONS = ("gp",)


def build(name: str, seed: int, number: int, attempt: int = 0) -> BaseSampler:
    """The sampler for trial `number` of a search; `attempt`: how many points for it broke a rule."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name](seed, seed_of(seed, number, attempt), number)


def seen_by(name: str, study: optuna.Study) -> Any:
    """The study, or as much of it as the sampler looks at."""
    return StudySubset(study, SUBSET_SIZES[name]) if name in SUBSET_SIZES else study


def limits(name: str, space: Space) -> str | None:
    """What the sampler leaves to chance in this space; None: nothing."""
    if name not in WITHOUT_CONDITIONS:
        return None
    left = [path.rsplit(".", 1)[-1] for path, parameter in space.parameters.items() if parameter.when]
    if not left:
        return None
    return f"the {name} sampler draws {', '.join(left)} at random: it cannot model parameters with conditions"
