"""A front retrained: all of its points tested once, two of them named; told in the terminal, the report and MLflow."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.tracking import MlflowClient

from search import names
from search.pareto.goals import Goals
from search.retrain import champion, front, verdict
from search.retrain.verdict import RetrainResult
from search.store.folder import SearchFolder
from search.tracking.store import store_uri
from tests.search.conftest import ffsnn

GOALS = Goals.parse("val_accuracy,synaptic_operations_per_sample", ("synaptic_operations_per_sample<=1000",))


def ranking(*accuracies: list[float | None]) -> list[verdict.RankedConfig]:
    trials = list(range(len(accuracies)))
    return verdict.ranked(trials, [f"id{it}" for it in trials], accuracies, front.roles(GOALS).quality)


def test_quality_is_that_of_which_more_is_better() -> None:
    turned = front.roles(Goals.parse("synaptic_operations_per_sample,val_accuracy"))
    assert (turned.quality.short, turned.cost.short) == ("accuracy", "synops")
    costs = front.roles(Goals.parse("time_steps,parameters"))
    assert (costs.quality.short, costs.cost.short) == ("T", "weights")


def test_the_cheapest_is_within_one_standard_error_of_the_champion() -> None:
    found = ranking([0.95, 0.97, 0.96], [0.955, 0.955, 0.955], [0.94, 0.95, 0.95], [0.5, 0.5, 0.5])
    costs = {0: 900.0, 1: 800.0, 2: 700.0, 3: 1.0}  # the champion's standard error is 0.58 points
    assert front.cheapest([0, 1, 2, 3], found, costs, front.roles(GOALS)) == 1
    one_seed = ranking([0.96], [0.959], [0.96])
    assert front.cheapest([0, 2, 1], one_seed, {0: 900.0, 1: 1.0, 2: 800.0}, front.roles(GOALS)) == 2


def test_only_points_that_keep_the_limits_are_named_where_there_are_some() -> None:
    found = ranking([0.9], [0.95], [None])
    assert front.keeping(found, {0: (0.9, 900.0), 1: (0.95, 1200.0)}, GOALS) == [0]
    assert front.keeping(found, {0: (0.9, 1100.0), 1: (0.95, 1200.0)}, GOALS) == [1, 0]


def test_a_value_is_shown_with_half_of_its_interval() -> None:
    spread = front.Spread.of([0.99, 0.95, None])
    assert spread.show(GOALS.objectives[0]) == "97.00% ± 25.00%"
    assert front.Spread.of([4.0, 4.0]).show(GOALS.objectives[1]) == "4"
    assert front.Spread.of([0.5]).show(GOALS.objectives[0]) == "50.00%"
    assert front.Spread.of([None]).mean is None


def test_what_was_chosen_by_another_objective_is_not_compared() -> None:
    """Of a search of synops and accuracy the best few are ranked by the former, and the front by the latter."""
    test, ranked = verdict.tested([0.9], 144, 0), tuple(ranking([0.9]))
    result = RetrainResult(search="s", epochs=2, seeds=(1,), ranking=ranked, lead=None, best_seed=1, test=test)

    folder = SimpleNamespace(search=SimpleNamespace(config=SimpleNamespace(goal=GOALS.objectives[1])))

    def stays(**tags: str) -> str:
        return champion._why_it_stays(SimpleNamespace(tags=tags), folder, result)

    by_synops = {names.TAG_VALIDATION: "812.5"}
    assert "chosen by synaptic_operations_per_sample, this one by val_accuracy" in stays(**by_synops)
    assert "chosen by synaptic_operations" in stays(**by_synops, **{names.TAG_OBJECTIVE: GOALS.objectives[1].name})
    by_accuracy = {names.TAG_OBJECTIVE: "val_accuracy"}
    assert stays(**{names.TAG_VALIDATION: "0.95"}, **by_accuracy) == "validation accuracy 95.00%, against 90.00%"
    assert stays(**{names.TAG_VALIDATION: "0.9"}, **by_accuracy) == ""


@pytest.mark.slow
def test_every_point_is_trained_tested_and_told(home: Path) -> None:
    asked = ("--objective", "accuracy,synops", "--trials", "10", "--epochs", "3")
    assert ffsnn("search", "digits_smoke", "--name", "both", *asked, home=home).returncode == 0
    command = ("retrain", "both", "--front", "--seeds", "2")
    done = ffsnn(*command, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    search = SearchFolder.open(home / "mlruns", "both")
    (file,) = search.path.glob("retrain/front*/retrain.json")
    result = RetrainResult.model_validate(json.loads(file.read_text()))
    assert result.front is not None
    assert {point.trial for point in result.front.points} == {trial.number for _, trial in search.front()}
    for point in result.front.points:
        assert [value.on_test for value in point.values] == [True, True]
        assert all(value.mean is not None and len(value.values) == 2 for value in point.values)
        assert point.exit is not None
        assert 1 <= point.exit.steps.mean <= search.trial(point.trial).config().network.T
    assert result.winner.trial == result.front.champion
    assert result.front.point(result.front.champion).of("val_accuracy").values == result.test.accuracies
    client = MlflowClient(store_uri(home / "mlruns"))
    for alias, trial in (("champion", result.front.champion), ("cheapest", result.front.cheapest)):
        version = client.get_model_version_by_alias("both", alias)
        assert version.tags["ffsnn.retrain_trial"] == str(trial)
        metrics = client.get_run(version.run_id).data.metrics
        assert {"test_accuracy", "test_synops"} <= metrics.keys()
    before = file.read_text()
    again = ffsnn(*command, home=home)
    assert file.read_text() == before
    assert "the front on the test images" in again.stdout
    assert len(client.search_model_versions("name = 'both'")) == len({result.front.champion, result.front.cheapest})
    assert ffsnn("report", "both", home=home).returncode == 0
    assert "The front, retrained" in (search.path / "report" / "report.md").read_text()
