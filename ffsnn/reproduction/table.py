"""The results of the notes' table: their eight groups, and this project's recipe at the same widths.

Each (line, seed) is one JSON file in a folder, written whole, so an interrupted table goes on where it stopped. The
work is done by a few processes of one thread each; they talk to the table through that folder alone.
"""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ffsnn import atomic
from ffsnn.config import RunConfig
from ffsnn.config.data import DataConfig
from ffsnn.datasets.data import load, load_test
from ffsnn.datasets.dataset import Images
from ffsnn.datasets.folder import Folder
from ffsnn.kernels.parallel import use_threads
from ffsnn.labels import accuracy_of
from ffsnn.reproduction.method import GROUPS, NOTES, Protocol, ReproductionResult, run_group
from ffsnn.training import run_folder
from ffsnn.training.run import Run
from ffsnn.validation import ConfigError

RECIPE_LINE = len(GROUPS) + 1
RECIPE_WIDTHS = [500, 10]  # of the notes' groups
PROCESSES = min(2, os.cpu_count() or 1)
POLL_S = 0.5


@dataclass(frozen=True)
class Task:
    line: int  # a group's number, or RECIPE_LINE
    seed: int


@dataclass(frozen=True)
class Setting:
    """Settings that every result of a table was made with; a kept result made otherwise is made again."""

    protocol: Protocol = NOTES
    recipe: RunConfig | None = None  # the ninth line; None: there is none
    test_images: int | None = None  # None: all of them
    groups: bool = True  # the notes' groups are in the table

    @property
    def data(self) -> DataConfig:
        """The recipe's data, which are the notes' own where their groups stand beside it."""
        return DataConfig() if self.groups or self.recipe is None else self.recipe.data

    @property
    def T(self) -> int:
        """Time steps that recordings are binned to."""
        return 1 if self.recipe is None else self.recipe.network.T

    def json(self, line: int) -> list[dict[str, Any]]:
        """Names of the settings in a result's file: the present one, then those of earlier versions."""
        if self.recipe and line == RECIPE_LINE:
            return [{"recipe": recipe, "test_images": self.test_images} for recipe in self.recipe.ids]
        return [{"protocol": asdict(self.protocol), "test_images": self.test_images}]


class ProcessDied(RuntimeError):
    """A process that makes results ended before its time."""


class ResultFolder:
    """The results that are there."""

    def __init__(self, path: Path, setting: Setting) -> None:
        self.path, self.setting = path, setting

    def create(self) -> None:
        """Make it.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot write to {self.path}: {error.strerror}; choose a folder you may write to"
            ) from error

    def file(self, task: Task) -> Path:
        return self.path / f"line-{task.line}-seed-{task.seed}.json"

    def read(self, task: Task) -> ReproductionResult | None:
        """A task's result; None if it is not there, or was made with another setting."""
        try:
            kept = json.loads(self.file(task).read_text())
            return ReproductionResult(**kept["result"]) if kept["setting"] in self.setting.json(task.line) else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, task: Task, result: ReproductionResult, seconds: float) -> None:
        kept = {"setting": self.setting.json(task.line)[0], "result": asdict(result), "seconds": round(seconds, 1)}
        atomic.write(self.file(task), json.dumps(kept, indent=2))


def tasks(seeds: Sequence[int], setting: Setting) -> list[Task]:
    """Tasks of a table, the long ones first, so that the processes end together."""
    lines = [RECIPE_LINE] if setting.recipe else []
    if setting.groups:
        lines += range(len(GROUPS), 0, -1)
    return [Task(line, seed) for line in lines for seed in seeds]


