"""Commands on what a search has found: `ffsnn best | retrain | report | sync | ui`."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ffsnn.validation import ConfigError
from search.cli import completion
from search.cli.options import (
    WHERE,
    DataDir,
    Home,
    Name,
    TrackingUri,
    Trust,
    Use,
    all_or_some,
    at_least_one,
    console,
    field,
)
from search.display.loading import loading
from search.display.sentences import remark
from search.hints import command
from search.settings import redacted
from search.signals import held_back

if TYPE_CHECKING:
    from search.retrain.retrain import Request


def best(
    name: Name,
    top: Annotated[int | None, typer.Option(help="how many, as documents of one YAML stream (default: 1)")] = None,
    front: Annotated[
        bool, typer.Option("--front", help="all that no other trial dominates, of several objectives")
    ] = False,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Print the best configuration as YAML, for `ffsnn train`.

    It is written into the search's folder, too. Where that is not at hand, an MLflow address is enough; then nothing
    is written.
    """
    from ffsnn import atomic
    from ffsnn.fields import named_parts
    from ffsnn.parts import own
    from search.names import BEST_FILE, FRONT
    from search.resolve import use_parts
    from search.settings import find_home
    from search.store.folder import SearchFolder
    from search.tracking import best

    at_least_one(top=top)
    all_or_some(front, top)
    if front and tracking_uri:
        raise ConfigError("--front reads the search's folder, but got --tracking-uri: leave one of them out")
    count = top or 1
    mlruns = find_home(home)
    use_parts(use, trust, mlruns, name)
    if front:
        found = best.front(SearchFolder.open(mlruns, name))
        print(best.table(found), file=sys.stderr)
    else:
        found = best.best(mlruns, name, count, tracking_uri, remark)
    print("---\n".join(it.yaml() for it in found), end="")
    if (not front and tracking_uri) or not SearchFolder.exists(mlruns, name):
        remark(f"next: keep it (> best.yaml), then: {command('train', 'best.yaml', '--test')}")
        return
    folder = SearchFolder.open(mlruns, name).path
    stem, suffix = BEST_FILE.split(".")
    files = [folder / (BEST_FILE if count == 1 else f"{stem}-{rank}.{suffix}") for rank in range(1, len(found) + 1)]
    if front:
        files = [folder / f"{FRONT}-{it.trial}.{suffix}" for it in found]
    for file, it in zip(files, found, strict=True):
        atomic.write(file, it.yaml())
    numbered = re.compile(rf"{FRONT if front else stem}-\d+\.{suffix}")
    for file in folder.iterdir() if front or count > 1 else ():  # of an earlier, larger front
        if numbered.fullmatch(file.name) and file not in files:
            file.unlink()
    named = [it for file in own.files_of(named_parts(found[0].config)) for it in ("--use", file.path)]
    remark(f"next: {command('train', files[0], '--test', *named)}")
    remark(f"  or: {command('retrain', name, *(('--front',) if front else ()), *named)}")


