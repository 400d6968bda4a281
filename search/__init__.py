"""Searching a space: trials on Ray, the study in Optuna, the results in MLflow.

    import search

    done = search.run("digits_smoke", trials=8, name="first")
    print(done.table())
    print(done.best().yaml())

`search.load("first")` is the same search at any later time. Everything heavy is imported when it is needed. Where a
file search.py or spaces.py of one's own is in the way: `import ffsnn_search as search`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api import Search, load, run
    from search.execution import schedulers
    from search.study import samplers

__all__ = ["Search", "load", "run", "samplers", "schedulers"]
ELSEWHERE = {"samplers": "search.study.samplers", "schedulers": "search.execution.schedulers"}  # registries of parts


def __getattr__(name: str) -> Any:
    if name in ELSEWHERE:
        return import_module(ELSEWHERE[name])
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from search import api
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("spaces"):
            raise
        import spaces

        raise ImportError(
            f"the module 'spaces' of this process is {spaces.__file__}, not ffsnn's: write `import ffsnn_search as "
            f"search` at the top of your script, or rename that file"
        ) from None

    return getattr(api, name)
