"""Arrays in files: .npz, pairs of .npy, CSV, IDX (gzipped or not), parquet with a column of images."""

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np

from ffsnn.datasets.builtin import TEST_FILES, TRAIN_FILES, parse_idx
from ffsnn.datasets.fetch import DataError
from ffsnn.datasets.images import picture
from ffsnn.datasets.sources.raw import Array, Options, Part, Raw, images
from ffsnn.validation import ConfigError

LABEL_COLUMNS = ("label", "target", "class", "y")


def read_npz(path: Path, options: Options) -> Raw:
    """`x_train`, `y_train`, perhaps `x_test`, `y_test`; or `x`, `y`. Of `x` with time see `series`.

    Raises:
        DataError: it has no such arrays, or they do not fit.
    """
    held = dict(_loaded(path))
    for names in (("x_train", "y_train"), ("x", "y")):
        if all(name in held for name in names):
            break
    else:
        raise DataError(f"{path} must hold x_train and y_train, or x and y, but holds {', '.join(held) or 'nothing'}")
    if len(missing := {"x_test", "y_test"} - held.keys()) == 1:
        raise DataError(f"{path} must hold x_test and y_test, or neither of them, but has no {missing.pop()}")
    if held.keys() & {"lengths", "lengths_train", "lengths_test"} or (held[names[0]].ndim == 3 and "time" in held):
        from ffsnn.datasets.sources.series import of_array

        return of_array(held, names, path)
    shape, train = images(held[names[0]], held[names[1]].ravel().tolist(), path)
    if not {"x_test", "y_test"} <= held.keys():
        return Raw("images", shape, train)
    tested, test = images(held["x_test"], held["y_test"].ravel().tolist(), path)
    return Raw("images", shape, train, _same(shape, tested, test, path))


def read_npy(paths: list[Path], options: Options) -> Raw:
    """Two files, images and labels; or four, those of the test behind them.

    Raises:
        DataError: there are not two or four, or they do not fit.
    """
    arrays = [_loaded(path) for path in paths]
    return _pairs(arrays, paths)


def read_idx(paths: list[Path], options: Options) -> Raw:
    """A folder of the four files of MNIST's kind; or two or four files, images and labels, training first.

    Raises:
        DataError: a file is missing, or none of IDX.
    """
    if len(paths) == 1:
        paths = [_in_folder(paths[0], name) for name in (*TRAIN_FILES, *TEST_FILES)]
    arrays = []
    for number, path in enumerate(paths):
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
        arrays.append(parse_idx(raw, str(path), ndim=1 if number % 2 else 3).numpy())
    return _pairs(arrays, paths)


def has_idx(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*-idx?-ubyte*"))


def read_csv(path: Path, options: Options) -> Raw:
    """A table of numbers with a header; labels stand in the column that is named, else in one of `LABEL_COLUMNS`, else
    in the first.

    Raises:
        DataError: it has no rows, or what is no number.
    """
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode("utf-8-sig")
    reader = csv.reader(io.StringIO(text))
    (_, header), *rows = [(reader.line_num, row) for row in reader if row] or [(1, [])]
    if len(header) == 1:
        raise DataError(f"{path} must have columns with commas between them, but its first line is {header[0]!r}")
    if header and all(_is_number(cell) for cell in header):
        header, rows = [str(number) for number in range(len(header))], [(1, header), *rows]
    if not rows:
        raise DataError(f"{path} must hold rows of numbers, but holds none")
    wanted = options.labels or next((name for name in LABEL_COLUMNS if name in header), header[0])
    if wanted not in header:
        raise DataError(f"{path} has no column {wanted!r}: name one of {', '.join(header[:10])} with --labels")
    at, features, labels = header.index(wanted), [], []
    for number, row in rows:
        if len(row) != len(header):
            raise DataError(f"{path}, line {number}: {len(header)} columns must be there, but {len(row)} are")
        labels.append(row[at])
        try:
            features.append([float(cell) for place, cell in enumerate(row) if place != at])
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}; all columns but the label's must be numbers") from None
    shape, part = images(np.array(features), labels, path)
    return Raw("images", shape, part, remarks=[f"labels are those of the column {wanted!r}"])


def read_parquet(path: Path, options: Options) -> Raw:
    """A table with a column of images, as Hugging Face keeps them (bytes of PNG or JPEG), and one of labels.

    Raises:
        DataError: pyarrow is not installed, or there are no such columns.
    """
    try:
        from pyarrow import parquet  # type: ignore[import-untyped, unused-ignore]
    except ModuleNotFoundError:
        raise DataError(f"{path} needs pyarrow: pip install pyarrow") from None
    table = parquet.read_table(path).to_pydict()
    image = next((name for name, column in table.items() if _is_image(column[:1])), None)
    label = options.labels or next((name for name in LABEL_COLUMNS if name in table), None)
    if image is None or label is None or label not in table:
        raise DataError(
            f"{path} must have a column of images and one of labels (label, or name it with --labels), but has "
            f"{', '.join(table)}"
        )
    raws = [held["bytes"] if isinstance(held, dict) else held for held in table[image]]
    colour = not options.grey and any(
        (it[..., :1] != it).any() for it in (picture(path, raw, None, colour=True) for raw in raws)
    )
    held = [picture(f"{path}, row {n}", raw, None, colour, options.side) for n, raw in enumerate(raws)]
    if len({it.shape for it in held}) > 1:
        raise DataError(f"{path} holds images of several sizes: bring all to one with --side, e.g. --side 32")
    return Raw("images", *images(np.stack(held), table[label], path))


def _is_image(some: list[Any]) -> bool:
    return bool(some) and (isinstance(some[0], bytes) or (isinstance(some[0], dict) and "bytes" in some[0]))


def _loaded(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"cannot read {path}: {' '.join(str(error).split())[:200]}") from error


def _pairs(arrays: list[Array], paths: list[Path]) -> Raw:
    if len(arrays) not in (2, 4):
        raise DataError(f"two files are needed, images and labels, or four with the test's, but got {len(arrays)}")
    shape, train = images(arrays[0], arrays[1].ravel().tolist(), paths[0])
    if len(arrays) == 2:
        return Raw("images", shape, train)
    tested, test = images(arrays[2], arrays[3].ravel().tolist(), paths[2])
    return Raw("images", shape, train, _same(shape, tested, test, paths[2]))


def _same(shape: Any, tested: Any, test: Part, path: Path) -> Part:
    if shape != tested:
        raise DataError(f"{path}: test recordings must have the shape {shape} of the training's, but have {tested}")
    return test


def _in_folder(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{folder} must hold {name} (as it is, or .gz), but does not")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
