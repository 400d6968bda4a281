"""`ffsnn status`: a search as it stands, also while it runs: each trial, the last ends, the line of its driver."""

import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from ffsnn.fields import short
from search.display.fitted import columns, fitted
from search.names import END_FILE
from search.progress import Counts, clock, value_in
from search.registries import SCHEDULERS
from search.store.folder import SearchFolder
from search.store.results import Results, TrialResult
from search.upkeep.listing import span
from search.upkeep.stopping import running

EVENTS = 5  # trials that ended last


class Status:
    """A search's trials and where they stand; read once."""

    def __init__(self, folder: SearchFolder) -> None:
        self.results = Results(folder)
        self.active = running(folder)
        self.states = {trial.number: self._state(trial) for trial in self.results.trials}

    def _state(self, trial: TrialResult) -> str:
        """Its end, or: running, resting (it may go on later), waiting (it goes on when the search does)."""
        if trial.state != "unfinished":
            return trial.state
        if self.results.folder.trial(trial.number).held():
            return "running"
        config = self.results.config
        rests = SCHEDULERS[config.scheduler].rests and trial.epochs in config.milestones
        return "resting" if rests else "waiting"

    def line(self) -> str:
        """As the driver shows it."""
        numbers = {state: {n for n, its in self.states.items() if its == state} for state in self.states.values()}
        done = {state: len(numbers.get(state, ())) for state in ("complete", "pruned", "failed")}
        counts = Counts(self.results.config, done, numbers.get("running", set()), numbers.get("resting", set()))
        for trial in self.results.trials:
            counts.told(trial.number, trial.epochs, trial.last if trial.epochs else ())
        return f"{counts.said()}, {clock(self.results.spent)} spent"

    def runners(self) -> list[str]:
        """Which processes run it, in words."""
        return [f"{folder.path}: {folder.runner()}" for folder in self.active]

    def events(self) -> list[str]:
        """The trials that ended last, the latest one last, in words."""
        goal, ended = self.results.config.goal, list[tuple[float, TrialResult]]()
        for trial in self.results.trials:
            if trial.state != "unfinished":
                with suppress(FileNotFoundError):  # it goes on meanwhile
                    file = self.results.folder.trial(trial.number).path / END_FILE
                    ended.append((file.stat().st_mtime, trial))
        ended.sort(key=lambda it: it[0])
        return [
            f"{span(time.time() - when)} ago: trial {it.number} {it.state} ({it.reason}) after "
            f"{it.epochs} epoch{'' if it.epochs == 1 else 's'}, {goal.show(it.values[-1] if it.values else None)}"
            for when, it in ended[-EVENTS:]
        ]

    def next(self) -> list[str]:
        """Which processes run it and what ended last; of one that was stopped, how to go on."""
        if self.active:
            return [*self.events(), *(f"running: {runner}" for runner in self.runners())]
        ended = sum(trial.state != "unfinished" for trial in self.results.trials)
        return [] if ended >= self.results.config.trials else [f"stopped: {self.results.folder.how_to_go_on()}"]

    def json(self) -> dict[str, Any]:
        config = self.results.config
        return {
            "name": self.results.name, "running": bool(self.active), "runners": self.runners(), "line": self.line(),
            "events": self.events(),
            "objective": config.objective, "trials": config.trials, "epochs": config.epochs,
            "seconds": self.results.spent,
            "table": [asdict(trial) | {"state": self.states[trial.number]} for trial in self.results.trials],
        }  # fmt: skip

    def tables(self, console: Console) -> list[Table]:
        """A row a trial, in as many tables as the console's width asks for."""
        if not self.results.trials:
            return []
        goal, paths = self.results.config.goal, list(self.results.config.space.parameters)
        head = ("trial", "state", "reason", "epochs", "last", "best", "seconds", *map(short, paths))
        rows = []
        for trial in self.results.trials:
            values = list(trial.values)
            rows.append((
                str(trial.number), self.states[trial.number], trial.reason, str(trial.epochs),
                goal.show(values[-1] if values else None), goal.show(goal.best(values) if values else None),
                f"{trial.seconds:.1f}", *(value_in(trial.sample, path) for path in paths),
            ))  # fmt: skip
        title = f"{self.results.name}: {len(self.states)} trials; {goal.title}"
        return fitted(columns(head, rows, ("state", "reason")), console, title)
