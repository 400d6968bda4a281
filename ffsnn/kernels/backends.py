"""Which compiled path a device has: numba's on a CPU, Triton's on a GPU, or none."""

import os
import sys
import warnings
from functools import cache
from pathlib import Path

import torch

from ffsnn.config import RunConfig
from ffsnn.hardware.memory import ran_out
from ffsnn.parts.registry import GOODNESS, LOSSES, SURROGATES
from ffsnn.validation import brief

PLAIN_COSTS = "5 to 9 times slower"  # 784-500-500, T=4 and T=20, one CPU thread


@cache
def compiled(device: torch.device) -> bool:
    """True where a device has a compiled path; says once why not."""
    compiler, cost = "numba", PLAIN_COSTS
    if device.type == "cuda":
        compiler, cost = "triton", "slower, and keeps currents and potentials of all time steps in the GPU's memory"
    try:
        if device.type == "cuda":
            from ffsnn.kernels import lif_triton

            lif_triton.compile_once(device)
        else:
            from ffsnn.kernels import lif_cpu

            lif_cpu.compile_once()
    except Exception as error:  # whatever a broken compiler may raise: training goes on without it
        if ran_out(error):  # which is not the compiler's fault
            raise
        warnings.warn(
            f"{compiler} cannot compile ({brief(error)}): training takes the plain path, {cost}", stacklevel=2
        )
        return False
    return True


def compiles_first() -> bool:
    """True if the kernels of a CPU are yet to be compiled on this machine, as far as the files beside them tell."""
    source = Path(__file__).with_name("lif_kernels.py")
    tag = f"py{sys.version_info.major}{sys.version_info.minor}"
    kept = source.parent / "__pycache__"
    if "NUMBA_CACHE_DIR" in os.environ or not os.access(kept if kept.is_dir() else source.parent, os.W_OK):
        return False  # numba keeps them elsewhere
    since = source.stat().st_mtime
    return not any(it.stat().st_mtime >= since for it in kept.glob(f"{source.stem}.forward-*.{tag}.nbi"))


def remarks(config: RunConfig) -> list[str]:
    """Sentences on what parts without a compiled path cost this configuration; none, if all have one.

    Of a part of one's own the cost is not known beforehand, but measured (`ffsnn.training.own_cost`).
    """
    network, learning = config.network, config.learning
    if not SURROGATES[network.surrogate].compiled:
        return [f"surrogate={network.surrogate} has no compiled path: training takes the plain one"]
    slow = [f"goodness={network.goodness}"] if GOODNESS[network.goodness].statistic == "counts" else []
    slow += [] if LOSSES[learning.loss].compiled else [f"loss={learning.loss}"]
    if not slow:
        return []
    return [f"{' and '.join(slow)} is differentiated by autograd from all neurons' counts"]
