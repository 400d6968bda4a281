"""A point of a space: drawn by a sampler, then recorded in a study; apart, so that a kill in between costs nothing."""

from functools import cache
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from threadpoolctl import ThreadpoolController

from search.study.optuna_private import live_trial, trial_of
from spaces.parameter import AnyParameter, Float, Int, Sample
from spaces.space import Space


def distribution(parameter: AnyParameter) -> BaseDistribution:
    """A parameter of a space as Optuna has it."""
    if isinstance(parameter, Float):
        return FloatDistribution(*parameter.float, log=parameter.log)
    if isinstance(parameter, Int):
        return IntDistribution(*parameter.int, log=parameter.log)
    return CategoricalDistribution(parameter.choice)


def draw(space: Space, study: optuna.Study, sampler: BaseSampler, number: int) -> Sample:
    """Draw a trial's sample from the sampler as `optuna.Trial` would, but write nothing to the study.

    Linear algebra has one thread meanwhile: trials have the cores, a model's matrices are small, and two threads that
    waited for each other took 10 times as long on idle cores, 25 times on busy ones.
    """
    with _linear_algebra().limit(limits=1, user_api="blas"):
        return _drawn(space, study, sampler, number)


@cache
def _linear_algebra() -> ThreadpoolController:
    """The thread pools of numpy's and scipy's libraries, which are looked for once a process."""
    return ThreadpoolController()


def _drawn(space: Space, study: optuna.Study, sampler: BaseSampler, number: int) -> Sample:
    trial = trial_of(study, number)
    sampler.before_trial(study, trial)
    together = sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))
    sample: Sample = {}
    for path, parameter in space.parameters.items():
        if space.active(path, sample):
            allowed = distribution(parameter)
            drawn: Any = together[path] if path in together else sampler.sample_independent(study, trial, path, allowed)
            sample[path] = drawn
    return sample


class _Given(BaseSampler):
    """Suggests what it is given."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return self.sample[param_name]


def record(space: Space, study: optuna.Study, number: int, sample: Sample) -> None:
    """Give a trial of the study the parameters of a sample; those that it has stay."""
    study.sampler = _Given(sample)
    suggest(space, live_trial(study, trial_of(study, number)))


def suggest(space: Space, trial: optuna.Trial) -> Sample:
    """A sample of the space, parameter by parameter, leaving out those whose condition does not hold."""
    sample: dict[str, Any] = {}
    for path, parameter in space.parameters.items():
        if not space.active(path, sample):
            continue
        if isinstance(parameter, Float):
            sample[path] = trial.suggest_float(path, *parameter.float, log=parameter.log)
        elif isinstance(parameter, Int):
            sample[path] = trial.suggest_int(path, *parameter.int, log=parameter.log)
        else:
            sample[path] = trial.suggest_categorical(path, parameter.choice)
    return sample
