"""Words that a shell completes (`ffsnn --install-completion`): searches, runs, spaces, presets, fields, parts.

Asked at every press of a key, they read names of files alone, write nothing, and know nothing where anything is amiss.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from search.names import RUNS, SEARCH_FILE, SEARCHES

Complete = Callable[[typer.Context, str], list[str]]


def _from(known: Callable[[typer.Context], Iterable[str]]) -> Complete:
    """Those of some words that begin as typed."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return [word for word in known(ctx) if word.startswith(incomplete)]
        except (ValueError, OSError):  # a configuration that is broken: the command itself says so
            return []

    return complete


def _home(context: typer.Context) -> Path:
    from search.settings import home_of

    return home_of(context.params.get("home"))


def _searches(context: typer.Context) -> list[str]:
    return sorted(file.parent.name for file in (_home(context) / SEARCHES).glob(f"*/{SEARCH_FILE}"))


def _runs(context: typer.Context) -> list[str]:
    return sorted(folder.name for folder in (_home(context) / RUNS).glob("*"))


def _spaces(context: typer.Context) -> list[str]:
    from spaces import space

    return space.names()


def _presets(context: typer.Context) -> list[str]:
    from spaces import presets

    return presets.names()


def _fields(context: typer.Context) -> list[str]:
    from ffsnn.fields import aliases

    return [f"{name}=" for name in aliases()]


def words(known: Iterable[str]) -> Complete:
    """Completes by names that are known beforehand."""
    listed = list(known)
    return _from(lambda _: listed)


searches, spaces, presets, fields = _from(_searches), _from(_spaces), _from(_presets), _from(_fields)
networks = _from(lambda context: [*_searches(context), *_runs(context)])


def several_searches(ctx: typer.Context, incomplete: str) -> list[str]:
    """The last of names with commas between them."""
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in searches(ctx, last)]


@dataclass(frozen=True)
class Item:
    """A word, as Typer's shells take it."""

    value: str
    type: str = "plain"
    help: str | None = None


class TrainCommand(TyperCommand):
    """`ffsnn train`, whose options are the fields of a configuration, and whose argument is a preset or a file."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[FILE|PRESET|RUN]", *super().collect_usage_pieces(ctx), "[--FIELD VALUE]..."]

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Presets, and options that are fields."""
        from ffsnn.fields import aliases
        from spaces import presets

        known = [f"--{name.replace('_', '-')}" for name in aliases()] if incomplete.startswith("-") else presets.names()
        return [*super().shell_complete(ctx, incomplete), *(Item(it) for it in known if it.startswith(incomplete))]
