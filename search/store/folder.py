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
import subprocess
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from ffsnn.parts import own
from ffsnn.validation import ConfigError, parse
from search import names
from search.config import SearchConfig, problem_of_name
from search.hints import command
from search.pareto import vectors
from search.pareto.front import ranking
from search.pareto.goals import Values
from search.store.identity import FORMAT, IdentifiedFolder
from search.store.trial_folder import TrialFolder

BEFORE = {"veto": False, "cold": True}  # what searches did before there was a setting for it
EXACT = ("torch", "spikingjelly")  # libraries of which another version may give a trial other bits


class SearchFolder(IdentifiedFolder):
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
            ConfigError: there is no search of that name, or the name is not valid; the nearest are named.
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
        budget = self.config.time_budget
        more = ("--time-budget", f"{2 * budget:g}") if budget and self.is_out_of_time else ()
        return f"go on with: {command('search', '--resume', self.name, *more)}"

    def no_result(self) -> ConfigError:
        """The error of who wants a result where no trial has one."""
        return ConfigError(f"no trial of {self.name} has finished an epoch yet; {self.how_to_go_on()}")

    @property
    def is_out_of_time(self) -> bool:
        """True if its time budget, in minutes, is spent."""
        budget = self.config.time_budget
        return budget is not None and self.spent() >= budget * 60

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
