"""Threads of the compiled loops; torch's own loops, all short here, are better off with one.

A loop is worth sharing from about a millisecond on. Torch shares from a tenth of that, and where other processes run
its threads cost more than they bring: with two threads a step of 256 images took as long as with one.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch

_threads: int | None = None


def use_threads(count: int) -> None:
    """Give the compiled loops of this process `count` threads, and torch one."""
    global _threads
    _threads = count
    torch.set_num_threads(1)


def threads() -> int:
    """Number of threads: as many as were asked for, else as many as torch has."""
    return _threads or torch.get_num_threads()


def in_parallel(count: int, work: Callable[[int, int], None]) -> None:
    """Share 0..count among the threads: `work(lo, hi)`.

    This thread takes a share itself: one that only waited would be found asleep beside its worker on the same core.
    """
    shares = max(1, min(threads(), count))
    (lo, hi), *others = pairwise(count * i // shares for i in range(shares + 1))
    waiting = [_pool(shares).submit(work, *share) for share in others]
    work(lo, hi)
    for done in waiting:
        done.result()


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="ffsnn")
