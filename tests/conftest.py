"""What every test stands on: one thread, no telemetry, a home of its own.

The environment is set before anything imports torch or ray, and processes that a test starts inherit it.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

os.environ |= {
    # Tests run beside each other and on two cores: more threads than cores cost a factor of 16 and more.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # as an activated environment has it
}
LONGEST = ("benchmarks", "cluster", "examples", "faults", "search", "simulation")  # folders with tests of minutes


def pytest_configure() -> None:
    """Without a GPU kernels run on the CPU; Triton asks when it is imported. Signals are not ignored, as a shell has it
    for a job in the background: processes that a test strikes would inherit that."""
    import torch

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` deals files out to processes: the long ones first, so that none is left to itself in the end."""
    items.sort(key=lambda item: item.path.relative_to(Path(__file__).parent).parts[0] not in LONGEST)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes stand in a test's name by their number: their content may hold a clock's time, as gzip's does."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, as `FFSNN_HOME`: the folder that holds `mlruns/`, where everything local is kept."""
    home = tmp_path / "home"
    (home / "mlruns").mkdir(parents=True)
    monkeypatch.setenv("FFSNN_HOME", str(home))
    return home
