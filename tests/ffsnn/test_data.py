"""Splits and files of real data sets."""

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ffsnn.config.data import DataConfig
from ffsnn.datasets import fetch
from ffsnn.datasets.builtin import TEST_FILES, TRAIN_FILES, parse_idx
from ffsnn.datasets.data import Split, load, load_test
from ffsnn.datasets.dataset import Images, stratified
from ffsnn.datasets.fetch import DataError
from tests.ffsnn.conftest import Mirror, idx

DIGITS = DataConfig(dataset="digits")
FASHION = DataConfig(dataset="fashion_mnist")
MNIST = DataConfig(dataset="mnist")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mnist() -> Split:
    """From the user's own cache: one download a machine, not one a run."""
    try:
        return load(MNIST, seed=0)
    except DataError as error:
        if "cannot fetch" not in str(error):
            raise
        pytest.skip(str(error))


def rows(images: Images) -> list[tuple[bytes, int]]:
    return [(x.numpy().tobytes(), int(y)) for x, y in zip(images.x, images.y, strict=True)]


def same(a: Images, b: Images) -> bool:
    return torch.equal(a.x, b.x) and torch.equal(a.y, b.y)


# --- splits ---


@pytest.mark.parametrize("n", [0, 1, 9, 10, 137, 500, 999, 1000])
def test_stratified_keeps_every_share_within_one_image(n: int) -> None:
    generator = torch.Generator().manual_seed(3)
    y = torch.multinomial(torch.tensor([1.0, 2, 3, 4]), 1000, replacement=True, generator=generator)
    chosen, rest = stratified(y, n, generator)
    assert len(chosen) == n
    assert torch.equal(torch.cat([chosen, rest]).sort().values, torch.arange(1000))
    counts = torch.bincount(y[chosen], minlength=4)
    assert (counts - n * torch.bincount(y) / 1000).abs().max() < 1


def test_stratified_by_hand() -> None:
    y = torch.tensor([0, 0, 0, 1, 1, 2, 2])  # shares of 3 images: 9/7, 6/7, 6/7, so 1, 1, 1
    chosen, _ = stratified(y, 3, torch.Generator().manual_seed(0))
    assert y[chosen].tolist() == [0, 1, 2]


@pytest.mark.parametrize("validation", [0.1, 0.25, 0.333, 0.9])
def test_split_sizes_and_shares(validation: float) -> None:
    split = load(DataConfig(dataset="digits", validation=validation), seed=1)
    assert len(split.validation) == round(1437 * validation)
    assert len(split.train) == 1437 - len(split.validation)
    total = torch.bincount(split.train.y) + torch.bincount(split.validation.y)
    assert (torch.bincount(split.validation.y) - total * len(split.validation) / 1437).abs().max() < 1


