"""What a batch takes, and the error when that is not there."""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
import torch

from ffsnn.config import RunConfig
from ffsnn.datasets import data
from ffsnn.hardware.memory import (
    OutOfMemory,
    bytes_of_weights,
    bytes_per_image,
    explain_out_of_memory,
    ran_out,
    uploading,
)

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
        explain_out_of_memory(CONFIG, torch.device("cpu"), fused=True),
    ):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shape"), explain_out_of_memory(CONFIG, torch.device("cpu"), fused=True):
        raise RuntimeError("shape")


GPU = torch.device("cuda")


def full_gpu(monkeypatch: pytest.MonkeyPatch, free: float, held: float = 0.0) -> None:
    """A card of 79 GiB of which so much is free, and so much torch's own."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 79 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: held)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_gpu_that_is_too_small_is_named_with_what_it_has_and_what_is_needed(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG.replaced({"network.widths": [5000, 5000], "network.T": 100, "learning.batch_size": 1200})
    each, weights = bytes_per_image(config, True, "cuda"), bytes_of_weights(config)
    full_gpu(monkeypatch, free=2**30, held=(300 * each + weights) / 0.9 - 2**30)
    needed = (weights + 1200 * each) / 0.9 / 2**30
    with (
        pytest.raises(
            OutOfMemory,
            match=rf"^a batch of 1,200 images did not fit into the memory of NVIDIA H100 \(1.0 GiB free of 79.0 GiB\), "
            rf"of which it needs about {needed:.1f} GiB, .* and T=100: about (299|300) would fit; lower "
            r"learning.batch_size, or end what else is on the GPU$",
        ),
        explain_out_of_memory(config, GPU, fused=True),
    ):
        raise error


def test_a_gpu_without_room_for_the_images_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    full_gpu(monkeypatch, free=0.0)
    with (
        pytest.raises(
            OutOfMemory,
            match=r"^the images did not fit into the memory of NVIDIA H100 \(0.0 GiB free of 79.0 GiB\): end what else",
        ),
        uploading(GPU),
    ):
        raise RuntimeError("CUDA error: out of memory")
    with pytest.raises(RuntimeError, match="shape"), uploading(GPU):
        raise RuntimeError("shape")


def test_a_gpu_that_is_too_full_to_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: torch.device) -> None:
        raise RuntimeError("CUDA error: out of memory")

    full_gpu(monkeypatch, free=0.0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", fail)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=16 * 2**30))
    with pytest.raises(OutOfMemory, match=r"NVIDIA H100 \(0.0 GiB free of 16.0 GiB\)"), uploading(GPU):
        fail(GPU)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_dropout_keeps_what_was_handed_on_and_what_is_shown_of_it(device: str) -> None:
    """Of both samples: spikes (bytes on a CPU, numbers on a GPU) of 10 steps and 100 neurons."""
    plain = CONFIG.replaced({"network.widths": [100, 2000]})
    thinned = plain.replaced({"learning.dropout": 0.1})
    more = bytes_per_image(thinned, True, device) - bytes_per_image(plain, True, device)
    assert more == 2 * 10 * 100 * (4 if device == "cuda" else 1)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_label_at_every_layer_keeps_what_was_handed_on_too(device: str) -> None:
    """Beside a layer that has as many inputs without one."""
    plain = CONFIG.replaced({"network.widths": [110, 2000]})
    labelled = plain.replaced({"network.widths": [100, 2000], "network.label_layers": "every"})
    more = bytes_per_image(labelled, True, device) - bytes_per_image(plain, True, device)
    assert more == 2 * 10 * 110 * (4 if device == "cuda" else 1)


@pytest.mark.parametrize("encoder", ["direct", "poisson"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_step_on_a_gpu_takes_what_the_formula_says(encoder: str, precision: str) -> None:
    from ffsnn.training.trainer import Trainer

    changes = {"network.encoder": encoder, "learning.precision": precision, "learning.batch_size": 1200}
    config = CONFIG.replaced(changes | {"network.widths": [1000, 1000]})
    trainer = Trainer(config, data.load(config.data, 0, device="cuda"))
    trainer.captured, index = None, torch.arange(1200, device="cuda")
    trainer.train_batch(index, 0)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    trainer.train_batch(index, 1)
    taken = torch.cuda.max_memory_allocated() - before
    needed = bytes_of_weights(config) + 1200 * bytes_per_image(config, True, "cuda")
    assert 0.4 * needed < taken < needed


def test_a_batch_that_really_does_not_fit() -> None:
    code = """
import resource, torch
from ffsnn.datasets import data
from ffsnn.config import RunConfig
from ffsnn.hardware.memory import OutOfMemory
from ffsnn.training.trainer import Trainer
network, learning = {"widths": [3000, 100], "T": 300}, {"batch_size": 1200}
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


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (OutOfMemory("a batch"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("shape"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_by_whichever_library(error, is_it):
    assert ran_out(error) is is_it
