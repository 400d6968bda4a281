"""Images and labels, whole, as uint8 tensors on the device; no loader, no workers.

The training files give training and validation images (`load`); the test files are opened by `load_test` alone, and
are not even fetched before it asks. A 28x28 set is 47 MB as uint8, so an epoch is an index into one tensor.

Shapes: N images, F = side * side pixels, C classes.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch

from ffsnn.config import DATASETS, DataConfig
from ffsnn.datasets.fetch import DataError, Folder, cached
from ffsnn.hardware.memory import uploading

Device = str | torch.device

TRAIN_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Images:
    x: torch.Tensor  # (N, F) uint8, 0 black to 255 white
    y: torch.Tensor  # (N,) int64, 0 to C - 1

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: torch.Tensor) -> "Images":
        return Images(self.x[index], self.y[index])

    def to(self, device: Device) -> "Images":
        return Images(self.x.to(device), self.y.to(device))


@dataclass(frozen=True)
class Split:
    train: Images
    validation: Images
    checksum: str  # sha256 of the bytes of train.x, then train.y: two runs with the same one saw the same images


def load(config: DataConfig, seed: int, data_dir: Folder = None, device: Device = "cpu") -> Split:
    """Training and validation images, both from the training files, stratified by label.

    `seed` alone decides which images are held out: `train_images` never changes the validation images.

    Raises:
        DataError: the training files are neither in the cache nor to be had, or the cache cannot be written.
        OutOfMemory: a GPU is too full for them.
    """
    images = _digits(test=False) if config.dataset == "digits" else _idx_images(config.dataset, TRAIN_FILES, data_dir)
    generator = torch.Generator().manual_seed(seed)
    held_out, rest = stratified(images.y, round(len(images) * config.validation), generator)
    train = images[rest]
    if config.train_images is not None:
        train = train[stratified(train.y, config.train_images, generator)[0]]
    checksum = hashlib.sha256(train.x.numpy().tobytes() + train.y.numpy().tobytes()).hexdigest()
    with uploading(torch.device(device)):
        return Split(train.to(device), images[held_out].to(device), checksum)


def load_test(config: DataConfig, data_dir: Folder = None, device: Device = "cpu") -> Images:
    """The test images: for the one final figure, never for a choice.

    Raises:
        DataError: the test files are neither in the cache nor to be had, or the cache cannot be written.
        OutOfMemory: a GPU is too full for them.
    """
    images = _digits(test=True) if config.dataset == "digits" else _idx_images(config.dataset, TEST_FILES, data_dir)
    with uploading(torch.device(device)):
        return images.to(device)


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


def _digits(test: bool) -> Images:
    """scikit-learn's 1,797 digits of 8x8 pixels; they come in one file, so the test images are a fixed draw."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped, unused-ignore]

    bunch = load_digits()
    x = torch.from_numpy(np.rint(bunch.data * 255 / 16).astype(np.uint8))
    images = Images(x, torch.from_numpy(bunch.target.astype(np.int64)))
    n_test = len(images) - DATASETS["digits"].train_images
    held_out, rest = stratified(images.y, n_test, torch.Generator().manual_seed(0))
    return images[held_out if test else rest]


def _idx_images(dataset: str, names: tuple[str, str], data_dir: Folder) -> Images:
    x_raw, y_raw = cached(dataset, names, data_dir)
    side = DATASETS[dataset].side
    x, y = parse_idx(x_raw, names[0], ndim=3), parse_idx(y_raw, names[1], ndim=1)
    if x.shape != (len(y), side, side):
        raise DataError(f"{dataset} must hold {side}x{side} images, one a label, but {names[0]} is {tuple(x.shape)}")
    return Images(x.flatten(1), y.long())


def parse_idx(raw: bytes, name: str, ndim: int) -> torch.Tensor:
    """A tensor of `ndim` dimensions, uint8, from IDX: magic (0, 0, 8, ndim), big-endian sizes, then the bytes.

    Raises:
        DataError: `raw` is something else.
    """
    start = 4 + 4 * ndim
    shape = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, start, 4)]
    if raw[:4] != bytes((0, 0, 8, ndim)) or len(raw) != start + math.prod(shape):
        raise DataError(
            f"{name} must be IDX bytes of {ndim} dimensions, but begins with {raw[:4].hex()}, "
            f"says {shape} and holds {len(raw)} bytes"
        )
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy())
