"""Data sets of one's own: one file each in the data folder, made by `ffsnn data add` (`ffsnn.datasets.add`).

    own/NAME.safetensors     tensors of the training and of the test recordings; in its header the facts and a checksum

What is kept, by kind: images and features as bytes; series as the values at each recorded moment, scaled to bytes;
events as they came, sparse, and binned when a network's T is known.

Legend: N recordings, F inputs, L moments or events of all recordings, T time steps.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ffsnn import atomic
from ffsnn.datasets.dataset import Dataset, DatasetFacts, Images, Recordings
from ffsnn.datasets.fetch import DataError
from ffsnn.datasets.folder import Folder, cache_folder
from ffsnn.parts.registry import DATASETS

Kind = Literal["images", "series", "events"]
Tensors = dict[str, torch.Tensor]

FORMAT = 1
OWN, SUFFIX, HEADER = "own", ".safetensors", "ffsnn"
PARTS = ("train", "test")
ADDED = "add one of your own with ffsnn data add NAME SOURCE"


@dataclass(frozen=True)
class Card:
    """All that is known of a data set besides its tensors."""

    name: str
    kind: Kind
    shape: tuple[int, int, int]
    names: tuple[str, ...]  # of the classes
    train: tuple[int, ...]  # recordings of each class
    test: tuple[int, ...]
    source: str
    remarks: tuple[str, ...] = ()  # what was done to it: test share, scaling, labels
    milliseconds: float = 0.0  # of events, the longest recording
    low: tuple[float, ...] = ()  # the range that became 0..255, where it was learned: of all inputs together, or of
    high: tuple[float, ...] = ()  # each; none: bytes and shares kept their meaning
    checksum: str = ""  # sha256 of the tensors
    format: int = FORMAT

    @property
    def facts(self) -> DatasetFacts:
        time = "" if self.kind == "images" else self.kind
        return DatasetFacts(sum(self.train), self.shape, len(self.names), self.names, time)

    @property
    def own_facts(self) -> dict[str, Any]:
        """The facts that a configuration keeps."""
        time = self.facts.time
        return {"name": self.name, "train_images": sum(self.train), "shape": self.shape, "names": self.names,
                "time": time, "checksum": self.checksum}  # fmt: skip


class OwnDataset(Dataset):
    """One that a person has added, by its file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.card = read_card(file)
        self.facts, self.checksum, self.own_facts = self.card.facts, self.card.checksum, self.card.own_facts

    def train(self, data_dir: Folder) -> Images | Recordings:
        return self._read("train")

    def test(self, data_dir: Folder) -> Images | Recordings:
        return self._read("test")

    def _read(self, part: str) -> Images | Recordings:
        file = self.file
        try:
            tensors = load_tensors(file.read_bytes())
        except (OSError, SafetensorError) as error:
            raise DataError(f"cannot read the data set {self.card.name} from {file} ({error}): add it again") from error
        if checksum_of(tensors) != self.card.checksum:
            raise DataError(f"the data set {self.card.name} in {file} is damaged: remove it, and add it again")
        mine = {name.removeprefix(f"{part}."): it for name, it in tensors.items() if name.startswith(f"{part}.")}
        match self.card.kind:
            case "images":
                return Images(mine["x"], mine["y"])
            case "series":
                return Series(mine["x"], mine["start"], mine["y"])
            case "events":
                times = [tensors[f"{it}.time"] for it in ("train", "test")]
                whole = 1 + max((int(it.max()) for it in times if len(it)), default=0)
                return Events(mine["time"], mine["unit"], mine["start"], mine["y"], self.facts.inputs, whole)


