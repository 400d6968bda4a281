"""Packs what a GPU machine without a network lacks: Python packages and MNIST, into one archive of under 64 MiB.

Such a machine has Python 3.12 on x86-64 with PyTorch, NumPy and what else HAVE names, but no Ray, Optuna, MLflow or
SpikingJelly. The versions are those of constraints.txt; what no search ever runs is left out.

    python -m benchmarks.gpu_pack [--python 3.12] [--out .gpu]       writes .gpu/packed.txz and .gpu/unpack.sh

There, in the project's folder:

    . .gpu/unpack.sh && python3 -m benchmarks.gpu
"""

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from ffsnn.datasets.builtin import TEST_FILES, TRAIN_FILES
from ffsnn.datasets.fetch import cached
from ffsnn.datasets.folder import cache_folder

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
HAVE = """
absl-py aiohappyeyeballs aiohttp aiosignal annotated-doc anyio attrs certifi charset-normalizer click cloudpickle
contourpy cuda-bindings cuda-pathfinder cuda-toolkit cycler execnet filelock fonttools frozenlist fsspec grpcio h11 h5py
idna iniconfig jinja2 joblib kiwisolver llvmlite markdown markdown-it-py markupsafe matplotlib mdurl mpmath
multidict narwhals networkx numba numpy packaging pandas pillow pluggy propcache protobuf psutil pyarrow pygments
pyparsing pytest pytest-timeout pytest-xdist python-dateutil pyyaml requests rich safetensors scikit-learn scipy
setuptools shellingham six sympy tensorboard tensorboard-data-server threadpoolctl torch torchaudio torchvision tqdm
triton typer typing-extensions urllib3 werkzeug yarl zipp
"""
# Tools of developers; plots of reports; databases and servers that a benchmark has none of.
NEEDLESS = """
ast-serialize docker gunicorn huey librt mypy mypy-extensions pathspec plotly psycopg psycopg-binary ruff
scienceplots skops types-psutil types-pyyaml uvicorn
"""
TRIM = ["ray/rllib", "ray/jars", "ray/dashboard/client", "ray/serve", "ray/cpp", "ray/llm", "mlflow/server/js"]
GLIBC = (39, 35, 34, 31, 28, 27, 24, 17, 12, 5)
LIMIT = 64 * 2**20  # bytes
UNPACK = """# Into a fresh folder, which PYTHONPATH and FFSNN_DATA then name; to be sourced in the project's folder.
# What is imported is compiled but once, here: not by every process anew, where its own folder cannot be written.
gpu_packed=$(mktemp -d) && tar xJf .gpu/packed.txz -C "$gpu_packed" &&
    export PYTHONPATH="$gpu_packed/site:$PWD${PYTHONPATH:+:$PYTHONPATH}" FFSNN_DATA="$gpu_packed/data" &&
    export PYTHONPYCACHEPREFIX="$gpu_packed/compiled" PYTHONDONTWRITEBYTECODE= &&
    { python3 -m compileall -q -j 0 "$gpu_packed/site" >/dev/null 2>&1 || true; }
"""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lacking(constraints: str) -> list[str]:
    """The pinned packages, `name==version`, that such a machine lacks and a benchmark needs."""
    pins = [line.strip() for line in constraints.splitlines() if "==" in line and not line.startswith("#")]
    left_out = {*HAVE.split(), *NEEDLESS.split()}
    return [
        pin for pin in pins
        if (name := canonical(pin.split("==")[0])) not in left_out and not name.startswith("nvidia-")
    ]  # fmt: skip


def download(pins: list[str], python: str, folder: Path) -> None:
    """Wheels for another machine's Python."""
    tag = f"cp{python.replace('.', '')}"
    platforms = [f"manylinux_2_{number}_x86_64" for number in GLIBC] + ["manylinux2014_x86_64", "manylinux1_x86_64"]
    target = [f"--platform={platform}" for platform in platforms]
    target += [f"--python-version={python}", "--implementation=cp", f"--abi={tag}", "--abi=abi3", "--abi=none"]
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--only-binary=:all:", *target, f"--dest={folder}", *pins], check=True)


def unpacked(wheels: Path, site: Path) -> None:
    """All wheels in one folder, trimmed."""
    for wheel in sorted(wheels.glob("*.whl")):
        zipfile.ZipFile(wheel).extractall(site)
    for purelib in site.glob("*.data/*lib"):
        shutil.copytree(purelib, site, dirs_exist_ok=True)
    for folder in TRIM:
        shutil.rmtree(site / folder, ignore_errors=True)
    for program in (*site.glob("ray/core/src/ray/raylet/*"), *site.glob("ray/core/src/ray/gcs/*")):
        program.chmod(0o755)  # a wheel is a zip file, which forgets it


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_pack")
    parser.add_argument("--python", default="3.12", help="of the GPU machine")
    parser.add_argument("--out", type=Path, default=Path(".gpu"))
    asked = parser.parse_args()
    pins, files = lacking(CONSTRAINTS.read_text()), (*TRAIN_FILES, *TEST_FILES)
    cached("mnist", files, None)  # fetched, if it is not there yet
    print("packing MNIST and", *pins, flush=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    packed = asked.out / "packed.txz"
    with tempfile.TemporaryDirectory() as scratch:
        wheels, site = Path(scratch, "wheels"), Path(scratch, "site")
        download(pins, asked.python, wheels)
        unpacked(wheels, site)
        with tarfile.open(packed, "w:xz", preset=6) as archive:
            archive.add(site, "site")
            for name in files:
                for file in (name, f"{name}.sha256"):
                    archive.add(cache_folder(None) / "mnist" / file, f"data/mnist/{file}")
    (asked.out / "unpack.sh").write_text(UNPACK)
    size = packed.stat().st_size
    print(f"{packed}: {size / 2**20:.1f} MiB")
    if size > LIMIT:
        sys.exit(f"{packed} must stay under {LIMIT / 2**20:.0f} MiB: leave more out (NEEDLESS, TRIM)")


if __name__ == "__main__":
    main()
