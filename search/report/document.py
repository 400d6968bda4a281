"""What a report says, before it has a form: sections of text, commands, tables and figures; as Markdown.

`search.report.page` makes a page of the same document. Nothing here is escaped yet: each form does it in its own way.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?( ?%)?|[\d:]+|-|")


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    is_note: bool = False  # how a figure or table counts


@dataclass(frozen=True)
class Code:
    """A command or a file's content, to be copied; with a heading it is folded away."""

    text: str
    heading: str = ""


@dataclass(frozen=True)
class Table:
    """Cells are text, or commands."""

    head: tuple[str, ...]
    rows: tuple[tuple[str | Code, ...], ...]

    def column(self, number: int) -> list[str | Code]:
        return [row[number] for row in self.rows]

    def is_numeric(self, column: int) -> bool:
        cells = self.column(column)
        return any(cells) and all(isinstance(cell, str) and NUMBER.fullmatch(cell) for cell in cells)


@dataclass(frozen=True)
class Figures:
    """Figures side by side, as many as there is room for."""

    figures: tuple[Any, ...]  # plotly's
    needs: int = 0  # pixels; a narrower page lets it be shifted sideways


Block = Text | Code | Table | Figures


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Document:
    title: str
    summary: str
    key_figures: dict[str, str]  # what is read first
    sections: list[Section] = field(default_factory=list)


def markdown(document: Document) -> str:
    """The document without its figures."""
    parts = [f"# {_inline(document.title)}", _inline(document.summary)]
    parts.append("\n".join(f"- {_inline(name)}: {_inline(value)}" for name, value in document.key_figures.items()))
    return "\n\n".join([*parts, *map(section_markdown, document.sections)]) + "\n"


def section_markdown(section: Section) -> str:
    blocks = [text for block in section.blocks if (text := markdown_block(block))]
    return "\n\n".join([f"## {_inline(section.title)}", *blocks])


def markdown_block(block: Block) -> str:
    """A block as Markdown; of figures nothing."""
    if isinstance(block, Text):
        return _inline(block.text)
    if isinstance(block, Code):
        fence = max("```", _ticks(block.text), key=len)
        heading = f"{_inline(block.heading)}:\n\n" if block.heading else ""
        return f"{heading}{fence}\n{block.text.rstrip()}\n{fence}"
    if isinstance(block, Table):
        rule = ["---:" if block.is_numeric(column) else "---" for column in range(len(block.head))]
        return "\n".join([_row(block.head), f"| {' | '.join(rule)} |", *(_row(row) for row in block.rows)])
    return ""


def _row(cells: Sequence[str | Code]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(cell: str | Code) -> str:
    if isinstance(cell, Code):
        return f"{_ticks(cell.text)}{_one_line(cell.text)}{_ticks(cell.text)}".replace("|", "\\|")
    return _inline(cell)


def _ticks(text: str) -> str:
    """Backticks that the text does not hold."""
    return "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))


def _inline(text: str) -> str:
    """Text that means only itself: neither markup nor the end of a cell or line."""
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", html.escape(_one_line(text), quote=False))


def _one_line(text: str) -> str:
    return " ".join(text.split())
