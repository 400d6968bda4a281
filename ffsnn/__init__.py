"""Forward-forward training of spiking neural networks: data, network, trainer.

    import ffsnn
    network = ffsnn.load("mlruns/runs/mnist-1a2b3c4d-seed0")    # a run's folder or one of its weight files
    model = ffsnn.fit({"learning": {"epochs": 30}}, x, y)       # arrays, by scikit-learn's conventions

    @ffsnn.goodness.register("max")                             # a part of one's own, by a name of its own
    def largest(rate_BF): return rate_BF.amax(1)

    ffsnn.use("my_parts.py")                                    # parts in a file, which a search can take along

`ffsnn.__version__` is the version that is installed. `import ffsnn` itself imports nothing heavy: torch comes with the
first use of a name.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from ffsnn import layer as layers
    from ffsnn.estimator import FFSNNClassifier, fit
    from ffsnn.parts import encoders, features, goodness, losses, negatives, predictions, surrogates
    from ffsnn.parts.own import trust, use
    from ffsnn.training.run_folder import load

__all__ = [
    "FFSNNClassifier", "encoders", "features", "fit", "goodness", "layers", "load", "losses", "negatives",
    "predictions", "surrogates", "trust", "use",
]  # fmt: skip
ELSEWHERE = {
    "FFSNNClassifier": "ffsnn.estimator", "fit": "ffsnn.estimator", "load": "ffsnn.training.run_folder",
    "trust": "ffsnn.parts.own", "use": "ffsnn.parts.own",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("ffsnn")
    if name == "layers":
        return import_module("ffsnn.layer")
    if name in ELSEWHERE:
        return getattr(import_module(ELSEWHERE[name]), name)
    if name == "search":
        raise AttributeError("searches are a module of their own: import search, or import ffsnn_search as search")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"ffsnn.parts.{name}")
