"""A trial's own folder: that of its training run (`ffsnn.training.run_folder`), and what a search adds to it.

    output.log        what its processes printed, if anything
    failures.jsonl    a line for each of its processes that crashed or hung
    end.json          how it ended, once it has, sealed with its whole history; which process trained it last
    rest.json         that history, of one that may go on after all: it has no checkpoint, and begins anew if it does
    trial.lock        held by the process that trains it; says which

One that has ended keeps its configuration, history, end and best weights: four files, and those of its failures.

The process that trains it writes its epochs, the driver its end; either may write a failure.
"""

import fcntl
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import psutil

from ffsnn import atomic
from ffsnn.training.epoch_metrics import EpochMetrics
from ffsnn.training.run_folder import BEST, RunFolder
from search.names import END_FILE, FAILURES_FILE, OUTPUT_FILE, REST_FILE, TRIAL_LOCK
from search.store.ends import End, Failure

if TYPE_CHECKING:
    from ffsnn.config import RunConfig
    from search.objectives import Objective

WAIT = 120.0  # seconds for a process on another machine to let go of a trial; a network file system may need 90


@dataclass(frozen=True)
class Holder:
    """The process that trains a trial, or was the last to."""

    pid: int
    host: str
    node: str = ""  # of Ray's cluster; on this machine's own Ray: none


class TrialFolder(RunFolder):
    """A run's folder within a search."""

    keeps_parts = False

    @property
    def number(self) -> int:
        return int(self.path.name)

    def end(self) -> End | None:
        """Its end; None while it has not ended."""
        sealed = self._sealed()
        return End(sealed["state"], sealed["reason"], sealed.get("detail", "")) if sealed else None

    def write_end(self, end: End) -> None:
        """Seal it, with its history; what only a trial that goes on would need is deleted."""
        history = [epoch.json() for epoch in self.history()]
        holder = self.holder()
        trained_by = {"trained_by": asdict(holder)} if holder else {}
        atomic.write(self.path / END_FILE, json.dumps(asdict(end) | trained_by | {"history": history}))
        self.drop_checkpoints()
        self.wake()
        self.tidy()

    def tidy(self) -> None:
        """Delete what an ended trial needs no more, unless a process still has it: which then does so when it lets
        go of it."""
        if self.end() is None:
            return
        with suppress(FileNotFoundError), (self.path / TRIAL_LOCK).open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if (output := self.path / OUTPUT_FILE).exists() and output.stat().st_size == 0:
                output.unlink()
            (self.path / TRIAL_LOCK).unlink()

    def take_over(self, config: "RunConfig", other: "TrialFolder") -> None:
        """Take the record of a trial with the same configuration, which has ended: it would be trained to the same.

        The end is written last but for the configuration, without which there is no trial: so a kill in between is
        made good by the next try.
        """
        end, history = other.end(), other.sealed_history()
        assert end is not None
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_history(history or other.history())
        if (other.path / BEST).exists():
            atomic.write(self.path / BEST, (other.path / BEST).read_bytes())
        detail = f"as trial {other.number}, which has the same configuration"
        self.write_end(End(end.state, end.reason, detail))
        self.rewrite_config(config)

    def reopen(self) -> None:
        """Take back its end: it rests where it ended, with its history."""
        os.replace(self.path / END_FILE, self.path / REST_FILE)

    def wake(self) -> None:
        """Have one that was reopened begin anew; it gives the same bits again."""
        (self.path / REST_FILE).unlink(missing_ok=True)

    def reopened_history(self) -> list[EpochMetrics] | None:
        """The history that a reopened trial rests with."""
        sealed = self._sealed(REST_FILE)
        return [EpochMetrics.parse(epoch) for epoch in sealed["history"]] if sealed and "history" in sealed else None

    def sealed_history(self) -> list[EpochMetrics] | None:
        """The history as it was when the trial ended."""
        sealed = self._sealed()
        return [EpochMetrics.parse(epoch) for epoch in sealed["history"]] if sealed and "history" in sealed else None

    def values(self, objective: "Objective", history: list[EpochMetrics] | None = None) -> list[float]:
        """The objective after each epoch of its history, or of another one."""
        history = self.history() if history is None else history
        config = cache(self.config)
        return [objective.value(epoch, config) for epoch in history]

    def failures(self) -> list[Failure]:
        try:
            lines = (self.path / FAILURES_FILE).read_text().splitlines()
        except FileNotFoundError:
            return []
        failures = []
        for line in lines:
            try:
                said = json.loads(line)
                failures.append(Failure(said["reason"], said["detail"], said["epoch"]))
            except (ValueError, TypeError, KeyError):  # a torn line
                continue
        return failures

    def add_failure(self, reason: str, detail: str) -> None:
        failure = Failure(reason, " ".join(detail.split())[:500], len(self.history()))
        with (self.path / FAILURES_FILE).open("a") as file:
            file.write(json.dumps(asdict(failure)) + "\n")

    def output(self, lines: int) -> str:
        """The last lines that the trial's processes printed."""
        try:
            with (self.path / OUTPUT_FILE).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 2**16))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()[-lines:])

    @contextmanager
    def occupied(self, node: str = "") -> Iterator[None]:
        """The right to train this trial, for one process on a node, whose output goes to the folder.

        A process that still has it belongs to a driver that is gone, or has failed, and is ended.

        Raises:
            RuntimeError: it runs on another machine, and goes on.
        """
        with (self.path / TRIAL_LOCK).open("a+") as lock, (self.path / OUTPUT_FILE).open("ab") as output:
            deadline = time.monotonic() + WAIT
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self.kill(node)
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"another process goes on with trial {self.number}") from None
                    time.sleep(0.1)
            lock.truncate(0)
            lock.write(json.dumps(asdict(Holder(os.getpid(), socket.gethostname(), node))))
            lock.flush()
            for stream in (1, 2):
                os.dup2(output.fileno(), stream)
            yield

    def holder(self) -> Holder | None:
        """The process that has it, or had it last."""
        try:
            lock = self.path / TRIAL_LOCK
            said = json.loads(lock.read_text()) if lock.exists() else (self._sealed() or {})["trained_by"]
            return Holder(**said)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def held(self) -> bool:
        """True if a process trains it, on whichever machine."""
        try:
            with (self.path / TRIAL_LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False

    def kill(self, node: str = "", only: Holder | None = None) -> bool:
        """End the process that trains it at once; true if there was one to end.

        Args:
            node: of a cluster, that this is; a process elsewhere is left alone.
            only: the process that is meant; one that has taken the trial since is left alone.
        """
        try:
            with (self.path / TRIAL_LOCK).open("r+") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody has it; what it says is old
                except BlockingIOError:
                    holder = Holder(**json.loads(lock.read()))
                    here = (holder.host, holder.node) == (socket.gethostname(), node) and only in (None, holder)
                    if here and _is_a_trials(holder.pid):
                        os.kill(holder.pid, signal.SIGKILL)
                        return True
        except (OSError, ValueError, TypeError):
            pass
        return False

    def _sealed(self, file: str = END_FILE) -> dict[str, Any] | None:
        try:
            tree: dict[str, Any] = json.loads((self.path / file).read_text())
            return tree if {"state", "reason"} <= tree.keys() else None
        except (FileNotFoundError, ValueError, AttributeError):
            return None


def _is_a_trials(pid: int) -> bool:
    """True if a process is one of Ray's workers: the number may have been given to another one since."""
    try:
        return any(part.startswith("ray::") for part in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
