"""Files that are there whole or not at all."""

import os
import threading
from pathlib import Path


def free(path: Path) -> Path:
    """A path at which nothing stands: this one, else the first with a number behind its stem (`page-2.html`)."""
    found, number = path, 1
    while found.exists():
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found


def write(path: Path, content: bytes | str) -> None:
    """Write to a temporary name in the same folder, flush to disk, move into place."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")  # by open(): the umask holds
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
