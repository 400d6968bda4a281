"""The commands: `ffsnn train | search | best | retrain | report | show | predict | ui | sync | doctor | seed-table`.

Heavy libraries are imported inside the commands that need them, so that `--help` answers at once.
"""

import errno
import gc
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.exceptions import TyperException

from ffsnn.config import ConfigError, RunConfig
from search import environment
from search.cli.train_options import parse_train_options
from search.settings import hide_passwords, origins, redacted
from search.signals import held_back, interrupting, unread_output_ends

app = typer.Typer(
    help="Hyperparameter search for spiking neural networks trained with the forward-forward algorithm.",
    add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip
console = Console(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)

Home = Annotated[
    Path | None, typer.Option(help="folder that holds mlruns/ [default: FFSNN_HOME, ffsnn.toml, the nearest one]")
]
Address = Annotated[str | None, typer.Option(help="Ray cluster: auto, HOST:PORT [default: FFSNN_ADDRESS, else local]")]
Storage = Annotated[
    str | None, typer.Option(help="of the study: postgresql://... [default: FFSNN_STORAGE, else a file]")
]
TrackingUri = Annotated[
    str | None, typer.Option(help="of an MLflow server or store [default: MLFLOW_TRACKING_URI, else the one at hand]")
]
GpusPerTrial = Annotated[
    str | None, typer.Option(help="share of a GPU, e.g. 0.25; auto: measured, as many as fit and pay [default: 1]")
]


def main() -> None:
    """Run a command; a broken rule is one line and exit code 2."""
    # Torch's threads would otherwise spin while they wait, and beside another busy process cost a factor of 4 and more.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        hide_passwords()
        environment.prepare()
        with _relaxed_gc(), interrupting(), unread_output_ends():
            sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except (ConfigError, TyperException) as error:
        said = error.format_message() if isinstance(error, TyperException) else str(error)
        note = origins(said)
        print(f"ffsnn: {redacted(said)}" + (f" ({note})" if note else ""), file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        print(f"ffsnn: no file can have a name as long as {str(error.filename)[:60]!r}...", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)


@contextmanager
def _relaxed_gc() -> Iterator[None]:
    """Collect garbage less often: imports make a million objects that stay, and few cycles. Saves 1-2 s a command."""
    gc.set_threshold(50_000)
    try:
        yield
    finally:
        gc.freeze()


def _at_least_one(**options: int | None) -> None:
    for name, value in options.items():
        if value is not None and value < 1:
            raise ConfigError(f"--{name} must be at least 1, but got {value}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    test: Annotated[bool, typer.Option("--test", help="open the test files, once, at the end")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="train this many, with seeds one after another")] = 1,
    home: Home = None,
) -> None:
    """Train one configuration: `ffsnn train best.yaml`, every field an option: `--dataset digits --tau 1.5 --T 8`.

    A shipped preset goes by its name: `ffsnn train mnist --seeds 3 --test`. `--out FOLDER` names the run's folder; one
    that is there goes on where it stopped.
    """
    from spaces import presets

    asked = parse_train_options(context.args)
    config = (presets.load(asked.config) if asked.config else RunConfig()).replaced(asked.changes)
    for remark in asked.remarks:
        console.print(remark)
    if seeds > 1 and asked.out:
        raise ConfigError(f"--out names the folder of one run, but got --seeds {seeds}: leave one of them out")

    from search.cli.train import train_seeds
    from search.settings import find_home

    train_seeds(config, seeds, test, Path(asked.out) if asked.out else None, find_home(home) / "runs", console)


@app.command()
def search(
    space: Annotated[
        str | None, typer.Argument(help="name of a shipped space, or a YAML file [default: mnist]")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="trials in all [default: the space's]")] = None,
    epochs: Annotated[int | None, typer.Option(help="epochs of a trial at full length [default: the space's]")] = None,
    concurrency: Annotated[int | None, typer.Option(help="trials at once [default: one a CPU or GPU share]")] = None,
    gpus_per_trial: GpusPerTrial = None,
    time_budget: Annotated[float | None, typer.Option(help="minutes after which no trial goes on")] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe, random, gp [default: tpe]")] = None,
    scheduler: Annotated[str | None, typer.Option(help="asha, none [default: asha]")] = None,
    seed: Annotated[int | None, typer.Option(help="of the sampler and of every trial [default: 0]")] = None,
    name: Annotated[
        str | None, typer.Option(help="of the search; one that is there goes on [default: SPACE-1]")
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="NAME", help="go on with a search that was stopped")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda [default: auto]")] = None,
    data_dir: Annotated[str | None, typer.Option(help="where data sets are kept")] = None,
    address: Address = None,
    storage: Storage = None,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow server [default: the store in mlruns/]")] = None,
    retries: Annotated[int | None, typer.Option(help="of a trial that crashed or hung [default: 2]")] = None,
    max_failed: Annotated[float | None, typer.Option(help="share of failures that stops it [default: 0.5]")] = None,
    patience: Annotated[float | None, typer.Option(help="minutes for a trial's first epoch [default: 30]")] = None,
    warm_start: Annotated[
        str | None, typer.Option(metavar="NAME[,NAME...]", help="try the best points of earlier searches first")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="go on although torch or spikingjelly differ")] = False,
    home: Home = None,
) -> None:
    """Search a space. Ctrl-C stops; `--resume NAME`, or the same command with the same --name, goes on."""
    options = locals()
    with held_back():  # from the threads of numerical libraries, which would hear what Ray answers while it starts
        from search.launch import launch
        from search.progress import summary
        from search.resolve import from_options
        from search.store.folder import SearchFolder

    mlruns, config, goes_on = from_options(options)

    outcome = launch(mlruns, config, console, resume=goes_on, force=force)
    folder = SearchFolder.open(mlruns, config.name)
    summary(folder, console)
    console.print(f"results: {folder.path}")
    if outcome.code:
        mend = "" if outcome.code == 2 else f"; go on with: ffsnn search --resume {config.name}"
        console.print(f"stopped: {outcome.reason}{mend}")
        raise typer.Exit(outcome.code)
    if outcome.reason:
        console.print(f"{outcome.reason}; more: ffsnn search --resume {config.name} --time-budget MINUTES, in all")
    console.print(f"next: ffsnn best {config.name}")


