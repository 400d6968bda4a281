"""When a search is to stop, and when a trial has hung: plain rules on a clock."""

import pytest

from search import stop as halting
from search.execution import watchdog
from search.execution.session import Session
from search.execution.watchdog import TrialProgress
from search.stop import StopRequest
from tests.search.test_results import write


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Seconds that a test sets."""

    class Clock:
        now = 100.0

    for module in (halting, watchdog):
        monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    return Clock


def test_the_first_reason_to_stop_stays(clock):
    stop = StopRequest(started=clock.now)
    assert not stop.requested
    stop.ask("the disk is full", failed=True)
    stop.ask("interrupted")
    assert (stop.requested, stop.reason, stop.failed) == (True, "the disk is full", True)


def test_running_trials_have_twenty_seconds(clock):
    stop = StopRequest(started=clock.now)
    stop.ask("interrupted")
    clock.now += 19
    assert not stop.overdue
    clock.now += 2
    assert stop.overdue


def test_a_time_budget_stops_by_itself(clock):
    stop = StopRequest(budget=60, started=clock.now)
    clock.now += 59
    assert not stop.requested
    clock.now += 1
    assert (stop.requested, stop.asked, stop.overdue) == (True, False, False)
    clock.now += 21
    assert stop.overdue


def test_seconds_are_counted_once_however_often_tune_begins_anew(clock, tmp_path):
    folder = write(tmp_path, (), time_budget=60)
    folder.write_spent(600)
    session = Session(folder, folder.config, None, 0, lambda _: None, lambda _: None)
    session.stop.started = clock.now
    for _loop in range(3):
        clock.now += 50
        session.write_spent()
    assert (folder.spent(), session.stop.budget) == (750, 3000)


def test_a_budget_that_is_spent_stops_at_once(clock):
    assert StopRequest(budget=-3.0, started=clock.now).requested


def test_the_report_that_a_trial_repeats_is_no_measure_of_its_epochs(clock):
    """It comes at once; the next epoch may take longer than a minute."""
    pace = TrialProgress(known=3)
    clock.now += 2
    pace.epoch_done(3)
    assert pace.limit(patience=1800) == 1800
    clock.now += 90
    pace.epoch_done(4)
    assert pace.limit(patience=1800) == 900


def test_a_trial_is_measured_by_its_own_pace(clock):
    pace = TrialProgress()
    assert pace.limit(patience=1800) == 1800  # nothing is known of it yet
    clock.now += 2
    pace.epoch_done(1)
    assert pace.limit(patience=1800) == 60
    clock.now += 30
    pace.epoch_done(2)
    clock.now += 3
    pace.epoch_done(3)
    assert pace.limit(patience=1800) == 300  # ten times its slowest epoch
    assert TrialProgress().limit(patience=5) == 5
