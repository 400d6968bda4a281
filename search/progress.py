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

from search.config import SearchConfig
from search.store.folder import SearchFolder, TrialsFolder, place
from search.store.trial_folder import End, TrialFolder, by_reason

if TYPE_CHECKING:
    from search.execution.searcher import TrialEvent


class ProgressDisplay(threading.Thread):
    """Counts trials as they change and shows them; the driver calls `news`, the rest happens in this thread.

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
        self.noun = noun
        self.about = about or (lambda trial: describe(config.space.read(trial.config())))
        self.folder, self.config, self.console = folder, config, console
        self.started = time.monotonic()
        self.done: dict[str, int] = {"complete": 0, "pruned": 0, "failed": 0}
        self.running: set[int] = set()
        self.last: dict[int, float] = {}  # each trial's last validation accuracy
        self.epochs: dict[int, int] = {}  # of each trial
        self._stop_asked = threading.Event()
        for trial in folder.trials():
            if history := trial.history():
                self.epochs[trial.number], self.last[trial.number] = len(history), history[-1].val_accuracy
            if end := trial.end():
                self._count(trial.number, end)
        self.epochs_before = sum(self.epochs.values())

    def news(self, news: "TrialEvent") -> None:
        """A trial was handed out, has an epoch more, or has ended."""
        number = news.number
        self.epochs[number] = max(news.epoch, self.epochs.get(number, 0))
        if news.accuracy is not None:
            self.last[number] = news.accuracy
        if news.end is None:
            self.running.add(number)
            return
        self._count(number, news.end)
        if not self.console.is_terminal:
            score = "no epoch" if news.accuracy is None else f"{news.accuracy:.2%} after {news.epoch} epochs"
            why = f"  ({news.end.reason}: {news.end.detail})" if news.end.detail else ""
            sample = self.about(self.folder.trial(number))
            self.console.print(
                f"{self.noun} {number:4d}  {news.end.state:8} {score:24} {sample}{why}  |  {self.line()}"
            )

    def _count(self, number: int, end: End) -> None:
        self.running.discard(number)
        self.done[end.state] += 1

    @property
    def ended(self) -> int:
        return sum(self.done.values())

    def line(self) -> str:
        ended = self.ended
        parts = [
            f"{ended}/{self.config.trials} {self.noun}s", f"{len(self.running)} running",
            f"{self.done['complete']} at full length", f"{self.done['pruned']} pruned",
        ]  # fmt: skip
        if self.done["failed"]:
            parts.append(f"{self.done['failed']} failed")
        if self.last:
            best = min(self.last, key=lambda it: place(it, self.epochs[it], self.last[it], self.config.epochs))
            parts.append(f"best {self.last[best]:.2%} ({self.noun} {best})")
        return ", ".join(parts) + f", {clock(time.monotonic() - self.started)} gone{self._left(ended)}"

    def _left(self, ended: int) -> str:
        """An estimate from the pace of this session: epochs an ended trial took on average, for those to come."""
        done = sum(self.epochs.values())
        pace = (done - self.epochs_before) / (time.monotonic() - self.started)
        if not ended or pace <= 0:
            return ""
        started = ended + 0.5 * len(self.running)  # a running trial is half done, on average
        left = done / started * (self.config.trials - started) / pace
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
    short = {path.rsplit(".", 1)[-1]: value for path, value in sample.items()}
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in short.items()
    )


def summary(folder: SearchFolder, console: Console, best: int = 5) -> None:
    """The best trials, and how the rest compare."""
    config, ranked = folder.config, folder.ranked()
    ends = [end for trial in folder.trials() if (end := trial.end())]
    if failed := [end for end in ends if end.state == "failed"]:
        console.print(f"{len(failed)} trials failed: {by_reason(failed)}")
    if not ranked:
        console.print("no trial has finished an epoch")
        return
    table = Table(title=f"{folder.name}: best {min(best, len(ranked))} of {len(ranked)} trials")
    table.add_column("trial", justify="right")
    table.add_column("val accuracy", justify="right")
    table.add_column("epochs", justify="right")
    names = list(config.space.parameters)
    for name in names:
        table.add_column(name.rsplit(".", 1)[-1], justify="right")
    for accuracy, trial in ranked[:best]:
        sample = config.space.read(trial.config())
        values = [f"{v:.3g}" if isinstance(v := sample.get(name, "-"), float) else str(v) for name in names]
        table.add_row(str(trial.number), f"{accuracy:.2%}", str(len(trial.history())), *values)
    console.print(table)
    scores = [accuracy for accuracy, _ in ranked]
    console.print(
        f"all {len(scores)} at their last epoch: {min(scores):.2%} to {max(scores):.2%}, "
        f"median {statistics.median(scores):.2%} (validation)"
    )
