"""What a source gives: recordings and labels as they were found, before anything is checked or scaled."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ffsnn.datasets.fetch import DataError
from ffsnn.datasets.own import Kind

Array = npt.NDArray[Any]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Options:
    """Settings that a person may give with a source."""

    side: int | None = None  # height and width that images are brought to
    grey: bool = False  # colour images become grey
    labels: str | None = None  # the column of a table that holds the labels


@dataclass(frozen=True)
class Part:
    """Recordings with their labels."""

    x: Any  # images: (N, F); series: a list of (moments, F); events: a list of (times in microseconds, units)
    y: Sequence[Any]  # labels, of any type

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Raw:
    """A source, read."""

    kind: Kind
    shape: Shape
    train: Part
    test: Part | None = None  # None: it has none of its own
    names: tuple[str, ...] | None = None  # of the classes, where labels are their numbers
    remarks: list[str] = field(default_factory=list)


def array_of(values: Any) -> Array:
    """An array of what a person gives: an array, a list, or a tensor on any device."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def images(x: Array, y: Sequence[Any], path: Path | str) -> tuple[Shape, Part]:
    """An array of images or features and its labels; channels come first in what is kept, and last in the array, but
    where they can only be the second of its dimensions (1 or 3 there, no such number in the last).

    Raises:
        DataError: their numbers or dimensions do not fit.
    """
    x = np.asarray(x)
    if x.dtype.kind not in "buif":
        raise DataError(f"{path} must hold numbers, but holds {x.dtype}: convert it")
    if x.ndim not in (2, 3, 4) or not x.size:
        shape = "x".join(map(str, x.shape)) or "one number"
        raise DataError(
            f"{path} must hold (N, features), (N, height, width) or (N, height, width, channels), but holds {shape}"
        )
    if len(x) != len(y):
        raise DataError(f"{path} must hold a label for each of {len(x):,} recordings, but there are {len(y):,} labels")
    if x.ndim == 2:
        return (1, 1, x.shape[1]), Part(x, y)
    if x.ndim == 3:
        x = x[..., None]
    elif x.shape[1] in (1, 3) and x.shape[3] > 4:
        x = np.moveaxis(x, 1, -1)
    height, width, channels = x.shape[1:]
    return (channels, height, width), Part(np.moveaxis(x, -1, 1).reshape(len(x), -1), y)


def since_first(time: Any, whose: object) -> Array:
    """Microseconds (L,) from the first event on, int32.

    Raises:
        DataError: they span more than 2**31.
    """
    if not time.size:
        return np.zeros(0, np.int32)
    if np.ptp(time) >= 2**31:
        raise DataError(f"{whose}: microseconds must be below 2**31 from the first event on, but span {np.ptp(time):g}")
    since: Array = time - time.min()
    return since.astype(np.int32)
