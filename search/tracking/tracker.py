"""Brings a search, or a run, into MLflow while it goes on: one background thread, never in its way."""

import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ffsnn.validation import brief
from search.settings import origins
from search.tracking.search_exporter import SearchExporter

# Seconds after which Python lets another thread of this process go on; its own 5 ms kept the loop waiting.
SWITCH_INTERVAL_S = 0.0005
WRITE_INTERVAL_S, RETRY_INTERVAL_S = 1.0, 5.0  # seconds between writes; after a failure
# Seconds without an answer of a server, or of the local store (a busy machine), after which the end of a search goes on
# without it.
SERVER_TIMEOUT_S, LOCAL_TIMEOUT_S = 30.0, 300.0


class Writer(Protocol):
    """Writes a folder into an MLflow store; every method can be repeated."""

    def export_trial(self, number: int, /) -> None:
        """Bring one trial up to date."""

    def keep_early(self) -> None:
        """Do now what takes longest at the end."""

    def export_all(self, alive: Callable[[], None], /) -> object:
        """Bring all up to date, and end it; `alive` is called after each step."""


class Tracker(threading.Thread):
    """Writes the trials that have news, until it is closed.

    A store that fails or hangs is said once and tried again; the search never waits for it but at its end, and then
    only while it answers.
    """

    def __init__(
        self, home: Path, folder: Any, uri: str | None, say: Callable[[str], None],
        exporter: Callable[..., Writer] = SearchExporter,
    ) -> None:  # fmt: skip
        """`exporter(home, folder, uri)` makes the writer, anew after each failure; `folder` is as it takes it."""
        super().__init__(name="mlflow", daemon=True)
        self.home, self.folder, self.uri, self.say, self.exporter = home, folder, uri, say, exporter
        self.news: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.complained = self.done = False
        self.spare = threading.Event()  # a core has nothing to do: what takes longest at the end is done beforehand
        self.answered = time.monotonic()

    def changed(self, number: int) -> None:
        self.news.put(number)

    def finish(self) -> None:
        """There will be no more news."""
        self.news.put(None)

    def close(self) -> bool:
        """Write what is left; whether all of it could be written."""
        self.finish()
        self.answered = time.monotonic()
        patience = SERVER_TIMEOUT_S if self.uri else LOCAL_TIMEOUT_S
        while self.is_alive() and time.monotonic() - self.answered < patience:
            self.join(0.2)
        return self.done

    def run(self) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        exporter: Writer | None = None
        late: set[int] = set()
        closing = False
        while not closing:
            # MLflow is imported while trials are, so the first wait is the longer one.
            closing = self._gather(late, WRITE_INTERVAL_S if exporter else RETRY_INTERVAL_S)
            try:
                exporter = exporter or self.exporter(self.home, self.folder, self.uri)
                for number in sorted(late):
                    exporter.export_trial(number)
                    late.discard(number)
                    self._answers()
                if self.spare.is_set() and not closing:
                    exporter.keep_early()
                    self.spare.clear()
                if closing:
                    exporter.export_all(self._answers)
                    self.done = True
            except Exception as error:  # whatever a store may raise: the search goes on
                exporter = None
                self._complain(error)

    def _gather(self, late: set[int], pause: float) -> bool:
        """Wait for news, and a little for more of it; whether there will be no more."""
        try:
            news = [self.news.get(timeout=pause if late else None)]
        except queue.Empty:
            return False
        until = time.monotonic() + pause
        with suppress(queue.Empty):
            while None not in news:
                news.append(self.news.get(timeout=max(0.0, until - time.monotonic())))
        while not self.news.empty():
            news.append(self.news.get())
        late |= {number for number in news if number is not None}
        return None in news

    def _answers(self) -> None:
        self.answered = time.monotonic()
        if self.complained:
            self.complained = False
            self.say("MLflow answers again")

    def _complain(self, error: Exception) -> None:
        if not self.complained:
            self.complained = True
            note = origins(self.uri or "")
            self.say(
                f"MLflow does not answer ({brief(error)}); what runs goes on, and catches up" + (note and f" ({note})")
            )
