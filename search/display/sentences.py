"""Sentences for a person: broken between words, where a terminal would break them anywhere.

A line with a command to copy stays whole, and so does everything that goes to a file or a pipe.
"""

import shutil
import sys
import textwrap
from typing import Any

from rich.console import Console

from search import hints


def remark(line: str) -> None:
    """Say something that is not part of what a program reads: on standard error."""
    columns = shutil.get_terminal_size().columns
    print(wrapped(line, columns) if sys.stderr.isatty() else line, file=sys.stderr, flush=True)


class SentenceConsole(Console):
    """A console that prints lines of text by `wrapped`; tables and other things as rich does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, soft_wrap=True, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        if self.is_terminal:
            objects = tuple(wrapped(it, self.width) if isinstance(it, str) else it for it in objects)
        super().print(*objects, **options)


def wrapped(text: str, columns: int) -> str:
    """The text in lines of `columns` characters at most, each indented as the one that it was part of.

    Words that are longer (paths, say) and lines with a command of this program stay whole.
    """
    program = hints.command() + " "
    return "\n".join(line if program in line + " " else _filled(line, columns) for line in text.split("\n"))


def _filled(line: str, columns: int) -> str:
    if len(line) <= columns:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
