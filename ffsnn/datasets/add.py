"""A source becomes a data set of one's own: read, checked, labelled 0 to C - 1, scaled to bytes, split, written.

    add("flowers", "photos/")                  # then: dataset: flowers
    add("vowels", "aeon:JapaneseVowels")

Legend: N recordings, F inputs, L moments or events of all recordings, C classes.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ffsnn.datasets.dataset import stratified
from ffsnn.datasets.fetch import DataError
from ffsnn.datasets.folder import Folder, reading_from
from ffsnn.datasets.own import Card, Tensors, own_file, write
from ffsnn.datasets.scale import Scale
from ffsnn.datasets.sources import arrays, events, folders, published, recordings, series
from ffsnn.datasets.sources.raw import Array, Options, Raw, array_of, images
from ffsnn.parts.registry import DATASETS
from ffsnn.validation import ConfigError, brief

TEST_SHARE, SEED = 0.2, 0  # of the recordings, where a source has no test of its own; of that draw
NAMED: dict[str, Callable[[str, Options], Raw]] = {  # before a colon
    "torchvision": published.read_torchvision, "aeon": series.read_aeon, "tonic": events.read_tonic,
}  # fmt: skip
BY_ENDING: dict[str, Callable[[list[Path], Options], Raw]] = {
    ".npz": lambda paths, options: arrays.read_npz(_one(paths), options), ".npy": arrays.read_npy,
    ".csv": lambda paths, options: arrays.read_csv(_one(paths), options),
    ".parquet": lambda paths, options: arrays.read_parquet(_one(paths), options),
    ".ts": lambda paths, options: series.read_ts(_one(paths), options),
    ".h5": events.read_h5, ".hdf5": events.read_h5,
}  # fmt: skip


def add(
    name: str, source: str, options: Options | None = None, test_share: float = TEST_SHARE, data_dir: Folder = None
) -> Card:  # fmt: skip
    """Read a source once and write it as the data set `name`; its card.

    Args:
        name: that configurations will say.
        source: a folder, a file, files with commas between them, or `torchvision:`, `aeon:`, `tonic:` and a name.
        options: what is to be done to images, and which column has the labels.
        test_share: of the recordings, drawn by a fixed seed where the source has no test recordings of its own.
        data_dir: the data folder.

    Raises:
        DataError: the name is taken, or the source breaks a rule; one line.
    """
    if not name.isidentifier():
        raise DataError(f"a data set's name must have letters, digits and '_' alone, but got {name!r}")
    with reading_from(data_dir):
        if name in DATASETS or own_file(name).exists():
            mend = "" if DATASETS.ships(name) else f", or ffsnn data remove {name}"
            raise DataError(f"there is a data set {name!r} already: choose another name{mend}")
        raw = read(source, options or Options())
    return add_raw(name, raw, source, test_share, data_dir)


def keep_arrays(data: Sequence[Any], data_dir: Folder = None) -> str:
    """Keep arrays or tensors (x, y) or (x, y, x_test, y_test) as a data set, under a name that follows from their
    content; the name.

    Raises:
        DataError: they break a rule.
    """
    if len(data) not in (2, 4):
        raise DataError(f"data must be (x, y) or (x, y, x_test, y_test), but has {len(data)} parts")
    x, y, *held_out = (array_of(it) for it in data)
    (shape, train), test = images(x, y.ravel().tolist(), "x"), None
    if held_out:
        tested, test = images(held_out[0], held_out[1].ravel().tolist(), "x_test")
        if tested != shape:
            raise DataError(f"x_test must have the shape {shape} of x, but has {tested}")
    digest = hashlib.sha256()
    for part in filter(None, (train, test)):
        digest.update(f"{shape} {part.x.dtype} {part.y}".encode())
        digest.update(np.ascontiguousarray(part.x).tobytes())
    name = f"arrays_{digest.hexdigest()[:12]}"
    if not own_file(name, data_dir).exists():
        add_raw(name, Raw("images", shape, train, test), "arrays", data_dir=data_dir)
    return name


def read(source: str, options: Options) -> Raw:
    """Read a source.

    Raises:
        DataError: it is not there, or of no known kind.
    """
    try:
        return _read(source, options)
    except ConfigError:
        raise
    except Exception as error:  # a damaged file makes its library raise errors of ten kinds and more
        raise DataError(f"cannot read {source}: {brief(error)}") from error


def _read(source: str, options: Options) -> Raw:
    kind, colon, rest = source.partition(":")
    if colon and kind in NAMED:
        _check_options(options, pictures=kind == "torchvision", table=False, source=source)
        return NAMED[kind](rest, options)
    paths = [Path(source)] if Path(source).exists() else [Path(part.strip()) for part in source.split(",")]
    if missing := [path for path in paths if not path.exists()]:
        raise DataError(f"{missing[0]} is not there: name a folder, a file, or {', '.join(NAMED)} with a colon")
    first, endings = paths[0], [it for it in paths[0].suffixes if it != ".gz"]
    ending = endings[-1] if endings else ""
    is_events, is_idx = recordings.is_folder(first), arrays.has_idx(first) or "-idx" in first.name
    folder_of_pictures = first.is_dir() and not is_events and not is_idx
    table = ending in (".csv", ".parquet")
    _check_options(options, folder_of_pictures or ending == ".parquet", table and first.is_file(), source)
    if is_events:
        return recordings.read(first, options)
    if is_idx:
        return arrays.read_idx(paths, options)
    if first.is_dir():
        return folders.read(first, options)
    if reader := BY_ENDING.get(ending):
        return reader(paths, options)
    raise DataError(f"{first} is of no known kind: a folder with a sub-folder a class, IDX, {', '.join(BY_ENDING)} are")


def _check_options(options: Options, pictures: bool, table: bool, source: str) -> None:
    if not pictures and (options.side is not None or options.grey):
        option = "--grey" if options.side is None else "--side"
        raise DataError(
            f"{option} is for pictures (PNG, JPEG, parquet, torchvision), but {source} holds none: leave it out"
        )
    if not table and options.labels is not None:
        raise DataError(f"--labels names a column of a table (CSV, parquet), but {source} is none: leave it out")


def add_raw(name: str, raw: Raw, source: str, test_share: float = TEST_SHARE, data_dir: Folder = None) -> Card:
    """Check, label, scale, split and write what was read.

    Raises:
        DataError: a rule is broken.
    """
    if not 0 < test_share < 1:
        raise DataError(f"test_share must be a share between 0 and 1, but got {test_share}")
    remarks = list(raw.remarks)
    train, test, names = _labelled(raw, remarks)
    _check(raw, names, train, test is not None)
    parts, labels = [raw.train.x], [train]
    if raw.test is not None and test is not None:
        parts, labels = [raw.train.x, raw.test.x], [train, test]
    else:
        y = torch.from_numpy(train)
        held_out, rest = stratified(y, max(round(len(y) * test_share), 1), torch.Generator().manual_seed(SEED))
        parts = [_take(raw.train.x, index.numpy()) for index in (rest, held_out)]
        labels = [train[rest.numpy()], train[held_out.numpy()]]
        remarks.append(f"{len(held_out):,} of {len(y):,} recordings are the test's, drawn by a fixed seed")
    tensors: Tensors = {}
    kept, scale = _KEPT[raw.kind](parts, raw)
    if scale is not None and scale.is_learned:
        whose = "each input has" if np.size(scale.low) > 1 else "all inputs together have"
        remarks.append(f"values were scaled to 256 levels, from the range that {whose} in training")
    for part, held in zip(("train", "test"), kept, strict=True):
        tensors |= {f"{part}.{key}": it for key, it in held.items()}
    for part, y_N in zip(("train", "test"), labels, strict=True):
        tensors[f"{part}.y"] = torch.from_numpy(y_N)
    counts = [tuple(np.bincount(y_N, minlength=len(names)).tolist()) for y_N in labels]
    if unseen := [name for name, count in zip(names, counts[1], strict=True) if not count]:
        mend = "" if raw.test is not None else ": take a larger --test-share, or more recordings of it"
        remarks.append(f"the class {unseen[0]!r} has no recording in the test{mend}")
    longest = max((int(it.max()) for key, it in tensors.items() if key.endswith(".time") and len(it)), default=0)
    card = Card(
        name, raw.kind, raw.shape, names, counts[0], counts[1], source, tuple(remarks), longest / 1000,
        *(scale.ends() if scale is not None and scale.is_learned else ((), ())),
    )  # fmt: skip
    return write(card, tensors, data_dir)


def _labelled(raw: Raw, remarks: list[str]) -> tuple[Array, Array | None, tuple[str, ...]]:
    """Labels 0 to C - 1 of the training and of the test recordings, and the names of the classes."""
    found, tested = [*map(_label, raw.train.y)], [*map(_label, raw.test.y)] if raw.test else []
    there = _in_order({*found})
    if unknown := {*tested} - {*there}:
        first = _in_order(unknown)[0]
        shown = raw.names[first] if raw.names is not None and isinstance(first, int) else first
        raise DataError(f"the class {shown!r} has test recordings, but none for training")
    place = {label: number for number, label in enumerate(there)}
    whole = [int(label) if not isinstance(label, str) else label for label in there]
    if raw.names is not None and all(isinstance(it, int) and it < len(raw.names) for it in whole):
        names = tuple(raw.names[it] for it in whole if isinstance(it, int))
    else:
        names = tuple(str(it) for it in whole)
    if whole != list(range(len(whole))) and raw.names is None:
        shown = ", ".join(f"{name} -> {number}" for number, name in enumerate(names[:5]))
        remarks.append(f"labels were mapped to 0..{len(names) - 1}: {shown}{', ...' if len(names) > 5 else ''}")
    y = np.array([place[label] for label in found], np.int64)
    return y, np.array([place[it] for it in tested], np.int64) if raw.test else None, names


def _label(label: Any) -> str | int | float:
    """A label as it was read.

    Raises:
        DataError: it is neither a name nor a whole number.
    """
    if isinstance(label, bytes):
        label = label.decode(errors="replace")
    if not isinstance(label, str | int | float) or (isinstance(label, float) and not label.is_integer()):
        raise DataError(f"labels must be names or whole numbers, but one is {label!r}")
    return label


def _in_order(labels: set[Any]) -> list[Any]:
    """Sort labels: numbers by value, anything else by name."""
    try:
        return sorted(labels, key=float)
    except (TypeError, ValueError):
        return sorted(labels, key=str)


def _check(raw: Raw, names: Sequence[str], train: Array, has_test: bool) -> None:
    if len(names) < 2:
        raise DataError(f"two classes at least must be there, but there is {len(names)} ({', '.join(names)})")
    least = 2 if has_test else 3
    counts = Counter(train.tolist())
    if few := [name for number, name in enumerate(names) if counts[number] < least]:
        number = counts[names.index(few[0])]
        parts = "training and validation" if has_test else "training, validation and test"
        raise DataError(f"the class {few[0]!r} must have {least} recordings at least, for {parts}, but has {number}")
    for part in filter(None, (raw.train, raw.test)):
        if raw.kind == "events":
            continue
        values = part.x if raw.kind == "images" else np.concatenate(part.x)
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).any(1).sum())
            raise DataError(f"all values must be finite, but {bad:,} rows hold NaN or infinity: leave them out")
    if raw.kind == "events":
        for part in filter(None, (raw.train, raw.test)):
            if not any(len(time) for time, _ in part.x):
                raise DataError("recordings must hold events, but all are empty")
            if max(int(time.max()) for time, _ in part.x if len(time)) < 1:
                raise DataError("events must come at different times, but all come at 0: add them as features")


def _take(x: Any, index: Array) -> Any:
    return x[index] if isinstance(x, np.ndarray) else [x[number] for number in index.tolist()]


def _images(parts: list[Any], raw: Raw) -> tuple[list[Tensors], Scale | None]:
    scaled, scale = _scaled(parts, each=raw.shape[:2] == (1, 1))
    return [{"x": torch.from_numpy(np.ascontiguousarray(x))} for x in scaled], scale


def _series(parts: list[Any], raw: Raw) -> tuple[list[Tensors], Scale | None]:
    scaled, scale = _scaled([np.concatenate(recordings) for recordings in parts], each=True)
    kept = [
        {"x": torch.from_numpy(np.ascontiguousarray(x)), "start": _starts(recordings)}
        for x, recordings in zip(scaled, parts, strict=True)
    ]
    return kept, scale


def _events(parts: list[Any], raw: Raw) -> tuple[list[Tensors], Scale | None]:
    kept = [
        {
            "time": torch.from_numpy(np.concatenate([time for time, _ in recordings]).astype(np.int32)),
            "unit": torch.from_numpy(np.concatenate([unit for _, unit in recordings]).astype(np.int32)),
            "start": _starts([time for time, _ in recordings]),
        }
        for recordings in parts
    ]
    return kept, None


_KEPT: dict[str, Callable[[list[Any], Raw], tuple[list[Tensors], Scale | None]]] = {
    "images": _images, "series": _series, "events": _events
}  # fmt: skip


def _starts(recordings: Sequence[Array]) -> torch.Tensor:
    return torch.from_numpy(np.cumsum([0, *map(len, recordings)]).astype(np.int64))


def _scaled(parts: list[Array], each: bool) -> tuple[list[Array], Scale]:
    """Values as bytes, by the range of the training values.

    Raises:
        DataError: the training values are bytes, and those of the test are shares of 0..1.
    """
    scale = Scale.of(parts[0], each)
    for part in parts[1:]:
        if parts[0].dtype == np.uint8 and np.issubdtype(part.dtype, np.floating) and part.size and part.max() <= 1:
            raise DataError(
                "training values are bytes of 0..255, but those of the test shares of 0..1: bring them alike"
            )
    return [scale.bytes(part) for part in parts], scale


def _one(paths: list[Path]) -> Path:
    if len(paths) > 1:
        raise DataError(f"one file is needed, but got {len(paths)}: {', '.join(map(str, paths))}")
    return paths[0]
