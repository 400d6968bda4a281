"""What a terminal of 80 columns shows: whole words, and commands that can be copied."""

import io
import os
import pty
import sys

import pytest

from search import hints
from search.display.sentences import SentenceConsole, remark, wrapped

LONG = "the batch of 512 images does not fit into the memory that is left: take a smaller one, or another device"


def test_sentences_break_between_words_and_keep_their_indent():
    lines = wrapped(f"one\n  {LONG}", 40).split("\n")
    assert lines[0] == "one"
    assert all(line.startswith("  ") and len(line) <= 40 for line in lines[1:])
    assert " ".join(line.strip() for line in lines[1:]) == LONG


def test_paths_and_commands_stay_whole():
    path = "/" + "a" * 60
    assert path in wrapped(f"written: {path} {LONG}", 40).split("\n")
    told = f"next: {hints.command('train', path, '--test')} and so on, as far as it goes"
    assert wrapped(told, 40) == told


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_has_lines_broken(terminal: bool):
    file = io.StringIO()
    SentenceConsole(file=file, force_terminal=terminal, width=40, color_system=None).print(LONG)
    assert file.getvalue().count("\n") == (3 if terminal else 1)
    assert file.getvalue().split() == LONG.split()


def test_a_remark_goes_to_standard_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("COLUMNS", "40")
    remark(LONG)
    assert capsys.readouterr() == ("", LONG + "\n")
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as screen, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        remark(LONG)
        shown = os.read(reader, 1000).decode()
    os.close(reader)
    assert shown.splitlines() == wrapped(LONG, 40).splitlines()
