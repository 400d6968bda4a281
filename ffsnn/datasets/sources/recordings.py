"""Folders of event recordings: a sub-folder a class with a file a recording; perhaps `train/`, `test/` above.

    .bin       N-MNIST's form: five bytes an event, x, y, polarity (1 bit) and microseconds (23 bits)
    .h5        x, y, p and t (microseconds), at the root or in a group `events`
    .aedat4    iniVation's cameras; read by the package aedat

Orchard et al. 2015 (N-MNIST, doi 10.3389/fnins.2015.00437). Times of .h5 and .aedat4 count from the first event.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ffsnn.datasets.fetch import DataError
from ffsnn.datasets.sources.raw import Array, Options, Part, Raw, since_first

NMNIST_SIDE = 34
Events = tuple[Array, Array, Array, Array]  # x, y, polarity, microseconds


def is_folder(path: Path) -> bool:
    return path.is_dir() and _ending(path) is not None


def _ending(path: Path) -> str | None:
    """The ending of a folder's recordings; None: it has none."""
    return next((it for it in READERS for at in ("*/*", "*/*/*") if next(path.glob(f"{at}{it}"), None)), None)


def read(path: Path, options: Options) -> Raw:
    """The recordings of a folder, all of one ending.

    Raises:
        DataError: a file is not of its form, or a class has none.
    """
    ending = _ending(path)
    assert ending is not None
    there = {it.name.lower(): it for it in path.iterdir() if it.is_dir()}
    if "test" in there and "train" not in there:
        raise DataError(f"{path} has test/ but no train/ beside it: add it, or name the folder of the classes itself")
    roots = [there[name] for name in ("train", "test") if name in there] or [path]
    classes = sorted({it.name for at in roots for it in at.iterdir() if it.is_dir() and not it.name.startswith(".")})
    found = [_of_classes(root, classes, ending) for root in roots]
    seen = [(int(x.max()) + 1, int(y.max()) + 1) for events, _ in found for x, y, _, _ in events if len(x)]
    width, height = (max(it) for it in zip(*seen, strict=True)) if seen else (1, 1)
    if ending == ".bin":
        width = height = max(NMNIST_SIDE, width, height)
    parts = [
        Part([(time, (polarity * height + y) * width + x) for x, y, polarity, time in events], labels)
        for events, labels in found
    ]
    return Raw("events", (2, height, width), parts[0], parts[1] if len(parts) > 1 else None, tuple(classes))


def _of_classes(root: Path, classes: list[str], ending: str) -> tuple[list[Events], list[int]]:
    held, labels = [], []
    for label, name in enumerate(classes):
        if not (root / name).is_dir():  # a class that only the other part has: `add` says what that means
            continue
        files = sorted((root / name).glob(f"*{ending}"))
        if not files:
            raise DataError(f"{root / name} must hold {ending} recordings of its class, but holds none")
        for file in files:
            held.append(READERS[ending](file))
            labels.append(label)
    return held, labels


def _bin(file: Path) -> Events:
    raw = np.fromfile(file, np.uint8)
    if len(raw) % 5:
        raise DataError(f"{file} must hold five bytes an event, but holds {len(raw)} bytes")
    x, y, high, middle, low = raw.reshape(-1, 5).astype(np.int32).T
    return x, y, high >> 7, ((high & 127) << 16) | (middle << 8) | low


def _h5(file: Path) -> Events:
    import h5py  # type: ignore[import-untyped, unused-ignore]

    try:
        with h5py.File(file) as held:
            group = held.get("events", held)
            x, y, p, t = (np.asarray(group[name]) for name in "xypt")
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} must be HDF5 with x, y, p and t, at its root or in events/ ({error})") from error
    return _checked(x, y, p, t, file)


def _aedat4(file: Path) -> Events:
    try:
        import aedat  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ModuleNotFoundError:
        raise DataError(f"{file} needs aedat: pip install aedat") from None
    try:
        packets = [it["events"] for it in aedat.Decoder(str(file)) if "events" in it]
    except Exception as error:  # whatever the decoder raises
        raise DataError(f"{file} must be AEDAT 4 ({' '.join(str(error).split())[:200]})") from error
    events = np.concatenate(packets) if packets else np.zeros(0, [(name, np.int64) for name in ("t", "x", "y", "on")])
    return _checked(events["x"], events["y"], events["on"], events["t"], file)


def _checked(x: Any, y: Any, p: Any, t: Any, file: Path) -> Events:
    if not x.shape == y.shape == p.shape == t.shape == (x.size,):
        raise DataError(
            f"{file}: x, y, p and t must be of one length, but are {x.shape}, {y.shape}, {p.shape}, {t.shape}"
        )
    if x.size and not np.isfinite(t).all():
        raise DataError(f"{file}: times must be finite microseconds, but hold NaN or infinity")
    if x.size and min(x.min(), y.min()) < 0:
        raise DataError(f"{file}: places must not be negative")
    return x.astype(np.int32), y.astype(np.int32), (p > 0).astype(np.int32), since_first(t, file)


READERS: dict[str, Callable[[Path], Events]] = {".bin": _bin, ".h5": _h5, ".aedat4": _aedat4}
