"""A search on a cluster from a machine outside of it (`ray://`): the driver runs on the cluster's head.

Over Ray's client Tune would have to be sent as a pickle, callbacks and all. So a process on the head runs the same
command there, with the address that holds there; its lines come here, and Ctrl-C goes there.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ffsnn.config import ConfigError
from search import cluster
from search.places import ENVIRONMENT
from search.servers import ray_problem
from search.signals import ENDING, end_with_parent

EVERY = 0.2  # seconds between two questions for new lines
HEAD = "node:__internal_head__"  # a resource of the head alone
SECRETS = ("storage", "tracking_uri")
ALSO = ("PGPASSWORD", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


def run(command: str, address: str, options: dict[str, Any], places: dict[str, str | None]) -> int:
    """Run `ffsnn search` or `ffsnn doctor` on the head of a cluster; its exit code.

    Args:
        command: which of the two.
        address: ray://HOST:PORT.
        options: of the command.
        places: what is set here, from wherever; they must hold on the head.

    Raises:
        ConfigError: no home is named, or the cluster cannot be joined.
    """
    if places["home"] is None:
        raise ConfigError("over ray:// the search's folder is on the cluster: name it with --home")
    if wrong := ray_problem(address):
        raise ConfigError(wrong)
    space, text = options["space"], None
    if space and Path(space).is_file():
        space, text = Path(space).name, Path(space).read_text()
    secret = {ENVIRONMENT[name]: value for name in SECRETS if (value := places[name])}
    secret |= {name: os.environ[name] for name in ALSO if name in os.environ}
    with cluster.joined(address):
        head = next(node["NodeID"] for node in ray.nodes() if node["Alive"] and HEAD in node["Resources"])  # type: ignore[no-untyped-call]
        there = NodeAffinitySchedulingStrategy(head, soft=False)
        driver = _Driver.options(scheduling_strategy=there).remote()  # type: ignore[attr-defined]
        ray.get(driver.start.remote(command, _arguments(options, places), space, text, secret))
        return _followed(driver)


def _arguments(options: dict[str, Any], places: dict[str, str | None]) -> list[str]:
    """The command's options as they were given, but for those that are handed on otherwise."""
    said: dict[str, Any] = {"home": places["home"], "data_dir": places["data_dir"]}
    said |= {name: value for name, value in options.items() if name not in ENVIRONMENT and name != "space"}
    arguments = []
    for name, value in said.items():
        if value is True:
            arguments.append(f"--{name.replace('_', '-')}")
        elif value not in (None, False):
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    return arguments


def _followed(driver: Any) -> int:
    """Print what it prints until it has ended; Ctrl-C and SIGTERM are its."""
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in ENDING}
    for number in before:
        signal.signal(number, lambda number, frame: asked.append(number))
    try:
        while True:
            while asked:
                driver.interrupt.remote(asked.pop())
            lines, code = ray.get(driver.read.remote())
            for line in lines:
                print(line, flush=True)
            if code is not None:
                return int(code)
            time.sleep(EVERY)
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:200]
        print(f"the driver on the head was lost ({reason}); the same command goes on", file=sys.stderr)
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@ray.remote(num_cpus=0, max_restarts=0)
class _Driver:
    """On the head: the command in a process of its own, and what it has printed since it was last asked."""

    def start(
        self, name: str, arguments: list[str], space: str | None, text: str | None, secret: dict[str, str]
    ) -> None:
        self.lines: list[str] = []
        command = [sys.executable, "-m", "search.cli", name]
        self.folder = Path(tempfile.mkdtemp(prefix="ffsnn-space-"))
        if space and text is not None:
            (self.folder / space).write_text(text)
            space = str(self.folder / space)
        command += [space] if space else []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_") or "AUTH" in name}
        self.process = subprocess.Popen(
            [*command, *arguments, "--address", ray.get_runtime_context().gcs_address],
            env=kept | secret, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=_as_a_person_would,
        )  # fmt: skip
        self.reader = threading.Thread(target=self._gather, daemon=True)
        self.reader.start()

    def _gather(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
        shutil.rmtree(self.folder)

    def read(self) -> tuple[list[str], int | None]:
        code = self.process.poll()
        if code is not None:
            self.reader.join(5)
        lines, self.lines = self.lines, []
        return lines, code

    def interrupt(self, number: int) -> None:
        self.process.send_signal(number)


def _as_a_person_would() -> None:
    """In the new process: it can be interrupted, which Ray's workers cannot, and stops where the one that follows it
    dies."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    end_with_parent()
