"""A search by promotion, for real: with more trials it goes on with its survivors, as if it had had them all along."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import optuna
import pytest

from search import api
from search.execution.session import Session
from search.forecast.surface import Surface
from search.names import EPOCH, NUMBER, REST_FILE
from search.simulation.experiment import Plan, config_of
from search.simulation.recorded import Answers, RecordedFolder
from search.simulation.virtual import SimulatedSearcher, Slots, TuneTrial
from tests.faults.reader import broken_promises

SPACE = {
    "base": {"data": {"dataset": "digits"}, "network": {"widths": [16]}, "learning": {"batch_size": 256}},
    "parameters": {"v_threshold": {"float": [0.2, 1.5]}, "tau": {"float": [1.1, 5]}, "T": {"int": [2, 4]}},
    "budget": {"trials": 6, "epochs": 9},
}


def searched(home: Path, name: str, trials: int, **settings: Any) -> api.Search:
    return api.run(SPACE, name=name, home=home, quiet=True, trials=trials, concurrency=1, **settings)


def found(search: api.Search) -> dict[int, tuple[dict[str, Any], list[float], str]]:
    """Of each trial its point, its values and its end."""
    return {
        trial.number: (search.config.space.read(trial.config()), trial.values(search.config.goal), trial.end().reason)
        for trial in search.folder.trials()
    }


def test_a_search_that_is_given_more_trials_goes_on_with_those_it_had_ended(tmp_path: Path) -> None:
    """Each trial is trained as far as if there had been so many from the start, or further: one was the best of few."""
    first = found(searched(tmp_path, "grown", 6, sampler="random", seed=1))
    grown, whole = (searched(tmp_path, name, 18, sampler="random", seed=1) for name in ("grown", "whole"))
    for number, (sample, values, _) in found(whole).items():
        assert found(grown)[number][0] == sample
        assert found(grown)[number][1][: len(values)] == values
    further = [number for number, (_, values, _) in first.items() if len(found(grown)[number][1]) > len(values)]
    assert further, "no trial of the first six went on: the test shows nothing"
    assert not list(grown.folder.path.rglob(REST_FILE))
    for search in (grown, whole):
        assert broken_promises(tmp_path, search.name, 18) == []


def test_no_point_is_trained_twice_though_it_has_not_ended(tmp_path: Path) -> None:
    """Eight trials in a space of two points: six are duplicates, and no rung counts them before or after a resume."""
    space = {**SPACE, "parameters": {"T": {"choice": [2, 3]}}}
    search = api.run(space, name="small", home=tmp_path, quiet=True, trials=8, concurrency=2)
    ends = [trial.end() for trial in search.folder.trials()]
    trained = [end for end in ends if end.reason != "duplicate" and "same configuration" not in end.detail]
    assert (len(ends), len(trained)) == (8, 2)


@pytest.mark.slow
def test_a_checkpoint_that_is_damaged_while_a_trial_rests_costs_epochs_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from search.execution.promotion import Promotion

    whole = found(searched(tmp_path, "whole", 6))
    next_one = Promotion.next

    def damaging(self: Promotion, at_rest: Collection[int]) -> int | None:
        number = next_one(self, at_rest)
        if number is not None:
            for file in (tmp_path / "mlruns/searches/hurt/trials" / f"{number:04d}").glob("*s.safetensors"):
                file.write_bytes(b"damaged")
            for file in (tmp_path / "mlruns/searches/hurt/trials" / f"{number:04d}").glob("last.safetensors"):
                file.write_bytes(b"damaged")
        return number

    monkeypatch.setattr(Promotion, "next", damaging)
    hurt = api.run(SPACE, name="hurt", home=tmp_path, trials=6, concurrency=1)
    assert found(hurt) == whole
    assert "last.safetensors is damaged; it goes on from epoch 0" in capfd.readouterr().out
    assert broken_promises(tmp_path, "hurt", 6) == []


@pytest.mark.parametrize("better", [True, False])
def test_a_trial_on_its_way_to_rest_is_neither_ended_nor_handed_out(better: bool) -> None:
    """Between the report with which a trial comes to a rung and the end of its process another one may come."""
    surface = Surface.load("digits")
    config = config_of(surface, ("random", "promotion"), Plan("val_accuracy", trials=8), seed=0)
    folder = RecordedFolder(Answers(surface, config.goals), 0)
    session = Session(folder, config, Slots(), 0, lambda _: searcher, lambda _: None)  # type: ignore[arg-type]
    searcher = SimulatedSearcher(session, optuna.create_study(direction="maximize"), [])
    ends: list[int] = []
    session.listeners.append(lambda event: ends.append(event.number) if event.end else None)
    first, scheduler = config.milestones[0], searcher.scheduler

    def to_the_rung(trial: TuneTrial, value: float) -> dict[str, Any]:
        folder.trial(trial.config[NUMBER]).epochs = first
        result = {EPOCH: first, "val_accuracy": value, "done": False}
        assert scheduler.on_trial_result(None, trial, result) == "STOP"
        return result

    trials = [TuneTrial(str(n), searcher.suggest(str(n))) for n in range(8)]
    late, *others = trials
    result = to_the_rung(late, 0.9 if better else 0.01)
    for number, trial in enumerate(others):
        searcher.on_trial_complete(trial.trial_id, to_the_rung(trial, 0.5 - 0.05 * number))
        assert 0 not in ends
        given = searcher.suggest(f"again-{number}")
        assert given is None or given[NUMBER] != 0
    searcher.on_trial_complete(late.trial_id, result)
    if better:
        assert 0 not in ends
        assert searcher.suggest("at last")[NUMBER] == 0
    assert len(ends) == len(set(ends))
    assert (0 in ends) != better
