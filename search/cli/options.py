"""What several commands share: the console, options by the fields of a search's configuration, checks of numbers."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic_core import PydanticUndefined

from ffsnn.validation import ConfigError
from search.cli import completion
from search.cli.suggestions import OF_A_SEARCH
from search.config import SearchConfig
from search.display.sentences import SentenceConsole

if TYPE_CHECKING:
    from search.report.document import Document

console = SentenceConsole(markup=False, width=None if sys.stdout.isatty() else 140)

WHAT, SPENT, WHERE, FAULTS = "What is searched", "What it may spend", "Where it runs and writes", "Faults"


def field(name: str, panel: str | None = None, metavar: str | None = None) -> Any:
    """The option of a field of `SearchConfig`: its help and its default are the field's."""
    info = SearchConfig.model_fields[name]
    registries = [tuple(part) for part in info.metadata if hasattr(part, "homes")]
    names = f": {', '.join(registries[0])}" if registries else ""
    if info.annotation is bool:
        return typer.Option(f"--{name}", help=info.description, rich_help_panel=panel)
    default = "" if info.default in (None, PydanticUndefined, ()) else f" (default: {info.default})"
    complete = completion.words(registries[0]) if registries else None
    return typer.Option(
        help=f"{info.description}{names}{default}", rich_help_panel=panel, metavar=metavar,
        autocompletion=completion.several_searches if name == "warm_start" else complete,
    )  # fmt: skip


Home = Annotated[
    Path | None,
    typer.Option(
        help="folder that holds mlruns/ (default: FFSNN_HOME, else ffsnn.toml, else the nearest here or above)",
        rich_help_panel=WHERE,
    ),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        help="of an MLflow server or store (default: MLFLOW_TRACKING_URI, else ffsnn.toml, else mlruns/mlflow.db)",
        rich_help_panel=WHERE,
    ),
]
SetFields = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", rich_help_panel=WHAT, autocompletion=completion.fields,
        help="set a field of the configuration (a search then searches it no longer); may be given several times",
    ),
]  # fmt: skip
Name = Annotated[str, typer.Argument(help=OF_A_SEARCH, autocompletion=completion.searches)]
TrainedNetwork = Annotated[
    str,
    typer.Argument(
        help="a search (its champion, else its best trial), a run or its folder, a .safetensors file, or "
        "models:/NAME@champion",
        autocompletion=completion.networks,
    ),
]
DataDir = Annotated[str | None, field("data_dir", WHERE)]


Use = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="a Python file with parts of your own; may be repeated")
]
Trust = Annotated[
    bool, typer.Option("--trust", help="run the copy of such a file that the search or the run has kept in its folder")
]


def all_or_some(front: bool, top: int | None) -> None:
    """Make sure that not both the whole front and a number of trials are asked for.

    Raises:
        ConfigError: both are.
    """
    if front and top is not None:
        raise ConfigError(f"--front takes all of its points, but got --top {top}: leave one of them out")


def check_page(write: Path | None) -> None:
    """Make sure that a page is to be written to a file of a kind that there is.

    Raises:
        ConfigError: it is another.
    """
    if write is not None and write.suffix not in (".html", ".md"):
        raise ConfigError(f"--write takes a file that ends in .html or .md, but got {write}")


def write_page(told: "Document", file: Path) -> None:
    """Write a document as a page, or as Markdown.

    Raises:
        ConfigError: the file cannot be written.
    """
    from ffsnn import atomic
    from search.report.document import markdown
    from search.report.page import page

    try:
        atomic.write(file, markdown(told) if file.suffix == ".md" else page(told))
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}; choose another with --write") from error


def at_least_one(**options: int | None) -> None:
    """Make sure that numbers are positive.

    Raises:
        ConfigError: one is not.
    """
    for name, value in options.items():
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} must be at least 1, but got {value}")
