"""What a batch takes, and the error when that is not there."""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.memory import OutOfMemory, bytes_of_weights, bytes_per_image, watched

CONFIG = RunConfig.parse({"data": {"dataset": "digits"}, "network": {"T": 10, "widths": [100, 100]}})


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory"), torch.OutOfMemoryError()]
)
def test_a_failed_allocation_says_what_would_fit(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    free = (100 * bytes_per_image(CONFIG, fused=True) + bytes_of_weights(CONFIG)) / 0.9
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    with (
        pytest.raises(
            OutOfMemory, match=r"512 images .* widths=\[100, 100\] and T=10: about (99|100) would fit; lower"
        ),
        watched(CONFIG, torch.device("cpu"), fused=True),
    ):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shape"), watched(CONFIG, torch.device("cpu"), fused=True):
        raise RuntimeError("shape")


def test_a_batch_that_really_does_not_fit() -> None:
    code = """
import resource, torch
from ffsnn import data
from ffsnn.config import RunConfig
from ffsnn.memory import OutOfMemory
from ffsnn.trainer import Trainer
network, learning = {"widths": [3000, 3000], "T": 300}, {"batch_size": 1200}
changes = {"data": {"dataset": "digits"}, "network": network, "learning": learning}
config = RunConfig.parse(changes)
trainer = Trainer(config, data.load(config.data, 0))
resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30, 2 * 2**30))
try:
    trainer.train_epoch()
except OutOfMemory as error:
    print(error)
    fits = int(str(error).split("about ")[1].split()[0])
    trainer.train_batch(torch.arange(fits), 0)
    print("that many fit")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "a batch of 1,200 images did not fit into memory" in done.stdout, done.stderr
    assert "that many fit" in done.stdout, done.stdout + done.stderr
