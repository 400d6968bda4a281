"""The life of a search that is hit again and again: runs of its one command, each with the faults that are to strike.

All that happens, happens to real processes; see `injector/sitecustomize.py` for how a fault finds its moment.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.faults.damage import DAMAGES
from tests.faults.reader import epochs, epochs_saved
from tests.faults.server import Server

ROOT = Path(__file__).resolve().parents[2]
INJECTOR = Path(__file__).parent / "injector"
FFSNN = [sys.executable, "-c", "from search.cli import main; main()"]
PATIENCE = 240  # seconds of a run, after which it counts as hung

# How many events of a phase there are in a small search, about: a fault is drawn among them.
PHASES = {
    "suggest": 20, "train": 5, "checkpoint write": 12, "history write": 6, "tell": 12,
    "MLflow write": 20, "MLflow store": 40, "resume": 12,
}  # fmt: skip
# What the exit code must be of a run whose driver was stopped.
STOPS = {
    "driver": -signal.SIGKILL, "driver by SIGTERM": 130, "driver by SIGINT": 130, "Ctrl-C": 130, "Ctrl-C twice": 130,
    "disk": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """Whom to hit, and when: at the count-th event of a phase in one process, or a fraction of an epoch after it."""

    phase: str
    victim: str
    count: int = 1
    fraction: float = 0.5

    @classmethod
    def drawn(cls, phase: str, victim: str, draw: random.Random) -> "Fault":
        return cls(phase, victim, draw.randint(1, PHASES[phase]), draw.random())


@dataclass(frozen=True)
class Run:
    """One run of the command."""

    code: int | None  # None: hung, and killed after PATIENCE
    struck: list[dict[str, Any] | None]  # of each fault, where it struck; None: not at all
    output: str
    seconds: float

    def __str__(self) -> str:
        hits = ", ".join(
            f"{hit['victim']} hit in {hit['phase']} ({hit['where']})" if hit else "missed" for hit in self.struck
        )
        return f"{hits or 'unharmed'}: exit code {self.code} after {self.seconds:.0f} s"


class Work(NamedTuple):
    """What was done of a trial and may not be done again: all of it once it has ended, else what its checkpoint has."""

    ended: bool
    epochs: list[dict[str, Any]]  # each with the seconds it took, which no second training would repeat


@dataclass
class Life:
    """A search in a home of its own; the same command is run until it has ended."""

    home: Path
    name: str = "hurt"
    options: tuple[str, ...] = ("--epochs", "4")
    server: Server | None = None
    runs: list[Run] = field(default_factory=list)
    done: dict[str, Work] = field(default_factory=dict)  # by trial, as the last run left it
    broken: list[str] = field(default_factory=list)  # work that was done and was done again
    rested: set[str] = field(default_factory=set)  # trials that ended at a rung, and may go on with more trials

    @property
    def folder(self) -> Path:
        return self.home / "mlruns" / "searches" / self.name

    @property
    def store(self) -> str | None:
        return self.server.address if self.server else None

    def run(self, trials: int, *faults: Fault) -> Run:
        """Run the command to its end, whatever that is, and see whether the work done before is still there."""
        (self.home / "mlruns").mkdir(parents=True, exist_ok=True)
        notes = self.home.with_name(f"{self.home.name}-runs") / str(len(self.runs))  # outside of what may be full
        notes.mkdir(parents=True)
        command = [*FFSNN, "search", "digits_smoke", "--name", self.name, "--trials", str(trials), *self.options]
        if self.server:
            command += ["--tracking-uri", self.server.address]
        start = time.monotonic()
        with (notes / "output").open("w") as output:
            driver = subprocess.Popen(
                command, env=self._environment(notes, faults), stdout=output, stderr=output, start_new_session=True
            )
        (notes / "driver").write_text(str(driver.pid))
        code = _ended(driver)
        if mistake := _note(notes / "mistake"):
            raise RuntimeError(f"the injector itself failed: {mistake}")
        struck = [_note(notes / f"struck-{index}") for index in range(len(faults))]
        nobody = (notes / "nobody").exists()
        run = Run(code, [None] if nobody else struck, (notes / "output").read_text(), time.monotonic() - start)
        self.runs.append(run)
        self._compare(self.work())
        return run

    def finish(self, trials: int, attempts: int = 3) -> Run:
        """Resume, unharmed, until the exit code is 0."""
        self.repair()
        for _ in range(attempts):
            run = self.run(trials)
            if run.code == 0:
                break
        return run

    def damage(self, what: str, draw: random.Random) -> str:
        """Damage files between two runs; epochs that a checkpoint has lost may be trained again."""
        done = DAMAGES[what](self.folder, draw)
        self.done = {trial: self.done[trial] if self.done[trial].ended else now for trial, now in self.work().items()}
        return done

    def repair(self) -> None:
        """Take away what a fault leaves in the way: a full disk, a server that does not answer."""
        (self.home / "ballast").unlink(missing_ok=True)
        if self.server:
            self.server.restore()

    def work(self) -> dict[str, Work]:
        done = {}
        for trial in sorted((self.folder / "trials").glob("*")):
            ended = (trial / "end.json").exists()
            done[trial.name] = Work(ended, epochs(trial) if ended else epochs_saved(trial))
            if ended and json.loads((trial / "end.json").read_text() or "{}").get("reason") == "promotion":
                self.rested.add(trial.name)
        return done

    def _compare(self, now: dict[str, Work]) -> None:
        """Take note of work that is not there any more, or was done a second time."""
        for trial, (ended, old) in self.done.items():
            path = self.folder / "trials" / trial
            kept = any(there[: len(old)] == old for there in (epochs(path), epochs_saved(path)))
            if ended and trial in self.rested:  # with more trials it may go on: anew, to the same values
                kept, ended = _agree(epochs(path), old), False
            if not kept or (ended and len(epochs(path)) > len(old)):
                had = f"{'ended' if ended else 'a checkpoint'} after {len(old)} epochs"
                self.broken.append(f"work: trial {trial} had {had}, and they are not what its folder has now")
        self.done = now

    def _environment(self, notes: Path, faults: tuple[Fault, ...]) -> dict[str, str]:
        plan: dict[str, Any] = {"folder": str(notes), "search": str(self.folder), "faults": [*map(asdict, faults)]}
        if self.server:
            plan |= {"port": self.server.port, "server": self.server.group}
        path = [str(INJECTOR), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **os.environ, "PYTHONPATH": os.pathsep.join(path), "FFSNN_HOME": str(self.home),
            "FFSNN_FAULTS": json.dumps(plan),
        }  # fmt: skip


def _agree(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> bool:
    """True if two histories have the same accuracies, as far as both go."""
    return all(one.get("val_accuracy") == other.get("val_accuracy") for one, other in zip(some, others, strict=False))


def _ended(driver: "subprocess.Popen[bytes]") -> int | None:
    """The exit code of a driver; None for one that hangs. No driver outlives its test."""
    try:
        return driver.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if driver.poll() is None:
            for process in [*psutil.Process(driver.pid).children(recursive=True), psutil.Process(driver.pid)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            driver.wait()


def _note(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text()) if file.exists() else None


@contextlib.contextmanager
def small_disk(home: Path, megabytes: int = 64) -> Iterator[None]:
    """`home` on a file system of its own, which a fault may fill.

    Raises:
        PermissionError: this user cannot mount one.
    """
    home.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(home)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        raise PermissionError(f"a small disk needs a tmpfs: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(home)], check=True)
