"""A preset's published test accuracy, reproduced: `ffsnn reproduce mnist_2000`, which is `make reproduce`.

The preset is trained anew with the published seeds, by the processes of the notes' table. Another machine may add up in
another order, so figures need not be the same; they are reproduced if their mean lies where the mean of so many more
seeds is to be expected, by the published ones.
"""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from rich.console import Console
from scipy.special import stdtrit

from ffsnn.config import RunConfig
from ffsnn.datasets.data import load, load_test
from ffsnn.datasets.folder import Folder
from ffsnn.reproduction.table import PROCESSES, ResultFolder, Setting, make_told, tasks
from ffsnn.validation import Config, ConfigError

CONFIDENCE = 0.95


class Published(Config):
    """A preset, and the figures that it was published with."""

    name: str
    config: RunConfig
    seeds: tuple[int, ...] = Field(min_length=2)
    test: tuple[float, ...] = Field(description="test accuracy of each seed")

    @model_validator(mode="after")
    def _one_a_seed(self) -> Self:
        if len(self.seeds) != len(self.test):
            raise ValueError(f"test must hold one accuracy a seed, but got {len(self.test)} for seeds={self.seeds}")
        return self

    @property
    def mean(self) -> float:
        return statistics.mean(self.test)

    def interval(self, seeds: int) -> tuple[float, float]:
        """Where the mean of so many more seeds is to be expected: mean -+ t(n - 1) s sqrt(1/n + 1/seeds)."""
        n = len(self.test)
        half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * statistics.stdev(self.test) * math.sqrt(1 / n + 1 / seeds)
        return self.mean - half, self.mean + half


def reproduce(
    published: Published, seeds: int | None, out: Path, data_dir: Folder, console: Console, processes: int = PROCESSES
) -> bool:
    """Train a preset anew, and print its test accuracy beside what was published; True if it is reproduced.

    Args:
        published: the preset, with its figures.
        seeds: how many of the published ones, the first ones; None: all.
        out: a folder for the results; a reproduction within that was interrupted goes on, else another one begins.
        data_dir: the data folder.
        console: where progress goes.
        processes: that train at once, with a thread each.

    Raises:
        ConfigError: there are fewer published seeds, the folder cannot be written, or the data cannot be had.
        ProcessDied: a process was killed; the same command goes on.
    """
    count = len(published.seeds) if seeds is None else seeds
    if not 1 <= count <= len(published.seeds):
        raise ConfigError(f"{published.name} was published with {len(published.seeds)} seeds, but got --seeds {count}")
    config, asked = published.config, published.seeds[:count]
    setting = Setting(recipe=config, groups=False)
    folder = _unfinished(out, published.name, asked, setting)
    load(config.data, asked[0], data_dir, T=config.network.T)  # what is missing is said once, and early
    test = load_test(config.data, data_dir, T=config.network.T)
    console.print(
        f"training {published.name} with seeds {', '.join(map(str, asked))}, {config.learning.epochs} epochs each, in "
        f"{folder.path}: minutes a seed"
    )
    make_told(asked, folder, data_dir, processes, console)
    results = [result for task in tasks(asked, setting) if (result := folder.read(task))]
    reproduced, said = verdict(published, [it.test_all for it in results], len(test))
    console.print(said)
    return reproduced


def verdict(published: Published, accuracies: Sequence[float], images: int) -> tuple[bool, str]:
    """True if test accuracies are as published; and in words."""
    mean, (low, high) = statistics.mean(accuracies), published.interval(len(accuracies))
    within = low <= mean <= high
    mine, told = (", ".join(f"{100 * value:.2f}" for value in values) for values in (accuracies, published.test))
    return within, (
        f"{published.name}: test accuracy {mean:.2%} ({mine}) on {images:,} images; published {published.mean:.2%} "
        f"({told}), so that {max(low, 0):.2%} to {min(high, 1):.2%} is to be expected: "
        f"{'NOT ' * (not within)}reproduced"
    )


def _unfinished(out: Path, name: str, seeds: Sequence[int], setting: Setting) -> ResultFolder:
    """A folder for a reproduction: the first one within `out` in which a result is missing."""
    number = 1
    while True:
        folder = ResultFolder(out / (name if number == 1 else f"{name}-{number}"), setting)
        if any(folder.read(task) is None for task in tasks(seeds, setting)):
            folder.create()
            return folder
        number += 1
