"""What of a long study a sampler looks at."""

from dataclasses import replace
from itertools import pairwise

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from search.config import SearchConfig
from search.registries import SAMPLERS
from search.study import samplers, sampling
from search.study.subset import BEST_KEPT as BEST
from search.study.subset import StudySubset, beyond
from spaces.space import Space

SPACE = Space.parse({"parameters": {"tau": {"float": [1.1, 5]}, "T": {"int": [2, 16]}}})


def told(*trials: dict[int, float]) -> list[FrozenTrial]:
    """Trials by their values at each step: complete after two steps, stopped after one, running after none."""
    study = optuna.create_study(direction="maximize")
    for number, values in enumerate(trials):
        trial = study.ask()
        for step, value in values.items():
            trial.report(value, step)
        if values:
            last = values[max(values)]
            study.tell(number, *((last, TrialState.COMPLETE) if 2 in values else (None, TrialState.PRUNED)))
    return study.trials


def trials(count: int) -> list[FrozenTrial]:
    """Complete and stopped ones in turns, the later the better, and one that runs."""
    return told(*({1: n / count} if n % 2 else {1: 0.0, 2: n / count} for n in range(count)), {})


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


def test_those_that_keep_the_limits_are_the_best():
    """However good the others are."""
    every = trials(600)
    for trial in every:
        trial.set_constraint("limit", -1.0 if trial.number % 20 == 0 else 1.0)
    assert not beyond(every, 200) & {number for number in range(600) if number % 20 == 0}


def test_a_failed_trial_is_worse_than_one_that_breaks_a_limit():
    every = trials(120)[:-1]
    for trial in every[:60]:
        trial.set_constraint("limit", 1.0)
    for trial in every[60:]:
        trial.state = TrialState.FAIL
    assert len(beyond(every, BEST) & set(range(60))) == 60 - BEST


def test_a_complete_trial_is_better_than_a_stopped_one():
    """Whatever their values; the best that is complete stays even among the last."""
    every = told(*({1: 0.9} for _ in range(2 * BEST)), *({1: 0.1, 2: 0.1} for _ in range(BEST)))
    assert not beyond(every, BEST + 1) & set(range(2 * BEST, 3 * BEST))


def test_stopped_trials_are_ranked_by_how_far_they_came():
    study = optuna.create_study(direction="maximize")
    for number in range(3 * BEST):
        trial = study.ask()
        for step in (1, 2) if number >= 2 * BEST else (1,):
            trial.report(0.1 if number >= 2 * BEST else 0.9, step)
        study.tell(number, state=TrialState.PRUNED)
    assert not beyond(study.trials, BEST + 1) & set(range(2 * BEST, 3 * BEST))


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_sampler_takes_it_for_the_study(sampler, monkeypatch):
    """And sees no more than that."""
    part = replace(SAMPLERS[sampler], looks_at=BEST + 10)
    monkeypatch.setitem(SAMPLERS._parts, sampler, part)
    study = optuna.create_study(direction="maximize")
    for number in range(BEST + 30):
        study.ask()
        sampling.record(SPACE, study, number, {"network.tau": 1.1 + number / 30, "network.T": 2 + number % 15})
        study.tell(number, number / 100)
    study.ask()
    seen = samplers.seen_by(sampler, study)
    assert isinstance(seen, StudySubset)
    assert len(seen._get_trials(states=[TrialState.COMPLETE])) == BEST + 10
    config = SearchConfig(name="s", space=SPACE, trials=99, epochs=9)
    few = sampling.draw(SPACE, seen, samplers.build(sampler, config, BEST + 30), BEST + 30)
    all_of_it = sampling.draw(SPACE, study, samplers.build(sampler, config, BEST + 30), BEST + 30)
    assert few.keys() == all_of_it.keys()
    assert few != all_of_it
