"""The notes' results table beside ours: eight groups, and this project's recipe at the same widths.

Each (line, seed) is one JSON file in a folder, written whole, so an interrupted table goes on where it stopped. The
work is done by a few processes of one thread each; they talk to the table through that folder alone.
"""

import json
import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ffsnn import atomic, run_folder
from ffsnn.config import ConfigError, DataConfig, RunConfig
from ffsnn.data import Images, load, load_test
from ffsnn.fetch import Folder
from ffsnn.seed_method import FORMULAS, GROUPS, NOTES, Group, Protocol, Result, run_group, theta_matters

RECIPE_LINE = len(GROUPS) + 1
RECIPE = RunConfig.parse(
    {"network": {"widths": [500, 10], "T": 4}, "learning": {"epochs": 20, "precision": "bfloat16"}, "device": "cpu"}
)
PROCESSES = min(2, os.cpu_count() or 1)
POLL_S = 0.5

ASSUMPTIONS = """\
Ours: mean and standard deviation over the seeds; train: the batch of 64 trained on; test 64: the first 64 test images,
as the notes had it.
Where the notes are silent or contradict themselves, we took:
- Groups 1-2: formula 1 as it stands in the text, log(exp(theta - g+)) + log(exp(g- - theta)). Group 3: "changed to
  log(1 + exp)", taken at its word. Groups 4-8: what the code computes, log(1 + (1 + exp)).
- Groups 6-7 ("loss 2"): the last layer learns mean squared error between the positive samples' rates and the one-hot
  true label; the code has the line commented out, and no y reaches it. The hidden layer learns by groups 4-8's formula.
- "epochs" are iterations on the one batch, 100 a layer, layer after layer. Surrogates have SpikingJelly's defaults.
- The notes' figures are single runs. One image of 64 is 1.6 points, so some (9.94, 78.79) cannot be of one batch."""


@dataclass(frozen=True)
class Task:
    line: int  # a group's number, or RECIPE_LINE
    seed: int


@dataclass(frozen=True)
class Setting:
    """What every result of a table was made with; a kept result made otherwise is made again."""

    protocol: Protocol = NOTES
    recipe: RunConfig | None = RECIPE  # None: no ninth line
    test_images: int | None = None  # None: all of them

    def json(self, line: int) -> dict[str, Any]:
        if self.recipe and line == RECIPE_LINE:
            return {"recipe": self.recipe.id, "test_images": self.test_images}
        return {"protocol": asdict(self.protocol), "test_images": self.test_images}


WHOLE = Setting()


class ResultFolder:
    """The results that are there."""

    def __init__(self, path: Path, setting: Setting) -> None:
        self.path, self.setting = path, setting

    def file(self, task: Task) -> Path:
        return self.path / f"line-{task.line}-seed-{task.seed}.json"

    def read(self, task: Task) -> Result | None:
        """A task's result; None if it is not there, or was made with another setting."""
        try:
            kept = json.loads(self.file(task).read_text())
            return Result(**kept["result"]) if kept["setting"] == self.setting.json(task.line) else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, task: Task, result: Result, seconds: float) -> None:
        kept = {"setting": self.setting.json(task.line), "result": asdict(result), "seconds": round(seconds, 1)}
        atomic.write(self.file(task), json.dumps(kept, indent=2))


def tasks(seeds: int, setting: Setting) -> list[Task]:
    """All of a table's, the long ones first, so that the processes end together."""
    last = RECIPE_LINE if setting.recipe else len(GROUPS)
    return [Task(line, seed) for line in range(last, 0, -1) for seed in range(seeds)]


def run_task(task: Task, folder: ResultFolder, train: Images, test: Images, data_dir: Folder) -> Result:
    """Make one result and keep it."""
    start = time.perf_counter()
    test = test if folder.setting.test_images is None else test[torch.arange(folder.setting.test_images)]
    if folder.setting.recipe and task.line == RECIPE_LINE:
        result = run_recipe(folder.setting.recipe.replaced({"seed": task.seed}), folder.path, test, data_dir)
    else:
        result = run_group(GROUPS[task.line - 1], task.seed, train, test, folder.setting.protocol)
    folder.write(task, result, time.perf_counter() - start)
    return result


def run_recipe(config: RunConfig, folder: Path, test: Images, data_dir: Folder) -> Result:
    """This project's own method: all the data, the best epoch by validation; the test images are looked at once."""
    split = load(config.data, config.seed, data_dir)
    run = folder / f"recipe-{config.id[:8]}-seed-{config.seed}"
    for _ in run_folder.train(config, split, run):
        pass
    network = run_folder.load(run)
    hit = (network.predict(test.x) == test.y).float()
    trained = network.accuracy(split.train.x, split.train.y)
    return Result(trained, hit[: NOTES.batch].mean().item(), hit.mean().item())


