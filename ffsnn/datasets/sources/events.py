"""Events of many recordings in one file, SHD's and SSC's .h5, and whatever `tonic` reads by its name.

Cramer et al. 2022 (SHD, SSC, doi 10.1109/TNNLS.2020.3044364). A file a recording: `recordings`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ffsnn.datasets.fetch import DataError
from ffsnn.datasets.folder import cache_folder
from ffsnn.datasets.sources.raw import Array, Options, Part, Raw, since_first
from ffsnn.validation import brief

COCHLEA = 700  # channels
LONGEST_S = 2147  # of a recording, whose microseconds are 31 bits


def read_h5(paths: list[Path], options: Options) -> Raw:
    """SHD's or SSC's form: `spikes/times` in seconds, `spikes/units`, `labels`; one file, or training and test.

    Raises:
        DataError: it is no such file.
    """
    import h5py  # type: ignore[import-untyped, unused-ignore]

    if len(paths) > 2:
        raise DataError(f"one file is needed, or training and test, but got {len(paths)}: leave one out")
    parts, names, inputs = [], None, COCHLEA
    for path in paths:
        try:
            with h5py.File(path) as file:
                times, units = file["spikes/times"][:], file["spikes/units"][:]
                labels = [int(label) for label in file["labels"][:]]
                if "extra/keys" in file:
                    names = _texts(file["extra/keys"][:])
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path} must be HDF5 with spikes/times, spikes/units and labels ({error})") from error
        if not len(times) == len(units) == len(labels):
            counts = f"{len(times):,}, {len(units):,} and {len(labels):,}"
            raise DataError(f"{path} must have times, units and a label of each recording, but has {counts}")
        held = [(_microseconds(t, path), np.asarray(u, np.int32)) for t, u in zip(times, units, strict=True)]
        inputs = max([inputs, *(1 + int(u.max()) for _, u in held if len(u))])
        parts.append(Part(held, labels))
    return Raw("events", (1, 1, inputs), parts[0], parts[1] if len(parts) > 1 else None, names)


def _texts(names: Any) -> tuple[str, ...]:
    return tuple(it.decode() if isinstance(it, bytes) else str(it) for it in names)


def _microseconds(seconds: Any, path: Path) -> Array:
    times = np.asarray(seconds, np.float64)
    if wrong := [it for it in times.tolist() if not 0 <= it < LONGEST_S]:
        raise DataError(f"{path}: times must be seconds from 0 to {LONGEST_S}, but one is {wrong[0]}")
    return np.round(times * 1e6).astype(np.int32)


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
    names: tuple[str, ...] = ()
    root = str(cache_folder() / "tonic")
    try:
        for train in ({"split": "train"}, {"split": "test"}) if name == "SSC" else ({"train": True}, {"train": False}):
            held, labels = [], []
            there = kind(save_to=root, **train)
            names = _texts(getattr(there, "classes", ()))
            for events, label in there:
                unit = np.asarray(events["x"], np.int64)
                if "y" in events.dtype.names:
                    unit = unit + sensor[0] * np.asarray(events["y"], np.int64)
                if "p" in events.dtype.names and sensor[2] > 1:
                    unit = unit + sensor[0] * sensor[1] * np.asarray(events["p"], np.int64)
                held.append((since_first(np.asarray(events["t"], np.int64), name), unit.astype(np.int32)))
                labels.append(label)
            parts.append(Part(held, labels))
    except Exception as error:  # whatever a download raises
        raise DataError(
            f"tonic cannot give {name} ({brief(error)}): is there a network? or name files of your own"
        ) from error
    return Raw("events", (sensor[2], sensor[1], sensor[0]), parts[0], parts[1], names or None)
