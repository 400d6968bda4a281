"""What one node of a cluster says of itself; it runs there, with nothing but the standard library until it must.

A node on which even that fails is reported by Ray's error.
"""

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("ffsnn", "spaces", "search")  # whose source must be the same everywhere
LIBRARIES = ("ray", "torch", "spikingjelly", "optuna", "numba", "numpy")


@dataclass(frozen=True)
class Question:
    """Question to a node."""

    home: str  # the mlruns/ folder
    probe: str  # a file in it, with `secret` in it
    secret: str
    config: str  # RunConfig as YAML: its data set is to be there
    data: str = ""  # a copy of that data set, where it is one of the user's own


@dataclass
class NodeReport:
    """Answer of a node."""

    host: str
    versions: dict[str, str]
    code: str  # digest of the source that a trial would run
    home: str = ""  # what is wrong with it; nothing, if all is well
    data: str = ""
    checksum: str = ""  # of the training images
    free: dict[str, int] = field(default_factory=dict)  # bytes, by folder
    gpus: list[str] = field(default_factory=list)  # name and free memory
    time: float = 0.0


def report(question: Question) -> NodeReport:
    """Look at this node."""
    said = NodeReport(host=platform.node(), versions=_versions(), code=code_digest(), gpus=gpus())
    said.home = _home(question)
    said.data, said.checksum = _data(question)
    for folder in (question.home, tempfile.gettempdir()):
        if os.path.isdir(folder):
            said.free[folder] = shutil.disk_usage(folder).free
    said.time = time.time()
    return said


def code_digest() -> str:
    """Digest of the source of this project that this process would import."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or []) if spec else []:
            for file in sorted(Path(root).rglob("*")):
                if file.suffix in (".py", ".yaml") and "__pycache__" not in file.parts:
                    digest.update(f"{package}/{file.relative_to(root)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "missing"
    return found


def _home(question: Question) -> str:
    probe = Path(question.probe)
    try:
        if probe.read_text() != question.secret:
            return f"{question.home} is another folder here than on the driver's host"
        answer = probe.with_name(f"{probe.name}.{platform.node()}.{os.getpid()}")
        answer.write_text(question.secret)
        answer.unlink()
    except FileNotFoundError:
        return f"{question.home} is not the folder that the driver sees"
    except OSError as error:
        return f"{question.home} cannot be written ({error.strerror})"
    return ""


def _data(question: Question) -> tuple[str, str]:
    """Fetch the data set if it is not there; what is wrong with it, and its checksum.

    The rest of the configuration is not read: it may name parts of one's own, which are not here.
    """
    import yaml

    from ffsnn.config.data import DataConfig
    from ffsnn.datasets.data import load
    from ffsnn.datasets.own import bring
    from ffsnn.validation import ConfigError, parse

    base = yaml.safe_load(question.config)
    try:
        if question.data:
            bring(Path(question.data), base["data_dir"])
        data = parse(DataConfig, base["data"])
        return "", load(data, base["seed"], base["data_dir"], T=base["network"]["T"]).checksum
    except ConfigError as error:
        return str(error), ""


def gpus() -> list[str]:
    """Name, free and whole memory of each that this process may use; none where nvidia-smi is not to be had."""
    command = ["nvidia-smi", "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader"]
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        command.append(f"--id={visible}")
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
