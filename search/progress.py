"""What a person watches while a search runs: a live line in a terminal, plain lines elsewhere; at the end, a table."""

import statistics
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ffsnn.fields import short
from search.config import SearchConfig
from search.pareto import front, vectors
from search.pareto.goals import Values
from search.registries import SCHEDULERS
from search.store.folder import SearchFolder, TrialsFolder
from search.store.trial_folder import End, TrialFolder, by_reason

if TYPE_CHECKING:
    from search.execution.session import TrialEvent


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
            parts.append(front.said(self.goals, list(self.last.values())))
        elif self.last:
            there = [(number, self.epochs[number], values) for number, values in self.last.items()]
            best, _, values = there[front.ranking(there, self.config.epochs, self.goals)[0]]
            parts.append(f"best {self.goals.objectives[0].show(values[0])} ({self.noun} {best})")
        return ", ".join(parts)


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
        self.started = time.monotonic()
        self.done, self.running, self.resting = self.counts.done, self.counts.running, self.counts.resting
        self.last, self.epochs = self.counts.last, self.counts.epochs
        self._stop_asked = threading.Event()
        for trial in folder.trials():
            if values := self.goals.values(trial):
                self.epochs[trial.number], self.last[trial.number] = len(values), values[-1]
            if end := trial.end():
                self._count(trial.number, end)
            elif SCHEDULERS[config.scheduler].rests and self.epochs.get(trial.number) in config.milestones:
                self.resting.add(trial.number)
        self.epochs_before = sum(self.epochs.values())

    def on_event(self, event: "TrialEvent") -> None:
        """A trial was handed out, has an epoch more, or has ended."""
        number = event.number
        self.epochs[number] = max(event.epoch, self.epochs.get(number, 0))
        if event.values:
            self.last[number] = event.values
        if event.rests:
            self.running.discard(number)
            self.resting.add(number)
            return
        self.resting.discard(number)
        if event.end is None:
            self.running.add(number)
            return
        self._count(number, event.end)
        if not self.console.is_terminal:
            score = f"{self._shown(event.values)} after {event.epoch} epochs" if event.values else "no epoch"
            why = f"  ({event.end.reason}: {event.end.detail})" if event.end.detail else ""
            sample = self.about(self.folder.trial(number))
            self.console.print(
                f"{self.noun} {number:4d}  {event.end.state:8} {score:24} {sample}{why}  |  {self.line()}"
            )

    def _shown(self, values: Values) -> str:
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
        done = sum(self.epochs.values())
        pace = (done - self.epochs_before) / (time.monotonic() - self.started)
        known = ended + len(self.resting)  # few that rest go on
        if not known or pace <= 0:
            return ""
        started = known + 0.5 * len(self.running)  # a running trial is half done, on average
        left = done / started * (self.config.trials - started) / pace
        if not self.done["complete"]:  # one at least comes to its full length, at its share of the pace
            left = max(left, (self.config.epochs - max(self.epochs.values())) * max(len(self.running), 1) / pace)
        if self.config.time_budget:
            left = min(left, self.config.time_budget * 60 - (time.monotonic() - self.started))
        return f", about {clock(max(left, 0))} left"

    def run(self) -> None:
        if not self.console.is_terminal:
            return
        with Live(console=self.console, refresh_per_second=4, transient=True) as live:
            while not self._stop_asked.wait(0.25):
                live.update(Text(self.line()))

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
    named = {short(path): value for path, value in sample.items()}
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in named.items()
    )


def summary(folder: SearchFolder, console: Console, best: int = 5) -> None:
    """The best trials, and how the rest compare."""
    config, ranked = folder.config, folder.measured()
    goals = config.goals
    ends = [end for trial in folder.trials() if (end := trial.end())]
    if failed := [end for end in ends if end.state == "failed"]:
        console.print(f"{len(failed)} trials failed: {by_reason(failed)}")
    if not ranked:
        console.print("no trial has finished an epoch")
        return
    all_values = [values for values, _ in ranked]
    if (near := front.nearest(goals, all_values)) is not None:
        values, trial = ranked[near]
        console.print(
            f"no trial keeps {', '.join(map(str, goals.limits))}: the nearest is trial {trial.number} with "
            f"{goals.show(values)}"
        )
    several, title = len(goals.objectives) > 1, f"best {min(best, len(ranked))} of {len(ranked)} trials"
    shown = ranked[:best]
    if several and near is None:
        shown = [ranked[at] for at in vectors.front([goals.standing(values) for values in all_values])]
        title = f"the front, {len(shown)} of {len(ranked)} trials"
    table = Table(title=f"{folder.name}: {title}")
    table.add_column("trial", justify="right")
    for it in goals.measured:
        table.add_column(it.title, justify="right")
    table.add_column("epochs", justify="right")
    names = list(config.space.parameters)
    for name in names:
        table.add_column(short(name), justify="right")
    for values, trial in shown:
        sample = config.space.read(trial.config())
        told = (it.show(value) for it, value in zip(goals.measured, values, strict=True))
        own = [f"{v:.3g}" if isinstance(v := sample.get(name, "-"), float) else str(v) for name in names]
        table.add_row(str(trial.number), *told, str(len(trial.history())), *own)
    console.print(table)
    if several:
        box = front.Box.around(goals, all_values)
        console.print(f"hypervolume {box.share(all_values):.3f} of the box {box}")
    show, scores = config.goal.show, [values[0] for values in all_values]
    console.print(
        f"all {len(scores)} at their last epoch: {show(min(scores))} to {show(max(scores))}, "
        f"median {show(statistics.median(scores))} ({config.goal.title})"
    )
