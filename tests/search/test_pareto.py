"""Several objectives: dominance, the epsilon-net and hypervolume by brute force; goals, limits, rungs."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffsnn.config import RunConfig
from ffsnn.validation import ConfigError, parse
from search.config import SearchConfig
from search.execution.rungs import FrontRung, Rungs
from search.pareto import vectors
from search.pareto.front import Box, ranking
from search.pareto.goals import Goals, Limit
from search.pareto.hypervolume import hypervolume
from search.pareto.layers import Order
from search.pareto.vectors import Standing
from search.progress import Counts
from spaces.space import Space

SPACE = Space.load("digits_smoke")
TWO = Goals.parse("val_accuracy,synaptic_operations_per_sample")

coordinates = st.integers(0, 6).map(float)
results = st.lists(
    st.builds(Standing, st.sampled_from([0.0, 0.0, 0.0, 0.5, 2.0]), st.tuples(coordinates, coordinates)), max_size=14
)


def dominates(one: Standing, other: Standing) -> bool:
    """By the definition of constrained dominance (Deb et al. 2002)."""
    if one.violation or other.violation:
        return one.violation < other.violation
    pairs = list(zip(one.costs, other.costs, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@given(results)
def test_no_trial_comes_before_one_that_dominates_it(standings: list[Standing]) -> None:
    order = vectors.order(standings)
    assert sorted(order) == list(range(len(standings)))
    for (_, early), (_, late) in itertools.combinations(enumerate(order), 2):
        assert not dominates(standings[late], standings[early])


@given(results)
def test_the_front_is_what_no_other_dominates(standings: list[Standing]) -> None:
    kept = [it for it in standings if not it.violation]
    expected = {it.costs for it in kept if not any(dominates(other, it) for other in kept)}
    front = vectors.front(standings)
    assert {standings[at].costs for at in front} == expected
    assert len(front) == len(expected)


def come(standings: list[Standing], numbers: list[int]) -> Order:
    """The order of results that came one after the other."""
    order = Order()
    for number, standing in zip(numbers, standings, strict=True):
        order.add(number, standing)
    return order


@given(results, st.data())
def test_results_that_come_one_by_one_are_in_the_order_of_all(standings: list[Standing], data: st.DataObject) -> None:
    numbers = data.draw(st.permutations(range(len(standings))))
    order = come(standings, numbers)
    by_number = dict(zip(numbers, standings, strict=True))
    ranked = vectors.order([by_number[number] for number in range(len(standings))])
    some = data.draw(st.sets(st.sampled_from(numbers))) if numbers else set()
    expected = next(((number, rank) for rank, number in enumerate(ranked) if number in some), None)
    assert order.best_of(some) == expected
    assert len(order) == len(standings)


@given(results, results)
def test_who_is_ahead_stays_ahead_whoever_else_comes(first: list[Standing], more: list[Standing]) -> None:
    rank = {at: place for place, at in enumerate(vectors.order([*first, *more]))}
    ahead = come(first, list(range(len(first)))).ahead()
    for at, standing in enumerate(first):
        before = [dominates(it, standing) or (it == standing and other < at) for other, it in enumerate(first)]
        assert rank[at] >= ahead[at] >= sum(before)
        assert ahead[at] == sum(before) or standing.violation  # equally far from a limit, the earlier one is ahead


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=10))
def test_those_that_dominate_each_are_counted(points: list[tuple[float, float]]) -> None:
    standings = [Standing(0.0, it) for it in points]
    counts = [sum(dominates(other, it) for other in standings) for it in standings]
    assert vectors.dominators(np.array(points)).tolist() == counts


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 9), coordinates, coordinates), max_size=20), st.booleans())
def test_the_best_so_far_is_the_first_of_all(came: list[tuple[int, int, float, float]], several: bool) -> None:
    """Whatever a trial's later epochs do to it."""
    config = parse(SearchConfig, {"name": "n", "space": SPACE.model_dump(mode="json"), "trials": 9, "epochs": 9,
                                  "objective": "accuracy,synops" if several else "accuracy"})  # fmt: skip
    counts = Counts(config, {"complete": 0, "pruned": 0, "failed": 0}, set(), set())
    for number, epochs, *values in came:
        counts.told(number, epochs, tuple(values) if several else (values[0],))
        entries = [(it, counts.epochs[it], counts.last[it]) for it in counts.last]
        assert counts.best() == entries[ranking(entries, 9, config.goals)[0]][0]
        assert counts.trained == sum(counts.epochs.values())
    assert came or counts.best() is None


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=10, unique=True))
def test_each_next_of_the_epsilon_net_is_the_farthest_from_those_before(points: list[tuple[float, float]]) -> None:
    costs = np.array(points)
    net = vectors.epsilon_net(costs)
    assert sorted(net) == list(range(len(points)))
    assert costs[net[0], 0] == costs[:, 0].min()
    for count in range(1, len(net)):
        away = [min(np.linalg.norm(costs[at] - costs[other]) for other in net[:count]) for at in net[count:]]
        assert away[0] == pytest.approx(max(away))


@given(st.integers(1, 3), st.data())
def test_hypervolume_is_the_number_of_unit_boxes_that_are_dominated(sides: int, data: st.DataObject) -> None:
    points = data.draw(st.lists(st.tuples(*[st.integers(0, 5).map(float)] * sides), max_size=6))
    cells = itertools.product(range(5), repeat=sides)
    covered = sum(any(all(a <= cell for a, cell in zip(it, box, strict=True)) for it in points) for box in cells)
    assert hypervolume(points, (5.0,) * sides) == pytest.approx(covered)


