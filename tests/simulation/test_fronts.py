"""Simulated searches by several objectives: the box, the course of their fronts, what is refused."""

import re

import numpy as np
import pytest

from ffsnn.validation import ConfigError
from search.config import SearchConfig
from search.forecast.surface import Surface
from search.objectives import Objective
from search.pareto.goals import Limit
from search.registries import OBJECTIVES
from search.simulation.box import Box, Side
from search.simulation.experiment import Plan, config_of, pairs_of, run
from search.simulation.measures import course_of_fronts, ratio
from search.simulation.page import document
from search.simulation.recorded import Answers
from search.simulation.virtual import Step
from search.simulation.yardsticks import yardstick

ACCURACY, SPIKES = OBJECTIVES["val_accuracy"], OBJECTIVES["spikes_per_sample"]


def test_a_cost_counts_by_its_logarithm_from_the_best_to_the_worst() -> None:
    side = Side.of(SPIKES, np.array([100.0, 0.0, 1.0, 10.0]), None)  # what never fires counts as the least that does
    assert side.costs(np.array([0.0, 1.0, 10.0, 100.0, 1000.0])).tolist() == pytest.approx([0, 0, 0.5, 1, 1.5])
    assert str(side) == "spikes 100 to 1 (logarithmic)"
    share = Side.of(ACCURACY, np.array([0.1, 0.9, 0.5]), None)
    assert share.costs(np.array([0.9, 0.5, 0.1, 0.0])).tolist() == pytest.approx([0, 0.5, 1, 1.125])
    asked = Side.of(ACCURACY, np.array([0.1, 0.9, 0.5]), Limit.parse("accuracy>=50%"))
    assert asked.costs(np.array([0.9, 0.7])).tolist() == pytest.approx([0, 0.5])


@pytest.mark.parametrize(
    ("objective", "values", "limit"),
    [(ACCURACY, [0.5, 0.5], None), (ACCURACY, [0.2, 0.5], "accuracy>=60%"), (SPIKES, [0.0, 0.0], None)],
)
def test_a_box_without_volume_is_refused(objective: Objective, values: list[float], limit: str | None) -> None:
    with pytest.raises(ConfigError, match="must differ among what is recorded"):
        Side.of(objective, np.array(values), limit and Limit.parse(limit))


def test_the_front_is_chosen_by_what_was_seen_and_counts_by_what_it_is_worth() -> None:
    seen = np.array([[[0.5, 0.5], [0.2, 0.8]], [[0.6, 0.6], [0.1, 0.1]]])  # two configurations, two epochs
    counted = np.array([[[0.5, 0.5], [0.2, 0.8]], [[0.0, 0.0], [0.5, 0.25]]])
    steps = [Step(seconds, trial, trial, epoch) for seconds, trial, epoch in
             ((1.0, 0, 1), (2.0, 0, 2), (3.0, 1, 1), (4.0, 1, 2))]  # fmt: skip
    course = course_of_fronts(steps, seen, counted, whole=0.5)
    # after two epochs the first is worth 0.8 * 0.2 only; the other joins it; then that one dominates it
    assert course.value.tolist() == pytest.approx([0.25, 0.16, 1.0, 0.375])
    assert course.away.tolist() == pytest.approx([0.5, 0.5, -1.0, -1.0])
    assert (course.epochs_to(0.5), course.epochs_to(0.1), course.seconds_to(0.1)) == (1, 3, 3.0)


def test_a_ratio_of_means_has_an_interval_over_the_same_seeds() -> None:
    found = ratio(np.array([0.2, 0.4, 0.6]), np.array([0.1, 0.2, 0.3]), np.mean)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_what_cannot_look_at_several_objectives_is_left_out() -> None:
    pairs, unable = pairs_of("gp,random", "asha,none", several=True)
    assert (pairs, unable) == ([("random", "none")], ["asha", "gp"])
    assert pairs_of("gp,random", "asha,none", several=False)[1] == []
    assert pairs_of("random", "asha", several=True) == ([("random", "asha")], [])  # which a search refuses


@pytest.fixture(scope="module")
def surface() -> Surface:
    """A part of one that is shipped."""
    whole = Surface.load("digits")
    return Surface("digits", whole.space, whole.samples[:40], whole.seeds, whole.curves[:40], whole.about)


def experiment(surface: Surface, objective: str, reference: tuple[str, ...] = ()) -> tuple[Plan, SearchConfig, Answers]:
    plan = Plan(objective, trials=20, spend=40, reference=reference)
    config = config_of(surface, ("forecast", "promotion"), plan, 0)
    return Plan(config.objective, trials=20, spend=40, reference=reference), config, Answers(surface, config.goals)


def test_an_experiment_tells_hypervolumes_at_equal_epochs(surface: Surface) -> None:
    plan, config, answers = experiment(surface, "accuracy,spikes")
    pairs = [("random", "none"), ("forecast", "promotion")]
    done = [run(surface, pairs, plan, 2, lambda *_: None, processes=1) for _ in range(2)]
    for once, again in zip(*done, strict=True):
        assert all(np.array_equal(a.value, b.value) for a, b in zip(once.courses, again.courses, strict=True))
        assert all(len(course.value) == 40 for course in once.courses)
    told = document(answers, done[0], plan, config)
    first, second, *_ = (block for block in told.sections[0].blocks if hasattr(block, "head"))
    assert "to 95 % of the surface's front" in first.head
    assert second.head[1::2] == ("hypervolume after 10", "hypervolume after 20", "hypervolume after 40")
    assert second.rows[0][-1] == "1.00\u00a0[1.00,\u00a01.00]"
    box = Box(answers)
    assert all(re.fullmatch(r"(accuracy|spikes) .+ to .+", str(side)) for side in box.sides)
    assert 0 < box.whole < 1


@pytest.mark.parametrize(
    ("objective", "reference", "said"),
    [
        ("accuracy", "accuracy>=80%", "needs several objectives"),
        ("accuracy,spikes", "accuracy", "--reference: must be NAME<=NUMBER"),
        ("accuracy,spikes", "synops<=100", "--reference must be of an objective"),
        ("accuracy,spikes", "spikes>=100", r"bound what is worse \(accuracy>=..., spikes<=...\): got spikes>=100"),
        ("accuracy,spikes", "accuracy>=97.6%", "must differ|no recorded configuration is better than --reference"),
        ("accuracy,latency", "accuracy>=50%", "digits does not record latency: choose another objective"),
    ],
)
def test_a_reference_point_that_is_none_is_refused(objective: str, reference: str, said: str, surface: Surface) -> None:
    plan, config, answers = experiment(surface, objective, (reference,))
    with pytest.raises(ConfigError, match=said):
        yardstick(answers, config, plan.reference)
