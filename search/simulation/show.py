"""An experiment in a terminal: how far it is, and its table."""

from types import TracebackType
from typing import Self

from rich import table
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from search.report.document import Document, Table


class Progress:
    """A bar in a terminal, a line a pair elsewhere."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self.bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task("simulating", total=total)
        self.said = ""

    def step(self, pair: str, done: int) -> None:
        self.bar.update(self.task, advance=1, description=pair)
        if not self.console.is_terminal and pair != self.said:
            self.console.print(f"simulating {pair}")
            self.said = pair

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()


def show(document: Document, console: Console) -> None:
    """The document's tables."""
    console.print(document.title)
    console.print(document.summary)
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Table):
                shown = table.Table()
                for number, name in enumerate(block.head):
                    shown.add_column(name, justify="right" if number else "left")
                for row in block.rows:
                    shown.add_row(*map(str, row))
                console.print(shown)
