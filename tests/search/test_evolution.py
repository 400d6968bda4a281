"""CMA-ES without a kept state: as the library's own, told the same; better than chance where there is something."""

import math
from collections import Counter

import numpy as np
import optuna
import pytest
from cmaes import CMA
from optuna.trial import TrialState, create_trial

from search import points, samplers
from search.evolution import SIGMA, Evolution, _merit, _unit, _value
from spaces.space import Space

SPACE = Space.parse({
    "parameters": {
        "lr": {"float": [1e-4, 1e-1], "log": True}, "T": {"int": [2, 17], "log": True}, "tau": {"float": [1.1, 5]},
        "loss": {"choice": ["threshold", "swish"]},
        "theta": {"float": [0.02, 0.5], "log": True, "when": {"loss": "threshold"}},
    },
})  # fmt: skip
NUMBERS = {path: parameter for path, parameter in SPACE.parameters.items() if path.endswith(("lr", ".T", "tau"))}


def value(sample: dict) -> float:
    """Largest at lr = 0.03, T = 3, tau = 4."""
    lr, T, tau = (sample[name] for name in NUMBERS)
    return 1 - (math.log10(lr / 0.03) / 3) ** 2 - (math.log2(T / 3) / 3) ** 2 - ((tau - 4) / 4) ** 2


def searched(name: str, trials: int, seed: int) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    for number in range(trials):
        study.ask()
        sample = points.draw(SPACE, study, samplers.build(name, seed, number), number)
        points.record(SPACE, study, number, sample)
        study._storage.set_trial_intermediate_value(number, 1, value(sample))
        pruned = bool(number % 2)
        state = TrialState.PRUNED if pruned else TrialState.COMPLETE
        study.tell(number, None if pruned else value(sample), state)
    return study


def test_it_finds_what_chance_does_not():
    def late(name: str, seed: int) -> float:
        return float(np.mean([value(trial.params) for trial in searched(name, 64, seed).trials[-16:]]))

    for seed in (0, 1, 2):
        assert late("cmaes", seed) > late("random", seed) + 0.2


def test_it_is_the_librarys_told_the_same():
    study = searched("random", 21, 0)  # two generations of 7, and 7 more
    sampler, trial = Evolution(5), study.ask()
    space = sampler.infer_relative_search_space(study, trial)
    assert set(space) == set(NUMBERS)
    reference = CMA(mean=np.full(3, 0.5), sigma=SIGMA, bounds=np.array([[0.0, 1.0]] * 3), seed=5)
    assert reference.population_size == 7
    for generation in range(3):
        some = study.trials[7 * generation : 7 * generation + 7]
        ranks = np.argsort(np.argsort([-value(one.params) for one in some]))
        places = [np.array([_unit(allowed, one.params[name]) for name, allowed in space.items()]) for one in some]
        reference.tell(list(zip(places, ranks, strict=True)))
    found = sampler.sample_relative(study, trial, space)
    expected = zip(space.values(), reference.ask(), strict=True)
    assert list(found.values()) == [_value(allowed, unit) for allowed, unit in expected]


def test_what_diverged_is_worse_than_what_was_stopped_first():
    def ended(state: TrialState, *values: float) -> optuna.trial.FrozenTrial:
        told = dict(enumerate(values, 1))
        last = values[-1] if state == TrialState.COMPLETE else None
        return create_trial(state=state, value=last, intermediate_values=told)

    diverged = ended(TrialState.PRUNED, 0.5, 0.6, 0.7, 0.0)
    pruned, better = ended(TrialState.PRUNED, 0.2), ended(TrialState.PRUNED, 0.3)
    complete = ended(TrialState.COMPLETE, 0.1, 0.1, 0.1, 0.1)
    assert sorted([complete, better, pruned, diverged], key=_merit) == [diverged, pruned, better, complete]


@pytest.mark.parametrize("path", NUMBERS)
def test_a_number_comes_back_from_its_unit(path):
    allowed = points.distribution(SPACE.parameters[path])
    for number in (allowed.low, allowed.high):
        assert _value(allowed, _unit(allowed, number)) == pytest.approx(number)
    drawn = [_value(allowed, unit) for unit in np.linspace(0, 1, 2000)]
    assert min(drawn) == pytest.approx(allowed.low)
    assert max(drawn) == pytest.approx(allowed.high)
    if path.endswith(".T"):
        assert sorted(Counter(drawn)) == list(range(2, 18))


def test_one_number_or_none_is_left_to_chance():
    study = optuna.create_study()
    assert Evolution(0).sample_relative(study, study.ask(), {}) == {}
    allowed = {"tau": points.distribution(SPACE.parameters["network.tau"])}
    assert Evolution(0).sample_relative(study, study.ask(), allowed) == {}
