"""Samplers: how the next point is suggested, by name; Optuna's, each with what it cannot do.

A sampler is built anew for every trial, from the search's seed and the trial's number, so that what it suggests is a
function of these and of the study alone: a search that was stopped and resumed asks for the same points.
"""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ffsnn.fields import short
from ffsnn.parts import contract
from ffsnn.validation import ConfigError, parse
from search.registries import SAMPLERS
from spaces.space import Space

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler

    from search.config import SearchConfig

POPULATION = 20  # trials of a generation; Optuna's 50 are more than many a search has in all
Make = Callable[[int, "SearchConfig"], "BaseSampler"]  # of a seed, for a search


@dataclass(frozen=True)
class Sampler:
    """A sampler, and what follows from it."""

    make: Make
    looks_at: int | None = None  # trials, because its time grows with them (`search.study.subset`); None: at all
    priors: bool = False  # it takes a space's beliefs into account, and begins with the experience of recorded surfaces
    several: bool = False  # it takes several objectives, and limits by Optuna's constraints
    conditions: bool = True  # it models parameters that only some trials have; otherwise these are drawn at random


register = SAMPLERS.decorator(Sampler)


@register("forecast", priors=True, several=True)
def forecast(seed: int, config: "SearchConfig") -> "BaseSampler":
    """A Gaussian process over what all trials are expected to reach at full length (`search.forecast.sampler`)."""
    from search.forecast.sampler import ForecastSampler

    return ForecastSampler(seed, config.space, config.goals, config.epochs, config.experience)


@register("tpe", looks_at=300, several=True)
def tpe(seed: int, config: "SearchConfig") -> "BaseSampler":
    """Tree-structured Parzen estimators (Bergstra et al. 2011), over all active parameters jointly, in groups where
    conditions make them differ."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


@register("random", several=True)
def random(seed: int, config: "SearchConfig") -> "BaseSampler":
    """Each point independent of all others."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


@register("gp", looks_at=200, conditions=False)
def gp(seed: int, config: "SearchConfig") -> "BaseSampler":
    """A Gaussian process with expected improvement, over the parameters that all trials have."""
    from optuna.samplers import GPSampler, RandomSampler

    return GPSampler(seed=seed, independent_sampler=RandomSampler(seed=seed))


@register("nsga2", several=True, conditions=False)
def nsga2(seed: int, config: "SearchConfig") -> "BaseSampler":
    """The genetic algorithm NSGA-II (Deb et al. 2002); it breeds from trials at full length alone."""
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=POPULATION)


@register("nsga3", several=True, conditions=False)
def nsga3(seed: int, config: "SearchConfig") -> "BaseSampler":
    """NSGA-III (Deb and Jain 2014), for three objectives and more; it breeds from trials at full length alone."""
    from optuna.samplers import NSGAIIISampler

    return NSGAIIISampler(seed=seed, population_size=POPULATION)


def seed_of(seed: int, number: int, attempt: int = 0) -> int:
    """A seed of its own for each trial of a search, and for each point drawn for it."""
    place = f"{seed}/sampler/{number}" + (f"/{attempt}" if attempt else "")
    digest = hashlib.blake2b(place.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") & 0x7FFFFFFF


def build(name: str, config: "SearchConfig", number: int, attempt: int = 0) -> "BaseSampler":
    """The sampler `name` for trial `number` of a search; `attempt`: how many points for it broke a rule."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return SAMPLERS[name].make(seed_of(config.seed, number, attempt), config)


def seen_by(name: str, study: "optuna.Study") -> Any:
    """The study, or as much of it as the sampler looks at."""
    from search.study.optuna_private import can_be_narrowed
    from search.study.subset import StudySubset

    limit = SAMPLERS[name].looks_at
    if limit is None or not can_be_narrowed(study) or len(study.directions) > 1:
        return study
    return StudySubset(study, limit)


def limits(name: str, space: Space) -> str | None:
    """The part of this space that the sampler leaves to chance or does not look at, in a sentence; None: none.

    Raises:
        ConfigError: the sampler was removed in a later version of ffsnn.
    """
    if name in SAMPLERS.retired:
        raise ConfigError(
            f"the sampler {name} is gone, for it drew choices at random: search under another --name, with --sampler "
            f"{', '.join(SAMPLERS)}"
        )
    believed = [short(path) for path, parameter in space.parameters.items() if parameter.prior]
    if believed and not SAMPLERS[name].priors:
        return f"the {name} sampler does not look at priors ({', '.join(believed)}): forecast does"
    if SAMPLERS[name].conditions:
        return None
    left = [short(path) for path, parameter in space.parameters.items() if parameter.when]
    if not left:
        return None
    return f"the {name} sampler draws {', '.join(left)} at random: it cannot model parameters with conditions"


def _broken(sampler: Sampler) -> str | None:
    """The rule that a sampler breaks, tried out on four trials of a small search; None: it breaks none."""
    from optuna.samplers import BaseSampler

    from search.config import SearchConfig

    parameters = {"v_threshold": {"float": [0.2, 1.5]}, "T": {"int": [2, 8]}, "loss": {"choice": ["swish", "symba"]}}
    tree = {"base": {"data": {"dataset": "digits"}, "learning": {"batch_size": 32}}, "parameters": parameters}
    space = Space.parse(tree | {"budget": {"trials": 4, "epochs": 3}})
    config = parse(SearchConfig, {"name": "tried", "space": space.model_dump(mode="json"), "trials": 4, "epochs": 3})
    with warnings.catch_warnings(action="ignore"):
        made: object = sampler.make(1, config)
        if not isinstance(made, BaseSampler):
            return f"must make an optuna.samplers.BaseSampler of a seed and a search, but made {type(made).__name__}"
        first, second = (_tried(sampler, config) for _ in range(2))
    if isinstance(first, str):
        return first
    return None if first == second else "must suggest the same point for the same seed and the same trials before"


def _tried(sampler: Sampler, config: "SearchConfig") -> "list[dict[str, Any]] | str":
    """Four points of a sampler, three of them with results; or what is wrong with one."""
    import optuna

    from search.study import sampling

    quiet = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study, points = optuna.create_study(direction=config.goal.direction), list[dict[str, Any]]()
        for number in range(4):
            trial = study.ask()
            points.append(sampling.draw(config.space, study, sampler.make(1 + number, config), number))
            try:
                config.space.apply(points[-1], config.base)
                sampling.record(config.space, study, number, points[-1])
            except (ConfigError, ValueError, KeyError) as error:
                return f"suggested {points[-1]}, which the space does not have: {error}"
            if number < 3:
                study.tell(trial, 0.5 + 0.1 * number)
        return points
    finally:
        optuna.logging.set_verbosity(quiet)


contract.CHECKS[SAMPLERS.kind] = _broken
