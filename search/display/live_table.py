"""A search while it runs: in a terminal a live table under the lines of ended trials, in a notebook one HTML table.

Where neither is to be had (a pipe, TERM=dumb, NO_COLOR) the lines are all there is (`search.progress`).
"""

import html
import textwrap
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from search.config import SearchConfig
from search.display.loading import is_live
from search.display.sentences import SentenceConsole
from search.progress import ProgressDisplay
from search.store.trial_folder import TrialFolder
from search.store.trials_folder import TrialsFolder

if TYPE_CHECKING:
    from search.execution.session import TrialEvent

REDRAWN_S = 0.25  # seconds between two drawings in a terminal
SENT_S = 1.0  # and in a notebook, which keeps what it is sent
LAST = 5  # ended trials that stay in the table
FIXED_LINES, LINES_A_TRIAL = 12, 2  # of a terminal, beside the running trials and for each of them
BESIDE = " " * len("trial    0  ")  # before the further lines of a trial that has ended
STYLE = "text-align:left;padding:2px 10px;font-variant-numeric:tabular-nums"


class NotebookConsole(Console):
    """In a notebook: lines are plain text in one block of output, and a display is one HTML table beside it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(force_jupyter=False, **options)


def console_of_python(quiet: bool) -> Console:
    """Where a search that was begun from Python says something."""
    console = SentenceConsole(quiet=quiet)
    in_notebook = console.is_jupyter and not quiet
    return NotebookConsole(highlight=False, markup=False, soft_wrap=True) if in_notebook else console


@dataclass(frozen=True)
class Row:
    """One trial of the table, ready to be read."""

    trial: int
    state: str
    epoch: str
    value: str
    pace: str  # seconds an epoch, of a running trial
    note: str  # its sample, or why it has ended

    @property
    def cells(self) -> tuple[str, ...]:
        return str(self.trial), self.state, self.epoch, self.value, self.pace, self.note


class TableDisplay(ProgressDisplay):
    """Keeps what the table shows: when running trials had their epochs, and the last ones that ended."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.begun: dict[int, tuple[int, float]] = {}  # of a running trial: epoch and time when it was handed out
        self.reported: dict[int, float] = {}  # of a running trial: time of its last epoch
        self.samples: dict[int, str] = {}
        self.lately: deque[Row] = deque(maxlen=LAST)

    def changed(self, event: "TrialEvent") -> bool:
        now, number = time.monotonic(), event.number
        if event.end is None and not event.rests:
            first = number not in self.running
            self.begun.setdefault(number, (max(event.epoch, self.epochs.get(number, 0)), now))
            if not first:
                self.reported[number] = now
        ended = super().changed(event)
        if event.end is not None or event.rests:
            self.begun.pop(number, None)
            self.reported.pop(number, None)
        if event.end is not None:
            why = event.end.detail or event.end.reason
            self.lately.append(self._row(number, event.end.state, "", why))
        return ended

    def _row(self, number: int, state: str, pace: str, note: str) -> Row:
        epoch = f"{self.epochs.get(number, 0)}/{self.config.epochs}"
        values = self.last.get(number)
        return Row(number, state, epoch, self.shown(values) if values else "-", pace, note)

    def running_rows(self, most: int) -> tuple[list[Row], int]:
        """Running trials, `most` of them, and the number of those that are left out."""
        numbers = sorted(self.running)
        return [self._row(n, "running", self._pace(n), self._sample(n)) for n in numbers[:most]], len(numbers[most:])

    def _sample(self, number: int) -> str:
        if number not in self.samples:
            self.samples[number] = self.about(self.folder.trial(number))
        return self.samples[number]

    def _pace(self, number: int) -> str:
        """Seconds that a running trial takes for an epoch, since it was handed out."""
        epoch, since = self.begun.get(number, (0, 0.0))
        passed = self.epochs.get(number, 0) - epoch
        if passed < 1 or number not in self.reported:
            return "-"
        seconds = (self.reported[number] - since) / passed
        return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"

    @property
    def head(self) -> tuple[str, ...]:
        titles = ", ".join(it.title.removeprefix("validation ") for it in self.goals.objectives)
        return self.noun, "state", "epoch", titles, "s/epoch", ""

    def best_line(self) -> str:
        number = self.counts.best()
        return "" if number is None else f"best so far: {self.noun} {number}, {self._sample(number)}"


