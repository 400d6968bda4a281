"""The benchmark of GPUs, as far as a CPU can tell: its floors by hand, its packing list, each part with tiny sizes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import floors, gpu
from benchmarks.gpu import Record
from benchmarks.gpu_pack import CONSTRAINTS, lacking
from benchmarks.gpu_parts import PARTS
from benchmarks.gpu_tables import SHOWN
from benchmarks.settings import Setting

DIRECT = Setting((3, 5), 2, "direct", 7, 4)
POISSON = Setting((3, 5), 2, "poisson", 7, 4)


def test_operations_by_hand():
    """Layer 1 once for direct input, each step otherwise; layer 2 for both copies and each step; forward and back."""
    assert floors.training_flops(DIRECT) == 4 * (7 * 784 * 3 + 14 * 2 * 3 * 5)
    assert floors.training_flops(POISSON) == 4 * (2 * 7 * 784 * 3 + 14 * 2 * 3 * 5)
    assert floors.prediction_flops(DIRECT) == 2 * (4 * 784 * 3 + 40 * 2 * 3 * 5)


def test_bytes_by_hand():
    moved = floors.training_bytes(DIRECT, 2)
    assert moved["images: read"] == 7 * 784
    assert moved["spikes of layer 1: written, read by two products"] == 3 * 2 * 14 * 3
    assert moved["currents of layer 2: written, read forward and backward"] == 3 * 2 * 2 * 14 * 5
    assert moved["weights, gradients, two moments: read, written"] == 32 * (784 * 3 + 3 * 5)
    poisson = floors.training_bytes(POISSON, 2)
    assert poisson["input of layer 1: written, read by two products"] == 3 * 2 * 7 * 784  # a byte a step
    assert floors.prediction_bytes(DIRECT, 2)["spikes of layer 1: written, read"] == 2 * 2 * 40 * 3


def test_the_nearer_floor_is_the_slower_one():
    assert floors.nearer({"a": 1e9, "b": 1e9}, 1e12, gb_s=1000, gflops=1e6) == {
        "bytes_ms": 2.0, "operations_ms": 1.0, "nearer_ms": 2.0,
    }  # fmt: skip


def test_what_is_packed():
    pins = lacking(CONSTRAINTS.read_text())
    names = {pin.split("==")[0] for pin in pins}
    assert {"ray", "optuna", "mlflow", "mlflow-skinny", "spikingjelly", "pydantic"} <= names
    assert names & {"torch", "torchvision", "triton", "numpy", "numba", "mypy", "ruff"} == set()
    assert [pin for pin in pins if pin.startswith("nvidia-") or "==" not in pin] == []


def test_parts_are_kept_beside_earlier_ones(tmp_path: Path):
    file = tmp_path / "results" / "gpu.json"
    Record(file).keep("machine", {"card": "A"})
    Record(file).keep("epoch", {"images": 1})
    assert json.loads(file.read_text()) == {"machine": {"card": "A"}, "epoch": {"images": 1}}


QUICK = ["benchmarks.gpu", "--device", "cpu", "--quick"]


def test_a_part_that_fails_is_written_and_costs_the_others_nothing(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [*QUICK, "--out", str(tmp_path), "--parts", "speed", "epoch"])
    with pytest.raises(SystemExit) as left:
        gpu.main()
    assert left.value.code == 1
    assert "an epoch of 1,317 images" in capsys.readouterr().out
    (file,) = tmp_path.iterdir()
    found = json.loads(file.read_text())
    assert "name that first" in found["speed"]["error"]
    assert len(found["epoch"]["training_ms"]) == 1


@pytest.mark.slow
def test_every_part_with_tiny_sizes(tmp_path: Path):
    command = [sys.executable, "-m", *QUICK, "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=CONSTRAINTS.parent, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.iterdir()
    found = json.loads(file.read_text())
    assert list(found) == list(PARTS) == list(SHOWN)
    assert found["speed"]["q"]["ffsnn float32"]["training_floor"]["nearer_ms"] > 0
    assert [len(found[part]) for part in ("target", "agreement", "search")] == [2, 6, 2]
    assert found["search"]["2"]["trials"] == 2
    assert "orchestration" in done.stdout
