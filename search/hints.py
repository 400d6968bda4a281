"""Commands that a person is told to type: as they work here, by how the present one was typed.

`ffsnn best mine` where that is this `ffsnn`, else `.venv/bin/ffsnn best mine`; with `--home X` where it was given, and
with the parts of one's own and the MLflow address that were, where the command takes them.
"""

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from search.settings import without_password

PROGRAM = "ffsnn"
HOMELESS = ("import", "spaces", "presets", "fields", "data")  # commands that look at no home
PARTS = (  # those that take parts of one's own
    "search",
    "doctor",
    "status",
    "best",
    "report",
    "ui",
    "compare",
    "retrain",
    "train",
    "show",
    "predict",
    "export",
    "import",
    "rename",
    "delete",
    "sync",
    "simulate",
)
CARRIED: dict[str, Callable[[str], bool]] = {  # options, and whether a command is given them, too
    "--home": lambda name: name not in HOMELESS,
    "--use": lambda name: name in PARTS,
    "--trust": lambda name: name in PARTS and name != "import",
    "--tracking-uri": lambda name: name in ("train", "sync"),  # which take one, and keep none
}
FLAGS = ("--trust",)
_typed: list[str] = []  # the command that runs in this process, program and all; empty: Python code asked


def command(*arguments: object) -> str:
    """A command of this program, quoted for a shell."""
    words = list(map(str, arguments))
    return shlex.join([*_program(), *words, *_carried(_typed[1:], words)])


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


def _carried(typed: Sequence[str], words: Sequence[str]) -> list[str]:
    """Options of the present command that another one needs as well, unless its words say how it has its parts."""
    found: list[str] = []
    left = list(typed)
    while left and (word := left.pop(0)) != "--":
        option, is_one, _ = word.partition("=")
        if option not in CARRIED or not CARRIED[option](words[0]):
            continue
        if option in ("--use", "--trust") and ("--use" in words or "--trust" in words):
            continue
        found.append(without_password(word))
        if not is_one and option not in FLAGS:
            found += map(without_password, left[:1])
            del left[:1]
    return found