def doctor(**options: Any) -> None:
    """Check, before a search of the same options, all that it will use: nodes, home, data, servers."""
    from search.cluster.doctor import examine, refusal, show
    from search.resolve import from_options

    mlruns, config, _ = from_options(options)
    lines = examine(mlruns, config)
    show(lines, console)
    if refusal(lines):
        raise typer.Exit(1)


doctor.__signature__ = inspect.signature(search)  # type: ignore[attr-defined]  # typer reads it
doctor.__annotations__ = search.__annotations__
app.command()(doctor)


@app.command()
def best(
    name: Annotated[str, typer.Argument(help="of the search")],
    top: Annotated[int, typer.Option(help="how many, as documents of one YAML stream")] = 1,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Print the best configuration as YAML, and write it where `ffsnn train` can take it.

    Where the search's folder is not at hand, an MLflow address is enough; then nothing is written.
    """
    from ffsnn import atomic
    from search.names import BEST_FILE
    from search.settings import find_home
    from search.store.folder import SearchFolder
    from search.tracking import best

    _at_least_one(top=top)
    mlruns = find_home(home)
    found = best.best(mlruns, name, top, tracking_uri, lambda line: print(line, file=sys.stderr))
    print("---\n".join(it.yaml() for it in found), end="")
    if tracking_uri or not SearchFolder.exists(mlruns, name):
        print("next: keep it (> best.yaml), then: ffsnn train best.yaml --test", file=sys.stderr)
        return
    folder = SearchFolder.open(mlruns, name).path
    stem, suffix = BEST_FILE.split(".")
    files = [folder / (BEST_FILE if top == 1 else f"{stem}-{rank}.{suffix}") for rank in range(1, len(found) + 1)]
    for file, it in zip(files, found, strict=True):
        atomic.write(file, it.yaml())
    print(f"next: ffsnn train {files[0]} --test", file=sys.stderr)


@app.command()
def retrain(
    name: Annotated[str, typer.Argument(help="of the search")],
    top: Annotated[int, typer.Option(help="configurations, the best ones")] = 5,
    seeds: Annotated[int, typer.Option(help="of each configuration")] = 5,
    epochs: Annotated[int | None, typer.Option(help="[default: the search's at full length]")] = None,
    concurrency: Annotated[int | None, typer.Option(help="trainings at once [default: the search's]")] = None,
    gpus_per_trial: GpusPerTrial = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda [default: the search's]")] = None,
    data_dir: Annotated[str | None, typer.Option(help="where data sets are kept")] = None,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    force: Annotated[
        bool, typer.Option("--force", help="make it the champion even if the present one is better")
    ] = False,
    home: Home = None,
) -> None:
    """Train the best configurations with several seeds, rank them, test the winner once, and register it.

    Ctrl-C stops; the same command goes on, and after its end prints what is written.
    """
    _at_least_one(top=top, seeds=seeds, epochs=epochs)
    from search.settings import LOCAL, find_home, setting

    with held_back():  # as in `search`
        from search.retrain.retrain import retrain

    asked = {
        "concurrency": concurrency, "gpus_per_trial": gpus_per_trial, "device": device,
        "data_dir": setting("data_dir", data_dir), "address": setting("address", address),
        "tracking_uri": setting("tracking_uri", tracking_uri),
    }  # fmt: skip
    changes = {key: None if value == LOCAL else value for key, value in asked.items() if value is not None}
    outcome = retrain(find_home(home), name, top, seeds, epochs, changes, force, console)
    if outcome.code:
        console.print(f"stopped: {outcome.reason}" + ("" if outcome.code == 2 else "; the same command goes on"))
        raise typer.Exit(outcome.code)


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="of the search")],
    against: Annotated[str | None, typer.Option(metavar="NAME", help="another search, to compare it with")] = None,
    home: Home = None,
) -> None:
    """Write a search's results as a page that opens without a network, as Markdown and as CSV; of a running one too."""
    from search.report.report import report
    from search.settings import find_home

    for file in report(find_home(home), name, against):
        print(file)


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="folder of a run or trial, or one of its .safetensors files")],
    out: Annotated[Path | None, typer.Option(help="folder of the pictures [default: pictures/ in the run's]")] = None,
    data_dir: Annotated[str | None, typer.Option(help="where data sets are kept")] = None,
) -> None:
    """Draw a trained network: spike raster, samples, goodness, confusion matrix (PNG); and what it costs in energy."""
    from ffsnn.inspection import energy
    from ffsnn.inspection.show import show, trained

    for picture in show(run, out, data_dir):
        print(picture)
    network, images = trained(run, data_dir)
    print(energy.measure(network, images).table())


