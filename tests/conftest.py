"""What every test stands on: one thread, no telemetry, a home of its own.

The environment is set before anything imports torch or ray, and processes that a test starts inherit it.
"""

import os
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
}
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"  # kernels run on the CPU, one element after the other


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, as `FFSNN_HOME`: the folder that holds `mlruns/`, where everything local is kept."""
    home = tmp_path / "home"
    (home / "mlruns").mkdir(parents=True)
    monkeypatch.setenv("FFSNN_HOME", str(home))
    return home
