"""`ffsnn status`: a search as it stands, also while it runs: the line that its driver shows, and each trial."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from ffsnn.fields import short
from search.progress import Counts, clock
from search.registries import SCHEDULERS
from search.store.folder import SearchFolder
from search.store.results import Results, TrialResult
from search.upkeep.stopping import running


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
        counts.last = {trial.number: trial.last for trial in self.results.trials if trial.epochs}
        counts.epochs = {trial.number: trial.epochs for trial in self.results.trials}
        return f"{counts.said()}, {clock(self.results.spent)} spent"

    def runners(self) -> list[str]:
        """Which processes run it, in words."""
        return [f"{folder.path}: {folder.runner()}" for folder in self.active]

    def json(self) -> dict[str, Any]:
        config = self.results.config
        return {
            "name": self.results.name, "running": bool(self.active), "runners": self.runners(), "line": self.line(),
            "objective": config.objective, "trials": config.trials, "epochs": config.epochs,
            "seconds": self.results.spent,
            "table": [asdict(trial) | {"state": self.states[trial.number]} for trial in self.results.trials],
        }  # fmt: skip

    def table(self) -> Table:
        """A row a trial."""
        goal, space = self.results.config.goal, self.results.config.space
        drawn = Table(title=f"{self.results.name}: {len(self.states)} trials; {goal.title}")
        for head in ("trial", "state", "reason", "epochs", "last", "best", "seconds", *map(short, space.parameters)):
            drawn.add_column(head, justify="left" if head in ("state", "reason") else "right")
        for trial in self.results.trials:
            values = list(trial.values)
            sample = (trial.sample.get(path, "-") for path in space.parameters)
            drawn.add_row(
                str(trial.number), self.states[trial.number], trial.reason, str(trial.epochs),
                goal.show(values[-1] if values else None), goal.show(goal.best(values) if values else None),
                f"{trial.seconds:.1f}", *(f"{it:.3g}" if isinstance(it, float) else str(it) for it in sample),
            )  # fmt: skip
        return drawn
