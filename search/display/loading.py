"""A line in a terminal while libraries are imported: seconds, and more from a cold disk or on a busy machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

LINE, CLEARED = "loading libraries: some seconds, the first time more ...\r", "\x1b[2K"


def is_live(console: Console) -> bool:
    """True where a line may be drawn over: in a terminal, but for TERM=dumb and NO_COLOR."""
    return console.is_terminal and not (console.is_dumb_terminal or console.no_color or console.quiet)


@contextmanager
def loading(console: Console) -> Iterator[None]:
    """The line stands there until this is over."""
    if not is_live(console):
        yield
        return
    console.file.write(LINE)
    console.file.flush()
    try:
        yield
    finally:
        console.file.write(CLEARED)
        console.file.flush()
