"""The data sets of the project: MNIST, Fashion-MNIST and KMNIST by their files, and scikit-learn's digits."""

import math

import numpy as np
import torch

from ffsnn.datasets.dataset import Dataset, DatasetFacts, Images, register, stratified
from ffsnn.datasets.fetch import DataError, cached
from ffsnn.datasets.folder import Folder

TRAIN_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class IdxDataset(Dataset):
    """One of MNIST's kind: a file of images and one of labels, for training and for test."""

    def __init__(self, name: str, facts: DatasetFacts) -> None:
        self.name, self.facts = name, facts

    def train(self, data_dir: Folder) -> Images:
        return self._read(TRAIN_FILES, data_dir)

    def test(self, data_dir: Folder) -> Images:
        return self._read(TEST_FILES, data_dir)

    def _read(self, names: tuple[str, str], data_dir: Folder) -> Images:
        (x_raw, y_raw), side = cached(self.name, names, data_dir), self.facts.shape[1]
        x, y = parse_idx(x_raw, names[0], ndim=3), parse_idx(y_raw, names[1], ndim=1)
        if x.shape != (len(y), side, side):
            raise DataError(
                f"{self.name} must hold {side}x{side} images, one a label, but {names[0]} is {tuple(x.shape)}"
            )
        return Images(x.flatten(1), y.long())


class Digits(Dataset):
    """scikit-learn's 1,797 digits of 8x8 pixels; they come in one file, so the test images are a fixed draw."""

    facts = DatasetFacts(1_437, (1, 8, 8))

    def train(self, data_dir: Folder) -> Images:
        return self._read(test=False)

    def test(self, data_dir: Folder) -> Images:
        return self._read(test=True)

    def _read(self, test: bool) -> Images:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped, unused-ignore]

        bunch = load_digits()
        x = torch.from_numpy(np.rint(bunch.data * 255 / 16).astype(np.uint8))
        images = Images(x, torch.from_numpy(bunch.target.astype(np.int64)))
        n_test = len(images) - self.facts.train_images
        held_out, rest = stratified(images.y, n_test, torch.Generator().manual_seed(0))
        return images[held_out if test else rest]


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


for _name in ("mnist", "fashion_mnist", "kmnist"):
    register(_name, IdxDataset(_name, DatasetFacts(60_000, (1, 28, 28))))
register("digits", Digits())
