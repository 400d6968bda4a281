"""A sampler that learns from every trial, also from those that rest or were stopped: a random forest over the space.

Each trial counts with an estimate of its value at full length (`search.study.final_values`). Extremely randomised
trees (Geurts et al. 2006) are fitted to these, and of many candidates the one with the largest expected improvement
(Jones et al. 1998; from the mean and spread of the trees, as in SMAC, Hutter et al. 2011) is suggested. One model
covers parameters with conditions too, and every fourth suggestion is random.

All of it is a function of the space, a seed and the study: nothing is remembered from trial to trial.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from search.objectives import Objective
from search.study.encoding import Array, Encoding
from search.study.final_values import final_costs
from spaces.space import Space

BEGINNING = 8  # trials with a value before a model is fitted
RANDOM_SHARE = 0.25
TREES = 60
CANDIDATES, MUTATIONS, PARENTS = 1000, 800, 5
MUTATED, SPREAD = 0.3, 0.15  # probability that a parameter of a parent is changed; how far, as a share of its range


@dataclass
class Settings:
    random_share: float = RANDOM_SHARE
    beginning: int = BEGINNING
    trees: int = TREES
    leaf: int = 2
    features: float = 0.7
    cap: str = "none"
    explore: float = 1.0
    spread: float = SPREAD
    score: str = "ei"
    cost: float = 0.0
    boot: bool = False
    model: str = "et"
    target: str = "rank"
    c: float = 0.5
    sigma: float = 0.7
    iters: int = 25
    het: float = 0.0


class ForestSampler(BaseSampler):
    """Suggests points for one trial.

    Args:
        seed: of all that is drawn for it.
        space: that is searched.
        objective: that the study's values are of.
        epochs: of a trial at full length.
    """

    def __init__(
        self, seed: int, space: Space, objective: Objective, epochs: int, settings: Settings | None = None
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.space, self.objective, self.epochs = space, objective, epochs
        self.encoding = Encoding(space)
        self.settings = settings or Settings()

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        return dict(self.encoding.sample(self._suggest(study)))

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: Any) -> Any:
        raise NotImplementedError("all parameters are drawn together")

    def _suggest(self, study: optuna.Study) -> Array:
        """Places of the parameters, (P,)."""
        s = self.settings
        told = [it for it in study.get_trials(deepcopy=False) if it.intermediate_values and it.params]
        count = len(self.encoding.axes)
        if len(told) < s.beginning or self.rng.random() < s.random_share:
            return self.rng.random(count)
        costs = final_costs([it.intermediate_values for it in told], self.epochs, self.objective, s.cap)
        places = self.encoding.places([it.params for it in told])
        points = self.encoding.points(places)
        if s.model == "gp":
            import sys
            sys.path.insert(0, "/tmp/surf")
            from gp import GP
            from scipy.stats import norm, rankdata
            n = len(costs)
            if s.target == "rank":
                y = norm.ppf((rankdata(costs) - 0.5) / n)
            else:
                y = np.minimum(costs, np.quantile(costs, 0.75))
            gp = GP(c=s.c, sigma=s.sigma, iters=s.iters).fit(points, y)
            candidates = self._candidates(places[np.argsort(costs, kind="stable")[:PARENTS]])
            mean, sd = gp.predict(self.encoding.points(candidates), std=True)
            sd = sd * s.explore
            inc = gp.predict(points).min() if s.score == "ei_mean" else y.min()
            score = _log_improvement(mean, sd, inc) if s.score.startswith("ei") else -(mean - s.explore * sd)
            return candidates[int(np.argmax(score))]
        trees = _forest(points, costs, int(self.rng.integers(2**31)), s)
        candidates = self._candidates(places[np.argsort(costs, kind="stable")[:PARENTS]])
        shown = self.encoding.points(candidates).astype(np.float32)
        by_tree = np.stack([tree.tree_.predict(shown)[:, 0] for tree in trees])
        mean, sd = by_tree.mean(0), by_tree.std(0) * s.explore
        if s.score == "ei":
            score = _log_improvement(mean, sd, costs.min())
        elif s.score == "ei_mean":
            score = _log_improvement(
                mean,
                sd,
                trees and np.stack([t.tree_.predict(points.astype(np.float32))[:, 0] for t in trees]).mean(0).min(),
            )
        elif s.score == "ts":
            score = -by_tree[self.rng.integers(len(by_tree))]
        else:
            score = -(mean - sd)
        return candidates[int(np.argmax(score))]

    def _candidates(self, parents: Array) -> Array:
        """Points at random, and near the best."""
        count = parents.shape[1]
        fresh = self.rng.random((CANDIDATES, count))
        near = parents[self.rng.integers(len(parents), size=MUTATIONS)]
        changed = self.rng.random(near.shape) < MUTATED
        moved = near + self.settings.spread * self.rng.standard_normal(near.shape)
        choice = np.array([a.parameter.__class__.__name__ == "Choice" for a in self.encoding.axes.values()])
        moved = np.where(choice, self.rng.random(near.shape), np.clip(moved, 0, 1 - 1e-9))
        return np.concatenate([fresh, np.where(changed, moved, near)])


def _forest(points: Array, costs: Array, seed: int, s: Settings) -> list[Any]:
    from sklearn.ensemble import ExtraTreesRegressor

    model = ExtraTreesRegressor(
        s.trees, min_samples_leaf=s.leaf, max_features=s.features, bootstrap=s.boot, random_state=seed
    )
    return list(model.fit(points, costs).estimators_)


def _log_improvement(mean: Array, sd: Array, best: float) -> Array:
    """Logarithm of the expected improvement over `best`, which is exact far from it too."""
    from scipy.special import log_ndtr

    sd = np.maximum(sd, 1e-9)
    z = (best - mean) / sd
    from scipy.stats import norm

    # log(phi(z) + z Phi(z)) + log sd
    a = norm.logpdf(z)
    b = log_ndtr(z)
    with np.errstate(all="ignore"):
        v = np.where(z > -30, np.log(np.maximum(np.exp(a) + z * np.exp(b), 1e-300)), a - 2 * np.log(np.abs(z)))
    return v + np.log(sd)
