"""Python's collector of garbage, where few cycles and a million objects that stay are: torch's, Ray's, MLflow's."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spared() -> Iterator[None]:
    """It looks less often through what imports make, a fifth of their time, and not once more as Python ends: 1-2 s."""
    gc.set_threshold(50_000)
    try:
        yield
    finally:
        gc.freeze()
