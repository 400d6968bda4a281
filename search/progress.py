"""What a person watches while a search runs: a line for each trial that ends (`search.display` adds a table)."""

import heapq
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ffsnn.fields import short
from search.config import SearchConfig
from search.pareto import front
from search.pareto.goals import Values
from search.pareto.vectors import Standing
from search.registries import SCHEDULERS
from search.store.ends import End
from search.store.trial_folder import TrialFolder
from search.store.trials_folder import TrialsFolder
from spaces.parameter import shown

if TYPE_CHECKING:
    from search.execution.session import TrialEvent

SILENCE_S = 60.0  # after which the counts are said once more: trials may rest for long before one ends


class Counts:
    """Numbers of trials by where they are, and the best one, in a line.

    Args:
        config: what the trials may spend.
        done: trials that have ended, by their state.
        running: those that run now.
        resting: those that may go on later.
    """

    def __init__(
        self, config: SearchConfig, done: dict[str, int], running: set[int], resting: set[int], noun: str = "trial"
    ) -> None:
        self.config, self.goals, self.noun = config, config.goals, noun
        self.done, self.running, self.resting = done, running, resting
        self.last: dict[int, Values] = {}  # all that is measured of each trial, after its last epoch
        self.epochs: dict[int, int] = {}  # of each trial
        self.trained = 0  # epochs of all trials together
        self.standings: dict[int, Standing] = {}  # of each trial that has a result
        self.places: dict[int, front.Place] = {}  # the same, by which the best one is found
        self.queue: list[front.Place] = []  # a heap of these places, and of those that they replaced

    def told(self, number: int, epochs: int, values: Values) -> None:
        """A trial has trained for so many epochs, and has these values after the last; none: they are not known."""
        epochs = max(epochs, before := self.epochs.get(number, 0))
        self.epochs[number], self.trained = epochs, self.trained + epochs - before
        if not values:
            return
        self.last[number], self.standings[number] = values, self.goals.standing(values)
        self.places[number] = place = front.place((number, epochs, values), self.config.epochs, self.goals)
        heapq.heappush(self.queue, place)

    @property
    def ended(self) -> int:
        return sum(self.done.values())

    def said(self) -> str:
        """`5/8 trials, 1 running, 2 at full length, 2 pruned, best 97.3% (trial 4)`"""
        parts = [
            f"{self.ended}/{self.config.trials} {self.noun}s", f"{len(self.running)} running",
            f"{self.done['complete']} at full length", f"{self.done['pruned']} pruned",
        ]  # fmt: skip
        if self.resting:
            parts.insert(2, f"{len(self.resting)} resting")
        if self.done["failed"]:
            parts.append(f"{self.done['failed']} failed")
        if self.last and len(self.goals.objectives) > 1:
            parts.append(front.said(self.goals, list(self.standings.values())))
        elif (best := self.best()) is not None:
            parts.append(f"best {self.goals.objectives[0].show(self.last[best][0])} ({self.noun} {best})")
        return ", ".join(parts)

    def best(self) -> int | None:
        """The number of the best trial so far; None: none has an epoch."""
        while self.queue and self.queue[0] != self.places[self.queue[0][-1]]:
            heapq.heappop(self.queue)
        return self.queue[0][-1] if self.queue else None