class LiveDisplay(TableDisplay):
    """The table in a terminal."""

    def say_end(self, event: "TrialEvent") -> None:
        line = self.end_line(event)  # the counts stand below
        self.console.print(textwrap.fill(line, self.console.width, subsequent_indent=BESIDE))

    def drawn(self) -> Group:
        room = max(2, (self.console.height - FIXED_LINES) // LINES_A_TRIAL)
        with self.lock:
            (rows, more), lately = self.running_rows(room), list(self.lately)
            below = [self.best_line(), self.line()]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=False)
        for number, name in enumerate(self.head):
            is_note = number == len(self.head) - 1
            table.add_column(
                name, justify="left" if name in ("", "state") else "right", no_wrap=not is_note,
                overflow="fold" if is_note else "crop",
            )  # fmt: skip
        for row in rows:
            table.add_row(*map(Text, row.cells))
        if more:
            table.add_row(*map(Text, ("", f"and {more} more", "", "", "", "")))
        for row in lately:
            table.add_row(*map(Text, row.cells), style="dim")
        shown = [table] if rows or lately else []
        return Group(*shown, *(Text(line, overflow="fold", no_wrap=False) for line in below if line))

    def run(self) -> None:
        with Live(console=self.console, refresh_per_second=4, transient=True) as live:
            while not self._stop_asked.wait(REDRAWN_S):
                live.update(self.drawn())


class NotebookDisplay(TableDisplay):
    """The table in a notebook: one output that is sent anew."""

    def say_end(self, event: "TrialEvent") -> None:
        """Nothing: the table shows it."""

    def html(self) -> str:
        with self.lock:
            (rows, more), lately = self.running_rows(64), list(self.lately)
            lines = [f"and {more} more are running" if more else "", self.best_line(), self.line()]
        head = "".join(f'<th style="{STYLE}">{html.escape(name)}</th>' for name in self.head)
        body = "".join(
            "<tr>" + "".join(f'<td style="{STYLE}">{html.escape(cell)}</td>' for cell in row.cells) + "</tr>"
            for row in [*rows, *lately]
        )
        below = "".join(f"<div>{html.escape(line)}</div>" for line in lines if line)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"

    def start(self) -> None:
        shown: Any = import_module("IPython.display")
        self.drawing = shown.HTML
        self.handle = shown.display(shown.HTML(self.html()), display_id=True)  # in the cell's own thread
        super().start()

    def run(self) -> None:
        while not self._stop_asked.wait(SENT_S):
            self.handle.update(self.drawing(self.html()))

    def close(self) -> None:
        super().close()
        self.handle.update(self.drawing(self.html()))


def watching(
    folder: TrialsFolder, config: SearchConfig, console: Console,
    about: Callable[[TrialFolder], str] | None = None, noun: str = "trial",
) -> ProgressDisplay:  # fmt: skip
    """The display that a console can show; arguments as of `ProgressDisplay`."""
    if isinstance(console, NotebookConsole):
        return NotebookDisplay(folder, config, console, about, noun)
    return (LiveDisplay if is_live(console) else ProgressDisplay)(folder, config, console, about, noun)


def kept(display: ProgressDisplay) -> str:
    """A sentence on what a search that goes on has from before."""
    counts, full = display.counts, display.config.trials
    parts = [f"{counts.ended} of {full} {display.noun}s have ended"]
    if counts.resting:
        parts.append(f"{len(counts.resting)} rest{'s' if len(counts.resting) == 1 else ''}")
    open_ = [t.number for t in display.folder.trials() if t.end() is None and t.number not in counts.resting]
    if open_:
        goes = "goes" if len(open_) == 1 else "go"
        names = ", ".join(f"{number} (epoch {counts.epochs.get(number, 0)})" for number in open_[:LAST])
        parts.append(f"{len(open_)} {goes} on: {names}" + (", ..." if len(open_) > LAST else ""))
    if (best := counts.best()) is not None:
        parts.append(f"best {display.shown(counts.last[best])} ({display.noun} {best})")
    return f"kept from before: {counts.trained} epochs; {', '.join(parts)}"
