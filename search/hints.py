"""Commands that a person is told to type: as they work here, by how the present one was typed.

`ffsnn best mine` where that is this `ffsnn`, else `.venv/bin/ffsnn best mine`; with `--home X` where it was given.
"""

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROGRAM = "ffsnn"
_typed: list[str] = []  # the command that runs in this process, program and all; empty: Python code asked


def command(*arguments: object) -> str:
    """A command of this program, quoted for a shell."""
    return shlex.join([*_program(), *map(str, arguments), *_home(_typed[1:])])


@contextmanager
def typed(words: Sequence[str]) -> Iterator[None]:
    """For as long as a command runs: what its user typed."""
    before = list(_typed)
    _typed[:] = words
    try:
        yield
    finally:
        _typed[:] = before


def _program() -> list[str]:
    """The words that start this program from the present folder."""
    if _typed and Path(_typed[0]).name == "__main__.py":
        return [sys.orig_argv[0], "-m", "search.cli"]
    here = _typed[0] if _typed and Path(_typed[0]).is_file() else str(Path(sys.executable).with_name(PROGRAM))
    on_path = shutil.which(PROGRAM)
    if not Path(here).is_file() or (on_path is not None and Path(on_path).samefile(here)):
        return [PROGRAM]
    return [here]


def _home(arguments: Sequence[str]) -> list[str]:
    """`--home X` as it was given."""
    for option, value in zip(arguments, [*arguments[1:], ""], strict=False):
        if option == "--":
            break
        if option == "--home":
            return [option, value]
        if option.startswith("--home="):
            return [option]
    return []
