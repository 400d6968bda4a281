"""The module `search` under a name that no file of yours has: `import ffsnn_search as search`.

Python looks for modules in a script's own folder first, so a `search.py` or `spaces.py` beside a script hides ours.
Here the folder of this file comes first while ours are imported; from then on they are the ones of this process.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search import Search, load, run

__all__ = ["Search", "load", "run"]


def _import_ours() -> None:
    """Import the packages that lie beside this file.

    Raises:
        ImportError: another module of that name was imported before.
    """
    here = str(Path(__file__).parent)
    sys.path.insert(0, here)
    try:
        for name in ("ffsnn", "spaces", "search"):
            found = getattr(import_module(name), "__file__", None)
            if not found or Path(found).resolve() != (Path(here) / name / "__init__.py").resolve():
                raise ImportError(
                    f"the module {name!r} of this process is {found}, not ffsnn's: import ffsnn_search before it, or "
                    f"rename that file"
                )
    finally:
        sys.path.remove(here)


_import_ours()


def __getattr__(name: str) -> Any:
    return getattr(import_module("search"), name)