def retrain(
    name: Name,
    top: Annotated[int | None, typer.Option(help="configurations, the best ones (default: 5)")] = None,
    front: Annotated[bool, typer.Option("--front", help="all points of the front, of several objectives")] = False,
    seeds: Annotated[int, typer.Option(help="of each configuration")] = 5,
    epochs: Annotated[int | None, typer.Option(help="of each training (default: the search's at full length)")] = None,
    concurrency: Annotated[int | None, typer.Option(help="trainings at once (default: the search's)")] = None,
    gpus_per_trial: Annotated[str | None, field("gpus_per_trial")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda (default: the search's)")] = None,
    data_dir: DataDir = None,
    address: Annotated[str | None, field("address", WHERE)] = None,
    tracking_uri: TrackingUri = None,
    force: Annotated[
        bool, typer.Option("--force", help="make it the champion even if the present one is better")
    ] = False,
    final: Annotated[
        bool,
        typer.Option("--final", help="after it: train its winner on all training images, and make that the champion"),
    ] = False,
    test: Annotated[bool, typer.Option("--test", help="of --final: open the test files, once, at the end")] = False,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Train the best with several seeds; test, register the winner.

    With --front every point of the front is trained and tested, and its champion and its cheapest are registered.

    With --final the winner is trained on all training images, validation ones too, up to the epoch that was chosen.

    Ctrl-C stops; the same command goes on, and after its end prints what is written.
    """
    at_least_one(top=top, seeds=seeds, epochs=epochs)
    all_or_some(front, top)
    if test and not final:
        raise ConfigError("--test is of --final, for a retraining tests its winner in any case: leave it out")
    from search.resolve import use_parts
    from search.settings import LOCAL, find_home, setting

    with loading(console), held_back():  # as in `search`
        from search.retrain.retrain import Request, retrain

    asked = {
        "concurrency": concurrency, "gpus_per_trial": gpus_per_trial, "device": device,
        "data_dir": setting("data_dir", data_dir), "address": setting("address", address),
        "tracking_uri": setting("tracking_uri", tracking_uri),
    }  # fmt: skip
    changes = {key: None if value == LOCAL else value for key, value in asked.items() if value is not None}
    mlruns = find_home(home)
    use_parts(use, trust, mlruns, name)
    request = Request(None if front else top or 5, seeds, epochs, changes, force)
    if final:
        _fit_finally(mlruns, name, request, test)
        return
    outcome = retrain(mlruns, name, request, console)
    if outcome.code:
        console.print(f"stopped: {outcome.reason}" + ("" if outcome.code == 2 else "; the same command goes on"))
        raise typer.Exit(outcome.code)


def _fit_finally(home: Path, name: str, request: "Request", test: bool) -> None:
    """Train the winner of a retraining on all training images, and register it."""
    from search.cli.train import train_seeds
    from search.retrain import final

    fit = final.planned(home, name, request)
    console.print(f"final fit of {fit.words()}")
    with fit.retraining.lease():
        (trained,) = train_seeds(fit.config, 1, test, fit.path, home, fit.tracking_uri, console)
        console.print(final.register(home, fit, trained, request.force))


def report(
    name: Name,
    against: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="another search, to compare it with", autocompletion=completion.searches),
    ] = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Write a search's results: HTML, Markdown and CSV.

    The page opens without a network. A search that runs has a report, too.
    """
    from search.report.report import report
    from search.resolve import use_parts
    from search.settings import find_home

    mlruns = find_home(home)
    use_parts(use, trust, mlruns, name, against)
    for file in report(mlruns, name, against):
        print(file)


def sync(
    name: Name,
    storage: Annotated[str | None, field("storage", WHERE)] = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Repair a search after a fault, and bring it into MLflow.

    It can be repeated at any time.
    """
    from search.cluster.servers import check_reachable
    from search.resolve import places, use_parts
    from search.settings import find_home
    from search.store.folder import SearchFolder
    from search.study.reconcile import reconcile
    from search.tracking import orphans, search_exporter
    from search.tracking.store import merged, store_uri

    mlruns = find_home(home)
    use_parts(use, trust, mlruns, name)
    config = places(mlruns, name, storage, tracking_uri)
    folder = SearchFolder.open(mlruns, name)
    if config.tracking_uri:
        check_reachable(config.tracking_uri)
    with folder.lease(), merged(mlruns, config.tracking_uri):
        if said := folder.settle():
            console.print(said)
        reconcile(folder, config, console.print)
        count = search_exporter.export_search(mlruns, folder, config.tracking_uri)
    console.print(f"{count} trials of {name} are in {redacted(config.tracking_uri or store_uri(mlruns))}")
    if not config.tracking_uri and (left := orphans.remark(mlruns)):
        console.print(left)


def ui(
    name: Annotated[
        str | None,
        typer.Argument(
            help="of a search; its view is prepared (default: all runs)", autocompletion=completion.searches
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="what the server listens on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one")] = 5000,
    tracking_uri: Annotated[
        str | None, typer.Option(help="of a server that runs already (default: the search's own, else one is started)")
    ] = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Open MLflow's pages on a search, or on all; Ctrl-C stops.

    Its charts, its trials, and the best side by side.
    """
    from search.resolve import use_parts
    from search.settings import find_home
    from search.tracking.ui import ui

    mlruns = find_home(home)
    use_parts(use, trust, mlruns, name)
    ui(mlruns, name, host, port, tracking_uri, console)