def lane(todo: list[Task], next_task: Any, folder: ResultFolder, data_dir: Folder, parent: int) -> None:
    """One process: take the next task that nobody has taken, until there is none or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches all processes; the parent ends this one
    torch.set_num_threads(1)
    train, test = load(DataConfig(), 0, data_dir).train, load_test(DataConfig(), data_dir)
    while os.getppid() == parent:
        with next_task.get_lock():
            number, next_task.value = next_task.value, next_task.value + 1
        if number >= len(todo):
            return
        run_task(todo[number], folder, train, test, data_dir)


def make(seeds: int, folder: ResultFolder, data_dir: Folder, processes: int) -> Iterator[tuple[Task, Result]]:
    """Make the results that are not there yet; yields each as it comes.

    Raises:
        RuntimeError: a process died.
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
                raise RuntimeError(f"a process of the table died, {len(waiting)} results are missing; start it again")
    finally:
        for process in lanes:
            if process.pid is not None:
                process.terminate()
                process.join()


def render(seeds: int, folder: ResultFolder) -> Table:
    """Lines whose results are missing show a dash."""
    table = Table(title=f"The notes' results and ours, {seeds} seed{'s' if seeds > 1 else ''}, accuracies in %")
    table.add_column("group")
    table.add_column("network, neuron, loss, goodness, prediction")
    for name in ("notes\ntrain", "notes\ntest", "ours\ntrain", "ours\ntest 64", "ours\ntest all"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in GROUPS:
        noted = (f"{100 * accuracy:.4g}" for accuracy in (group.noted_train, group.noted_test))
        table.add_row(str(group.number), describe(group), *noted, *figures(group.number, seeds, folder))
    if recipe := folder.setting.recipe:
        network = recipe.network
        how = [layers(network.widths), network.surrogate, recipe.learning.loss, network.goodness, "goodness"]
        table.add_section()
        table.add_row("ffsnn", ", ".join(how), "", "", *figures(RECIPE_LINE, seeds, folder))
    return table


def layers(widths: tuple[int, ...]) -> str:
    return "-".join(map(str, (784, *widths)))


def describe(group: Group) -> str:
    loss = "MSE output over " * group.mse_output + group.formula
    return (
        f"{layers(group.widths)}, v_th {group.v_threshold:g}, theta {group.theta:g}, {group.surrogate}, {loss}, "
        f"{group.goodness}, {group.prediction.replace('_', ' ')}"
    )


def figures(line: int, seeds: int, folder: ResultFolder) -> list[str]:
    """Mean and spread of the three accuracies of a line."""
    results = [result for seed in range(seeds) if (result := folder.read(Task(line, seed)))]
    if len(results) < seeds:
        return ["-"] * 3
    columns = zip(*((r.train, r.test_batch, r.test_all) for r in results), strict=True)
    return [
        f"{100 * statistics.mean(column):.1f}" + (f" ±{100 * statistics.stdev(column):4.1f}" if seeds > 1 else "")
        for column in columns
    ]


def footnotes(setting: Setting, train: Images) -> str:
    """The assumptions, what theta does, and what the ninth line is."""
    batch = train[torch.arange(NOTES.batch)]
    moved = {formula: theta_matters(formula, batch) for formula in FORMULAS}
    lines = [
        ASSUMPTIONS,
        "Theta cancels in formula 1: log(exp(theta - g+)) + log(exp(g- - theta)) = g- - g+. Computed on group 2's",
        "untrained layer, theta 0.35 against 0.5 moves the gradient of a weight by at most (share of the largest):",
        "  "
        + ", ".join(f"{formula} {share:.1e}" for formula, share in moved.items())
        + " (1e-7 is float32's rounding).",
    ]
    if recipe := setting.recipe:
        lines.append(
            f"ffsnn: the same widths with this project's method: {recipe.data.trained_on:,} training images (its train "
            f"column is all of them), T={recipe.network.T}, {recipe.learning.epochs} epochs,\n"
            "the best one by validation; both layers are forward-forward, stepped together, and goodness decides."
        )
    return "\n".join(lines)


def seed_table_command(
    seeds: int, out: Path, data_dir: Folder, console: Console, processes: int = PROCESSES, setting: Setting = WHOLE
) -> None:
    """`ffsnn seed-table`: make what is missing, then print the table.

    Raises:
        ConfigError: `seeds` is below 1, the folder cannot be written, or the data cannot be had.
    """
    if seeds < 1:
        raise ConfigError(f"seeds >= 1 must hold, but got {seeds}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror}; choose a folder you may write to") from error
    folder = ResultFolder(out, setting)
    train = load(DataConfig(), 0, data_dir).train
    load_test(DataConfig(), data_dir)  # here, so that what is missing is said once and early
    wanted = tasks(seeds, setting)
    total, kept = len(wanted), sum(folder.read(task) is not None for task in wanted)
    console.print(f"{total} results, {kept} of them kept in {out}")
    start = time.monotonic()
    for done, (task, result) in enumerate(make(seeds, folder, data_dir, processes), 1):
        gone = (time.monotonic() - start) / 60
        name = "ffsnn" if task.line == RECIPE_LINE else f"group {task.line}"
        console.print(
            f"{kept + done}/{total}  {name}, seed {task.seed}: train {result.train:.1%}, test {result.test_all:.1%}"
            f"  ({gone:.1f} minutes gone, about {gone / done * (total - kept - done):.1f} left)"
        )
    console.print(render(seeds, folder))
    console.print(footnotes(folder.setting, train))
