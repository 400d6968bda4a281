"""Event recordings: N-MNIST's .bin folders, SHD's and SSC's .h5, and whatever `tonic` reads by its name.

Orchard et al. 2015 (N-MNIST, doi 10.3389/fnins.2015.00437); Cramer et al. 2022 (SHD, SSC, doi
10.1109/TNNLS.2020.3044364).
"""

from pathlib import Path
from typing import Any

import numpy as np

from ffsnn.datasets.fetch import DataError
from ffsnn.datasets.folder import cache_folder
from ffsnn.datasets.sources.raw import Array, Options, Part, Raw

NMNIST_SIDE, COCHLEA = 34, 700


def is_bin_folder(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*/*.bin")) | any(path.glob("*/*/*.bin"))


def read_bin(path: Path, options: Options) -> Raw:
    """Folders of N-MNIST's kind: a sub-folder a class with a .bin file a recording; perhaps `Train/`, `Test/` above.

    Five bytes an event: x, y, polarity (1 bit) and microseconds (23 bits).

    Raises:
        DataError: a file is not of that form, or a class has none.
    """
    there = {it.name.lower(): it for it in path.iterdir() if it.is_dir()}
    roots = [there[name] for name in ("train", "test") if name in there] or [path]
    classes = sorted(it.name for it in roots[0].iterdir() if it.is_dir())
    read = [_bins(root, classes) for root in roots]
    side = max(NMNIST_SIDE, 1 + max(int(max(x.max(), y.max())) for part, _ in read for x, y, _, _ in part if len(x)))
    parts = [
        Part([(time, polarity * side * side + y * side + x) for x, y, polarity, time in held], labels)
        for held, labels in read
    ]
    return Raw("events", (2, side, side), parts[0], parts[1] if len(parts) > 1 else None, tuple(classes))


def _bins(root: Path, classes: list[str]) -> tuple[list[tuple[Array, Array, Array, Array]], list[int]]:
    held, labels = [], []
    for label, name in enumerate(classes):
        files = sorted((root / name).glob("*.bin"))
        if not files:
            raise DataError(f"{root / name} must hold .bin recordings of its class, but holds none")
        for file in files:
            raw = np.fromfile(file, np.uint8)
            if len(raw) % 5:
                raise DataError(f"{file} must hold five bytes an event, but holds {len(raw)} bytes")
            x, y, high, middle, low = raw.reshape(-1, 5).astype(np.int32).T
            held.append((x, y, high >> 7, ((high & 127) << 16) | (middle << 8) | low))
            labels.append(label)
    return held, labels


def read_h5(paths: list[Path], options: Options) -> Raw:
    """SHD's or SSC's form: `spikes/times` in seconds, `spikes/units`, `labels`; one file, or training and test.

    Raises:
        DataError: it is no such file.
    """
    import h5py  # type: ignore[import-untyped, unused-ignore]

    parts, names, inputs = [], None, COCHLEA
    for path in paths[:2]:
        try:
            with h5py.File(path) as file:
                times, units = file["spikes/times"][:], file["spikes/units"][:]
                labels = [int(label) for label in file["labels"][:]]
                if "extra/keys" in file:
                    names = tuple(it.decode() if isinstance(it, bytes) else str(it) for it in file["extra/keys"][:])
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path} must be HDF5 with spikes/times, spikes/units and labels ({error})") from error
        held = [(_microseconds(t), np.asarray(u, np.int32)) for t, u in zip(times, units, strict=True)]
        inputs = max(inputs, *(1 + int(u.max()) for _, u in held if len(u)))
        parts.append(Part(held, labels))
    return Raw("events", (1, 1, inputs), parts[0], parts[1] if len(parts) > 1 else None, names)


def _microseconds(seconds: Any) -> Array:
    return np.round(np.asarray(seconds, np.float64) * 1e6).astype(np.int32)


def read_tonic(name: str, options: Options) -> Raw:
    """A set of the package tonic, by the name of its class: NMNIST, SHD, SSC, DVSGesture, ...; tonic fetches it.

    Raises:
        DataError: tonic is not installed or has no such set, or it cannot be fetched.
    """
    try:
        from tonic import datasets  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ModuleNotFoundError:
        raise DataError(f"tonic:{name} needs tonic: pip install 'ffsnn[events]'") from None
    kind = getattr(datasets, name, None)
    if kind is None:
        raise DataError(f"tonic has no data set {name!r}: see its documentation for the names")
    parts, sensor = [], kind.sensor_size
    root = str(cache_folder() / "tonic")
    try:
        for train in ({"split": "train"}, {"split": "test"}) if name == "SSC" else ({"train": True}, {"train": False}):
            held, labels = [], []
            for events, label in kind(save_to=root, **train):
                unit = np.asarray(events["x"], np.int64)
                if "y" in events.dtype.names:
                    unit = unit + sensor[0] * np.asarray(events["y"], np.int64)
                if "p" in events.dtype.names and sensor[2] > 1:
                    unit = unit + sensor[0] * sensor[1] * np.asarray(events["p"], np.int64)
                time = np.asarray(events["t"], np.int64)
                held.append(((time - time.min(initial=0)).astype(np.int32), unit.astype(np.int32)))
                labels.append(label)
            parts.append(Part(held, labels))
    except Exception as error:  # whatever a download raises
        said = " ".join(str(error).split())[:200]
        raise DataError(f"tonic cannot give {name} ({said}): is there a network? or name files of your own") from error
    return Raw("events", (sensor[2], sensor[1], sensor[0]), parts[0], parts[1])