def test_the_seed_alone_decides() -> None:
    first, again, other = load(DIGITS, seed=0), load(DIGITS, seed=0), load(DIGITS, seed=1)
    assert same(first.train, again.train)
    assert same(first.validation, again.validation)
    assert first.checksum == again.checksum
    assert other.checksum != first.checksum
    assert not same(first.validation, other.validation)


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = load(DIGITS, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert load(DIGITS, seed=0).checksum == first.checksum


def test_the_bits_of_digits_are_the_same_everywhere() -> None:
    split = load(DIGITS, seed=0)
    assert split.checksum == "a0dd89d1f14ca87fcb2b6f21cc3a787d0df7737c0a2254651e5511796896ccdb"
    by_hand = hashlib.sha256(split.train.x.numpy().tobytes() + split.train.y.numpy().tobytes()).hexdigest()
    assert split.checksum == by_hand


@pytest.mark.parametrize("train_images", [1, 10, 333, 1293])
def test_a_slice_is_stratified_and_leaves_validation_alone(train_images: int) -> None:
    whole = load(DIGITS, seed=2)
    split = load(DataConfig(dataset="digits", train_images=train_images), seed=2)
    assert same(split.validation, whole.validation)
    assert len(split.train) == train_images
    counts = torch.bincount(split.train.y, minlength=10)
    assert (counts - torch.bincount(whole.train.y) * train_images / len(whole.train)).abs().max() < 1
    assert set(rows(split.train)) <= set(rows(whole.train))


# --- digits ---


def test_digits_are_scikit_learns_each_in_one_place() -> None:
    from sklearn.datasets import load_digits

    split, test = load(DIGITS, seed=4), load_test(DIGITS)
    assert [len(split.train), len(split.validation), len(test)] == [1293, 144, 360]
    bunch = load_digits()
    expected = [(bytes(round(v * 255 / 16) for v in x), int(y)) for x, y in zip(bunch.data, bunch.target, strict=True)]
    assert sorted(rows(split.train) + rows(split.validation) + rows(test)) == sorted(expected)


def test_digits_shapes_and_ranges() -> None:
    for images in (load(DIGITS, seed=0).train, load_test(DIGITS)):
        assert images.x.shape == (len(images), 64)
        assert (images.x.dtype, images.y.dtype) == (torch.uint8, torch.int64)
        assert (int(images.x.min()), int(images.x.max())) == (0, 255)
        assert images.y.unique().tolist() == list(range(10))
        assert images.to("meta").x.device.type == "meta"


def test_digits_test_images_are_stratified() -> None:
    counts = torch.bincount(load_test(DIGITS).y)
    assert counts.min() >= 34
    assert counts.max() <= 37


# --- MNIST ---


def test_mnist_is_the_published_one(mnist: Split) -> None:
    assert (len(mnist.train), len(mnist.validation)) == (54_000, 6_000)
    assert mnist.train.x.shape == (54_000, 784)
    assert mnist.checksum == "3414c0e00e7c4945685659b56cd76804b85067e8258bd8858a8a598ca8c00b4d"
    folder = fetch.cache_folder(None) / "mnist"
    for name in TRAIN_FILES:
        assert hashlib.md5((folder / name).read_bytes()).hexdigest() == fetch.UNPACKED_MD5["mnist"][name]
    y = parse_idx((folder / TRAIN_FILES[1]).read_bytes(), TRAIN_FILES[1], ndim=1)
    assert y[:5].tolist() == [5, 0, 4, 1, 9]
    assert torch.equal(torch.bincount(y), torch.bincount(mnist.train.y) + torch.bincount(mnist.validation.y))


def test_mnist_test_files(mnist: Split) -> None:
    test = load_test(MNIST)
    assert test.x.shape == (10_000, 784)
    assert test.y[:5].tolist() == [7, 2, 1, 0, 4]


def test_load_neither_needs_nor_fetches_test_files(mirror: Mirror, tmp_path: Path) -> None:
    for name in TEST_FILES:
        del mirror.files[f"{name}.gz"]
    split = load(FASHION, seed=0, data_dir=tmp_path)
    assert (len(split.train), len(split.validation)) == (180, 20)
    assert sorted(mirror.asked) == sorted(f"{name}.gz" for name in TRAIN_FILES)
    assert not list(tmp_path.rglob("t10k*"))
    with pytest.raises(DataError, match="404"):
        load_test(FASHION, data_dir=tmp_path)


def test_load_test_opens_test_files_only(mirror: Mirror, tmp_path: Path) -> None:
    assert len(load_test(FASHION, data_dir=tmp_path)) == 40
    assert sorted(mirror.asked) == sorted(f"{name}.gz" for name in TEST_FILES)
    assert not list(tmp_path.rglob("train*"))


# --- IDX ---


def test_idx_round_trip() -> None:
    values = torch.arange(24).reshape(2, 3, 4)
    assert torch.equal(parse_idx(idx(values), "x", ndim=3), values.to(torch.uint8))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\0\x08",
        idx(torch.zeros(2, 3)),
        idx(torch.zeros(2, 3, 4))[:-1],
        idx(torch.zeros(2, 3, 4)) + b"\0",
        b"\0\0\x0d" + idx(torch.zeros(2, 3, 4))[3:],
        b"<html>there is no such file</html>",
    ],
)
def test_idx_refuses_anything_else(raw: bytes) -> None:
    with pytest.raises(DataError, match=r"^x must be IDX bytes of 3 dimensions"):
        parse_idx(raw, "x", ndim=3)


def test_images_without_their_labels_are_refused(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from torchvision.datasets import FashionMNIST

    name = f"{TRAIN_FILES[1]}.gz"
    mirror.files[name] = gzip.compress(idx(torch.zeros(199)))
    md5s = {**dict(FashionMNIST.resources), name: hashlib.md5(mirror.files[name]).hexdigest()}
    monkeypatch.setattr(FashionMNIST, "resources", list(md5s.items()))
    with pytest.raises(DataError, match="must hold 28x28 images, one a label"):
        load(FASHION, seed=0, data_dir=tmp_path)


def test_importing_the_module_imports_no_torchvision() -> None:
    code = "import sys, ffsnn.datasets.data; sys.exit(bool({'torchvision', 'sklearn', 'ray'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_digits_are_scikit_learns_without_its_import() -> None:
    """Whose import takes longer than a short search's training."""
    from sklearn.datasets import load_digits

    from ffsnn.datasets.builtin import _digits

    pixels, labels = _digits()
    bunch = load_digits()
    assert (pixels == bunch.data).all()
    assert (labels == bunch.target).all()
    code = (
        "import sys; from ffsnn.datasets.builtin import Digits; Digits().train(None); "
        "sys.exit(bool({'sklearn', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
