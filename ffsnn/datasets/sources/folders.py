"""A folder with one sub-folder a class, of PNG or JPEG; perhaps with `train/` and `test/` above the classes."""

from pathlib import Path

import numpy as np

from ffsnn.datasets.fetch import DataError
from ffsnn.datasets.images import picture
from ffsnn.datasets.sources.raw import Array, Options, Part, Raw, Shape

ENDINGS = (".png", ".jpg", ".jpeg")


def read(path: Path, options: Options) -> Raw:
    """The images of a folder.

    Raises:
        DataError: a class without images, images of several sizes.
        ConfigError: an image is damaged; it is named.
    """
    parts = {name: _files(path / name) for name in ("train", "test") if (path / name).is_dir()} or {"": _files(path)}
    if "train" not in parts and "" not in parts:
        raise DataError(f"{path} has test/ but no train/ beside it: add it, or name the folder of the classes itself")
    classes = sorted({name for files in parts.values() for name in files})
    pictures = {
        part: [(file, classes.index(name)) for name, held in files.items() for file in held]
        for part, files in parts.items()
    }
    first = next(iter(pictures.values()))
    colour = not options.grey and any(_has_colour(file) for file, _ in first)
    shape: Shape | None = None
    read_parts = []
    for listed in pictures.values():
        rows = []
        for file, _ in listed:
            image = picture(file, file.read_bytes(), None, colour, options.side)
            found = (3 if colour else 1, *image.shape[:2])
            if shape is not None and found != shape:
                raise DataError(
                    f"{file} is {found[1]}x{found[2]}, but {first[0][0].name} {shape[1]}x{shape[2]}: bring all images "
                    f"to one size with --side, e.g. --side {min(shape[1:])}"
                )
            shape = found
            rows.append(_row(image))
        read_parts.append(Part(np.stack(rows), [label for _, label in listed]))
    assert shape is not None
    return Raw("images", shape, read_parts[0], read_parts[1] if len(read_parts) > 1 else None, tuple(classes))


def _files(path: Path) -> dict[str, list[Path]]:
    """The images of each class."""
    classes = {it.name: it for it in sorted(path.iterdir()) if it.is_dir() and not it.name.startswith(".")}
    if not classes:
        raise DataError(f"{path} must hold a folder for each class, but holds none")
    files = {
        name: sorted(it for it in folder.iterdir() if it.suffix.lower() in ENDINGS) for name, folder in classes.items()
    }
    if empty := [name for name, held in files.items() if not held]:
        raise DataError(f"{path / empty[0]} must hold PNG or JPEG images of its class, but holds none")
    return files


def _has_colour(file: Path) -> bool:
    image = picture(file, file.read_bytes(), None, colour=True)
    return bool((image[..., :1] != image).any())


def _row(image: Array) -> Array:
    return image.reshape(-1) if image.ndim == 2 else np.moveaxis(image, -1, 0).reshape(-1)
