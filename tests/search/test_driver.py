"""How a search takes what ends a process; each of them, on a real search, in `test_endings.py`."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from search.cluster import ray_cluster
from search.execution import driver
from search.execution.session import Session
from search.signals import ENDING, interrupting, listen, stoppable
from search.stop import StopRequest
from tests.search.conftest import session_of
from tests.search.test_best import finished


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_is_answered_and_the_second_stops_at_once(number: signal.Signals) -> None:
    before, stop, said = signal.getsignal(number), StopRequest(None), []
    with stoppable(stop, said.append, "stopping"):
        listen(stop, said.append, "the search is over")
        os.kill(os.getpid(), number)
        assert said == ["the search is over"]
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_what_the_parent_ignores_stays_ignored() -> None:
    """As `nohup` has it; but for SIGINT, which a script's background jobs are made to ignore."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    stop = StopRequest(None)
    try:
        with stoppable(stop, print, "stopping"):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_loop_that_fails_is_begun_again_and_given_up_after_four(tmp_path, monkeypatch) -> None:
    """A trial that ended in between starts the count anew."""
    folder, said, loops = finished(tmp_path), [], []
    kept = [(folder.trial(number), folder.trial(number).end()) for number in range(2)]
    for trial, _ in kept:
        trial.reopen()

    def fail(_: Session) -> None:
        loops.append(1)
        if len(loops) == 2:
            kept[0][0].write_end(kept[0][1])
        raise ValueError("lost")

    monkeypatch.setattr(driver, "_tune", fail)
    monkeypatch.setattr(ray_cluster, "stop", lambda: None)
    monkeypatch.setattr("time.sleep", lambda _: None)
    session = session_of(folder, folder.config, say=said.append)
    driver.drive(session)
    assert len(loops) == 6
    assert session.stop.reason == "its loop failed 4 times in a row (ValueError: lost)"
    assert len(said) == 5


@pytest.mark.parametrize("number", ENDING)
def test_other_commands_are_interrupted_and_tidy_up(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interrupting():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before


def test_a_thread_that_gets_no_signals_changes_no_handler() -> None:
    before = [signal.getsignal(number) for number in ENDING]

    def searched() -> list[object]:
        with stoppable(StopRequest(None), print, "stopping"):
            return [signal.getsignal(number) for number in ENDING]

    with ThreadPoolExecutor(1) as other:
        assert other.submit(searched).result() == before
