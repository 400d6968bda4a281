"""The sampler `forecast`: it learns from every trial, also from those that rest, were stopped or still run.

Each trial counts with the value that it is expected to reach at full length (`search.forecast.final_values`), by its
rank. A Gaussian process is fitted to these over all parameters at once, those with conditions too, and of many
candidates the one with the largest expected improvement (Jones et al. 1998) is suggested. Its mean is what recorded
surfaces say of the same configurations, as far as the search's own trials bear that out (`search.forecast.experience`).
Of several objectives each has a process of its own, and the improvement is that of the front's hypervolume
(`search.pareto.improvement`). A share of the points is drawn at random, so that no model keeps a search from the rest
of its space.

A suggestion is a function of the space, of a seed and of the study: nothing is remembered from trial to trial.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from scipy.special import log_ndtr

from search.forecast.beliefs import WEIGHT, Beliefs
from search.forecast.encoding import Array, Encoding
from search.forecast.experience import Experience, Forecast
from search.forecast.final_values import goal_costs, normal_scores
from search.forecast.told import told_of
from search.pareto import improvement
from search.pareto.goals import Goals, Values
from search.pareto.vectors import dominators
from spaces.parameter import Choice, Sample
from spaces.space import Space

BEGINNING = 8  # trials with a value before a model is fitted
OPENING = 16  # candidates for each of these first trials, where there is experience to choose by
RANDOM_SHARE = 0.25  # of the later points
FRESH, NEAR, PARENTS = 1000, 800, 5  # candidates: at random, near the best trials; how many of these
LOOKS_AT = 150  # trials that the model is fitted to, whose time grows with their cube; as many pending ones
CHANGED, SPREAD = 0.3, 0.15  # probability that a parameter of a parent is changed; how far, as a share of its range

Gain = Callable[[Array, Array], Array]


class ForecastSampler(BaseSampler):
    """Suggests the point of one trial.

    Args:
        seed: of all that is drawn for it.
        space: that is searched.
        goals: that the study's values are of.
        epochs: of a trial at full length.
        experience: names of recorded surfaces that it begins with.
    """

    def __init__(self, seed: int, space: Space, goals: Goals, epochs: int, experience: Sequence[str] = ()) -> None:
        self.generator = np.random.default_rng(seed)
        self.goals, self.epochs = goals, epochs
        self.encoding = Encoding(space)
        self.beliefs = Beliefs(self.encoding)
        self.experience = [Experience(experience, space, objective) for objective in goals.objectives]
        self.is_choice = np.array([isinstance(axis.parameter, Choice) for axis in self.encoding.axes.values()])

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: the space says itself what there is, conditions too."""
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        known = told_of(study)
        told = [it for _, it in known if all(it)]
        running = (it for trial, it in reversed(known) if not trial.state.is_finished())
        pending = [*islice((sample for sample, values in running if sample and not values), LOOKS_AT)][::-1]
        return dict(self.encoding.sample(self._places(told, pending)))

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: Any) -> Any:
        raise NotImplementedError("all parameters are drawn at once")

    def _places(self, told: list[tuple[Sample, dict[int, Values]]], pending: list[Sample]) -> Array:
        """Where the next trial's parameters lie, (P,).

        Args:
            told: samples of the trials with a value at least, and their values by epoch.
            pending: samples of those that have none yet.
        """
        if len(told) < BEGINNING:
            return self._first()
        if self.generator.random() < RANDOM_SHARE:
            return self.generator.random(len(self.encoding.axes))
        costs = goal_costs([values for _, values in told], self.epochs, self.goals)
        scores = normal_scores(costs)
        kept = best_and_some(costs[:, 0] if costs.shape[1] == 1 else dominators(costs).astype(float), LOOKS_AT)
        places = self.encoding.places([told[at][0] for at in kept])
        models = [Forecast.fit(it, places, column) for it, column in zip(self.experience, scores[kept].T, strict=True)]
        if pending:
            awaited = self.encoding.places(pending)
            models = [model.believing(awaited) for model in models]
        parents, gain = self._improvement(scores)
        candidates = self._candidates(self.encoding.places([told[at][0] for at in parents]))
        predicted = np.array([model.predict(candidates) for model in models])  # (objectives, 2, candidates)
        gains = gain(predicted[:, 0].T, predicted[:, 1].T) + WEIGHT / len(told) * self.beliefs.log_density(candidates)
        best: Array = candidates[int(gains.argmax())]
        return best

    def _first(self) -> Array:
        """Where a trial lies before there is a model: of places drawn by beliefs, the one that experience expects most
        of by all objectives together."""
        known = [it for it in self.experience if it.names]
        drawn = self.beliefs.draw(self.generator, OPENING if known else 1)
        expected = sum((it.scores(drawn).mean(1) for it in known), np.zeros(len(drawn)))
        best: Array = drawn[int(expected.argmin())]
        return best

    def _improvement(self, scores: Array) -> tuple[list[int], Gain]:
        """Which trials are the parents of candidates; the logarithm of the expected improvement of candidates by
        the means and deviations of their scores: of the best by one objective, of the front's hypervolume by several.
        """
        best_first: list[int] = np.argsort(scores.sum(1), kind="stable").tolist()
        if scores.shape[1] == 1:
            return best_first[:PARENTS], lambda mean, deviation: log_improvement(
                mean[:, 0], deviation[:, 0], float(scores.min())
            )
        reached = improvement.dominates(scores)
        parents = improvement.spread(reached, PARENTS) or best_first[:1]
        return parents, partial(improvement.log_expected, dominated=reached)

    def _candidates(self, parents: Array) -> Array:
        """Places at random, and near the parents'."""
        fresh = self.generator.random((FRESH, parents.shape[1]))
        near = parents[self.generator.integers(len(parents), size=NEAR)]
        moved = np.clip(near + SPREAD * self.generator.standard_normal(near.shape), 0, 1)
        other = np.where(self.is_choice, self.generator.random(near.shape), moved)
        changed = self.generator.random(near.shape) < CHANGED
        changed[np.arange(NEAR), self.generator.integers(near.shape[1], size=NEAR)] = True  # one at least
        return np.concatenate([fresh, np.where(changed, other, near)])


def best_and_some(costs: Array, limit: int) -> npt.NDArray[np.int_]:
    """Which trials a model is fitted to: all, or the best third of `limit` and an even share of the rest, in order."""
    if len(costs) <= limit:
        return np.arange(len(costs))
    best_first = np.argsort(costs, kind="stable")
    best, rest = best_first[: limit // 3], np.sort(best_first[limit // 3 :])
    some = rest[np.arange(limit - len(best)) * len(rest) // (limit - len(best))]
    return np.sort(np.concatenate([best, some]))


def log_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Logarithm of the expected improvement on `best` of costs that are normally distributed.

    Far from it, where the improvement itself is 0 in floating point, by its asymptote (Ament et al. 2023, section 4.1).
    """
    z = (best - mean) / deviation
    density = -0.5 * z * z - 0.5 * np.log(2 * np.pi)
    with np.errstate(all="ignore"):
        near = np.log(np.exp(density) + z * np.exp(log_ndtr(z)))
        far = density - 2 * np.log(np.abs(z))
    found: Array = np.where(z > -10, near, far) + np.log(deviation)
    return found
