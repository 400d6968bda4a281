"""The data sets of the project: MNIST, Fashion-MNIST and KMNIST by their files, EMNIST by torchvision, and
scikit-learn's digits."""

import math
import string
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ffsnn.datasets.dataset import Dataset, DatasetFacts, Images, register, stratified
from ffsnn.datasets.fetch import DataError, cached
from ffsnn.datasets.folder import Folder, cache_folder

TRAIN_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


BLACK = 0.0  # the ground of all of them, but for the few whose strokes or clothes reach the edge


class IdxDataset(Dataset):
    """One of MNIST's kind: a file of images and one of labels, for training and for test."""

    ground = BLACK

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
    ground = BLACK

    def train(self, data_dir: Folder) -> Images:
        return self._read(test=False)

    def test(self, data_dir: Folder) -> Images:
        return self._read(test=True)

    def _read(self, test: bool) -> Images:
        pixels, labels = _digits()
        x = torch.from_numpy(np.rint(pixels * 255 / 16).astype(np.uint8))
        images = Images(x, torch.from_numpy(labels.astype(np.int64)))
        n_test = len(images) - self.facts.train_images
        held_out, rest = stratified(images.y, n_test, torch.Generator().manual_seed(0))
        return images[held_out if test else rest]


def _digits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pixels (N, 64) in 0..16 and labels (N,): from the file that scikit-learn has, for its import takes 1.3 s of every
    process that trains."""
    found = find_spec("sklearn")  # which imports nothing
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (file := Path(folder) / "datasets" / "data" / "digits.csv.gz").is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1]
    from sklearn.datasets import load_digits  # type: ignore[import-untyped, unused-ignore]

    bunch = load_digits()
    return bunch.data, bunch.target


class Emnist(Dataset):
    """A part of EMNIST (Cohen et al. 2017, arXiv 1702.05373), turned upright; torchvision fetches all parts at once,
    535 MB."""

    ground = BLACK

    def __init__(self, split: str, facts: DatasetFacts, first: int = 0) -> None:
        self.split, self.facts, self.first = split, facts, first

    def train(self, data_dir: Folder) -> Images:
        return self._read(True, data_dir)

    def test(self, data_dir: Folder) -> Images:
        return self._read(False, data_dir)

    def _read(self, train: bool, data_dir: Folder) -> Images:
        from torchvision.datasets import EMNIST  # type: ignore[import-untyped, unused-ignore]

        root = cache_folder(data_dir) / "torchvision"
        try:
            held = EMNIST(root, self.split, train=train, download=True)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"cannot fetch EMNIST ({' '.join(str(error).split())[:200]}): place {EMNIST.__name__}/raw with its "
                f"unpacked files in {root}, or take a set that needs no network: --dataset digits"
            ) from error
        return Images(held.data.transpose(1, 2).flatten(1).contiguous(), held.targets.long() - self.first)


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
_letters = tuple(string.ascii_lowercase)
_merged = set("cijklmopsuvwxyz")  # whose capitals and small letters look alike
_balanced = tuple(sorted({*string.digits, *string.ascii_letters} - _merged))
register("emnist_letters", Emnist("letters", DatasetFacts(124_800, (1, 28, 28), 26, _letters), first=1))
register("emnist_balanced", Emnist("balanced", DatasetFacts(112_800, (1, 28, 28), 47, _balanced)))
