"""Where a search's study is: in its folder, as Optuna's journal, or in a database that it shares with other searches.

Either can be lost: what the study knows is in the trials' folders too, and `search.study.reconcile` writes it anew.
"""

import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from ffsnn.validation import ConfigError
from search.names import OWNER
from search.settings import without_password
from search.store.folder import SearchFolder
from search.study import database

Say = Callable[[str], None]
Directions = Sequence[Literal["maximize", "minimize"]]
Fill = Callable[[optuna.Study], None]  # puts trials into an empty study
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError)  # what reading damaged records may raise


class Unreadable(Exception):
    """A study's records are damaged; says how."""


class LeasedJournal(JournalFileBackend):
    """Optuna's journal of a study that one process alone may write, and that can be rebuilt: so no lock is taken, and
    no write waits for the disk, which was half of a driver's work."""

    def __init__(self, file: Path) -> None:
        super().__init__(str(file))
        self.file = file

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self.file.open("ab") as file:
            file.write("".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode())


class StudyStore(ABC):
    """One search's study, wherever it is."""

    name: str  # for a person

    @abstractmethod
    def opened(self, say: Say) -> optuna.Study:
        """The study, made where it is missing.

        Raises:
            Unreadable: it is to be replaced.
        """

    @abstractmethod
    def replaced(self, reason: str, fill: Fill, say: Say) -> optuna.Study:
        """Another study in its place, once `fill` has made it whole: until then the old one stays as it is."""


class JournalStore(StudyStore):
    """`study.log` in the search's folder."""

    name = "study.log"

    def __init__(self, folder: SearchFolder, directions: Directions) -> None:
        self.folder, self.directions, self.file = folder, directions, folder.study_file

    def opened(self, say: Say) -> optuna.Study:
        """The study, without a last line that a kill tore."""
        for lock in self.folder.path.glob(f"{self.file.name}.lock*"):  # a killed driver's; ours is the lease
            lock.unlink()
        if self.file.exists():
            whole = self.file.read_bytes()
            lines = whole[: whole.rfind(b"\n") + 1]
            if len(lines) < len(whole):
                say("study.log: its last line was torn, and is left out")
                os.truncate(self.file, len(lines))
        try:
            return _in_journal(self.folder.name, self.file, self.directions)
        except UNREADABLE as error:
            raise Unreadable(f"it cannot be read ({' '.join(str(error).split())[:100]})") from error

    def replaced(self, reason: str, fill: Fill, say: Say) -> optuna.Study:
        number = 1
        while (aside := self.file.with_suffix(f".before-{number}")).exists():
            number += 1
        say(f"study.log: {reason}; it is kept as {aside.name} and rebuilt from the trials' folders")
        unfinished = self.file.with_suffix(".unfinished")
        for left in self.folder.path.glob(f"{unfinished.name}*"):  # by a driver that was killed
            left.unlink()
        fill(_in_journal(self.folder.name, unfinished, self.directions))
        shutil.copy2(self.file, aside)
        os.replace(unfinished, self.file)
        return _in_journal(self.folder.name, self.file, self.directions)


class DatabaseStore(StudyStore):
    """A study in a database, named like the search, which it says it belongs to."""

    def __init__(self, folder: SearchFolder, directions: Directions, url: str) -> None:
        self.folder, self.directions, self.url = folder, directions, url
        self.name = f"study {folder.name} in {without_password(url)}"

    def opened(self, say: Say) -> optuna.Study:
        with database.translated(self.url):
            try:
                study = _named(self.folder.name, database.opened(self.url), self.directions)
                trials = study.get_trials(deepcopy=False)
                if study.user_attrs.get(OWNER) is None and not trials:
                    study.set_user_attr(OWNER, self.folder.id)
            except UNREADABLE as error:
                raise Unreadable(f"it cannot be read ({' '.join(str(error).split())[:100]})") from error
            _ensure_owned(study, self.folder.id, self.url)
            return study

    def replaced(self, reason: str, fill: Fill, say: Say) -> optuna.Study:
        say(f"{self.name}: {reason}; it is rebuilt from the trials' folders")
        whole = in_memory(self.folder.name, self.directions)
        fill(whole)
        with database.translated(self.url):
            storage = database.opened(self.url)
            optuna.delete_study(study_name=self.folder.name, storage=storage)
            study = _named(self.folder.name, storage, self.directions)
            study.set_user_attr(OWNER, self.folder.id)  # first: one that is not ours is not gone on with
            study.add_trials(whole.get_trials(deepcopy=False))
            return study


def study_store(folder: SearchFolder, storage: str | None) -> StudyStore:
    """The store of a search's study at an address; None: in its folder."""
    directions = folder.config.goals.directions
    return DatabaseStore(folder, directions, storage) if storage else JournalStore(folder, directions)


def ensure_owned(url: str, name: str, owner: str | None) -> None:
    """Make sure before a search begins that its database answers and has no study of that name, or its own.

    Raises:
        ConfigError: another search's, or the database does not answer.
    """
    with database.translated(url):
        storage = database.opened(url)
        try:
            if name in optuna.get_all_study_names(storage):
                _ensure_owned(optuna.load_study(study_name=name, storage=storage), owner, url)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def delete_study(url: str, name: str, owner: str | None) -> None:
    """Delete a search's study from a database, if it is there and its own.

    Raises:
        ConfigError: the database does not answer.
    """
    with database.translated(url):
        storage = database.opened(url)
        try:
            if name in optuna.get_all_study_names(storage):
                study = optuna.load_study(study_name=name, storage=storage)
                if owner is not None and study.user_attrs.get(OWNER) == owner:
                    optuna.delete_study(study_name=name, storage=storage)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _in_journal(name: str, file: Path, directions: Directions) -> optuna.Study:
    storage = JournalStorage(LeasedJournal(file))
    return _named(study_name(storage, name), storage, directions)


def study_name(storage: BaseStorage, search: str) -> str:
    """Name of a search's study in its journal: the search's, or the one that it had when it began."""
    names = [study.study_name for study in storage.get_all_studies()]
    return search if search in names or not names else names[0]


def in_memory(name: str, directions: Directions) -> optuna.Study:
    """A study in memory."""
    return _named(name, InMemoryStorage(), directions)


def _named(name: str, storage: BaseStorage, directions: Directions) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # asked for a trial, Optuna's own sampler for several objectives would write to the study what it would draw
    sampler = RandomSampler(seed=0) if len(directions) > 1 else None
    return optuna.create_study(
        storage=storage, study_name=name, directions=list(directions), load_if_exists=True, sampler=sampler
    )


def _ensure_owned(study: optuna.Study, owner: str | None, url: str) -> None:
    if study.user_attrs.get(OWNER) != owner or owner is None:
        raise ConfigError(
            f"the study {study.study_name!r} in {without_password(url)} belongs to another search: "
            f"choose another --name"
        )