@dataclass(frozen=True)
class Series(Recordings):
    """Values at moments; each recording is stretched over the time steps, however long it is."""

    x: torch.Tensor  # (L, F) uint8, recording after recording
    start: torch.Tensor  # (N + 1,) int64: where each begins
    y: torch.Tensor

    def binned(self, T: int, window_ms: float | None) -> Images:
        """Images (N, T, F): the mean of the moments of each step; of a recording with fewer moments than T, the one at
        that time."""
        begin, length = self.start[:-1, None], self.start.diff()[:, None]
        edges = torch.arange(T + 1) * length  # (N, T + 1), over T
        first = begin + edges[:, :-1] // T
        last = torch.maximum(begin + (edges[:, 1:] + T - 1) // T, first + 1)
        sums = torch.zeros(len(self.x) + 1, self.x.shape[1], dtype=torch.int64)
        torch.cumsum(self.x, 0, dtype=torch.int64, out=sums[1:])
        means = (sums[last] - sums[first]) / (last - first)[:, :, None]
        return Images(means.round().to(torch.uint8), self.y)


@dataclass(frozen=True)
class Events(Recordings):
    """Events of units: pixels of a camera by polarity, channels of a cochlea."""

    time: torch.Tensor  # (L,) int32, microseconds since the recording's begin
    unit: torch.Tensor  # (L,) int32, one of the F inputs
    start: torch.Tensor  # (N + 1,) int64: where each recording begins
    y: torch.Tensor
    inputs: int
    whole: int  # microseconds of the longest recording, in training or test: one window for all

    def binned(self, T: int, window_ms: float | None) -> Images:
        """Images (N, T, F): 255 where a unit had an event in that step, else 0."""
        window = self.whole if window_ms is None else max(round(1000 * window_ms), 1)
        recording = torch.repeat_interleave(torch.arange(len(self.y)), self.start.diff())
        seen = self.time < window
        step = self.time[seen].long() * T // window
        x = torch.zeros(len(self.y), T, self.inputs, dtype=torch.uint8)
        x[recording[seen], step, self.unit[seen].long()] = 255
        return Images(x, self.y)


def own_file(name: str, data_dir: Folder = None) -> Path:
    return cache_folder(data_dir) / OWN / f"{name}{SUFFIX}"


def found(data_dir: Folder = None) -> Mapping[str, OwnDataset]:
    """The data sets in the data folder, by name; a damaged one is left out.

    The registry of data sets asks here for what is not registered.
    """
    there = {}
    for file in sorted((cache_folder(data_dir) / OWN).glob(f"[!.]*{SUFFIX}")):
        try:
            there[file.stem] = _opened(file, file.stat().st_mtime_ns)
        except DataError:
            continue
    return there


@lru_cache(maxsize=256)
def _opened(file: Path, _written: int) -> OwnDataset:
    return OwnDataset(file)


def read_card(file: Path) -> Card:
    """The card in a file's header; its tensors are not read.

    Raises:
        DataError: there is no such file, it is none of ours, or a newer version wrote it.
    """
    try:
        with file.open("rb") as raw:
            header = json.loads(raw.read(int.from_bytes(raw.read(8), "little")))
        said = json.loads(header["__metadata__"][HEADER])
        if said["format"] != FORMAT:
            raise DataError(f"{file} has format {said['format']}, but this version reads {FORMAT}: add it again")
        values: dict[str, Any] = {name: tuple(it) if isinstance(it, list) else it for name, it in said.items()}
        return Card(**values)
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise DataError(f"{file} is no data set of ffsnn ({type(error).__name__}): add it again") from error


def write(card: Card, tensors: Tensors, data_dir: Folder = None) -> Card:
    """Write a data set, whole or not at all; the card with its checksum.

    Raises:
        DataError: the folder cannot be written.
    """
    file = own_file(card.name, data_dir)
    card = replace(card, checksum=checksum_of(tensors))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(file, save_tensors(tensors, {HEADER: json.dumps(asdict(card))}))
    except OSError as error:
        raise DataError(
            f"cannot write {file}: {error.strerror or error}; name a folder you can write to with --data-dir or "
            "FFSNN_DATA"
        ) from error
    return card


def share(name: str, folder: Path, data_dir: Folder = None) -> Path | None:
    """Put a data set of one's own where other machines see it, once; the copy. None: it is none of one's own.

    Raises:
        DataError: it cannot be copied.
    """
    if name not in found(data_dir):
        return None
    source = own_file(name, data_dir)
    copy = folder / f"{name}-{read_card(source).checksum[:12]}{SUFFIX}"
    if not copy.exists():
        _copy(source, copy)
    return copy


def bring(shared: Path, data_dir: Folder = None) -> None:
    """Have a data set here that another machine has shared; copied once.

    Raises:
        DataError: there is one of that name here with other content, or the copy cannot be read.
    """
    card = read_card(shared)
    here = own_file(card.name, data_dir)
    if not here.exists():
        _copy(shared, here)
    elif read_card(here).checksum != card.checksum:
        raise DataError(f"the data set {card.name} in {here} is another one than the search's: remove it there")


def _copy(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(target, source.read_bytes())
    except OSError as error:
        raise DataError(f"cannot copy the data set {source} to {target}: {error.strerror or error}") from error


def checksum_of(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def remove(name: str, data_dir: Folder = None) -> Path:
    """Delete a data set's file; which it was.

    Raises:
        DataError: there is none of that name.
    """
    file = own_file(name, data_dir)
    try:
        os.unlink(file)
    except FileNotFoundError:
        if DATASETS.ships(name):
            raise DataError(f"the data set {name!r} ships with ffsnn: only your own are removed") from None
        known = ", ".join(found(data_dir)) or "none is there"
        raise DataError(f"there is no data set {name!r} in {file.parent} ({known})") from None
    return file
