"""The command line, `ffsnn`. Commands import heavy libraries themselves, so that `--help` answers at once."""

import errno
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

import ffsnn
from ffsnn.datasets.folder import reading_from
from ffsnn.validation import ConfigError
from search import environment, hints
from search.cli import catalogue, data, handover, networks, results, searches, simulate, suggestions, upkeep
from search.cli.completion import TrainCommand
from search.display.sentences import remark
from search.settings import hide_passwords, origins, redacted, setting
from search.signals import interrupting, unread_output_ends

app = typer.Typer(
    help="Hyperparameter search for spiking neural networks trained with the forward-forward algorithm.",
    pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


def _say_version(asked: bool) -> None:
    if asked:
        print(f"ffsnn {ffsnn.__version__}")
        raise typer.Exit


@app.callback()
def with_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="print the version, and end")
    ] = False,
) -> None:
    """Options before a command."""


COMMANDS: dict[str, tuple[Callable[..., Any], ...]] = {  # in the order of the help, by its headings
    "Search": (searches.search, upkeep.list_, upkeep.status, upkeep.stop, searches.doctor),
    "Results": (results.best, results.report, results.ui, networks.compare, results.retrain),
    "Networks": (networks.train, networks.show, networks.predict, handover.export, handover.import_),
    "What there is": (catalogue.spaces, catalogue.presets, catalogue.fields),
    "Upkeep": (upkeep.rename, upkeep.delete, upkeep.prune_disk, results.sync),
    "The method": (simulate.simulate, networks.reproduce),
}
OF_TRAIN: dict[str, Any] = {  # which has an option for every field
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True}, "cls": TrainCommand,
}  # fmt: skip
for panel, commands in COMMANDS.items():
    for command in commands:
        options = OF_TRAIN if command is networks.train else {}
        app.command(command.__name__.rstrip("_").replace("_", "-"), rich_help_panel=panel, **options)(command)
app.add_typer(data.app, name="data", rich_help_panel="What there is")
app.command("seed-table", hidden=True)(networks.reproduce)  # as it was called


def main() -> None:
    """Run a command; a broken rule is one line and exit code 2."""
    # Torch's threads would otherwise spin while they wait, and beside another busy process cost a factor of 4 and more.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with hints.typed(sys.argv):
        _run()


def _run() -> None:
    try:
        hide_passwords()
        environment.prepare()
        with relaxed_gc(), interrupting(), unread_output_ends(), reading_from(_data_dir()):
            sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except (ConfigError, TyperException) as error:
        said = suggestions.said(error) if isinstance(error, TyperException) else str(error)
        note, (line, more, difference) = origins(said), redacted(said).partition("\n")
        remark(f"ffsnn: {line}" + (f" ({note})" if note else "") + more + difference)
        sys.exit(2)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        remark(f"ffsnn: no file can have a name as long as {str(error.filename)[:60]!r}...")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)


def _data_dir() -> str | None:
    """The data folder that is set for all commands; what is wrong with that setting, the command says that needs it."""
    with suppress(ConfigError):
        return setting("data_dir")
    return None


@contextmanager
def relaxed_gc() -> Iterator[None]:
    """Collect garbage less often: imports make a million objects that stay, and few cycles. Saves 1-2 s a command."""
    gc.set_threshold(50_000)
    try:
        yield
    finally:
        gc.freeze()
