"""Commands that say what there is: `ffsnn fields | spaces | presets`."""

import json
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Annotated

import typer
from rich.table import Table

from search.cli.options import console

Json = Annotated[bool, typer.Option("--json", help="as JSON")]


def fields(
    pattern: Annotated[
        str | None, typer.Argument(help="part of a name or of a meaning, or a pattern: 'network.*'")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the fields of a configuration: values, default, meaning, and whether a space can search them."""
    from ffsnn.fields import facts, path_of
    from ffsnn.fields import fields as all_fields
    from spaces.space import OWN

    found = [facts(path) for path in all_fields()]
    if pattern is not None:
        part = pattern.lower()
        found = [it for it in found if fnmatchcase(it.path, pattern) or part in f"{it.path} {it.meaning}".lower()]
        if not found:
            path_of(pattern)  # says which is near
    if as_json:
        print(json.dumps([asdict(it) | {"searchable": it.path not in OWN} for it in found], indent=2))
        return
    table = Table(show_lines=False)
    for head in ("field", "values", "default", "searchable", "meaning"):
        table.add_column(head, overflow="fold")
    for it in found:
        default = "null" if it.default is None else json.dumps(it.default).strip('"')
        table.add_row(it.path, it.values, default, "no" if it.path in OWN else "yes", it.meaning)
    console.print(table)


def spaces() -> None:
    """List the spaces that come with ffsnn: `ffsnn search NAME`."""
    from spaces import space

    for name in space.names():
        console.print(f"{name}: {space.description(name)}")


def presets() -> None:
    """List the configurations that come with ffsnn: `ffsnn train NAME`."""
    from spaces import presets as shipped

    for name in shipped.names():
        console.print(f"{name}: {shipped.description(name)}")