@app.command()
def predict(
    run: Annotated[str, typer.Argument(help="folder of a run or trial, a .safetensors file, or models:/NAME@champion")],
    images: Annotated[list[Path], typer.Argument(help="IDX, PNG or .npy files")],
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Print each image's label, and its margin: the best label's score less the second best's."""
    from contextlib import nullcontext

    from ffsnn.inspection.show import predict

    folder: AbstractContextManager[Path] = nullcontext(Path(run))
    if run.startswith("models:/"):
        from search.retrain.champion import downloaded
        from search.settings import find_home

        folder = downloaded(find_home(home), run, tracking_uri)
    with folder as path:
        for answer in predict(path, images):
            print(f"{answer.name}\t{answer.label}\t{answer.margin:.4f}")


@app.command()
def seed_table(
    seeds: Annotated[int, typer.Option(help="of each group")] = 3,
    out: Annotated[Path | None, typer.Option(help="folder of the results; an interrupted table goes on")] = None,
    data_dir: Annotated[str | None, typer.Option(help="where data sets are kept")] = None,
    home: Home = None,
) -> None:
    """Train the method notes' own eight groups as they did, and print their figures beside ours."""
    from ffsnn.reproduction.report import seed_table_command
    from ffsnn.reproduction.table import RECIPE_WIDTHS, ProcessDied, Setting
    from search.settings import find_home
    from spaces import presets

    recipe = presets.load("mnist").replaced({"network.widths": RECIPE_WIDTHS})
    try:
        seed_table_command(seeds, out or find_home(home) / "seed_table", data_dir, console, Setting(recipe=recipe))
    except ProcessDied as error:
        console.print(f"ffsnn: {error}")
        raise typer.Exit(1) from None


@app.command()
def sync(
    name: Annotated[str, typer.Argument(help="of the search")],
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
) -> None:
    """Mend what a fault left torn, and bring a search into the MLflow store; can be repeated at any time."""
    from search.cluster.servers import check_reachable
    from search.resolve import requested
    from search.settings import find_home, setting
    from search.store.folder import SearchFolder
    from search.study.reconcile import reconcile
    from search.tracking import exporter
    from search.tracking.store import store_uri

    mlruns = find_home(home)
    places = {"storage": setting("storage", storage), "tracking_uri": setting("tracking_uri", tracking_uri)}
    config, _ = requested(mlruns, None, None, name, places)
    folder = SearchFolder.open(mlruns, name)
    if config.tracking_uri:
        check_reachable(config.tracking_uri)
    with folder.lease():
        if remark := folder.settle():
            console.print(remark)
        reconcile(folder, config, console.print)
        count = exporter.export_search(mlruns, folder, config.tracking_uri)
    console.print(f"{count} trials of {name} are in {redacted(config.tracking_uri or store_uri(mlruns))}")


@app.command()
def ui(
    name: Annotated[str | None, typer.Argument(help="of a search; its view is prepared [default: all runs]")] = None,
    host: Annotated[str, typer.Option(help="what the server listens on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one")] = 5000,
    tracking_uri: Annotated[
        str | None, typer.Option(help="of a server that runs already [default: the search's own, else one is started]")
    ] = None,
    home: Home = None,
) -> None:
    """Open MLflow's pages on a search: its trials, charts, the best side by side. Stops with Ctrl-C."""
    from search.settings import find_home
    from search.tracking.ui import ui

    ui(find_home(home), name, host, port, tracking_uri, console)
