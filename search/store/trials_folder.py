"""A folder of trials, and the right to run them."""

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ffsnn import atomic
from ffsnn.training.run_folder import CONFIG
from ffsnn.validation import ConfigError
from search import names
from search.store.trial_folder import TrialFolder


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
