"""`ffsnn list`: a home's searches, each in a line; read from their folders, also while they run."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from ffsnn.parts import own
from ffsnn.training.run_folder import CONFIG
from ffsnn.validation import ConfigError
from search.display.fitted import columns, fitted
from search.names import SEARCH_FILE
from search.objectives import Objective
from search.registries import OBJECTIVES
from search.retrain.folder import newest_result
from search.store.folder import SearchFolder, all_searches
from search.upkeep.stopping import running

State = Literal["running", "retraining", "stopped", "finished", "needs its parts", "damaged"]


@dataclass(frozen=True)
class ListedSearch:
    """One search. Times are seconds since 1970, sizes bytes."""

    name: str
    state: State
    bytes: int
    begun: float
    space: str = ""
    dataset: str = ""
    done: int = 0  # trials that have ended
    trials: int = 0  # that there are to be
    objective: str = ""
    best: float | None = None  # of the search itself, with one seed
    mean: float | None = None  # of the best configuration retrained, over its seeds, with its interval
    low: float | None = None
    high: float | None = None
    by: str | None = None  # which process runs it,
    since: float | None = None  # and since when

    def json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def shown_best(self) -> str:
        """The best value; where it was retrained the mean, with its interval."""
        if not self.objective:
            return "-"
        goal: Objective = OBJECTIVES[self.objective]
        if self.mean is None:
            return goal.show(self.best)
        if self.low is None or self.high is None:
            return goal.show(self.mean)
        low, high = (max(self.low, 0), min(self.high, 1)) if goal.is_share else (self.low, self.high)
        return f"{goal.show(self.mean)} ({goal.show(low)} to {goal.show(high)})"

    @property
    def shown_state(self) -> str:
        if self.since is None:
            return self.state
        return f"{self.state} ({self.by}, for {span(time.time() - self.since)})"


def listed(home: Path) -> list[ListedSearch]:
    """All searches of a home, by name; a damaged one says so."""
    return [_listed(folder) for folder in all_searches(home)]


def _listed(folder: SearchFolder) -> ListedSearch:
    size, begun = size_of(folder.path), _begun(folder)
    try:
        config = folder.config
        done = sum(1 for trial in folder.trials() if trial.end())
        measured = folder.measured()
    except ConfigError:
        return _unreadable(folder, size, begun)
    result = None
    with suppress(ConfigError):  # a damaged one is as good as none, here
        result = newest_result(folder)
    state: State = "finished" if done >= config.trials else "stopped"
    by = since = None
    for active in running(folder):
        state = "running" if active.path == folder.path else "retraining"
        by, since = active.runner(), active.run_since()
    first = result.ranking[0] if result else None
    objective = result.objective if result else config.goal.name
    at = {it.name: place for place, it in enumerate(config.goals.measured)}.get(objective, 0)
    return ListedSearch(
        folder.name, state, size, begun, config.space_name, config.base.data.dataset, done, config.trials,
        objective, measured[0][0][at] if measured else None, first.mean if first else None,
        first.low if first else None, first.high if first else None, by, since,
    )  # fmt: skip


def _unreadable(folder: SearchFolder, size: int, begun: float) -> ListedSearch:
    """One whose results cannot be said: parts of one's own are not at hand, or it is damaged."""
    with suppress(ConfigError, KeyError, TypeError):
        said = folder.read()["config"]
        dataset = said["space"]["base"]["data"]["dataset"]
        if own.lacking(folder.own_parts):
            return ListedSearch(
                folder.name, "needs its parts", size, begun, said["space_name"], dataset,
                sum(1 for trial in folder.trials() if trial.end()), said["trials"],
            )  # fmt: skip
    return ListedSearch(folder.name, "damaged", size, begun)


def size_of(path: Path) -> int:
    """Bytes of the files in a folder; those that go away meanwhile count nothing."""
    return sum(_sizes(path))


def _sizes(path: Path) -> Iterator[int]:
    for file in path.rglob("*"):
        try:
            if file.is_file():
                yield file.stat().st_size
        except OSError:
            continue


def _begun(folder: SearchFolder) -> float:
    """When its first trial was given its configuration; without one, when the search was written."""
    files = [folder.trial(0).path / CONFIG, folder.path / SEARCH_FILE]
    return min(file.stat().st_mtime for file in files if file.exists())


def span(seconds: float) -> str:
    """`4 min`, `3.2 h`, `12 d`: for a glance."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.2g} {unit}" if seconds < 10 * length else f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def tables(searches: list[ListedSearch], console: Console) -> list[Table]:
    """A row a search, in as many tables as the console's width asks for."""
    head = ("name", "state", "trials", "best", "age", "space", "data set", "on disk")
    rows = [
        (it.name, it.shown_state, f"{it.done}/{it.trials}", it.shown_best, span(time.time() - it.begun), it.space,
         it.dataset, megabytes(it.bytes))
        for it in searches
    ]  # fmt: skip
    return fitted(columns(head, rows, ("name", "state", "space", "data set")), console) if rows else []
