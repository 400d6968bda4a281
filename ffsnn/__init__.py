"""Forward-forward training of spiking neural networks: data, network, trainer.

    import ffsnn
    network = ffsnn.load("mlruns/runs/mnist-1a2b3c4d-seed0")    # a run's folder or one of its weight files

`import ffsnn` itself imports nothing heavy: torch comes with the first use of `load`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ffsnn.training.run_folder import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from ffsnn.training.run_folder import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
