"""The search folder: the one truth about a search, read and written here alone.

    search.json       what is searched and how, versions, checksum of the data
    study.log         Optuna's journal: which trials exist, their parameters and states
    trials/0000/      a trial's own folder (`search.trial_folder`)
    spent.json        seconds that it has run, over all its drivers
    card.json         what a trial takes of this machine's card, where that was asked for (`search.card`)
    best.yaml         the best configuration, once asked for
    .tune/            Ray Tune's own, deleted at every start and end
    driver.lock       held by the process that runs the search; says which

Everything else (study, Tune's rungs, MLflow) is brought up to date from the trials' folders.
"""

import difflib
import fcntl
import json
import os
import re
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ffsnn import atomic
from ffsnn.config import ConfigError, parse
from ffsnn.run_folder import CONFIG
from search.card import Measured
from search.config import SearchConfig
from search.names import CARD_FILE, LEASE_FILE, SEARCH_FILE, SEARCHES, SPENT_FILE, STUDY_FILE, TRIALS
from search.trial_folder import TrialFolder

FORMAT = 1  # of search.json; a newer one is not read
EXACT = ("torch", "spikingjelly")  # libraries of which another version may give a trial other bits


class TrialsFolder:
    """A folder of trials that one process at a time may run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @contextmanager
    def lease(self) -> Iterator[None]:
        """The right to run it, for one process at a time; one that dies loses it.

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

    def spent(self) -> float:
        """Seconds that it has run, over all its drivers."""
        try:
            return float(json.loads((self.path / SPENT_FILE).read_text())["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0

    def write_spent(self, seconds: float) -> None:
        atomic.write(self.path / SPENT_FILE, json.dumps({"seconds": round(seconds, 1)}))

    def card(self) -> Measured | None:
        """What a trial takes of a card; None: it was never measured, or the file is damaged."""
        try:
            return parse(Measured, json.loads((self.path / CARD_FILE).read_text()))
        except (OSError, ValueError):
            return None

    def write_card(self, measured: Measured) -> None:
        atomic.write(self.path / CARD_FILE, measured.model_dump_json(indent=2))

    def trial(self, number: int) -> TrialFolder:
        return TrialFolder(self.path / TRIALS / f"{number:04d}")

    def trials(self) -> Iterator[TrialFolder]:
        """All trials that were given a configuration, in the order of their numbers."""
        for path in sorted((self.path / TRIALS).glob("*"), key=lambda path: path.name.zfill(12)):
            if re.fullmatch(r"\d{4,}", path.name) and (path / CONFIG).is_file():
                yield TrialFolder(path)


class SearchFolder(TrialsFolder):
    """One search on disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
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
            ConfigError: the name is taken, by a search or by something else.
        """
        folder = cls(home / SEARCHES / config.name)
        if (folder.path / SEARCH_FILE).exists():
            raise ConfigError(
                f"there is a search {config.name!r} already: go on by --resume {config.name}, or choose a --name"
            )
        if folder.path.exists() and any(path.name != TRIALS for path in folder.path.iterdir()):
            raise ConfigError(f"{folder.path} is there and is no search (no {SEARCH_FILE}): choose another --name")
        (folder.path / TRIALS).mkdir(parents=True, exist_ok=True)
        folder.write(config, data_checksum)
        return folder

    def other_versions(self) -> str | None:
        """How this machine's libraries differ from those that the search was begun with; None: not where it matters."""
        begun = self.read().get("versions", {})
        now = {name: version(name) for name in EXACT}
        changed = [
            f"{name} {begun[name]} became {now[name]}" for name in EXACT if begun.get(name, now[name]) != now[name]
        ]
        return "; ".join(changed) or None

    def write(self, config: SearchConfig, data_checksum: str) -> None:
        versions = {name: version(name) for name in (*EXACT, "ray", "optuna", "mlflow")}
        tree = {
            "format": FORMAT, "id": self.id or uuid.uuid4().hex, "config": config.model_dump(mode="json"),
            "data": data_checksum, "versions": versions, "commit": _commit(),
        }  # fmt: skip
        atomic.write(self.path / SEARCH_FILE, json.dumps(tree, indent=2))

    def read(self) -> dict[str, Any]:
        """search.json.

        Raises:
            ConfigError: it is damaged, or newer than this version.
        """
        try:
            tree: dict[str, Any] = json.loads((self.path / SEARCH_FILE).read_text())
            format_ = tree.get("format")
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigError(f"{self.path / SEARCH_FILE} cannot be read ({error}): choose another --name") from error
        if format_ != FORMAT:
            raise ConfigError(f"{self.path} has format {format_}, but this version reads format {FORMAT}")
        return tree

    @property
    def id(self) -> str | None:
        """What tells it from a search of the same name elsewhere; None: none was given yet."""
        return self.read().get("id") if (self.path / SEARCH_FILE).exists() else None

    @property
    def config(self) -> SearchConfig:
        return parse(SearchConfig, self.read()["config"])

    def ranked(self) -> list[tuple[float, TrialFolder]]:
        """Trials with a result, by their last validation accuracy; those at full length before all others."""
        scored = [(trial, history[-1]) for trial in self.trials() if (history := trial.history())]
        full = self.config.epochs
        scored.sort(key=lambda item: place(item[0].number, item[1].epoch, item[1].val_accuracy, full))
        return [(last.val_accuracy, trial) for trial, last in scored]


def _commit() -> str | None:
    """Of the repository that this code lies in; None: it lies in none, or git is not to be had."""
    command, here = ["git", "rev-parse", "HEAD"], Path(__file__).parent
    try:
        said = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None if said.returncode == 0 else None


def place(number: int, epochs: int, accuracy: float, full: int) -> tuple[bool, float, int]:
    """Where a trial stands among others, the best first: by its last accuracy, once at full length; then the rest."""
    return epochs < full, -accuracy, number


def free_name(home: Path, stem: str) -> str:
    """The first of `stem-1`, `stem-2`, ... that no search has."""
    number = 1
    while (home / SEARCHES / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"
