"""What ends a process from outside, and that it always ends the same way: a clean stop, then a quick one.

A terminal sends SIGINT (Ctrl-C), SIGQUIT (Ctrl-backslash) and SIGHUP (it is closed, a connection is lost); a batch
system SIGTERM, SIGXCPU, and SIGUSR1 or SIGUSR2 where it was asked to warn; whoever reads the output goes away. What the
parent ignores for us (`nohup`) stays ignored, but for SIGINT, which a shell makes its background jobs ignore.
"""

import ctypes
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.stop import StopRequest

ENDING = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _answer(handler: Any) -> None:
    for number in ENDING:
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


@contextmanager
def _restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupting() -> Iterator[None]:
    """Each of them is a KeyboardInterrupt, so that what has to be tidied up is."""
    with _restored():
        _answer(signal.default_int_handler)
        yield


@contextmanager
def stoppable(stop: "StopRequest", say: Callable[[str], None], answer: str) -> Iterator[None]:
    """The first of them stops a search, the second stops it at once.

    In a thread other than the main one, which signals do not reach, nothing changes.
    """
    if not _in_main_thread():
        yield
        return
    with _restored(), _unread(lambda: stop.ask("nobody reads what it prints")):
        listen(stop, say, answer)
        yield


def listen(stop: "StopRequest", say: Callable[[str], None], answer: str) -> None:
    """Within `stoppable`: what the first one is answered with; the second is a KeyboardInterrupt."""

    def answer_signal(*_: Any) -> None:
        if stop.ending:
            return
        if stop.asked:
            raise KeyboardInterrupt
        stop.ask("interrupted")
        say(answer)

    if _in_main_thread():
        _answer(answer_signal)


@contextmanager
def held_back() -> Iterator[None]:
    """This thread hears them when it is over. What is started within, threads and processes, never does: they inherit
    the mask.

    Ray answers SIGTERM by itself while it starts and ends, and its processes have to live until the search has stopped.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """In a new process, before it runs its program: SIGTERM comes when the one that started it has died."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _interrupt() -> None:
    raise KeyboardInterrupt


_when_unread = _interrupt


@contextmanager
def _unread(answer: Callable[[], None]) -> Iterator[None]:
    global _when_unread
    before, _when_unread = _when_unread, answer
    try:
        yield
    finally:
        _when_unread = before


class _Output:
    """A standard stream that may lose its reader (`| head`) or its terminal: what comes after that goes nowhere."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return self._tried(lambda: self.stream.write(text)) or len(text)

    def flush(self) -> None:
        self._tried(self.stream.flush)

    def _tried(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self.stream.fileno())
            if error.errno == errno.EPIPE:  # a terminal that is closed says so by a signal
                _when_unread()
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def unread_output_ends() -> Iterator[None]:
    """The loss of the reader of standard output is answered as a signal is."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Output(sys.stdout), _Output(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
