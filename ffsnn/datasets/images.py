"""Images that a user brings: IDX (also packed by gzip), PNG, JPEG, .npy; told apart by their first bytes.

A network was trained on images of one shape, mostly white (255) on black (0), and sees no others: nothing is resized,
cropped or inverted here. What is accepted for a shape of one or three channels, height and width:

    IDX    unsigned bytes of three dimensions (N, height, width), as MNIST's own files
    PNG, JPEG    one image; 8 bits a channel at most. For one channel colour becomes gray by ITU-R 601-2,
           L = 0.299 R + 0.587 G + 0.114 B; what is transparent shows a black ground
    .npy   uint8 in 0..255, or floating point in 0..1, of (height, width), (N, height, width), both with a last
           dimension of 3 for colour, or (N, inputs); pickled objects are refused. Where the training set's numbers
           were scaled (`ffsnn.datasets.scale`), any finite numbers, which are scaled alike
"""

import gzip
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from ffsnn.datasets.builtin import parse_idx
from ffsnn.datasets.scale import Scale
from ffsnn.validation import ConfigError

GZIP, IDX, PNG, JPEG, NPY = b"\x1f\x8b", b"\0\0", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x93NUMPY"
IDX_IMAGES = b"\0\0\x08\x03"  # bytes of three dimensions; labels have one
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}  # Pillow's names for 8 bits a channel and fewer


Shape = tuple[int, int, int]  # channels, height, width


def read(path: str | Path, shape: Shape, scale: Scale | None = None) -> torch.Tensor:
    """The images of a file: (N, channels * height * width), uint8, 0 black to 255 white; channel after channel.

    Args:
        path: of the file.
        shape: that the images must have.
        scale: by which numbers in a .npy file become bytes; None: they are bytes, or shares of 0..1.

    Raises:
        ConfigError: it cannot be read, is of another format, size, type or range, or holds no image; one line that
            names the file, what it holds, and what is needed.
    """
    with _one_line(path):
        raw = Path(path).read_bytes()
        if raw.startswith(GZIP):
            raw = gzip.decompress(raw)
        if raw.startswith((PNG, JPEG)):
            images = picture(path, raw, shape)
        elif raw.startswith(NPY):
            images = _bytes(path, np.load(io.BytesIO(raw), allow_pickle=False), scale)
        elif raw.startswith(IDX):
            images = parse_idx(raw, str(path), ndim=3).numpy()
        else:
            held = f"begins with {raw[:4].hex()}" if raw else "is empty"
            raise ConfigError(f"{path} must be IDX, PNG, JPEG or .npy, but {held}: convert it, e.g. to PNG")
    return torch.from_numpy(_flat(path, images, shape))


def in_folder(path: Path) -> tuple[list[Path], list[Path]]:
    """Files of images in a folder, by name, and the other files there; hidden ones and sub-folders are neither.

    Raises:
        ConfigError: it cannot be read, or has no images.
    """
    with _one_line(path):
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        images = [file for file in files if _begins_with(file, PNG, JPEG, NPY, IDX_IMAGES)]
    if not images:
        raise ConfigError(f"{path} must hold images (PNG, JPEG, IDX, .npy), but none of its {len(files)} files is one")
    return images, [file for file in files if file not in images]


def _begins_with(file: Path, *beginnings: bytes) -> bool:
    with file.open("rb") as content:
        return content.read(max(map(len, beginnings))).startswith(beginnings)


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


