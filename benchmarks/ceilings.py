"""What this machine can do at best: matrix products and copies, to hold measured speeds against."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

# Of a square product; bytes of a copy, beyond any cache. A GPU is done with a CPU's before it has really begun.
SIZE = {"cpu": 2048, "cuda": 8192}
COPY = {"cpu": 256 * 2**20, "cuda": 2**30}
REPEATS = 5


@dataclass(frozen=True)
class Ceilings:
    float32_gflops: float
    bfloat16_gflops: float
    copy_gb_s: float  # read and written


def seconds(work: Callable[[], object], device: torch.device, repeats: int = REPEATS) -> float:
    """Median of some runs, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def probe(device: torch.device) -> Ceilings:
    """With torch's present number of threads."""
    rates, size, copy = [], SIZE[device.type], COPY[device.type]
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.rand(size, size, device=device, dtype=dtype)
        rates.append(2 * size**3 / seconds(lambda a=a: a @ a, device) / 1e9)  # type: ignore[misc]
    source = torch.zeros(copy, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Ceilings(*rates, 2 * copy / seconds(lambda: target.copy_(source), device) / 1e9)
