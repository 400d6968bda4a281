"""One contract for all objectives, one for all schedulers, one for all samplers; and names that are none."""

import json
import math
from pathlib import Path

import pytest
from ray.tune.schedulers import TrialScheduler

from ffsnn.fields import field_kinds
from ffsnn.training.epoch_metrics import EpochMetrics
from ffsnn.validation import ConfigError, parse
from search.config import SearchConfig
from search.execution.study_searcher import study_searcher
from search.names import EPOCH
from search.registries import OBJECTIVES, SAMPLERS, SCHEDULERS
from search.store.ends import End
from search.store.folder import SearchFolder
from search.store.results import Results
from search.study import sampling
from search.study.reconcile import reconcile, report_to_study, study_values
from search.study.samplers import build, limits, seen_by
from spaces.space import Space
from tests.search.conftest import open_study, session_of

SPACE = Space.load("digits_smoke")
EPOCHS = [
    EpochMetrics(epoch, (0.5, 0.4), (0.3, 0.2), (0.1, 0.1), (0.1 * epoch, 0.2), 0.1 + 0.2 * epoch, 1.0, 2.0)
    for epoch in (1, 2, 3)
]


def config_of(**settings: object) -> SearchConfig:
    fresh = {"name": "made", "space": SPACE.model_dump(mode="json"), "trials": 4, "epochs": 9, "device": "cpu"}
    return parse(SearchConfig, fresh | settings)


def written(home: Path, config: SearchConfig) -> SearchFolder:
    """Three trials of one, two and three epochs, all of them stopped there."""
    folder = SearchFolder.create(home, config, "")
    study = open_study(folder)
    for number in range(3):
        sample = sampling.draw(SPACE, study, build("random", config, study.ask().number), number)
        trial = folder.trial(number)
        trial.create(SPACE.apply(sample, config.base))
        sampling.record(SPACE, study, number, sample)
        lines = [json.dumps(epoch.json()) + "\n" for epoch in EPOCHS[: number + 1]]
        (trial.path / "history.jsonl").write_text("".join(lines))
        trial.write_end(End("pruned", "asha"))
        report_to_study(study, trial, config.goals)
    return folder


@pytest.mark.parametrize("field", ["objective", "sampler", "scheduler"])
def test_a_name_that_is_none_is_refused_and_the_known_ones_named(field: str) -> None:
    known = {"objective": OBJECTIVES, "sampler": SAMPLERS, "scheduler": SCHEDULERS}[field]
    with pytest.raises(ConfigError, match=rf"^{field}: must be '{next(iter(known))}'.*, but got 'nonesuch'"):
        config_of(**{field: "nonesuch"})
    assert field_kinds("network.T") == {int}  # registries of a search are none of a run's fields


# --- objectives ---


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_taken_from_the_configuration_by_all_that_ranks(name: str, tmp_path: Path) -> None:
    config = config_of(objective=name)
    folder, goal = written(tmp_path, config), config.goal
    values = [trial.values(goal)[-1] for trial in folder.trials()]
    assert all(map(math.isfinite, values))
    best_first = sorted(range(3), key=lambda number: goal.cost(values[number]))
    assert [trial.number for _, trial in folder.ranked()] == best_first
    results = Results(folder)
    assert [trial.number for trial in results.ranked()] == best_first
    assert {name, f"best_{name}"} <= set(results.columns)
    assert open_study(folder).direction.name.lower() == goal.direction
    assert goal.best(values) == values[best_first[0]]
    assert goal.cost(goal.worst) >= max(map(goal.cost, values))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_study_that_is_lost_is_written_anew_with_the_objectives_values(name: str, tmp_path: Path) -> None:
    config = config_of(objective=name)
    folder = written(tmp_path, config)
    before = [trial.intermediate_values for trial in open_study(folder).trials]
    folder.study_file.unlink()
    study, _ = reconcile(folder, config, print)
    assert [trial.intermediate_values for trial in study.trials] == before
    trial = folder.trial(1)
    assert study_values(trial, End("pruned", "diverged"), config.goals)[3] == config.goals.worst


def test_an_objective_cannot_change_when_a_search_goes_on(tmp_path: Path) -> None:
    from search.config import difference

    said = difference(config_of(), config_of(objective="nanojoules_per_sample"))
    assert said == 'objective="val_accuracy" became "nanojoules_per_sample"'


# --- schedulers ---


