"""Images that a user brings: IDX (also packed by gzip), PNG, .npy; told apart by their first bytes, not their names.

A network was trained on square gray images, white (255) on black (0), and sees no others: nothing is resized, cropped
or inverted here. What is accepted:

    IDX    unsigned bytes of three dimensions (N, side, side), as MNIST's own files
    PNG    one image; 8 bits a channel at most. Colour becomes gray by ITU-R 601-2, L = 0.299 R + 0.587 G + 0.114 B;
           what is transparent shows a black ground
    .npy   uint8 in 0..255, or floating point in 0..1, of (side, side), (N, side, side) or (N, side * side);
           pickled objects are refused
"""

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from ffsnn.datasets.builtin import parse_idx
from ffsnn.validation import ConfigError

GZIP, IDX, PNG, NPY = b"\x1f\x8b", b"\0\0", b"\x89PNG\r\n\x1a\n", b"\x93NUMPY"
PNG_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}  # Pillow's names for 8 bits a channel and fewer


def read(path: str | Path, side: int) -> torch.Tensor:
    """The images of a file: (N, side * side), uint8, 0 black to 255 white.

    Raises:
        ConfigError: it cannot be read, is of another format, size, type or range, or holds no image; one line that
            names the file, what it holds, and what is needed.
    """
    with _one_line(path):
        raw = Path(path).read_bytes()
        if raw.startswith(GZIP):
            raw = gzip.decompress(raw)
        if raw.startswith(PNG):
            images = _png(path, raw, side)
        elif raw.startswith(NPY):
            images = _npy(path, raw)
        elif raw.startswith(IDX):
            images = parse_idx(raw, str(path), ndim=3).numpy()
        else:
            held = f"begins with {raw[:4].hex()}" if raw else "is empty"
            raise ConfigError(f"{path} must be IDX, PNG or .npy, but {held}: convert it, e.g. to PNG")
    return torch.from_numpy(_checked(path, images, side).reshape(-1, side * side))


@contextmanager
def _one_line(path: str | Path) -> Iterator[None]:
    """Any error becomes a `ConfigError`: a damaged file makes NumPy and Pillow raise errors of ten kinds and more."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ConfigError(f"cannot read images from {path}: {' '.join(reason.split())}") from error


def _png(path: str | Path, raw: bytes, side: int) -> npt.NDArray[np.uint8]:
    """(side, side)."""
    try:
        with Image.open(io.BytesIO(raw), formats=["PNG"]) as image:
            if image.size != (side, side):  # known before the pixels are unpacked
                raise _wrong_size(path, f"an image of {image.height}x{image.width}", side)
            image.verify()  # the checksums; unpacking alone forgives a torn end
    except UnidentifiedImageError as error:
        raise ConfigError(f"cannot read images from {path}: it begins as PNG but is none") from error
    with Image.open(io.BytesIO(raw), formats=["PNG"]) as image:
        if image.mode not in PNG_MODES:
            raise ConfigError(
                f"{path} must hold 8 bits a channel at most, but holds Pillow's mode {image.mode}: convert it"
            )
        if image.mode in ("L", "1") and "transparency" not in image.info:
            return np.array(image.convert("L"))
        colours = image.convert("RGBA")
        ground = Image.new("RGBA", colours.size, (0, 0, 0, 255))
        return np.array(Image.alpha_composite(ground, colours).convert("L"))


def _npy(path: str | Path, raw: bytes) -> npt.NDArray[np.uint8]:
    """Read an array of any shape."""
    array: npt.NDArray[np.generic] = np.load(io.BytesIO(raw), allow_pickle=False)
    if array.dtype == np.uint8:
        return array.astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ConfigError(
            f"{path} must hold uint8 in 0..255 or floating point in 0..1, but holds {array.dtype}: "
            "save array.astype('uint8')"
        )
    values = array.astype(np.float64)
    if values.size and not (values.min() >= 0 and values.max() <= 1):  # a NaN fails, too
        raise ConfigError(
            f"{path} must hold floating point in 0..1, but its {array.dtype} goes from {values.min():g} "
            f"to {values.max():g}: scale it, or save 0..255 as uint8"
        )
    return np.rint(values * 255).astype(np.uint8)


def _checked(path: str | Path, images: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The images, if their shape is one of those accepted and there is one image at least."""
    shape = images.shape
    if not (shape == (side, side) or shape[1:] in ((side, side), (side * side,))):
        raise _wrong_size(path, f"an array of {'x'.join(map(str, shape)) or 'no dimension'}", side)
    if not images.size:
        raise ConfigError(f"{path} must hold one image at least, but holds 0")
    return np.ascontiguousarray(images)


def _wrong_size(path: str | Path, held: str, side: int) -> ConfigError:
    return ConfigError(
        f"{path} must hold gray images of {side}x{side} pixels, as the network was trained on, but holds {held}: "
        f"resize it to {side}x{side}"
    )
