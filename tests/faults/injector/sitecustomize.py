"""Strikes a search from inside its processes, without a hook in the search.

Python imports this file by itself in every process whose PYTHONPATH begins with this folder; Ray's workers inherit
theirs from the driver. An audit hook then sees each file about to be opened or moved and each request about to be sent,
a wrapped `sqlite3.connect` each statement; by them it knows the phase of the search, and at the event that was asked
for it hits the victim. A process that is killed so dies before that file is opened or moved, that request sent.

FFSNN_FAULTS is JSON: `folder` (of notes: who was hit, and where), `search` (the search's folder), `port` and `server`
(process group) of the MLflow server, and `faults`: each {phase, victim, count, fraction}. The count-th event of the
phase in one process is the one; each fault strikes once in all processes, for its note is made exclusively.
"""

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

ENDED = re.compile(rb'"op_code":6,[^\n]*"state":[123]')  # Optuna's journal: a trial's state becomes a final one
CREATED = b'"op_code":4,'
TRIAL_FILE = re.compile(r"/trials/\d+/[^/]+$")
ROWS = re.compile(r'(INSERT INTO|UPDATE) "?(runs|metrics|latest_metrics|params|tags)\b')  # of MLflow's tables
SMALL = 512 * 2**20  # bytes; a larger file system is none that a test has mounted, and is not filled


