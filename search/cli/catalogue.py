"""Commands that say what there is: `ffsnn fields | spaces | presets`."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Annotated

import typer
from rich.table import Table

from search.cli import completion
from search.cli.options import console
from search.display.sentences import remark
from search.hints import command

Json = Annotated[bool, typer.Option("--json", help="as JSON")]


def fields(
    pattern: Annotated[
        str | None, typer.Argument(help="part of a name or of a meaning, or a pattern: 'network.*'")
    ] = None,
    as_json: Json = False,
) -> None:
    """List a configuration's fields: values, default, meaning."""
    from ffsnn.fields import facts, path_of
    from ffsnn.fields import fields as all_fields
    from spaces.space import FIXED

    found = [facts(path) for path in all_fields()]
    if pattern is not None:
        part = pattern.lower()
        found = [it for it in found if fnmatchcase(it.path, pattern) or part in f"{it.path} {it.meaning}".lower()]
        if not found:
            path_of(pattern)  # says which is near
    if as_json:
        print(json.dumps([asdict(it) | {"searchable": it.path not in FIXED} for it in found], indent=2))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("field", no_wrap=True)
    table.add_column("values [default]")
    table.add_column("meaning")
    for it in found:
        default = "null" if it.default is None else json.dumps(it.default).strip('"')
        own = "; no space searches it" if it.path in FIXED else ""
        table.add_row(it.path, f"{it.values} [{default}]", it.meaning + own)
    console.print(table)


def spaces(
    name: Annotated[str | None, typer.Argument(help="whose file to print", autocompletion=completion.spaces)] = None,
) -> None:
    """List the spaces that come with ffsnn, or print one.

    `ffsnn spaces mnist > my_space.yaml` begins a space of your own.
    """
    from spaces import space

    if name is not None:
        print(space.file_of(name).read_text(), end="")
        return
    _list((it, space.description(it)) for it in space.names())
    remark(f"next: {command('search', 'NAME')}; a copy to change: {command('spaces', 'NAME')} > my_space.yaml")


def presets(
    name: Annotated[str | None, typer.Argument(help="whose file to print", autocompletion=completion.presets)] = None,
) -> None:
    """List the configurations that come with ffsnn, or print one.

    `ffsnn train mnist` trains one.
    """
    from spaces import presets as shipped

    if name is not None:
        print(shipped.file_of(name).read_text(), end="")
        return
    _list((it, shipped.description(it)) for it in shipped.names())
    remark(f"next: {command('train', 'NAME')}; a copy to change: {command('presets', 'NAME')} > my_config.yaml")


def _list(described: Iterable[tuple[str, str]]) -> None:
    """Names in a column, and what each is beside it."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, description in described:
        table.add_row(f"{name}:", description)
    console.print(table)
