"""Searching a space: trials on Ray, the study in Optuna, the results in MLflow.

    import search

    done = search.run("digits_smoke", trials=8, name="first")
    print(done.table())
    print(done.best().yaml())

`search.load("first")` is the same search at any later time. Everything heavy is imported when it is needed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api import Search, load, run

__all__ = ["Search", "load", "run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from search import api

    return getattr(api, name)
