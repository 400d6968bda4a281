"""What this machine can do at best: matrix products and copies, to hold measured speeds against."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

SIZE, COPY = 2048, 256 * 2**20  # of a square product; bytes of a copy, beyond any cache
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
    rates = []
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.rand(SIZE, SIZE, device=device, dtype=dtype)
        rates.append(2 * SIZE**3 / seconds(lambda a=a: a @ a, device) / 1e9)  # type: ignore[misc]
    source = torch.zeros(COPY, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Ceilings(*rates, 2 * COPY / seconds(lambda: target.copy_(source), device) / 1e9)