def test_trials_without_a_result_come_last() -> None:
    lost, broken, good = Standing(np.inf, (np.inf, np.inf)), Standing(0.1, (0.0, 0.0)), Standing(0.0, (9.0, 9.0))
    assert vectors.order([lost, broken, good]) == [2, 1, 0]
    assert vectors.front([lost, broken]) == []


@given(st.integers(2, 4), st.integers(0, 10**6))
def test_rungs_that_are_filled_in_another_sequence_decide_the_same(factor: int, seed: int) -> None:
    generator = random.Random(seed)
    came = [(number, Standing(0.0, (generator.random(), generator.random()))) for number in range(20)]
    one, other = (Rungs([1, factor], factor, 20, FrontRung) for _ in range(2))
    for number, standing in came:
        one.arrive(number, 1, standing)
    for number, standing in generator.sample(came, len(came)):
        other.arrive(number, 1, standing)
    while (found := one.next()) is not None:
        assert other.next() == found
        one.leave(*found)
        other.leave(*found)
    assert other.next() is None
    assert len(one.resting) == 20 - 20 // factor


@given(st.integers(2, 4), st.integers(0, 10**6))
def test_one_objective_in_fronts_decides_as_by_numbers(factor: int, seed: int) -> None:
    generator = random.Random(seed)
    numbers, fronts = Rungs([1, factor], factor, 30), Rungs([1, factor], factor, 30, FrontRung)
    for number in range(30):
        cost = float(generator.randrange(8))
        numbers.arrive(number, 1, cost)
        fronts.arrive(number, 1, Standing(0.0, (cost,)))
        assert sorted(numbers.hopeless()) == sorted(fronts.hopeless())
        if (found := numbers.next()) is not None:
            assert fronts.next() == found
            numbers.leave(*found)
            fronts.leave(*found)


def test_a_limit_outranks_every_objective() -> None:
    goals = Goals.parse("val_accuracy,synaptic_operations_per_sample", ["synops<=100"])
    entries = [(0, 9, (0.99, 101.0)), (1, 1, (0.2, 100.0)), (2, 9, (0.98, 400.0))]
    assert ranking(entries, 9, goals) == [1, 0, 2]


def test_the_box_goes_from_the_ideal_to_the_largest_cost() -> None:
    values = [TWO.standing(it) for it in [(0.5, 20.0), (0.75, 50.0), (0.25, 100.0)]]
    box = Box.around(TWO, values)
    assert str(box) == "from (100.00%, 0) to (0.00%, 100)"
    assert box.share(values) == pytest.approx(0.5 * 0.8 + 0.25 * 0.5)
    assert box.course(values) == pytest.approx([0.4, 0.525, 0.525])


def test_what_a_configuration_says_is_known_before_any_training() -> None:
    goals = Goals.parse("val_accuracy", ["T<=4", "synops<=5"])
    long = RunConfig.parse({"network": {"T": 9}})
    assert [value for _, value in goals.known(long)] == [9.0]
    assert goals.broken(long) == (1.25, "T<=4 must hold, but T=9")
    assert goals.broken(RunConfig.parse({"network": {"T": 4}})) is None


def search_of(**changes: object) -> SearchConfig:
    return parse(
        SearchConfig, {"name": "s", "space": SPACE.model_dump(mode="json"), "trials": 4, "epochs": 9} | changes
    )


@pytest.mark.parametrize("asked", ["accuracy:max,synops:min", "val_accuracy, synops", ["accuracy", "synops:minimize"]])
def test_objectives_are_stored_by_their_full_names(asked: object) -> None:
    config = search_of(objective=asked)
    assert config.objective == "val_accuracy,synaptic_operations_per_sample"
    assert config.goal.name == "val_accuracy"
    assert config.goals.directions == ["maximize", "minimize"]
    assert parse(SearchConfig, config.model_dump(mode="json")) == config


def test_one_objective_is_stored_as_ever() -> None:
    assert search_of().model_dump()["objective"] == search_of(objective="accuracy:max").objective == "val_accuracy"
    assert search_of().goals.is_plain


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": "accuracy,speed"}, "objective: must be .*'time_steps'.* but got 'speed'"),
        ({"objective": "accuracy,synops,val_accuracy"}, "objective: val_accuracy stands twice"),
        ({"objective": "accuracy:min"}, "val_accuracy is better the larger it is: write val_accuracy:max"),
        ({"objective": "accuracy,"}, "objective: must be .* but got ''"),
        ({"objective": 3}, "must be names of objectives"),
        ({"limit": ["synops<2"]}, "must be NAME<=NUMBER or NAME>=NUMBER, such as 'synops<=2e6', but got 'synops<2'"),
        ({"limit": ["synops<=-2"]}, "must have a finite bound of 0 or more, but got 'synops<=-2'"),
        ({"limit": ["synops<=many"]}, "must have a number behind <="),
        ({"limit": ["accuracy>=98"]}, "must have a share from 0 to 1 or from 0 % to 100 %"),
        ({"limit": ["watts<=1"]}, "but got 'watts'"),
        ({"limit": ["T<=3", "T>=5"]}, "no value keeps T<=3 and T>=5"),
        ({"objective": "accuracy,synops", "scheduler": "asha"}, "several objectives need a sched.*promotion, none"),
        ({"limit": ["T<=3"], "sampler": "gp"}, r"limits need a sampler that takes them \(forecast, tpe, random, nsga2"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        search_of(**changes)
    assert "\n" not in str(refused.value)


def test_a_share_may_be_a_percentage() -> None:
    assert Limit.parse("accuracy >= 90 %") == Limit.parse("val_accuracy>=0.9")