def picture(
    path: str | Path, raw: bytes, shape: Shape | None, colour: bool = False, side: int | None = None
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """The image in the bytes of a PNG or JPEG: (height, width), or (height, width, 3) in colour.

    Args:
        path: for messages.
        raw: the bytes.
        shape: that it must have, which also says whether it is in colour; None: any.
        colour: where there is no shape, whether it is wanted in colour.
        side: height and width that it is brought to; None: it is left as it is.

    Raises:
        ConfigError: it is damaged, or of another size or mode.
    """
    with _one_line(path):
        return _picture(path, raw, shape, colour, side)


def _picture(
    path: str | Path, raw: bytes, shape: Shape | None, colour: bool, side: int | None
) -> npt.NDArray[np.uint8]:  # fmt: skip
    formats, colour = ["PNG", "JPEG"], colour if shape is None else shape[0] == 3
    try:
        with Image.open(io.BytesIO(raw), formats=formats) as image:
            if shape is not None and (image.height, image.width) != shape[1:]:  # before the pixels are unpacked
                raise _wrong_size(path, f"an image of {image.height}x{image.width}", shape)
            image.verify()  # the checksums; unpacking alone forgives a torn end
    except UnidentifiedImageError as error:
        raise ConfigError(f"cannot read images from {path}: it begins as PNG or JPEG but is none") from error
    with Image.open(io.BytesIO(raw), formats=formats) as image:
        if image.mode not in MODES:
            raise ConfigError(
                f"{path} must hold 8 bits a channel at most, but holds Pillow's mode {image.mode}: convert it"
            )
        wanted = "RGB" if colour else "L"
        if image.mode in (wanted, "1") and "transparency" not in image.info:
            plain = image.convert(wanted)
        else:
            colours = image.convert("RGBA")
            ground = Image.new("RGBA", colours.size, (0, 0, 0, 255))
            plain = Image.alpha_composite(ground, colours).convert(wanted)
        return np.array(plain if side is None else plain.resize((side, side), Image.Resampling.BILINEAR))


def of_array(array: npt.ArrayLike, shape: Shape, name: str, scale: Scale | None = None) -> torch.Tensor:
    """Images in an array, as `read` gives those of a `.npy` file.

    Raises:
        ConfigError: as `read`; `name` says which.
    """
    with _one_line(name):
        return torch.from_numpy(_flat(name, _bytes(name, np.asarray(array), scale), shape))


def _bytes(path: str | Path, array: npt.NDArray[np.generic], scale: Scale | None) -> npt.NDArray[np.uint8]:
    if scale is not None:
        return _scaled(path, array, scale)
    if array.dtype == np.uint8:
        return array.astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ConfigError(
            f"{path} must hold uint8 in 0..255 or floating point in 0..1, but holds {array.dtype}: "
            "bring it to 0..255, then save array.astype('uint8')"
        )
    values = array.astype(np.float64)
    if values.size and not (values.min() >= 0 and values.max() <= 1):  # a NaN fails, too
        raise ConfigError(
            f"{path} must hold floating point in 0..1, but its {array.dtype} goes from {values.min():g} "
            f"to {values.max():g}: scale it, or save 0..255 as uint8"
        )
    return np.rint(values * 255).astype(np.uint8)


def _scaled(path: str | Path, array: npt.NDArray[np.generic], scale: Scale) -> npt.NDArray[np.uint8]:
    """Numbers as bytes, as those of the training set became bytes."""
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or not np.isfinite(array).all():
        raise ConfigError(
            f"{path} must hold finite numbers, as the training set did, but holds {array.dtype} with others"
        )
    each = np.size(scale.low)
    if each > 1 and array.shape[-1:] != (each,):
        raise ConfigError(
            f"{path} must hold rows of {each} numbers, but has the shape {'x'.join(map(str, array.shape))}"
        )
    return scale.bytes(array)


def _flat(path: str | Path, images: npt.NDArray[np.uint8], wanted: Shape) -> npt.NDArray[np.uint8]:
    """Images as rows (N, channels * height * width), if their shape is one of those accepted and there is one."""
    (channels, *places), found = wanted, images.shape
    one = (*places, channels) if channels > 1 else tuple(places)
    inputs = math.prod(wanted)
    if found != one and found[1:] not in (one, (inputs,)):
        raise _wrong_size(path, f"an array of {'x'.join(map(str, found)) or 'no dimension'}", wanted)
    if not images.size:
        raise ConfigError(f"{path} must hold one image at least, but holds 0")
    if channels > 1 and found[1:] != (inputs,):
        images = np.moveaxis(images.reshape(-1, *one), -1, 1)
    return np.ascontiguousarray(images).reshape(-1, inputs)


def _wrong_size(path: str | Path, held: str, shape: Shape) -> ConfigError:
    channels, height, width = shape
    kind = {1: "gray images", 3: "colour images"}.get(channels, f"images of {channels} channels")
    return ConfigError(
        f"{path} must hold {kind} of {height}x{width} pixels, as the network was trained on, but holds {held}: "
        f"resize it to {height}x{width}"
    )
