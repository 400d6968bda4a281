"""Help: of every command, whole."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.exceptions import TyperException
from typer.testing import CliRunner

from ffsnn.validation import ConfigError
from search.cli import app
from search.cli.train_options import parse_train_options

ROOT = Path(__file__).parents[2]
LINE = 64  # characters beside the longest name, in 80 columns


def commands(group: Any, *before: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands, those of groups too, by what is typed."""
    for name, command in group.commands.items():
        yield (*before, name), command
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)


COMMANDS = dict(commands(typer.main.get_command(app)))


def shown(*arguments: str) -> str:
    """What a command prints, without blanks and frames."""
    result = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "1000", "TERM": "dumb", "NO_COLOR": "1"})
    assert result.exit_code == 0, result.output
    return bare(result.output)


def bare(text: str) -> str:
    return re.sub(r"[\s│╭╮╰╯─]", "", text)


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_all_of_a_commands_help_is_shown(name, flag):
    """Text in square brackets is markup to what draws it, and would be left out."""
    command, page = COMMANDS[name], shown(*name, flag)
    assert bare(command.help) in page
    for parameter in command.params:
        assert bare(getattr(parameter, "help", None) or "") in page, parameter.name
        if parameter.default is not None and not callable(parameter.default) and parameter.show_default:
            assert str(parameter.default) in page or parameter.is_flag, parameter.name


def test_the_list_of_commands_is_whole():
    page = shown("-h")
    assert all(name[0] in page for name, command in COMMANDS.items() if not command.hidden)


def test_a_command_is_a_line_in_the_list():
    lines = {name: (command.help or "").partition("\n\n")[0] for name, command in COMMANDS.items() if len(name) == 1}
    assert {name: line for name, line in lines.items() if len(line) > LINE} == {}


def in_documentation() -> Iterator[tuple[str, list[str]]]:
    """The commands in the documentation's blocks of code, as a shell splits them."""
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for line in re.findall(r"^(?:    |\$ )(ffsnn .+)$", file.read_text(), re.MULTILINE):
            for part in re.split("; | > ", line):
                words = [
                    word.strip("[]") for word in shlex.split(part, comments=True)
                ]  # `[--against b]` may be left out
                if words[:1] == ["ffsnn"]:
                    yield f"{file.name}: {line}", words[1:]


def test_the_commands_of_the_documentation_are_understood():
    found = list(in_documentation())
    assert len(found) > 80
    for where, words in found:
        names = next((tuple(words[:n]) for n in (2, 1) if tuple(words[:n]) in COMMANDS), None)
        assert names, f"{where}: there is no such command"
        try:
            context = COMMANDS[names].make_context(names[-1], words[len(names) :])
            if names == ("train",):
                parse_train_options(context.args)
        except (TyperException, ConfigError) as error:
            pytest.fail(f"{where}: {error}")
