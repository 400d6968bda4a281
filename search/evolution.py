"""CMA-ES (Hansen 2016, arXiv 1604.00772) over the numbers of a search.

Optuna's own sampler keeps its state in the study as a pickle, and to resume a search would run what its folder says.
Here nothing is kept: for every trial the state is computed anew from the trials that have ended.
"""

from typing import Any

import numpy as np
import optuna
from cmaes import CMA
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

Number = FloatDistribution | IntDistribution
SIGMA = 1 / 6  # of the first generation, where a parameter's range is 1
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


class Evolution(BaseSampler):
    """Samples the numbers that every ended trial has; what else there is, choices and what hangs on them, at random.

    A generation is as many ended trials as CMA-ES asks for, in the order of their numbers, wherever their points come
    from. It looks at ranks alone, so a trial that was stopped early has one too.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.independent = seed, RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        common = optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False), include_pruned=True)
        return {name: allowed for name, allowed in common.items() if not isinstance(allowed, CategoricalDistribution)}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if len(search_space) < 2:
            return {}  # a covariance takes two
        optimiser = CMA(
            mean=np.full(len(search_space), 0.5), sigma=SIGMA, bounds=np.array([(0.0, 1.0)] * len(search_space)),
            seed=self.seed,
        )  # fmt: skip
        ended = study.get_trials(deepcopy=False, states=ENDED)
        size = optimiser.population_size
        for first in range(0, len(ended) - size + 1, size):
            worst_last = sorted(ended[first : first + size], key=_merit, reverse=True)
            optimiser.tell([(_point(one, search_space), rank) for rank, one in enumerate(worst_last)])
        asked = zip(search_space.items(), optimiser.ask(), strict=True)
        return {name: _value(allowed, unit) for (name, allowed), unit in asked}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.independent.sample_independent(study, trial, param_name, param_distribution)


def _merit(trial: FrozenTrial) -> tuple[bool, int, float]:
    """What came further is better, then what is more accurate; what diverged, with the worst value, is last."""
    last = max(trial.intermediate_values, default=0)
    value = trial.intermediate_values.get(last, 0.0)
    return value > 0, last, value


def _point(trial: FrozenTrial, search_space: dict[str, Any]) -> np.ndarray:
    """A trial's numbers, each in [0, 1]."""
    return np.array([_unit(allowed, trial.params[name]) for name, allowed in search_space.items()])


def _unit(allowed: Number, value: float) -> float:
    low, high = _range(allowed)
    return float((_scale(allowed, value) - low) / (high - low))


def _value(allowed: Any, unit: float) -> float | int:
    """`_unit` undone."""
    low, high = _range(allowed)
    value = low + float(unit) * (high - low)
    value = float(np.exp(value)) if allowed.log else value
    if isinstance(allowed, IntDistribution):
        return int(min(max(round(value), allowed.low), allowed.high))
    return float(min(max(value, allowed.low), allowed.high))


def _range(allowed: Number) -> tuple[float, float]:
    """An integer has the half below and above it to itself."""
    margin = 0.5 if isinstance(allowed, IntDistribution) else 0.0
    return _scale(allowed, allowed.low - margin), _scale(allowed, allowed.high + margin)


def _scale(allowed: Number, value: float) -> float:
    return float(np.log(value)) if allowed.log else float(value)
