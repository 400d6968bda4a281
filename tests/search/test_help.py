"""Help: of every command, whole."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from search.cli import app


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
