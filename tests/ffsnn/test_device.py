"""Which device a run takes, and the one line where it is not to be had."""

import warnings
from collections.abc import Iterator

import pytest
import torch

from ffsnn.hardware.device import gpus, resolve_device
from ffsnn.validation import ConfigError

OLD_DRIVER = (
    "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU "
    "driver by downloading and installing a new version."
)


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    gpus.cache_clear()
    yield
    gpus.cache_clear()


def found(monkeypatch: pytest.MonkeyPatch, count: int, says: str = "", built: bool = True) -> None:
    """A machine with `count` GPUs whose driver says something."""

    def is_available() -> bool:
        if says:
            warnings.warn(says, stacklevel=2)
        return count > 0

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch, "__version__", "2.11.0")
    monkeypatch.setattr(torch.version, "cuda", "13.0")


def test_this_machine() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_gpu_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 2)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(
        ConfigError, match=r"^device='cuda:2' needs a GPU that is there, but 2 were found: take --device cpu or auto$"
    ):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_no_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 0)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match=rf"^device='{name}' needs a GPU that is there, but 0 were found: take"):
        resolve_device(name)


def test_a_torch_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 0, built=False)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"0 were found \(torch 2.11.0 was built without CUDA\): take --device cpu"):
        resolve_device("cuda")


def test_an_old_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch tells of it once; whoever asks later is told as well."""
    found(monkeypatch, 0, OLD_DRIVER)
    for _ in range(2):
        with pytest.raises(
            ConfigError,
            match=r"^device='cuda' .* 0 were found \(torch 2.11.0 needs CUDA 13.0 of the driver, but: The NVIDIA "
            r"driver on your system is too old \(found version 11040\)\): update the driver, or take --device cpu",
        ):
            resolve_device("cuda")
    with pytest.warns(UserWarning, match=r"^training on the CPU: .*found version 11040\); update the driver"):
        assert resolve_device("auto") == torch.device("cpu")
