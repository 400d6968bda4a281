"""Time series: .npz with a time axis, and .ts files of the UEA archive (Bagnall et al. 2018, arXiv 1811.00075)."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ffsnn.datasets.fetch import NPM_TIMEOUT_S, DataError
from ffsnn.datasets.sources.raw import Array, Options, Part, Raw

AEON = "aeon==1.6.0"  # a package that has some sets of the archive among its files


def of_array(held: Mapping[str, Array], names: Sequence[str], path: Path) -> Raw:
    """`x` of shape (N, time, channels), with `lengths` (N,) where recordings differ, or marked by `time`.

    Raises:
        DataError: there is no time axis, or its length is 1.
    """
    parts = []
    for x_name, y_name, length in (
        (*names, "lengths_train" if names[0] == "x_train" else "lengths"), ("x_test", "y_test", "lengths_test"),
    ):  # fmt: skip
        if x_name in held:
            x = held[x_name]
            if x.ndim != 3:
                raise DataError(f"{path}: {x_name} must be (N, time, channels), but has {x.ndim} dimensions")
            lengths = held.get(length, held.get("lengths", np.full(len(x), x.shape[1])))
            _check_lengths(np.asarray(lengths), x, f"{path}: {length if length in held else 'lengths'}")
            y = held[y_name].ravel().tolist()
            if len(y) != len(x):
                raise DataError(
                    f"{path} must hold a label for each of {len(x):,} recordings, but {y_name} has {len(y):,}"
                )
            parts.append(Part([row[:n] for row, n in zip(x, lengths, strict=True)], y))
    return _series(parts, path)


def _check_lengths(lengths: Array, x: Array, whose: str) -> None:
    if lengths.shape != (len(x),) or lengths.dtype.kind not in "iu":
        raise DataError(f"{whose} must be a whole number for each of {len(x):,} recordings, but is {lengths.shape}")
    if wrong := [int(n) for n in lengths if not 1 <= n <= x.shape[1]]:
        raise DataError(f"{whose} must be 1 to {x.shape[1]}, the moments there are, but one is {wrong[0]}")


def read_ts(path: Path, options: Options) -> Raw:
    """A .ts file; of one named ..._TRAIN.ts the test file ..._TEST.ts beside it, too.

    Raises:
        DataError: it is none, or its recordings have different channels.
    """
    parts, other = [_parsed(path)], path.with_name(path.name.replace("_TRAIN", "_TEST"))
    if other != path and other.is_file():
        parts.append(_parsed(other))
    return _series(parts, path)


def read_aeon(name: str, options: Options) -> Raw:
    """A set of the archive that the PyPI package aeon has among its files, such as JapaneseVowels; the package is
    fetched, not installed, and nothing of it is run.

    Raises:
        DataError: the package index does not answer, or the package has no such set.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", AEON]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            subprocess.run(command, cwd=scratch, timeout=NPM_TIMEOUT_S, check=True, capture_output=True, text=True)
            (wheel,) = Path(scratch).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                for part in ("TRAIN", "TEST"):
                    content = archive.read(f"aeon/datasets/data/{name}/{name}_{part}.ts")
                    Path(scratch, f"{name}_{part}.ts").write_bytes(content)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise DataError(
                f"cannot fetch {AEON} from the package index ({type(error).__name__}): fetch {name} from the archive "
                f"by hand, and name its {name}_TRAIN.ts"
            ) from error
        except KeyError:
            raise DataError(f"{AEON} has no {name} among its files: name a .ts file") from None
        return read_ts(Path(scratch, f"{name}_TRAIN.ts"), options)


def _parsed(path: Path) -> Part:
    recordings, labels, inside = [], [], False
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        line = line.strip()
        if not inside or not line:
            inside |= line.lower() == "@data"
            continue
        *channels, label = line.split(":")
        try:
            values = [[float(value) for value in channel.split(",")] for channel in channels]
            recordings.append(np.array(values).T)  # (time, channels)
        except ValueError:
            raise DataError(
                f"{path}, line {number}: channels of numbers, alike in length, must stand between ':', the label last"
            ) from None
        labels.append(label)
    if not recordings:
        raise DataError(f"{path} must hold recordings behind a line @data, but holds none")
    return Part(recordings, labels)


def _series(parts: list[Part], path: Path) -> Raw:
    channels = {it.shape[1] if it.ndim == 2 else 0 for part in parts for it in part.x}
    if len(channels) != 1 or 0 in channels:
        raise DataError(f"{path}: all recordings must have the same channels, but have {sorted(channels)}")
    longest = max(len(it) for part in parts for it in part.x)
    if longest < 2:
        raise DataError(f"{path}: recordings must have two moments at least, but have {longest}: add them as features")
    return Raw("series", (1, 1, channels.pop()), parts[0], parts[1] if len(parts) > 1 else None)
