"""Images that a user brings: what is accepted comes out as the same pixels, the rest is refused by name."""

import gzip
import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ffsnn.datasets.images import read
from ffsnn.validation import ConfigError

SIDE = 4
SHAPE = (1, SIDE, SIDE)
PIXELS = np.arange(3 * SIDE * SIDE, dtype=np.uint8).reshape(3, SIDE, SIDE) * 5


def idx(images: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in images.shape)
    return bytes((0, 0, 8, images.ndim)) + sizes + images.tobytes()


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)  # to write what must be refused
    return content.getvalue()


def png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, format="PNG")
    return content.getvalue()


def gray(pixels: np.ndarray = PIXELS[0]) -> Image.Image:
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    "raw",
    [
        idx(PIXELS),
        gzip.compress(idx(PIXELS)),
        npy(PIXELS),
        npy(PIXELS.reshape(3, SIDE**2)),
        npy(np.asfortranarray(PIXELS)),
        npy(PIXELS / 255),
        npy((PIXELS / 255).astype(np.float32)),
    ],
    ids=["idx", "idx.gz", "npy", "npy_flat", "npy_fortran", "npy_float64", "npy_float32"],
)
def test_the_same_pixels_by_every_way(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "images"  # no name says what it is
    path.write_bytes(raw)
    x = read(path, SHAPE)
    assert x.dtype == torch.uint8
    assert x.shape == (3, SIDE**2)
    assert x.numpy().tolist() == PIXELS.reshape(3, -1).tolist()


def test_one_image(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(npy(PIXELS[1]))
    (tmp_path / "a.png").write_bytes(png(gray(PIXELS[1])))
    for name in ("a.npy", "a.png"):
        assert read(tmp_path / name, SHAPE).tolist() == [PIXELS[1].flatten().tolist()]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (SIDE, SIDE), (255, 0, 0)), 76),  # 0.299 * 255
        (Image.new("RGB", (SIDE, SIDE), (0, 255, 0)), 149),  # 0.587 * 255, as Pillow rounds
        (Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0)), 0),
        (Image.new("LA", (SIDE, SIDE), (255, 51)), 51),
        (Image.new("1", (SIDE, SIDE), 1), 255),
        (Image.new("RGB", (SIDE, SIDE), (9, 9, 9)).quantize(2), 9),
    ],
    ids=["red", "green", "transparent", "fifth", "bit", "palette"],
)
def test_a_png_becomes_gray(image: Image.Image, expected: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(image))
    values = read(path, SHAPE).unique().tolist()
    assert len(values) == 1
    assert abs(values[0] - expected) <= 1


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (png(gray(PIXELS[0, :3])), "must hold gray images of 4x4 pixels, .* but holds an image of 3x4: resize"),
        (npy(np.zeros((2, 5, 5), np.uint8)), "must hold gray images of 4x4 pixels, .* but holds an array of 2x5x5"),
        (npy(np.zeros((4, 4, 3), np.uint8)), "must hold gray images of 4x4 pixels, .* but holds an array of 4x4x3"),
        (npy(np.zeros((), np.uint8)), "but holds an array of no dimension"),
        (idx(np.zeros((2, 5, 4), np.uint8)), "must hold gray images of 4x4 pixels, .* but holds an array of 2x5x4"),
        (npy(np.full((4, 4), 1.5)), r"must hold floating point in 0\.\.1, but its float64 goes from 1\.5 to 1\.5"),
        (npy(np.full((4, 4), -0.1, np.float32)), r"in 0\.\.1, but its float32 goes from -0\.1 to -0\.1"),
        (npy(np.full((4, 4), np.nan)), r"in 0\.\.1, but its float64 goes from nan to nan"),
        (npy(np.zeros((4, 4), np.int64)), r"must hold uint8 in 0\.\.255 or floating .*, but holds int64: bring it"),
        (npy(np.zeros((4, 4), bool)), "but holds bool: bring it"),
        (npy(np.array([[{}] * 4] * 4, dtype=object)), "cannot read images from .*: Object arrays cannot be loaded"),
        (npy(np.zeros((0, 4, 4), np.uint8)), "must hold one image at least, but holds 0"),
        (idx(PIXELS)[:-1], r"must be IDX bytes of 3 dimensions, .* says \[3, 4, 4\] and holds 63 bytes"),
        (idx(PIXELS[0]), "must be IDX bytes of 3 dimensions, but begins with 00000802"),
        (gzip.compress(idx(PIXELS))[:-9], "cannot read images from .*: Compressed file ended"),
        (png(gray())[:50], "cannot read images from "),
        (png(Image.fromarray(np.zeros((4, 4), np.uint16))), "must hold 8 bits a channel at most, but holds .* I;16"),
        (b"GIF89a and so on", r"must be IDX, PNG, JPEG or \.npy, but begins with 47494638"),
        (b"", r"must be IDX, PNG, JPEG or \.npy, but is empty"),
    ],
    ids=[
        "png_size", "npy_size", "three_channels", "scalar", "idx_size", "above_1", "below_0", "nan", "int64", "bool",
        "pickle", "no_image", "idx_torn", "idx_labels", "gzip_torn", "png_torn", "16_bits", "gif", "empty",
    ],
)  # fmt: skip
def test_what_is_no_image_of_that_size_is_refused(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=message) as refusal:
        read(path, SHAPE)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "raw", [idx(PIXELS), gzip.compress(idx(PIXELS)), npy(PIXELS), png(gray())], ids=["idx", "idx.gz", "npy", "png"]
)
def test_a_file_torn_anywhere_is_refused(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    checksum = 4 if raw.startswith(b"\x89PNG") else 0  # of PNG's empty last chunk: no pixel depends on it
    for length in range(len(raw) - checksum):
        path.write_bytes(raw[:length])
        with pytest.raises(ConfigError, match=f"^(cannot read images from )?{path}"):
            read(path, SHAPE)


@pytest.mark.parametrize(
    "raw",
    [gzip.compress(idx(PIXELS)), npy(PIXELS), npy(PIXELS / 255), png(gray())],
    ids=["idx.gz", "npy", "float", "png"],
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(raw: bytes, tmp_path: Path) -> None:
    draw, path = random.Random(0), tmp_path / "mine"
    refusals = []
    for _ in range(300):
        harmed = bytearray(raw)
        harmed[draw.randrange(min(len(raw), 130))] = draw.randrange(256)
        path.write_bytes(harmed)
        try:
            assert read(path, SHAPE).shape[1] == SIDE**2
        except ConfigError as refusal:
            refusals.append(str(refusal))
    assert len(refusals) > 100
    assert [line for line in refusals if str(path) not in line or "\n" in line] == []


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read images from .*nothing\.png: No such file"):
        read(tmp_path / "nothing.png", SHAPE)
    with pytest.raises(ConfigError, match=r"cannot read images from .*: Is a directory"):
        read(tmp_path, SHAPE)
