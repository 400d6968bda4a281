"""Tables no wider than what shows them: columns without room stand in further tables, each beside the first column."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Column:
    """A column: its head, and a cell a row."""

    head: str
    cells: Sequence[str]
    is_text: bool = False  # which stands at the left; numbers at the right

    @property
    def width(self) -> int:
        """Characters: each cell has a space on both sides and a line before it."""
        return 3 + max(map(len, [self.head, *self.cells]))


def columns(head: Sequence[str], rows: Iterable[Sequence[str]], texts: Collection[str] = ()) -> list[Column]:
    """Columns of rows, of which there is one at least; `texts` are the heads of those that stand at the left."""
    return [Column(name, cells, name in texts) for name, cells in zip(head, zip(*rows, strict=True), strict=True)]


def fitted(columns: Sequence[Column], console: Console, title: str | None = None) -> list[Table]:
    """Tables for a console; a column that is wider than that alone has a table of its own.

    Args:
        columns: the first one, by which rows are known, is that of each table.
        console: which shows them.
        title: above the first.
    """
    key, *columns = columns
    parts = _split(key, columns, console.width)
    for width in range(console.width, 0, -1):  # as narrow as as many tables allow, so that the last is no stub
        if len(narrower := _split(key, columns, width)) > len(parts):
            break
        parts = narrower
    return [_drawn([key, *part], None if number else title) for number, part in enumerate(parts)]


def _split(key: Column, columns: Sequence[Column], width: int) -> list[list[Column]]:
    parts: list[list[Column]] = [[]]
    for column in columns:
        if parts[-1] and 1 + sum(it.width for it in [key, *parts[-1], column]) > width:
            parts.append([])
        parts[-1].append(column)
    return parts


def _drawn(columns: Sequence[Column], title: str | None) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column.head, justify="left" if column.is_text else "right", overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table
