"""When a search is to stop, and when a trial has hung: plain rules on a clock."""

import pytest

from search import halt as halting
from search import watch
from search.halt import Halt
from search.watch import Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Seconds that a test sets."""

    class Clock:
        now = 100.0

    for module in (halting, watch):
        monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    return Clock


def test_the_first_reason_to_stop_stays(clock):
    halt = Halt(started=clock.now)
    assert not halt.now
    halt.ask("the disk is full", failed=True)
    halt.ask("interrupted")
    assert (halt.now, halt.reason, halt.failed) == (True, "the disk is full", True)


def test_running_trials_have_twenty_seconds(clock):
    halt = Halt(started=clock.now)
    halt.ask("interrupted")
    clock.now += 19
    assert not halt.overdue
    clock.now += 2
    assert halt.overdue


def test_a_time_budget_stops_by_itself(clock):
    halt = Halt(budget=60, started=clock.now)
    clock.now += 59
    assert not halt.now
    clock.now += 1
    assert (halt.now, halt.asked, halt.overdue) == (True, False, False)
    clock.now += 21
    assert halt.overdue


def test_a_budget_that_is_spent_stops_at_once(clock):
    assert Halt(budget=-3.0, started=clock.now).now


def test_a_trial_is_measured_by_its_own_pace(clock):
    pace = Pace()
    assert pace.limit(patience=1800) == 1800  # nothing is known of it yet
    clock.now += 2
    pace.epoch_done()
    assert pace.limit(patience=1800) == 60
    clock.now += 30
    pace.epoch_done()
    clock.now += 3
    pace.epoch_done()
    assert pace.limit(patience=1800) == 300  # ten times its slowest epoch
    assert Pace().limit(patience=5) == 5
