"""What a data set is: its facts, its training images and its test images.

Shapes: N images, F = channels * height * width inputs, T time steps, C classes.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch

from ffsnn.datasets.folder import Folder
from ffsnn.parts.registry import DATASETS

Device = str | torch.device


class DatasetFacts(NamedTuple):
    """Facts of a data set that the rules of a configuration need, without opening it."""

    train_images: int
    shape: tuple[int, int, int]  # channels, height, width; (1, 1, F) of what has no place in an image
    classes: int = 10
    names: tuple[str, ...] = ()  # of the classes; none: their numbers
    time: Literal["", "series", "events"] = ""  # recorded over time: as values, or as events, which are spikes

    @property
    def inputs(self) -> int:
        return math.prod(self.shape)

    @property
    def temporal(self) -> bool:
        return self.time != ""

    @property
    def is_image(self) -> bool:
        """True where inputs are pixels with neighbours: of an image, or of a camera's events."""
        return min(self.shape[1:]) > 1

    @property
    def noun(self) -> str:
        """`images`, or what else there is many of, for people to read."""
        if self.temporal:
            return {"series": "time series", "events": "event recordings"}[self.time]
        return "images" if self.is_image else "rows"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, or their numbers."""
        return self.names or tuple(map(str, range(self.classes)))


@dataclass(frozen=True)
class Images:
    """Images and their labels, in the same order."""

    x: torch.Tensor  # (N, F) uint8, 0 black to 255 white; recorded over time (N, T, F)
    y: torch.Tensor  # (N,) int64, 0 to C - 1

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: torch.Tensor) -> "Images":
        return Images(self.x[index], self.y[index])

    def to(self, device: Device) -> "Images":
        return Images(self.x.to(device), self.y.to(device))


class Recordings(ABC):
    """Recordings over time with their labels; they become images once a network's time steps are known."""

    @abstractmethod
    def binned(self, T: int, window_ms: float | None) -> Images:
        """Images (N, T, F): what each of T equal parts of the time holds.

        Args:
            T: time steps.
            window_ms: milliseconds from the begin that are shown; None: all.
        """


class Dataset(ABC):
    """One data set. The test images are behind a method of their own, which a search never calls."""

    facts: DatasetFacts
    checksum: str = ""  # of a file that a person has added
    ground: float | None = None  # mean of the images' outermost pixels, 0 black to 1 white; None: not known unopened
    own_facts: Mapping[str, Any] | None = None  # what a configuration keeps of such a data set

    @abstractmethod
    def train(self, data_dir: Folder) -> "Images | Recordings":
        """Images for training and validation, always in the same order.

        Raises:
            DataError: they are neither in the cache nor to be had.
        """

    @abstractmethod
    def test(self, data_dir: Folder) -> "Images | Recordings":
        """The test images.

        Raises:
            DataError: they are neither in the cache nor to be had.
        """


def register(name: str, dataset: Dataset) -> None:
    """Make a data set one that a configuration can name in `data.dataset`."""
    DATASETS.add(name, dataset)


def stratified(y_N: torch.Tensor, n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of `n` images drawn so that each class keeps its share within one image, and of the others.

    The shares are rounded by largest remainder, in integers, so that they sum to exactly `n` on every machine.
    """
    counts = torch.bincount(y_N)
    quotas, remainders = n * counts // len(y_N), n * counts % len(y_N)
    quotas[remainders.argsort(descending=True, stable=True)[: n - int(quotas.sum())]] += 1
    chosen = torch.zeros(len(y_N), dtype=torch.bool)
    for label, quota in enumerate(quotas.tolist()):
        members = (y_N == label).nonzero().squeeze(1)
        chosen[members[torch.randperm(len(members), generator=generator)[:quota]]] = True
    return chosen.nonzero().squeeze(1), (~chosen).nonzero().squeeze(1)