class Trial:
    """What a scheduler sees of one of Tune's trials."""

    def __init__(self, number: int) -> None:
        self.trial_id, self.config = f"tune-{number}", {"number": number}
        self.status, self.stopping_criterion = "RUNNING", {}


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_scheduler_goes_on_as_if_never_stopped_and_records_its_own_reason(
    name: str, objective: str, tmp_path: Path
) -> None:
    config, part = config_of(scheduler=name, objective=objective), SCHEDULERS[name]
    folder, stopped = written(tmp_path, config), list[int]()
    goal, milestones = config.goal, part.milestones(config)
    assert milestones == sorted(set(milestones)) == config.milestones
    assert milestones[-1] <= config.epochs
    assert part.describe(config)
    scheduler = part.build(config, folder, stopped.append)
    values = [trial.values(goal)[0] for trial in folder.trials()]
    worse = max(map(goal.cost, values)) + 1
    trial = Trial(3)
    scheduler.on_trial_add(None, trial)
    report = {EPOCH: 1, objective: -worse if goal.direction == "maximize" else worse, "training_iteration": 1}
    decision = scheduler.on_trial_result(None, trial, report)
    if part.stop_reason is None:
        assert (decision, stopped) == (TrialScheduler.CONTINUE, [])
    elif part.rests:
        assert (decision, stopped) == (TrialScheduler.STOP, [])
        assert scheduler.rests(3)
        assert scheduler.given_up() == [3]  # the last of four
    else:
        assert (decision, stopped) == (TrialScheduler.STOP, [3])


@pytest.mark.parametrize(("decided", "reason"), [(True, "asha"), (False, "stopped")])
def test_the_record_says_who_stopped_a_trial(decided: bool, reason: str, tmp_path: Path) -> None:
    config = config_of(scheduler="asha")
    session = session_of(SearchFolder.create(tmp_path, config, ""), config)
    searcher = study_searcher(session)
    number = searcher.suggest("a")["number"]
    trial = session.folder.trial(number)
    (trial.path / "history.jsonl").write_text(json.dumps(EPOCHS[0].json()) + "\n")
    if decided:
        session.stopped.add(number)
    searcher.on_trial_complete("a", {"epoch": 1})
    assert trial.end().reason == reason


# --- samplers ---


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_is_a_function_of_seed_number_and_study(name: str, tmp_path: Path) -> None:
    config = config_of(sampler=name)
    study = open_study(written(tmp_path, config))
    number = study.ask().number
    seen = seen_by(name, study)
    seeded = [build(name, config_of(sampler=name, seed=seed), number) for seed in (0, 0, 1)]
    draws = [sampling.draw(SPACE, seen, sampler, number) for sampler in seeded]
    assert draws[0] == draws[1] != draws[2]
    assert SPACE.apply(draws[0], config.base)
    said = limits(name, SPACE)
    assert (said is None) == SAMPLERS[name].conditions


@pytest.mark.parametrize("name", SAMPLERS.retired)
def test_a_sampler_that_is_gone_can_be_read_and_names_the_others(name: str) -> None:
    config = config_of(sampler=name)
    with pytest.raises(ConfigError, match=rf"the sampler {name} is gone.*--sampler forecast, tpe, random, gp"):
        limits(config.sampler, SPACE)
    assert name not in SAMPLERS


def test_a_configuration_is_never_trained_twice(tmp_path: Path) -> None:
    """Of a space of four points the fifth trial has the record of an earlier one."""
    space = {"base": {"data": {"dataset": "digits"}, "network": {"widths": [16]}, "learning": {"batch_size": 256}},
             "parameters": {"T": {"int": [2, 3]}, "surrogate": {"choice": ["atan", "sigmoid"]}}}  # fmt: skip
    config = config_of(space=Space.parse(space).model_dump(mode="json"), trials=6, epochs=1)
    folder, said = SearchFolder.create(tmp_path, config, ""), []
    session = session_of(folder, config)
    session.listeners.append(said.append)
    searcher = study_searcher(session)
    for number in range(4):
        assert searcher.suggest(str(number))["number"] == number
        (folder.trial(number).path / "history.jsonl").write_text(json.dumps(EPOCHS[0].json()) + "\n")
        searcher.on_trial_complete(str(number), {"epoch": 1})
    assert len({trial.config().id for trial in folder.trials()}) == 4
    assert searcher.suggest("4") == "FINISHED"
    for number in (4, 5):
        same = int(folder.trial(number).end().detail.split()[2].strip(","))
        assert folder.trial(number).config().id == folder.trial(same).config().id
        assert folder.trial(number).history() == folder.trial(same).history()
    assert [event.number for event in said if event.end] == list(range(6))
    assert [trial.state.name for trial in open_study(folder).trials] == ["COMPLETE"] * 6


def test_a_sampler_that_does_not_look_at_priors_says_so() -> None:
    space = Space.parse({"parameters": {"tau": {"float": [1.1, 5], "prior": {"centre": 2}}}})
    assert limits("tpe", space) == "the tpe sampler does not look at priors (tau): forecast does"
    assert limits("forecast", space) is None
