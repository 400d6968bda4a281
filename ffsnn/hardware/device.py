"""Which device a run takes, and what is said where it is not to be had."""

import warnings
from functools import cache

import torch

from ffsnn.validation import ConfigError


def resolve_device(name: str) -> torch.device:
    """A configuration's device on this machine; `auto` is a GPU where there is one.

    Raises:
        ConfigError: a GPU is asked for and not there, or not for this torch.
    """
    if name == "cpu":
        return torch.device("cpu")
    found, trouble = gpus()
    if name == "auto":
        if "driver" in trouble:
            warnings.warn(f"training on the CPU: {trouble}; update the driver to train on the GPU", stacklevel=2)
        return torch.device("cuda" if found else "cpu")
    device = torch.device(name)
    if (device.index or 0) < found:
        return device
    because, mend = f" ({trouble})" if trouble else "", "update the driver, or " if "driver" in trouble else ""
    raise ConfigError(
        f"device={name!r} needs a GPU that is there, but {found} were found{because}: {mend}take --device cpu or auto"
    )


@cache
def gpus() -> tuple[int, str]:
    """Number of GPUs that this torch can use, and what stands in the way of any: its own build, or the driver.

    Asked once a process, for torch tells of a driver but once. It makes no context, so it takes no memory of a GPU.
    """
    if not torch.backends.cuda.is_built():
        return 0, f"torch {torch.__version__} was built without CUDA"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found or not said:
        return found, ""
    first, _, _ = str(said[0].message).removeprefix("CUDA initialization: ").partition(". ")
    return 0, f"torch {torch.__version__} needs CUDA {torch.version.cuda} of the driver, but: {first}"
