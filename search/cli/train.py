"""`ffsnn train`: one configuration, one seed or several, what a person watches, and the test files once at the end.

Each run is written to MLflow by a thread, never in the way of training: its folder is what counts.
"""

import fcntl
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import torch
import typer
from rich.console import Console

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.hardware.device import resolve_device
from ffsnn.hardware.memory import OutOfMemory
from ffsnn.kernels.backends import remarks
from ffsnn.kernels.parallel import use_threads
from ffsnn.training import own_cost, run_folder
from ffsnn.training.epoch_metrics import EpochMetrics
from ffsnn.training.run import Run
from ffsnn.training.run_folder import CONFIG
from ffsnn.training.trainer import DivergedError
from ffsnn.validation import ConfigError
from search.hints import command
from search.names import RUNS
from search.settings import redacted
from search.tracking.run_exporter import FAILED, FINISHED, RunExporter, TrackedRun
from search.tracking.store import merged
from search.tracking.tracker import Tracker


def train_seeds(
    config: RunConfig, seeds: int, test: bool, out: Path | None, home: Path, uri: str | None, console: Console
) -> list[TrackedRun]:  # fmt: skip
    """Train `config` with its seed and the `seeds - 1` after it; then, if asked, test all of them. The runs.

    Args:
        config: what to train.
        seeds: how many.
        test: open the test files once all are trained.
        out: the run's folder, if it is one seed; one that is there goes on. None: a fresh one for each, in `runs/`.
        home: the `mlruns/` folder.
        uri: of an MLflow server; None: the store in `home`.
        console: where progress goes.

    Raises:
        ConfigError: the data cannot be had, a folder not be written, or another process trains in it.
        typer.Exit: 1 after a divergence, or where memory or disk do not suffice; 130 after an interruption.
    """
    use_threads(torch.get_num_threads())
    seconds, tracked = [], []
    with merged(home, uri):
        for seed in range(config.seed, config.seed + seeds):
            try:
                to, took = _train(config.replaced({"seed": seed}), out, home, uri, console)
            except OutOfMemory as error:  # before the first step
                console.print(f"stopped: {error}")
                raise typer.Exit(1) from error
            tracked.append(to)
            seconds.append(took)
        if test:
            _test(config, tracked, seconds, console)
            for to in tracked:
                _Tracking(home, to, uri, console).close()
    _next(tracked, console)
    return tracked


def _test(config: RunConfig, tracked: list[TrackedRun], seconds: list[float], console: Console) -> None:
    """Open the test files, once, for all runs."""
    images = data.load_test(config.data, config.data_dir, resolve_device(config.device), config.network.T)
    kept = "final fit" if config.is_final else "best epoch by validation"
    accuracies = []
    for to, took in zip(tracked, seconds, strict=True):
        to.test = run_folder.load(to.path).to(images.x.device).accuracy(images.x, images.y)
        accuracies.append(to.test)
        console.print(
            f"test accuracy {accuracies[-1]:.2%} on {len(images):,} {config.data.facts.noun} ({kept}; "
            f"trained in {took:.{1 if took < 10 else 0}f} s)"
        )
    if (seeds := len(tracked)) > 1:
        mean, spread = statistics.mean(accuracies), statistics.stdev(accuracies)
        console.print(
            f"test accuracy of {seeds} seeds: mean {mean:.2%}, standard deviation {100 * spread:.2f} points; "
            f"{statistics.mean(seconds):.0f} s of training each"
        )


def _next(tracked: list[TrackedRun], console: Console) -> None:
    """Commands that go on from here."""
    paths = [to.path for to in tracked]
    console.print(f"next: {command('show', paths[-1])}")
    if len(paths) > 1:
        console.print(f"  or: {command('compare', *paths)}")


