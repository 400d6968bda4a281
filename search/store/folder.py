"""The search folder: the one truth about a search, read and written here alone.

    search.json       what is searched and how, versions, checksum of the data
    study.log         Optuna's journal: which trials exist, their parameters and states
    trials/0000/      a trial's own folder (`search.store.trial_folder`)
    spent.json        seconds that it has run, over all its drivers
    parts/            copies of the files of one's own parts that it needs, if any (`ffsnn.parts.own`)
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
from ffsnn.parts import own
from ffsnn.training.run_folder import CONFIG
from ffsnn.validation import ConfigError, parse
from search import names
from search.config import SearchConfig, problem_of_name
from search.hints import command
from search.pareto import vectors
from search.pareto.front import ranking
from search.pareto.goals import Values
from search.store.trial_folder import TrialFolder

FORMAT = 1  # of search.json; a newer one is not read
BEFORE = {"veto": False, "cold": True}  # what searches did before there was a setting for it
EXACT = ("torch", "spikingjelly")  # libraries of which another version may give a trial other bits


class TrialsFolder:
    """A folder of trials that one process at a time may run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.parts_folder = path  # which holds the copies of one's own parts

    @contextmanager
    def lease(self) -> Iterator[None]:
        """The right to run it, for one process at a time; one that dies loses it.

        Raises:
            ConfigError: another process has it.
        """
        with (self.path / names.LEASE_FILE).open("a+") as file:
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

    def runner(self) -> str | None:
        """Which process runs it now; None: none does."""
        try:
            with (self.path / names.LEASE_FILE).open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read() or "another process"
        except FileNotFoundError:
            pass
        return None

    def run_since(self) -> float | None:
        """When the process that runs it began, or the last one that did; seconds since 1970."""
        try:
            return (self.path / names.LEASE_FILE).stat().st_mtime
        except FileNotFoundError:
            return None

    def spent(self) -> float:
        """Seconds that it has run, over all its drivers."""
        try:
            return float(json.loads((self.path / names.SPENT_FILE).read_text())["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0

    def write_spent(self, seconds: float) -> None:
        atomic.write(self.path / names.SPENT_FILE, json.dumps({"seconds": round(seconds, 1)}))

    def trial(self, number: int) -> TrialFolder:
        return TrialFolder(self.path / names.TRIALS / f"{number:04d}")

    def trials(self) -> Iterator[TrialFolder]:
        """Trials that were given a configuration, in the order of their numbers."""
        for path in sorted((self.path / names.TRIALS).glob("*"), key=lambda path: path.name.zfill(12)):
            if re.fullmatch(r"\d{4,}", path.name) and (path / CONFIG).is_file():
                yield TrialFolder(path)


class SearchFolder(TrialsFolder):
    """One search on disk."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.study_file = path / names.STUDY_FILE

    @staticmethod
    def exists(home: Path, name: str) -> bool:
        return problem_of_name(name) is None and (home / names.SEARCHES / name / names.SEARCH_FILE).is_file()

    @classmethod
    def open(cls, home: Path, name: str) -> "SearchFolder":
        """A search that is there.

        Raises:
            ConfigError: there is none of that name, or it is none; the nearest are named.
        """
        if not cls.exists(home, name):
            known = [folder.name for folder in all_searches(home)]
            near = difflib.get_close_matches(Path(name).name, known, n=3, cutoff=0.3) or known[-3:]
            hint = f"did you mean {', '.join(near)}?" if near else f"start one with: {command('search')}"
            if wrong := problem_of_name(name):
                raise ConfigError(f"a search's name {wrong}: {hint}")
            if now := next((it for it in all_searches(home) if it.was_called(name)), None):
                hint = f"its folder was renamed, and it is {now.name} now"
            raise ConfigError(f"there is no search {name!r} in {home / names.SEARCHES}: {hint}")
        return cls(home / names.SEARCHES / name)

    @classmethod
    def create(cls, home: Path, config: SearchConfig, data_checksum: str) -> "SearchFolder":
        """A new search.

        Raises:
            ConfigError: the name is taken, by a search or by something else.
        """
        folder = cls(home / names.SEARCHES / config.name)
        if (folder.path / names.SEARCH_FILE).exists():
            raise ConfigError(
                f"there is a search {config.name!r} already: go on by --resume {config.name}, or choose a --name"
            )
        if folder.path.exists() and any(path.name != names.TRIALS for path in folder.path.iterdir()):
            raise ConfigError(
                f"{folder.path} is there and is no search (no {names.SEARCH_FILE}): choose another --name"
            )
        (folder.path / names.TRIALS).mkdir(parents=True, exist_ok=True)
        folder.write(config, data_checksum)
        return folder

    def how_to_go_on(self) -> str:
        """Advice for a person who waits for more of it."""
        if (runner := self.runner()) is not None:
            return f"it is being run by {runner}: wait a moment"
        return f"go on with: {command('search', '--resume', self.name)}"

    def other_versions(self) -> str | None:
        """Differences of this machine's libraries to those that the search began with; None: not where it matters."""
        begun = self.read().get("versions", {})
        now = {name: version(name) for name in EXACT}
        changed = [
            f"{name} {begun[name]} became {now[name]}" for name in EXACT if begun.get(name, now[name]) != now[name]
        ]
        return "; ".join(changed) or None

    def write(self, config: SearchConfig, data_checksum: str) -> None:
        versions = {name: version(name) for name in (*EXACT, "ray", "optuna", "mlflow")}
        self._write({
            "format": FORMAT, "id": self.id or uuid.uuid4().hex, "former_names": self.former_names,
            "folder": str(self.path.resolve()), "config": config.model_dump(mode="json"),
            "data": data_checksum, "versions": versions, "commit": _commit(),
        })  # fmt: skip

    def _write(self, tree: dict[str, Any]) -> None:
        atomic.write(self.path / names.SEARCH_FILE, json.dumps(tree, indent=2))

    def settle(self) -> str | None:
        """Write down that a person has renamed, moved or copied the folder; in words, if its name is another one now.

        The folder's name is the search's. A copy is a search of its own, with an id of its own, from then on.
        """
        tree = self.read()
        before = tree["config"]["name"]
        copied = self.id is None
        if before == self.name and not copied:
            return None
        former = self.former_names
        self._write(tree | {
            "id": self.id or uuid.uuid4().hex, "former_names": former, "folder": str(self.path.resolve()),
            "config": tree["config"] | {"name": self.name},
        })  # fmt: skip
        if copied:
            return f"this is a copy of the search {before!r}, and from now on one of its own"
        return f"this search was {before!r} before its folder was renamed: it goes on as {self.name!r}"

    def read(self) -> dict[str, Any]:
        """search.json.

        Raises:
            ConfigError: it is damaged, or newer than this version.
        """
        try:
            tree: dict[str, Any] = json.loads((self.path / names.SEARCH_FILE).read_text())
            format_ = tree.get("format")
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"{self.path / names.SEARCH_FILE} cannot be read ({error}): choose another --name"
            ) from error
        if format_ != FORMAT:
            raise ConfigError(f"{self.path} has format {format_}, but this version reads format {FORMAT}")
        return tree

    @property
    def id(self) -> str | None:
        """Identity that tells it from a search of the same name elsewhere; None: not given yet, or a copy."""
        if not (self.path / names.SEARCH_FILE).exists():
            return None
        tree = self.read()
        own: str | None = tree.get("id")
        return None if self._is_a_copy(tree) else own

    @property
    def former_names(self) -> list[str]:
        """Names that it had before its folder was renamed, the last one last; its runs in MLflow may bear them yet."""
        if not (self.path / names.SEARCH_FILE).exists():
            return []
        tree = self.read()
        if self._is_a_copy(tree):
            return []
        former = [*tree.get("former_names", []), tree["config"]["name"]]
        return [name for name in dict.fromkeys(former) if name != self.name]

    def was_called(self, name: str) -> bool:
        """True if it had a name before its folder was renamed; a damaged one does not say."""
        try:
            return name in self.former_names
        except ConfigError:
            return False

    @property
    def is_settled(self) -> bool:
        """False if a person has renamed or copied the folder since it was written last."""
        return self.id is not None and self.read()["config"]["name"] == self.name

    def _is_a_copy(self, tree: dict[str, Any]) -> bool:
        """True if the folder that was written last is still there, as the same search's, and is another one.

        In a home that was copied whole it is none, unless both would share a database or a server.
        """
        config, written = tree["config"], [self.path.parent / tree["config"]["name"]]
        if config.get("storage") or config.get("tracking_uri"):
            written.append(Path(tree.get("folder", self.path)))
        return any(self._is_also_at(path, tree) for path in written)

    def _is_also_at(self, path: Path, tree: dict[str, Any]) -> bool:
        if not (path / names.SEARCH_FILE).is_file() or path.samefile(self.path):
            return False
        try:
            return SearchFolder(path).read().get("id") == tree.get("id")
        except ConfigError:
            return False

    @property
    def config(self) -> SearchConfig:
        """The search's configuration; the folder's name is the search's, whatever it was when it began.

        Raises:
            ConfigError: it needs parts of one's own that nobody has named, or that have changed.
        """
        own.require(self.own_parts, self.path, f"search {self.name!r}")
        return parse(SearchConfig, BEFORE | self.read()["config"] | {"name": self.name})

    @property
    def own_parts(self) -> dict[str, str]:
        """The files of one's own parts that it needs, with the sha256 of each."""
        parts: dict[str, str] = self.read()["config"].get("parts", {})
        return parts

    def trust_parts(self) -> None:
        """Import the copies of these files: whoever made the folder made that code.

        Raises:
            ConfigError: one is not there, or not what it was; or as `own.use`.
        """
        for name, sha256 in self.own_parts.items():
            own.use(self.path / own.PARTS / Path(name).name, sha256)

    def ranked(self) -> list[tuple[float, TrialFolder]]:
        """Trials with a result, by the objective after their last epoch (`ranking`)."""
        return [(values[0], trial) for values, trial in self.measured()]

    def measured(self) -> list[tuple[Values, TrialFolder]]:
        """Trials with a result and all that is measured after their last epoch, the best first (`ranking`)."""
        config = self.config
        goals = config.goals
        scored = [(values, trial) for trial in self.trials() if (values := goals.values(trial))]
        entries = [(trial.number, len(values), values[-1]) for values, trial in scored]
        return [(scored[at][0][-1], scored[at][1]) for at in ranking(entries, config.epochs, goals)]

    def front(self) -> list[tuple[Values, TrialFolder]]:
        """The trials that no other one dominates, in their rank; none where all break a limit.

        Raises:
            ConfigError: the search has one objective.
        """
        goals, measured = self.config.goals, self.measured()
        if len(goals.objectives) == 1:
            raise ConfigError(
                f"a front needs several objectives, but {self.name} is after {self.config.objective} alone: leave "
                f"--front out, or search with --objective accuracy,synops"
            )
        points = vectors.front([goals.standing(values) for values, _ in measured])
        return [measured[at] for at in points]


def all_searches(home: Path) -> Iterator[SearchFolder]:
    """All searches of a home, by name."""
    for path in sorted((home / names.SEARCHES).glob(f"*/{names.SEARCH_FILE}")):
        if problem_of_name(path.parent.name) is None:
            yield SearchFolder(path.parent)


def _commit() -> str | None:
    """Commit of the repository that this code lies in; None: it lies in none, or git is not to be had."""
    command, here = ["git", "rev-parse", "HEAD"], Path(__file__).parent
    try:
        said = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None if said.returncode == 0 else None


def free_name(home: Path, stem: str) -> str:
    """The first of `stem-1`, `stem-2`, ... that no search has."""
    number = 1
    while (home / names.SEARCHES / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"