def run_task(task: Task, folder: ResultFolder, train: Images, test: Images, data_dir: Folder) -> ReproductionResult:
    """Make one result and keep it."""
    start = time.perf_counter()
    test = test if folder.setting.test_images is None else test[torch.arange(folder.setting.test_images)]
    if folder.setting.recipe and task.line == RECIPE_LINE:
        result = run_recipe(folder.setting.recipe.replaced({"seed": task.seed}), folder.path, test, data_dir)
    else:
        result = run_group(GROUPS[task.line - 1], task.seed, train, test, folder.setting.protocol)
    folder.write(task, result, time.perf_counter() - start)
    return result


def run_recipe(config: RunConfig, folder: Path, test: Images, data_dir: Folder) -> ReproductionResult:
    """This project's own method: all the data, the best epoch by validation; the test images are looked at once."""
    split = load(config.data, config.seed, data_dir, T=config.network.T)
    named = [folder / f"recipe-{known[:8]}-seed-{config.seed}" for known in config.ids]
    run = next((there for there in named if there.exists()), named[0])
    for _ in Run(config, split, run):
        pass
    network = run_folder.load(run)
    hit = network.predict(test.x) == test.y
    trained = network.accuracy(split.train.x, split.train.y)
    return ReproductionResult(trained, accuracy_of(hit[: NOTES.batch]), accuracy_of(hit))


def lane(todo: list[Task], next_task: Any, folder: ResultFolder, data_dir: Folder, parent: int) -> None:
    """One process: take the next task that nobody has taken, until there is none or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches all processes; the parent ends this one
    use_threads(1)
    data, T = folder.setting.data, folder.setting.T
    train, test = load(data, 0, data_dir, T=T).train, load_test(data, data_dir, T=T)
    while os.getppid() == parent:
        with next_task.get_lock():
            number, next_task.value = next_task.value, next_task.value + 1
        if number >= len(todo):
            return
        run_task(todo[number], folder, train, test, data_dir)


def make(
    seeds: Sequence[int], folder: ResultFolder, data_dir: Folder, processes: int
) -> Iterator[tuple[Task, ReproductionResult]]:
    """Make the results that are not there yet; yields each as it comes.

    Raises:
        ProcessDied: killed, or out of memory; what is made is kept.
    """
    waiting = [task for task in tasks(seeds, folder.setting) if folder.read(task) is None]
    spawn = multiprocessing.get_context("spawn")
    arguments = (list(waiting), spawn.Value("i", 0), folder, data_dir, os.getpid())
    lanes = [spawn.Process(target=lane, args=arguments, daemon=True) for _ in range(min(processes, len(waiting)))]
    try:
        for process in lanes:
            process.start()
        while waiting:
            alive = [process.sentinel for process in lanes if process.is_alive()]
            if alive:
                wait(alive, POLL_S)
            for task in list(waiting):
                if result := folder.read(task):
                    waiting.remove(task)
                    yield task, result
            if waiting and (not alive or any(process.exitcode for process in lanes)):
                raise ProcessDied(f"a process of the table died, {len(waiting)} results are missing; start it again")
    finally:
        for process in lanes:
            if process.pid is not None:
                process.terminate()
                process.join()


def make_told(
    seeds: Sequence[int], folder: ResultFolder, data_dir: Folder, processes: int, console: Console
) -> None:  # fmt: skip
    """Make the results that are not there yet, with a line for each as it comes; errors as of `make`."""
    wanted = tasks(seeds, folder.setting)
    total, kept = len(wanted), sum(folder.read(task) is not None for task in wanted)
    console.print(f"{total} results, {kept} of them kept in {folder.path}")
    start = time.monotonic()
    for done, (task, result) in enumerate(make(seeds, folder, data_dir, processes), 1):
        elapsed = (time.monotonic() - start) / 60
        name = "ffsnn" if task.line == RECIPE_LINE else f"group {task.line}"
        console.print(
            f"{kept + done}/{total}  {name}, seed {task.seed}: train {result.train:.1%}, test {result.test_all:.1%}"
            f"  ({elapsed:.1f} minutes elapsed, about {elapsed / done * (total - kept - done):.1f} left)"
        )