class _Tracking:
    """A run's way to MLflow, in a thread of its own; a store that fails is said, and training goes on."""

    def __init__(self, home: Path, tracked: TrackedRun, uri: str | None, console: Console) -> None:
        self.say: Callable[[str], None] = lambda line: console.print(redacted(line))
        self.tracker = Tracker(home, tracked, uri, self.say, RunExporter)

    def begin(self) -> None:
        self.tracker.start()

    def epoch(self) -> None:
        self.tracker.changed(0)

    def close(self) -> None:
        """Write what is left."""
        if not self.tracker.is_alive():
            self.tracker.start()
        if not self.tracker.close():
            self.say("MLflow lacks a part of this run; the same command with --out FOLDER brings it there")


def _train(
    config: RunConfig, out: Path | None, home: Path, uri: str | None, console: Console
) -> tuple[TrackedRun, float]:  # fmt: skip
    """Train one run to its end; the run, and the seconds that all its epochs took, validation included."""
    device, noun = resolve_device(config.device), config.data.facts.noun
    split = data.load(config.data, config.seed, config.data_dir, device, config.network.T)
    for remark in [*remarks(config), *own_cost.measured(config, split)]:
        console.print(remark)
    folder = out or _fresh(home / RUNS, f"{config.data.dataset}-{config.id[:8]}-seed{config.seed}")
    console.print(f"training on {len(split.train):,} {noun}, seed {config.seed}, {device}, in {folder}")
    console.print(f"a line an epoch: accuracy, each layer's loss and firing rate, {noun} a second")
    if config.is_final:
        console.print(f"final fit: {config.final_fit}")
    with _held(folder):
        tracked = TrackedRun(folder)
        _train_tracked(Run(config, split, folder), tracked, _Tracking(home, tracked, uri, console), console)
    return tracked, sum(epoch.seconds for epoch in run_folder.RunFolder(folder).history())


def _train_tracked(run: Run, tracked: TrackedRun, tracking: _Tracking, console: Console) -> None:
    """Train to the end, said and tracked.

    Raises:
        typer.Exit: it has stopped before.
    """
    go_on = f"go on with: {command('train', tracked.path / CONFIG, '--out', tracked.path)}"
    tracking.begin()
    try:
        for epoch in run:
            console.print(_line(epoch, run.trainer.learning.last_epoch))
            tracking.epoch()
            if epoch.epoch == 1 and run.trainer.dead:
                console.print(f"nothing is learned: {run.trainer.dead}")
        tracked.state = FINISHED
    except (DivergedError, OutOfMemory) as error:
        console.print(f"stopped: {error}")
        tracked.state, tracked.detail = FAILED, str(error)
        raise typer.Exit(1) from error
    except OSError as error:
        tracked.state, tracked.detail = FAILED, f"cannot write to {tracked.path}: {error.strerror or error}"
        console.print(f"stopped: {tracked.detail}; {go_on}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print(f"stopped; {go_on}")
        raise typer.Exit(130) from None
    finally:
        tracking.close()


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The right to train in a folder, for one process at a time; one that dies loses it.

    Raises:
        ConfigError: another process has it, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; choose a folder you may write to") from error
    try:
        with suppress(OSError):  # a file system that locks no folders
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(
                    f"another process trains in {folder}: wait for it, or choose another folder"
                ) from None
        yield
    finally:
        os.close(held)


def _line(epoch: EpochMetrics, epochs: int) -> str:
    validation = f"validation {epoch.val_accuracy:.2%}  " if epoch.is_validated else ""
    return (
        f"epoch {epoch.epoch:{len(str(epochs))}}/{epochs}  {validation}"
        f"loss {' '.join(f'{loss:.3f}' for loss in epoch.loss)}  "
        f"rate {' '.join(f'{rate:.3f}' for rate in epoch.firing_rate)}  "
        f"{epoch.images_per_second:,.0f}/s"
    )


def _fresh(parent: Path, stem: str) -> Path:
    """A folder that was not there before, made: of two processes that ask, each has its own."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError
