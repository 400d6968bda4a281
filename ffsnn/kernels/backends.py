"""Which compiled path a device has: numba's on a CPU, Triton's on a GPU, or none."""

import warnings
from functools import cache

import torch

from ffsnn.hardware.memory import ran_out


@cache
def compiled(device: torch.device) -> bool:
    """True where a device has a compiled path; says once why not."""
    compiler, cost = "numba", "5 to 9 times slower"
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
        reason = " ".join(str(error).split())[:200]
        warnings.warn(f"{compiler} cannot compile ({reason}): training takes the plain path, {cost}", stacklevel=2)
        return False
    return True
