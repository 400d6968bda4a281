"""What of a long study a sampler looks at."""

from itertools import pairwise

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from search import points, samplers
from search.horizon import BEST, Horizon, beyond
from spaces.space import Space

SPACE = Space.parse({"parameters": {"tau": {"float": [1.1, 5]}, "T": {"int": [2, 16]}}})


def trials(count: int) -> list[FrozenTrial]:
    """Complete and stopped ones in turns, the later the better, and one that runs."""
    made = []
    for number in range(count):
        value = number / count
        told = {1: value} if number % 2 else {1: value, 2: value}
        state = TrialState.PRUNED if number % 2 else TrialState.COMPLETE
        made.append(create_trial(state=state, value=None if number % 2 else value, intermediate_values=told))
    made.append(create_trial(state=TrialState.RUNNING))
    for number, trial in enumerate(made):
        trial.number = number
    return made


def test_a_short_study_is_seen_whole():
    assert beyond(trials(200), 200) == set()


@pytest.mark.parametrize("count", [201, 300, 2000])
def test_of_a_long_one_the_best_and_an_even_share_of_the_rest(count):
    every = trials(count)
    left = [trial for trial in every[:-1] if trial.number not in beyond(every, 200)]
    assert len(left) == 200
    best = [trial.number for trial in every if trial.state == TrialState.COMPLETE][-BEST:]
    numbers = [trial.number for trial in left]
    assert set(best) <= set(numbers)
    rest = [number for number in numbers if number not in best]
    assert max(after - before for before, after in pairwise(rest)) <= count / 150 * 2 + 1
    assert every[-1].number not in beyond(every, 200)


def test_stopped_trials_are_ranked_by_how_far_they_came():
    every = [create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.9}) for _ in range(100)]
    every += [create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.1, 2: 0.1}) for _ in range(BEST)]
    for number, trial in enumerate(every):
        trial.number = number
    assert not beyond(every, 60) & set(range(100, 150))


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_sampler_takes_it_for_the_study(sampler, monkeypatch):
    """And sees no more than that."""
    monkeypatch.setitem(samplers.HORIZONS, sampler, BEST + 10)
    study = optuna.create_study(direction="maximize")
    for number in range(BEST + 30):
        study.ask()
        points.record(SPACE, study, number, {"network.tau": 1.1 + number / 30, "network.T": 2 + number % 15})
        study.tell(number, number / 100)
    study.ask()
    seen = samplers.seen_by(sampler, study)
    assert isinstance(seen, Horizon)
    assert len(seen._get_trials(states=[TrialState.COMPLETE])) == BEST + 10
    few = points.draw(SPACE, seen, samplers.build(sampler, 0, BEST + 30), BEST + 30)
    all_of_it = points.draw(SPACE, study, samplers.build(sampler, 0, BEST + 30), BEST + 30)
    assert few.keys() == all_of_it.keys()
    assert few != all_of_it
