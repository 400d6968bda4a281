"""Promotion: the published algorithm beside the fast bookkeeping, and what a scheduler does with it."""

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffsnn.training.epoch_metrics import EpochMetrics
from search.config import SearchConfig
from search.execution.promotion import Promotion
from search.execution.rungs import Rungs
from search.names import EPOCH, NUMBER
from search.store.ends import End
from search.store.folder import SearchFolder
from spaces.space import Space

CONFIG = SearchConfig(name="s", space=Space.load("digits_smoke"), trials=9, epochs=9, scheduler="promotion")


class Published:
    """Algorithm 2 of arXiv 1810.05934, as it stands there: slow, and plain."""

    def __init__(self, epochs: list[int], factor: int) -> None:
        self.epochs, self.factor = epochs, factor
        self.results: dict[int, dict[int, float]] = {epoch: {} for epoch in epochs}  # rung -> number -> cost
        self.promoted: dict[int, set[int]] = {epoch: set() for epoch in epochs}

    def get_job(self) -> tuple[int, int] | None:
        for epoch in reversed(self.epochs):
            ranked = sorted(self.results[epoch], key=lambda number: (self.results[epoch][number], number))
            top = ranked[: len(ranked) // self.factor]
            promotable = [number for number in top if number not in self.promoted[epoch]]
            if promotable:
                self.promoted[epoch].add(promotable[0])
                return promotable[0], epoch
        return None


@given(st.integers(2, 4), st.integers(1, 60), st.integers(0, 10**6))
def test_what_goes_on_is_what_the_published_algorithm_promotes(factor: int, trials: int, seed: int) -> None:
    generator, epochs = random.Random(seed), [1, factor, factor**2]
    rungs, published = Rungs(epochs, factor, trials), Published(epochs, factor)
    started, gone = 0, dict[int, int]()  # those that went for good, and when
    while True:
        found = published.get_job()
        assert rungs.next() == found
        if found:
            number, epoch = found
            assert number not in gone, "it was given up, and goes on all the same"
            rungs.leave(number, epoch)
            if epoch == epochs[-1]:
                continue
            epoch *= factor
        elif started < trials:
            number, epoch = started, 1
            started += 1
        else:
            break
        cost = generator.choice([generator.random(), 0.5])  # ties, too
        for _ in range(2):  # told twice, as after an interruption
            rungs.arrive(number, epoch, cost)
        published.results[epoch][number] = cost
        for lost, at in list(rungs.hopeless()):
            rungs.leave(lost, at)
            gone[lost] = at
    assert len(gone) >= trials // 2


def trial_at(folder: SearchFolder, number: int, accuracies: list[float], end: End | None = None) -> None:
    trial = folder.trial(number)
    trial.create(CONFIG.base.replaced({"network.tau": 1.5 + number / 100}))
    lines = [EpochMetrics(n + 1, (0.0,), (0.0,), (0.0,), (0.0,), value, 1.0, 1.0) for n, value in enumerate(accuracies)]
    (trial.path / "history.jsonl").write_text("".join(json.dumps(line.json()) + "\n" for line in lines))
    if end:
        trial.write_end(end)


class Trial:
    """What a scheduler sees of one of Tune's trials."""

    def __init__(self, number: int) -> None:
        self.trial_id, self.config = f"tune-{number}", {NUMBER: number}


def test_a_trial_rests_until_it_is_among_the_best_of_its_rung(tmp_path: Path) -> None:
    scheduler = Promotion(CONFIG)
    told = [0.5, 0.4, 0.3, 0.9]
    decisions = [
        scheduler.on_trial_result(None, Trial(number), {EPOCH: 1, "val_accuracy": value})
        for number, value in enumerate(told[:2])
    ]
    assert decisions == ["STOP", "STOP"]
    assert scheduler.next(range(99)) is None
    assert scheduler.on_trial_result(None, Trial(2), {EPOCH: 1, "val_accuracy": told[2]}) == "STOP"
    assert scheduler.next(range(99)) == 0  # of three, the best one
    assert not scheduler.rests(0)
    # It comes back and repeats its last report.
    assert scheduler.on_trial_result(None, Trial(0), {EPOCH: 1, "val_accuracy": 0.5}) == "CONTINUE"
    assert scheduler.on_trial_result(None, Trial(0), {EPOCH: 2, "val_accuracy": 0.6}) == "CONTINUE"
    for number in (3, 4):
        assert scheduler.on_trial_result(None, Trial(number), {EPOCH: 1, "val_accuracy": 0.1}) == "STOP"
    # The sixth at the rung makes room for a second one, and is the best itself: its process just goes on.
    assert scheduler.on_trial_result(None, Trial(5), {EPOCH: 1, "val_accuracy": 0.9}) == "CONTINUE"


def test_a_resumed_scheduler_stands_where_the_folders_say(tmp_path: Path) -> None:
    folder = SearchFolder.create(tmp_path, CONFIG, "")
    trial_at(folder, 0, [0.5, 0.6, 0.7, 0.8])  # interrupted on its way to the last rung
    trial_at(folder, 1, [0.4])  # rests
    trial_at(folder, 2, [0.2], End("pruned", "promotion"))
    trial_at(folder, 3, [0.3, 0.4], End("pruned", "diverged"))
    trial_at(folder, 4, [0.45])
    trial_at(folder, 5, [0.1])
    scheduler = Promotion(CONFIG)
    scheduler.refill(folder)
    assert [number for number in range(6) if scheduler.rests(number)] == [1, 4, 5]
    first, second = scheduler.rungs.rungs
    assert [number for _, number in first.came] == [0, 4, 1, 3, 2, 5]
    assert second.came == [(-0.7, 0), (math.inf, 3)]
    assert scheduler.next(range(99)) == 4
    assert scheduler.next(range(99)) is None


def test_one_that_diverges_counts_as_the_worst_of_the_next_rung() -> None:
    scheduler = Promotion(CONFIG)
    scheduler.on_trial_result(None, Trial(0), {EPOCH: 1, "val_accuracy": 0.9})
    report = {EPOCH: 0, "val_accuracy": math.nan}
    assert scheduler.on_trial_result(None, Trial(1), report) == "STOP"
    scheduler.on_trial_complete(None, Trial(2), report)  # as Tune tells of a report that is the last
    assert scheduler.next(range(99)) == 0  # the best of three
    assert not scheduler.rests(1)


@pytest.mark.parametrize("factor", [2, 3])
def test_those_that_can_never_go_on_are_given_up_at_once(factor: int) -> None:
    rungs = Rungs([1, factor], factor, trials=6)
    for number in range(6):
        rungs.arrive(number, 1, cost=float(number))
        given_up = [lost for lost, _ in rungs.hopeless()]  # trials come the best first
        assert given_up == [n for n in range(number + 1) if n >= 6 // factor]


def test_a_search_too_small_for_its_rungs_still_ends_with_one_at_full_length() -> None:
    """Of two trials at a rung one in three is none."""
    scheduler = Promotion(CONFIG.model_copy(update={"trials": 2}))
    for number, value in enumerate([0.3, 0.5]):
        assert scheduler.on_trial_result(None, Trial(number), {EPOCH: 1, "val_accuracy": value}) == "STOP"
    assert scheduler.given_up() == [0]
    assert (scheduler.next(range(99)), scheduler.last()) == (None, 1)
    assert scheduler.on_trial_result(None, Trial(1), {EPOCH: 3, "val_accuracy": 0.6}) == "STOP"
    assert (scheduler.next(range(99)), scheduler.last()) == (None, 1)
    scheduler.on_trial_complete(None, Trial(1), {EPOCH: 9, "val_accuracy": 0.7})
    assert scheduler.last() is None


def test_it_ends_where_no_trial_can_go_on() -> None:
    scheduler = Promotion(CONFIG)
    scheduler.on_trial_result(None, Trial(0), {EPOCH: 0, "val_accuracy": math.nan})
    assert scheduler.last() is None
