"""`ffsnn doctor --report`: versions, machine and settings for the report of a defect; no secret, no name of a host."""

import os
import platform
import re
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil

from ffsnn.validation import ConfigError
from search import names
from search.cluster.node_report import code_digest, gpus
from search.settings import ENVIRONMENT, setting

SHOWN = re.compile(r"(FFSNN|RAY|MLFLOW|OMP|NUMBA|TORCH|CUDA)_\w+|NO_COLOR|TERM|(HTTPS?|NO)_PROXY|(https?|no)_proxy")
SECRET = re.compile(
    r"(?i)pass|token|key|secret|user|cred|proxy|auth"
)  # in a variable's name: it is only said to be set
PLAIN = re.compile(r"[\w.,:+-]{0,40}")  # a value that cannot be an address or a path


def issue_report() -> str:
    """Markdown, to be pasted."""
    memory, free = psutil.virtual_memory(), shutil.disk_usage(Path.cwd()).free
    rows = {
        "ffsnn": f"{version('ffsnn')}, source {code_digest()}",
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}, {' '.join(platform.libc_ver())}",
        "CPU": f"{_cpu()}, {psutil.cpu_count(logical=False)} cores, {len(os.sched_getaffinity(0))} CPUs to be used",
        "memory": f"{memory.total / 1e9:.1f} GB, {memory.available / 1e9:.1f} GB free",
        "GPUs": "; ".join(gpus()) or "none",
        "disk": f"{free / 1e9:.1f} GB free",
        "libraries": ", ".join(_libraries()),
        "settings": ", ".join(_settings()) or "none: everything is here",
        "environment": ", ".join(_environment()) or "nothing of Ray, MLflow, numba or torch",
    }
    return "\n".join(f"- {name}: {value}" for name, value in rows.items())


def _cpu() -> str:
    """The model's name."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or "unknown"


def _libraries() -> list[str]:
    """Libraries that ffsnn needs, with the versions that are installed."""
    found = []
    for needed in requires("ffsnn") or []:
        if "extra ==" in needed:
            continue
        name = re.split(r"[^\w.-]", needed)[0]
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} missing")
    return found


def _settings() -> list[str]:
    """Places that are set: of an address its kind, of a folder that it is set."""
    found = []
    for name, variable in ENVIRONMENT.items():
        try:
            value = setting(name)
        except ConfigError:
            return ["ffsnn.toml cannot be read"]
        if value:
            scheme = re.match(r"[\w+]+(?=://)", value)
            by = "environment" if os.environ.get(variable) else "ffsnn.toml"
            found.append(f"{name} is set by {by}" + (f" ({scheme[0]})" if scheme else ""))
    return found


def _environment() -> list[str]:
    places, own = ENVIRONMENT.values(), names.ENVIRONMENT  # the latter is set by ourselves
    named = sorted(
        name for name, value in os.environ.items()
        if SHOWN.fullmatch(name) and name not in places and own.get(name) != value
    )  # fmt: skip
    return [f"{name}={_harmless(name, os.environ[name])}" for name in named]


def _harmless(name: str, value: str) -> str:
    return "(set)" if SECRET.search(name) or not PLAIN.fullmatch(value) else value
