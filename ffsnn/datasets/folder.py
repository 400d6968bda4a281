"""The data folder: where data sets are kept on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

Folder = str | Path | None  # None: FFSNN_DATA, else the user's cache
_named: ContextVar[Folder] = ContextVar("data_dir", default=None)


def cache_folder(data_dir: Folder = None) -> Path:
    """The data folder: the one that is given, else that of the configuration being read, else FFSNN_DATA, else the
    user's cache."""
    if data_dir := data_dir or _named.get() or os.environ.get("FFSNN_DATA"):
        return Path(data_dir).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ffsnn"


@contextmanager
def reading_from(data_dir: Folder) -> Iterator[None]:
    """Have data sets of one's own looked for in `data_dir` within the block; None: no change."""
    token = _named.set(data_dir or _named.get())
    try:
        yield
    finally:
        _named.reset(token)
