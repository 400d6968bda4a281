"""Brings a search into MLflow while it runs: one background thread, never in the search's way."""

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from search.folder import TrialsFolder
from search.tracking.projection import Projection, project
from search.tracking.store import imported

EVERY, AGAIN = 1.0, 5.0  # seconds between writes; after a failure
PATIENCE, PATIENCE_AT_HOME = 30.0, 300.0  # seconds without an answer of a server, or of the local store (a busy
# machine), after which the end of a search does not wait any longer


class Tracker(threading.Thread):
    """Writes the trials that have news, until it is closed.

    A store that fails or hangs is said once and tried again; the search never waits for it but at its end, and then
    only while it answers.
    """

    def __init__(
        self, home: Path, folder: TrialsFolder, uri: str | None, say: Callable[[str], None],
        projection: Callable[..., Projection] = Projection,
    ) -> None:  # fmt: skip
        super().__init__(name="mlflow", daemon=True)
        self.home, self.folder, self.uri, self.say, self.projection = home, folder, uri, say, projection
        self.news: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.complained = self.done = False
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
        patience = PATIENCE if self.uri else PATIENCE_AT_HOME
        while self.is_alive() and time.monotonic() - self.answered < patience:
            self.join(0.2)
        return self.done

    def run(self) -> None:
        imported()  # while Ray starts
        projection: Projection | None = None
        late: set[int] = set()
        closing = False
        while not closing:
            closing = self._gather(late, pause=AGAIN if self.complained else EVERY)
            try:
                projection = projection or self.projection(self.home, self.folder, self.uri)
                for number in sorted(late):
                    projection.sync(number)
                    late.discard(number)
                    self._answers()
                if closing:
                    project(projection, self._answers)
                    self.done = True
            except Exception as error:  # whatever a store may raise: the search goes on
                projection = None
                self._complain(error)

    def _gather(self, late: set[int], pause: float) -> bool:
        """Wait for news, and a little for more of it; whether there will be no more."""
        try:
            news = [self.news.get(timeout=pause if late else None)]
        except queue.Empty:
            return False
        if None not in news:
            time.sleep(pause)
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
            reason = " ".join(str(error).split())[:200]
            self.say(f"MLflow does not answer ({reason}); the search goes on, and catches up")
