"""The search folder: the one truth about a search, read and written here alone.

    search.json       what is searched and how, versions, checksum of the data
    study.log         Optuna's journal: which trials exist, their parameters and states
    trials/0000/      a trial's own folder (`ffsnn.run_folder`), and end.json once it has ended
    best.yaml         the best configuration, once asked for
    driver.lock       held by the process that runs the search; says which

Everything else (study, Tune's rungs, MLflow) is brought up to date from the trials' folders.
"""

import difflib
import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ffsnn import atomic
from ffsnn.config import Config, ConfigError, parse
from ffsnn.run_folder import CONFIG, RunFolder
from search.names import END_FILE, LEASE_FILE, SEARCH_FILE, SEARCHES, STUDY_FILE, TRIALS
from spaces.space import Space

FORMAT = 1  # of search.json; a newer one is not read
State = Literal["complete", "pruned", "failed"]


class SearchConfig(Config):
    """A search: its name, its space, what it may spend and on what."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    space: Space
    space_name: str = ""
    trials: int = Field(ge=1)
    epochs: int = Field(ge=1)
    concurrency: int | None = Field(
        None, ge=1, description="trials at once; None: as many as there are CPUs or GPU shares"
    )
    gpus_per_trial: float | None = Field(None, ge=0, description="None: one, where there is a GPU")
    time_budget: float | None = Field(None, gt=0, description="minutes")
    sampler: Literal["tpe", "random", "qmc", "gp"] = "tpe"
    scheduler: Literal["asha", "none"] = "asha"
    seed: int = Field(0, ge=0, lt=2**31)
    device: str = "auto"
    data_dir: str | None = None

    @property
    def rungs(self) -> tuple[int, int]:
        """ASHA's first rung and its reduction factor."""
        return min(self.space.budget.grace_epochs, self.epochs), self.space.budget.reduction_factor


MAY_CHANGE = {"trials", "concurrency", "gpus_per_trial", "time_budget"}  # when a search goes on


def difference(old: SearchConfig, new: SearchConfig) -> str | None:
    """What a search may not change when it goes on, but would; None: nothing."""
    changed = [
        f"{path}={_shown(before)} became {_shown(after)}"
        for path, before, after in _leaves(old.model_dump(mode="json"), new.model_dump(mode="json"))
        if path not in MAY_CHANGE
    ]
    return "; ".join(changed) or None


def _leaves(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The places where two trees differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _leaves(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)


@dataclass(frozen=True)
class End:
    """How a trial ended."""

    state: State
    reason: str  # finished, asha, time_budget, or what went wrong


class TrialFolder(RunFolder):
    """A run's folder within a search."""

    @property
    def number(self) -> int:
        return int(self.path.name)

    def end(self) -> End | None:
        """How it ended; None while it has not."""
        try:
            return End(**json.loads((self.path / END_FILE).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write_end(self, end: End) -> None:
        atomic.write(self.path / END_FILE, json.dumps(asdict(end)))


class SearchFolder:
    """One search on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.study_file = path / STUDY_FILE

    @staticmethod
    def exists(home: Path, name: str) -> bool:
        return (home / SEARCHES / name / SEARCH_FILE).is_file()

    @classmethod
    def open(cls, home: Path, name: str) -> "SearchFolder":
        """A search that is there.

        Raises:
            ConfigError: there is none of that name; the nearest are named.
        """
        folder = cls(home / SEARCHES / name)
        if not (folder.path / SEARCH_FILE).is_file():
            known = [path.parent.name for path in sorted((home / SEARCHES).glob(f"*/{SEARCH_FILE}"))]
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or known[-3:]
            hint = f"did you mean {', '.join(near)}?" if near else "start one with: ffsnn search"
            raise ConfigError(f"there is no search {name!r} in {home / SEARCHES}: {hint}")
        return folder

    @classmethod
    def create(cls, home: Path, config: SearchConfig, data_checksum: str) -> "SearchFolder":
        """A new search.

        Raises:
            ConfigError: the name is taken.
        """
        folder = cls(home / SEARCHES / config.name)
        if (folder.path / SEARCH_FILE).exists():
            raise ConfigError(
                f"there is a search {config.name!r} already: go on by --resume {config.name}, or choose a --name"
            )
        (folder.path / TRIALS).mkdir(parents=True, exist_ok=True)
        folder.write(config, data_checksum)
        return folder

    @contextmanager
    def lease(self) -> Iterator[None]:
        """The right to run this search, for one process at a time; one that dies loses it.

        Raises:
            ConfigError: another process has it.
        """
        with (self.path / LEASE_FILE).open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise ConfigError(
                    f"search {self.name!r} is being run by {file.read() or 'another process'}: wait for it, or stop it"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield

    def write(self, config: SearchConfig, data_checksum: str) -> None:
        versions = {name: version(name) for name in ("torch", "spikingjelly", "ray", "optuna", "mlflow")}
        tree = {"format": FORMAT, "config": config.model_dump(mode="json"), "data": data_checksum, "versions": versions}
        atomic.write(self.path / SEARCH_FILE, json.dumps(tree, indent=2))

    def read(self) -> dict[str, Any]:
        """search.json.

        Raises:
            ConfigError: it is damaged, or newer than this version.
        """
        try:
            tree: dict[str, Any] = json.loads((self.path / SEARCH_FILE).read_text())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.path / SEARCH_FILE} cannot be read: {error}") from error
        if tree.get("format") != FORMAT:
            raise ConfigError(f"{self.path} has format {tree.get('format')}, but this version reads format {FORMAT}")
        return tree

    @property
    def config(self) -> SearchConfig:
        return parse(SearchConfig, self.read()["config"])

    def trial(self, number: int) -> TrialFolder:
        return TrialFolder(self.path / TRIALS / f"{number:04d}")

    def trials(self) -> Iterator[TrialFolder]:
        """All trials that were given a configuration, in the order of their numbers."""
        for path in sorted((self.path / TRIALS).glob("*"), key=lambda path: path.name.zfill(12)):
            if re.fullmatch(r"\d{4,}", path.name) and (path / CONFIG).is_file():
                yield TrialFolder(path)

    def ranked(self) -> list[tuple[float, TrialFolder]]:
        """Trials with a result, by their last validation accuracy; those at full length before all others."""
        scored = [(trial, history[-1]) for trial in self.trials() if (history := trial.history())]
        full = self.config.epochs
        scored.sort(key=lambda item: (item[1].epoch < full, -item[1].val_accuracy, item[0].number))
        return [(last.val_accuracy, trial) for trial, last in scored]


def free_name(home: Path, stem: str) -> str:
    """The first of `stem-1`, `stem-2`, ... that no search has."""
    number = 1
    while (home / SEARCHES / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"
