"""`ffsnn train`: one configuration, one seed or several, what a person watches, and the test files once at the end.

Each run is written to MLflow by a thread, never in the way of training: its folder is what counts.
"""

import statistics
from collections.abc import Callable
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
from ffsnn.training.run_folder import CONFIG
from ffsnn.training.trainer import DivergedError, EpochMetrics
from search.hints import command
from search.settings import redacted
from search.tracking.run_exporter import FAILED, FINISHED, RunExporter, TrackedRun
from search.tracking.store import merged
from search.tracking.tracker import Tracker


def train_seeds(
    config: RunConfig, seeds: int, test: bool, out: Path | None, home: Path, uri: str | None, console: Console
) -> None:  # fmt: skip
    """Train `config` with its seed and the `seeds - 1` after it; then, if asked, test all of them.

    Args:
        config: what to train.
        seeds: how many.
        test: open the test files once all are trained.
        out: the run's folder, if it is one seed; one that is there goes on. None: a fresh one for each, in `runs/`.
        home: the `mlruns/` folder.
        uri: of an MLflow server; None: the store in `home`.
        console: where progress goes.

    Raises:
        ConfigError: the data cannot be had, or a folder not be written.
        typer.Exit: 1 after a divergence, 130 after an interruption.
    """
    use_threads(torch.get_num_threads())
    seconds, tracked = [], []
    with merged(home, uri):
        for seed in range(config.seed, config.seed + seeds):
            run = config.replaced({"seed": seed})
            to = TrackedRun(out or _fresh(home / "runs", f"{run.data.dataset}-{run.id[:8]}-seed{seed}"))
            seconds.append(_train(run, to, _Tracking(home, to, uri, console), console))
            tracked.append(to)
        if test:
            _test(config, tracked, seconds, console)
            for to in tracked:
                _Tracking(home, to, uri, console).close()
    _next(tracked, console)


def _test(config: RunConfig, tracked: list[TrackedRun], seconds: list[float], console: Console) -> None:
    """Open the test files, once, for all runs."""
    images = data.load_test(config.data, config.data_dir, resolve_device(config.device), config.network.T)
    accuracies = []
    for to, took in zip(tracked, seconds, strict=True):
        to.test = run_folder.load(to.path).to(images.x.device).accuracy(images.x, images.y)
        accuracies.append(to.test)
        console.print(
            f"test accuracy {accuracies[-1]:.2%} on {len(images):,} images (best epoch by validation; "
            f"trained in {took:.0f} s)"
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


def _train(config: RunConfig, tracked: TrackedRun, tracking: _Tracking, console: Console) -> float:
    """Train one run to its end; the seconds that all its epochs took, validation included."""
    folder = tracked.path
    device = resolve_device(config.device)
    split = data.load(config.data, config.seed, config.data_dir, device, config.network.T)
    for remark in [*remarks(config), *own_cost.measured(config, split)]:
        console.print(remark)
    console.print(f"training on {len(split.train):,} images, seed {config.seed}, {device}, in {folder}")
    try:
        run = run_folder.Run(config, split, folder)
        tracking.begin()
        for epoch in run:
            console.print(_line(epoch, config.learning.epochs))
            tracking.epoch()
            if epoch.epoch == 1 and run.trainer.dead:
                console.print(f"nothing is learned: {run.trainer.dead}")
    except (DivergedError, OutOfMemory) as error:
        console.print(f"stopped: {error}")
        tracked.state, tracked.detail = FAILED, str(error)
        tracking.close()
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print(f"stopped; go on with: {command('train', folder / CONFIG, '--out', folder)}")
        tracking.close()
        raise typer.Exit(130) from None
    tracked.state = FINISHED
    tracking.close()
    return sum(epoch.seconds for epoch in run_folder.RunFolder(folder).history())


def _line(epoch: EpochMetrics, epochs: int) -> str:
    return (
        f"epoch {epoch.epoch}/{epochs}  validation {epoch.val_accuracy:.2%}  "
        f"loss {' '.join(f'{loss:.4f}' for loss in epoch.loss)}  "
        f"firing rate {' '.join(f'{rate:.3f}' for rate in epoch.firing_rate)}  "
        f"{epoch.images_per_second:,.0f} images/s"
    )


def _fresh(parent: Path, stem: str) -> Path:
    """A folder that is not there yet."""
    number, folder = 1, parent / stem
    while folder.exists():
        number += 1
        folder = parent / f"{stem}-{number}"
    return folder