class ProgressDisplay(threading.Thread):
    """Counts trials as they change and shows them; the driver calls `on_event`, the rest happens in this thread.

    Args:
        folder: the trials'.
        config: what they may spend.
        console: where it goes.
        about: says what a trial is; None: its sample of the space.
        noun: what it is called.
    """

    def __init__(
        self, folder: TrialsFolder, config: SearchConfig, console: Console,
        about: Callable[[TrialFolder], str] | None = None, noun: str = "trial",
    ) -> None:  # fmt: skip
        super().__init__(name="progress", daemon=True)
        self.noun, self.goals = noun, config.goals
        self.counts = Counts(config, {"complete": 0, "pruned": 0, "failed": 0}, set(), set(), noun)
        self.about = about or (lambda trial: describe(config.space.read(trial.config())))
        self.folder, self.config, self.console = folder, config, console
        self.started = self.said_at = time.monotonic()
        self.spent_before = folder.spent()  # seconds, of earlier sessions
        self.lock = threading.RLock()  # the driver's thread changes what this one shows
        self.done, self.running, self.resting = self.counts.done, self.counts.running, self.counts.resting
        self.last, self.epochs = self.counts.last, self.counts.epochs
        self._stop_asked = threading.Event()
        for trial in folder.trials():
            if values := self.goals.values(trial):
                self.counts.told(trial.number, len(values), values[-1])
            if end := trial.end():
                self._count(trial.number, end)
            elif SCHEDULERS[config.scheduler].rests and self.epochs.get(trial.number) in config.milestones:
                self.resting.add(trial.number)
        self.epochs_before = self.counts.trained

    def on_event(self, event: "TrialEvent") -> None:
        """A trial was handed out, has an epoch more, rests, or has ended."""
        with self.lock:
            ended = self.changed(event)
        if ended:
            self.say_end(event)
            self.said_at = time.monotonic()

    def changed(self, event: "TrialEvent") -> bool:
        """Count an event; True if the trial has ended."""
        number = event.number
        self.counts.told(number, event.epoch, event.values)
        if event.rests:
            self.running.discard(number)
            self.resting.add(number)
            return False
        self.resting.discard(number)
        if event.end is None:
            self.running.add(number)
            return False
        self._count(number, event.end)
        return True

    def say_end(self, event: "TrialEvent") -> None:
        self.console.print(f"{self.end_line(event)}  |  {self.line()}")

    def end_line(self, event: "TrialEvent") -> str:
        """A trial that has ended: how, its values and its sample."""
        assert event.end
        epochs = f"{event.epoch} epoch{'s' if event.epoch > 1 else ''}"
        score = f"{self.shown(event.values)} after {epochs}" if event.values else "no epoch"
        why = f"  ({event.end.reason}: {event.end.detail})" if event.end.detail else ""
        sample = self.about(self.folder.trial(event.number))
        return f"{self.noun} {event.number:4d}  {event.end.state:8} {score:24} {sample}{why}"

    def shown(self, values: Values) -> str:
        return self.goals.objectives[0].show(values[0]) if self.goals.is_plain else self.goals.show(values)

    def _count(self, number: int, end: End) -> None:
        self.running.discard(number)
        self.done[end.state] += 1

    @property
    def ended(self) -> int:
        return self.counts.ended

    def line(self) -> str:
        return f"{self.counts.said()}, {clock(time.monotonic() - self.started)} elapsed{self._left(self.ended)}"

    def _left(self, ended: int) -> str:
        """An estimate from the pace of this session: epochs an ended trial took on average, for those to come."""
        done = self.counts.trained
        pace = (done - self.epochs_before) / (time.monotonic() - self.started)
        known = ended + len(self.resting)  # few that rest go on
        if not known or pace <= 0:
            return ""
        started = known + 0.5 * len(self.running)  # a running trial is half done, on average
        left = done / started * (self.config.trials - started) / pace
        if not self.done["complete"]:  # one at least comes to its full length, at its share of the pace
            left = max(left, (self.config.epochs - max(self.epochs.values())) * max(len(self.running), 1) / pace)
        if self.config.time_budget:
            spent = self.spent_before + time.monotonic() - self.started
            left = min(left, self.config.time_budget * 60 - spent)
        return f", about {clock(max(left, 0))} left"

    def run(self) -> None:
        """Say where it stands whenever no trial has ended for a while."""
        while not self._stop_asked.wait(max(0.0, self.said_at + SILENCE_S - time.monotonic())):
            if time.monotonic() - self.said_at >= SILENCE_S:
                with self.lock:
                    line = self.line()
                self.console.print(f"  ...  {line}")
                self.said_at = time.monotonic()

    def close(self) -> None:
        self._stop_asked.set()
        self.join()


def clock(seconds: float) -> str:
    """`4:05`, or `1:04:05`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def describe(sample: dict[str, Any]) -> str:
    """`tau=2.31 T=4 ...`"""
    return " ".join(f"{short(path)}={value_in(sample, path)}" for path in sample)


def value_in(sample: Mapping[str, Any], path: str) -> str:
    """The value of a parameter, short; `-` where it has none."""
    return shown(sample.get(path, "-"), digits=3)
