"""How the driver takes signals; what it does with a search is in `test_search.py` and `tests/faults`."""

import os
import signal

import pytest

from search.driver import listen, stoppable
from search.halt import Halt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_answered_and_the_second_stops_at_once(number: signal.Signals) -> None:
    before, halt, said = signal.getsignal(number), Halt(None), []
    with stoppable(halt, said.append):
        listen(halt, said.append, "the search is over")
        os.kill(os.getpid(), number)
        assert said == ["the search is over"]
        assert halt.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
