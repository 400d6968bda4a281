"""Small data sets in the true formats of what a person may bring."""

from pathlib import Path

import h5py
import numpy as np

from ffsnn.datasets.add import add

SERIES = [np.full((length, 2), length, float) + np.arange(length)[:, None] for length in (5, 3, 4, 2, 6, 5)]


def ts_file(path: Path) -> Path:
    lines = ["@problemName Made", "@classLabel true up down", "@data"]
    for number, recording in enumerate(SERIES):
        channels = [",".join(map(str, recording[:, channel])) for channel in range(2)]
        lines.append(":".join([*channels, ("up", "down")[number % 2]]))
    path.write_text("\n".join(lines))
    return path


def nmnist(root: Path, part: str) -> None:
    """Files in the form of N-MNIST: five bytes an event."""
    for label in range(2):
        (root / part / str(label)).mkdir(parents=True)
        for number in range(3):
            events = [(number, 33 - number, label, 1000 * at) for at in range(5)]
            raw = b"".join(bytes([x, y, (p << 7) | (t >> 16), (t >> 8) & 255, t & 255]) for x, y, p, t in events)
            (root / part / str(label) / f"{number:05d}.bin").write_bytes(raw)


def shd(path: Path) -> Path:
    """A file in the form of SHD."""
    with h5py.File(path, "w") as file:
        spikes = file.create_group("spikes")
        times = spikes.create_dataset("times", (6,), h5py.vlen_dtype(np.float16))
        units = spikes.create_dataset("units", (6,), h5py.vlen_dtype(np.uint16))
        for number in range(6):
            times[number] = np.array([0.0, 0.5, 1.0], np.float16)
            units[number] = np.array([0, 350 + number, 699], np.uint16)
        file["labels"] = np.arange(6, dtype=np.uint16) % 2
        file["extra/speaker"] = np.zeros(6, np.uint16)
        file["extra/keys"] = np.array([b"zero", b"null"])
    return path


def add_all(scratch: Path) -> None:
    """The data sets of the shipped spaces, each with a few recordings."""
    for part in ("TRAIN", "TEST"):
        ts_file(scratch / f"Vowels_{part}.ts")
        nmnist(scratch / "N-MNIST", part.title())
        shd(scratch / f"shd_{part}.h5")
    add("vowels", str(scratch / "Vowels_TRAIN.ts"))
    add("nmnist", str(scratch / "N-MNIST"))
    add("shd", f"{scratch / 'shd_TRAIN.h5'},{scratch / 'shd_TEST.h5'}")
