"""The expected improvement of a hypervolume, beside the slow, obvious way to it."""

import numpy as np
import pytest
from scipy.stats import norm

from search.pareto.hypervolume import hypervolume
from search.pareto.improvement import WORST, best, dominates, log_expected, spread

BEST = best(6)
SIDE = WORST - BEST


def volume(scores: np.ndarray) -> float:
    """Share of the box."""
    inside = [tuple(it) for it in np.maximum(scores, BEST).tolist()]
    return hypervolume(inside, (WORST,) * scores.shape[1]) / SIDE ** scores.shape[1]


@pytest.mark.parametrize("objectives", [2, 3])
def test_it_is_the_mean_of_what_drawn_results_add(objectives: int) -> None:
    generator = np.random.default_rng(0)
    known = generator.normal(size=(6, objectives))
    reached = dominates(known)
    assert reached.any(0).mean() == pytest.approx(volume(known), abs=0.02)
    means, deviations = generator.normal(-1, 1, (5, objectives)), generator.uniform(0.2, 1, (5, objectives))
    found = np.exp(log_expected(means, deviations, reached))
    for mean, deviation, told in zip(means, deviations, found, strict=True):
        drawn = generator.normal(mean, deviation, (200, objectives))
        added = [volume(np.vstack([known, row])) - volume(known) for row in drawn]
        assert told == pytest.approx(np.mean(added), abs=0.02)


def test_an_extreme_that_is_better_than_all_of_many_trials_counts() -> None:
    ranks = np.random.default_rng(0).permuted(np.tile(np.arange(600), (2, 1)), axis=1).T
    scores = norm.ppf((ranks + 0.5) / 600)
    at = int(np.where(scores[:, 1] < 0, scores[:, 0], np.inf).argmin())
    further = log_expected(np.array([[-6.0, scores[at, 1]]]), np.full((1, 2), 0.01), dominates(scores))
    assert further[0] > -20


def test_parents_are_spread_along_the_front_and_none_is_useless() -> None:
    scores = np.array([[-2.9, 2.0], [-2.0, 0.0], [-1.9, 0.1], [0.0, -2.0], [0.5, 0.5]])  # the first is outside
    assert sorted(spread(dominates(scores), 5)) == [1, 3]
    assert spread(dominates(scores), 1) in ([1], [3])
    assert spread(dominates(np.array([[2.0, 2.0]])), 5) == []