class Injector:
    """The phases of one process, and the blows that are due in it."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan, self.search, self.notes = plan, plan["search"], plan["folder"]
        self.left = [fault["count"] for fault in plan["faults"]]  # events until each fault strikes
        self.in_trial = any(argument.endswith("default_worker.py") for argument in sys.orig_argv)
        self.resumed = os.path.exists(os.path.join(self.search, "study.log"))
        self.local = threading.local()  # what the hook does itself is no event
        self.last_line, self.pace = 0.0, 0.2  # when the last epoch ended; seconds of one

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        watch = WATCHED.get(event)
        if watch is None or getattr(self.local, "busy", False):
            return
        self.local.busy = True
        try:
            watch(self, *arguments)
        except Exception as error:  # a mistake made here is none of the search's
            self.note("mistake", {"error": repr(error)})
        finally:
            self.local.busy = False

    def opened(self, path: Any, mode: Any, flags: Any) -> None:
        if not isinstance(path, str) or not path.startswith(self.search):
            return
        writes, name = bool(flags & (os.O_WRONLY | os.O_RDWR)), os.path.basename(path)
        if self.in_trial:
            self.note("training", {})
            if writes and name == "history.jsonl":
                self.epoch_ended()
                self.event("history write", f"appending to {path[-24:]}")
            elif writes and ".safetensors" in name:
                self.event("checkpoint write", f"opening {name}")
        elif writes and name == "study.log":
            self.study_written()
        elif not writes and self.resumed and TRIAL_FILE.search(path) and not self.noted("training"):
            self.event("resume", f"reading {path[-24:]}")

    def renamed(self, source: Any, target: Any, *_: Any) -> None:
        if not isinstance(target, str) or not target.startswith(self.search):
            return
        name = os.path.basename(target)
        if self.in_trial and name.endswith(".safetensors"):
            self.event("checkpoint write", f"moving {os.path.basename(source)} to {name}")
        elif not self.in_trial and name == "config.json":
            self.event("suggest", f"moving {target[-21:]} into place")

    def study_written(self) -> None:
        """Whether the journal is written for a trial that is being drawn, or for one that has ended."""
        try:
            with open(os.path.join(self.search, "study.log"), "rb") as file:
                journal = file.read()
        except FileNotFoundError:  # it is just being made
            return
        created, told = journal.count(CREATED), len(ENDED.findall(journal))
        trials = os.path.join(self.search, "trials")
        files = [set(os.listdir(os.path.join(trials, trial))) for trial in os.listdir(trials)]
        if sum("end.json" in names for names in files) > told:
            self.event("tell", f"appending to study.log, {told} trials told")
        elif created:  # it is given its parameters, or the next one is asked for
            self.event("suggest", f"appending to study.log, {created} trials asked for")

    def sent(self, connection: Any, data: Any) -> None:
        """A request to the MLflow server; those for search are POSTs too, and write nothing."""
        if connection.port != self.plan.get("port") or not isinstance(data, bytes):
            return
        if data.startswith((b"POST", b"PATCH")) and b"/search " not in (request := data.split(b"\r\n", 1)[0]):
            self.event("MLflow write", request.decode(errors="replace"))

    def watch_databases(self) -> None:
        """The audit event of a new connection comes before it can be traced: the function that makes it is wrapped."""
        import sqlite3

        connect = sqlite3.connect

        def traced(*arguments: Any, **options: Any) -> Any:
            connection = connect(*arguments, **options)
            if os.path.basename(os.fsdecode(arguments[0])) == "mlflow.db":
                connection.set_trace_callback(self.statement)
            return connection

        sqlite3.connect = sqlite3.dbapi2.connect = traced

    def statement(self, sql: str) -> None:
        if ROWS.match(sql):
            self.event("MLflow write", " ".join(sql.split()[:3]))
        elif "UPDATE alembic_version" in sql:
            self.event("MLflow store", "MLflow makes its tables")

    def epoch_ended(self) -> None:
        """A moment within the next epoch is the "train" phase."""
        now = time.monotonic()
        if self.last_line:
            self.pace = now - self.last_line
        self.last_line = now
        self.event("train", "in an epoch", wait=True)

    def event(self, phase: str, where: str, wait: bool = False) -> None:
        for index, fault in enumerate(self.plan["faults"]):
            if fault["phase"] != phase:
                continue
            self.left[index] -= 1
            if self.left[index] == 0:
                if wait:
                    seconds = 0.01 + fault["fraction"] * self.pace
                    where = f"{fault['fraction']:.0%} of an epoch of {self.pace:.2f} s after the last"
                    threading.Timer(seconds, self.strike, (index, where)).start()
                else:
                    self.strike(index, where)

    def strike(self, index: int, where: str) -> None:
        fault = self.plan["faults"][index]
        if self.note(f"struck-{index}", fault | {"where": where, "pid": os.getpid(), "time": time.time()}):
            VICTIMS[fault["victim"]](self)

    def note(self, name: str, content: dict[str, Any]) -> bool:
        """Whether this was the first to say so, of all processes."""
        try:
            file = os.open(os.path.join(self.notes, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        os.write(file, json.dumps(content).encode())
        os.close(file)
        return True

    def noted(self, name: str) -> bool:
        return os.path.exists(os.path.join(self.notes, name))

    def driver(self) -> int:
        """The process that was started by the test."""
        with open(os.path.join(self.notes, "driver")) as file:
            return int(file.read())

    def interrupt_twice(self) -> None:
        group = self.driver()
        threading.Timer(0.5, os.killpg, (group, signal.SIGINT)).start()
        os.killpg(group, signal.SIGINT)

    def kill_trial(self) -> None:
        """The process of a trial: this one, or any."""
        if self.in_trial:
            os.kill(os.getpid(), signal.SIGKILL)
        self.kill_child(lambda name: name.startswith("ray::") and "IDLE" not in name)

    def kill_child(self, wanted: Callable[[str], bool]) -> None:
        import psutil

        for child in psutil.Process(self.driver()).children(recursive=True):
            if wanted(child.name()):
                child.kill()
                return
        self.note("nobody", {})

    def fill_disk(self) -> None:
        """A file that takes all the room there is, on a file system made for that."""
        home = os.path.dirname(os.path.dirname(os.path.dirname(self.search)))
        if shutil.disk_usage(home).total > SMALL:
            self.note("nobody", {})
            return
        file = os.open(os.path.join(home, "ballast"), os.O_CREAT | os.O_WRONLY)
        try:
            for size in (2**20, 2**10):
                try:
                    while True:
                        os.write(file, bytes(size))
                except OSError:
                    continue
        finally:
            os.close(file)


WATCHED: dict[str, Callable[..., None]] = {
    "open": Injector.opened,
    "os.rename": Injector.renamed,
    "http.client.send": Injector.sent,
}
VICTIMS: dict[str, Callable[[Injector], None]] = {
    "driver": lambda self: os.kill(self.driver(), signal.SIGKILL),
    "driver by SIGTERM": lambda self: os.kill(self.driver(), signal.SIGTERM),
    "driver by SIGINT": lambda self: os.kill(self.driver(), signal.SIGINT),
    "Ctrl-C": lambda self: os.killpg(self.driver(), signal.SIGINT),
    "Ctrl-C twice": Injector.interrupt_twice,
    "trial": Injector.kill_trial,
    "raylet": lambda self: self.kill_child(lambda name: name == "raylet"),
    "server": lambda self: os.killpg(self.plan["server"], signal.SIGKILL),
    "server hung": lambda self: os.killpg(self.plan["server"], signal.SIGSTOP),
    "disk": Injector.fill_disk,
}

if "FFSNN_FAULTS" in os.environ:
    injector = Injector(json.loads(os.environ["FFSNN_FAULTS"]))
    sys.addaudithook(injector.hook)
    if not injector.in_trial:
        injector.watch_databases()
