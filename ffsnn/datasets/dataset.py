"""What a data set is: its facts, its training images and its test images.

Shapes: N images, F = side * side pixels, C classes.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ffsnn.datasets.fetch import Folder
from ffsnn.parts.registry import DATASETS

Device = str | torch.device


class DatasetFacts(NamedTuple):
    """Facts of a data set that the rules of a configuration need, without opening it."""

    train_images: int
    side: int
    classes: int = 10


@dataclass(frozen=True)
class Images:
    """Images and their labels, in the same order."""

    x: torch.Tensor  # (N, F) uint8, 0 black to 255 white
    y: torch.Tensor  # (N,) int64, 0 to C - 1

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: torch.Tensor) -> "Images":
        return Images(self.x[index], self.y[index])

    def to(self, device: Device) -> "Images":
        return Images(self.x.to(device), self.y.to(device))


class Dataset(ABC):
    """One data set. The test images are behind a method of their own, which a search never calls."""

    facts: DatasetFacts

    @abstractmethod
    def train(self, data_dir: Folder) -> Images:
        """Images for training and validation, always in the same order.

        Raises:
            DataError: they are neither in the cache nor to be had.
        """

    @abstractmethod
    def test(self, data_dir: Folder) -> Images:
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
