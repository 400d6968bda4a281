"""Commands on networks: `ffsnn train | show | predict | compare | reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from ffsnn.config import RunConfig
from ffsnn.datasets.folder import reading_from
from ffsnn.validation import ConfigError
from search.cli import completion
from search.cli.options import DataDir, Home, TrackingUri, TrainedNetwork, Trust, Use, check_page, console, write_page
from search.cli.train_options import parse_train_options
from search.display.sentences import remark


def train(
    context: typer.Context,
    test: Annotated[bool, typer.Option("--test", help="open the test files, once, at the end")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="train this many, with seeds one after another")] = 1,
    final: Annotated[
        bool, typer.Option("--final", help="of a finished run, named instead of a file: train on all training images")
    ] = False,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Train one configuration: `ffsnn train best.yaml --tau 1.5`.

    Every field (`ffsnn fields`) is an option, also --seed, --epochs, --device and --data-dir: `--dataset digits --tau
    1.5 --T 8`; `--set tau=1.5` is the same. A shipped preset goes by its name: `ffsnn train mnist --seeds 3 --test`.
    `--out FOLDER` names the run's folder; if it exists, the run continues where it stopped. The run is in MLflow, too.

    `ffsnn train RUN --final` trains a run's configuration on all training images, validation ones too, up to the epoch
    that was its best.
    """
    from ffsnn.parts import own
    from search.resolve import use_parts

    asked = parse_train_options(context.args)
    use_parts(use)
    if trust and asked.out:
        own.trust(asked.out)
    if isinstance(named := asked.changes.get("data_dir"), str):  # a relative one would be another from another folder
        asked.changes["data_dir"] = str(Path(named).expanduser().absolute())
    with reading_from(named):
        if final:
            base = _finally(asked.config, home, trust)
        else:
            base = _configuration(asked.config, home) if asked.config else RunConfig()
        config = base.replaced(asked.changes)
    for line in asked.remarks:
        console.print(line)
    if seeds > 1 and asked.out:
        raise ConfigError(f"--out names the folder of one run, but got --seeds {seeds}: leave one of them out")

    from search.cli.train import train_seeds
    from search.settings import elsewhere, find_home, setting

    out = Path(asked.out) if asked.out else None
    uri = elsewhere(setting("tracking_uri", tracking_uri))
    train_seeds(config, seeds, test, out, find_home(home), uri, console)


def _configuration(name: str, home: Path | None) -> RunConfig:
    """A YAML file's or a preset's; of a search that is named in its place, or whose best is not written yet, the
    command that writes it is said."""
    from search.hints import command
    from search.names import BEST_FILE
    from search.settings import find_home
    from search.store.folder import SearchFolder
    from spaces import presets

    path = Path(name)
    if name not in presets.names() and not path.is_file():
        search = path.parent.name if path.name == BEST_FILE else name
        if SearchFolder.exists(find_home(home), search):
            raise ConfigError(
                f"there is no configuration {name!r}: {command('best', search)} writes that search's best"
            )
    return presets.load(name)


def _finally(run: str | None, home: Path | None, trust: bool) -> RunConfig:
    """The configuration of the final fit that a run has chosen."""
    from search.retrain import final, named
    from search.settings import find_home
    from spaces import presets

    if run is None or run in presets.names() or (Path(run).is_file() and Path(run).suffix in (".yaml", ".yml")):
        raise ConfigError(
            f"--final stops after the epoch that a run has chosen, but got {run or 'no run'}, which has chosen none: "
            "train it first, then name its folder"
        )
    return final.of_run(named.folder(lambda: find_home(home), run, trust, remark))


def show(
    run: Annotated[
        str,
        typer.Argument(
            help="a search (its best trial), a run or its folder, or one of its .safetensors files",
            autocompletion=completion.networks,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="folder of the pictures (default: pictures/ in the run's)")] = None,
    data_dir: DataDir = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Draw a trained network: spikes, goodness, errors; its cost.

    Spike raster, samples, goodness, confusion matrix, early exit (PNG); spikes, operations and energy of a sample.
    """
    from ffsnn.inference import exits
    from ffsnn.inspection import energy
    from ffsnn.inspection.show import draw, trained
    from search.resolve import use_parts
    from search.retrain.named import folder
    from search.settings import find_home

    use_parts(use)
    path = folder(lambda: find_home(home), run, trust, remark)
    network, images = trained(path, data_dir)
    refused = exits.refusal(network)
    early = None if refused else exits.choose(network, images)
    for picture in draw(path, network, images, early, out):
        print(picture)
    print(energy.measure(network, images).table())
    for number, layer in enumerate(network.each_layer):
        if words := layer.learned_words():
            print(f"layer {number} has learned {words}")
    print(early.words() if early else refused)


def predict(
    run: TrainedNetwork,
    images: Annotated[list[Path], typer.Argument(help="PNG, JPEG, IDX or .npy files, or folders of them")],
    invert: Annotated[bool, typer.Option("--invert", help="black becomes white, and white black")] = False,
    early: Annotated[
        bool, typer.Option("--exit", help="stop an image at the step at which its margin is large enough")
    ] = False,
    tolerance: Annotated[
        float | None, typer.Option(help="of --exit: share of validation accuracy that it may cost (default: 0.001)")
    ] = None,
    data_dir: DataDir = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Label images with a trained network or a search's champion.

    A line an image: its name, its label and its margin, which is the best label's score less the second best's; with
    --exit the time steps that it was shown for.
    """
    from ffsnn.inference.exit_rule import TOLERANCE
    from ffsnn.inspection.show import chosen_exit, predict
    from search.resolve import use_parts
    from search.retrain.named import network
    from search.settings import find_home

    if tolerance is not None and not early:
        raise ConfigError(f"--tolerance is of early exit, but got --tolerance {tolerance:g} alone: add --exit")
    use_parts(use)
    with network(lambda: find_home(home), run, tracking_uri, trust, remark) as path:
        threshold = None
        if early:
            found = chosen_exit(path, TOLERANCE if tolerance is None else tolerance, data_dir)
            threshold = found.chosen.threshold
            remark(found.words())
        for answer in predict(path, images, invert, remark, threshold, data_dir):
            steps = "" if answer.steps is None else f"\t{answer.steps}"
            print(f"{answer.name}\t{answer.label}\t{answer.margin:.4f}{steps}")


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...",
            help="runs or trials (names or folders), searches (best trial)",
            autocompletion=completion.networks,
        ),
    ],
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="of the page, .html or .md, replaced if it is there (default: compare.html)"),
    ] = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Show how runs differ: settings, results, learning curves.

    The curves are on a page, all on one picture.
    """
    from ffsnn import atomic
    from search.report.compared_runs import compared, document, tables
    from search.resolve import use_parts
    from search.retrain.named import folder
    from search.settings import find_home

    check_page(write)
    use_parts(use)
    found = compared([folder(lambda: find_home(home), run, trust, remark) for run in runs])
    for table in tables(found):
        console.print(table)
    file, told = write or atomic.free(Path("compare.html")), document(found)
    write_page(told, file)
    console.print(f"written: {file}")


def reproduce(
    preset: Annotated[
        str | None, typer.Argument(help="a preset with a published accuracy (default: the method notes' table)")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="of each group (default: 3), or of the preset (all)")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the results; what was interrupted goes on")] = None,
    data_dir: DataDir = None,
    home: Home = None,
) -> None:
    """Train the method notes' own eight groups as they did.

    Their figures are printed beside ours. With a preset, train it anew and print its test accuracy beside the published
    one; exit code 1 if it is another.
    """
    from ffsnn.reproduction import published, report
    from ffsnn.reproduction.table import RECIPE_WIDTHS, ProcessDied, Setting
    from search.settings import find_home
    from spaces import presets

    try:
        if preset is None:
            recipe = presets.load("mnist").replaced({"network.widths": RECIPE_WIDTHS})
            to, setting = out or find_home(home) / "seed_table", Setting(recipe=recipe)
            report.reproduce(3 if seeds is None else seeds, to, data_dir, console, setting)
            return
        to = out or find_home(home) / "reproduced"
        if not published.reproduce(presets.published(preset), seeds, to, data_dir, console):
            raise typer.Exit(1)
    except ProcessDied as error:
        console.print(f"ffsnn: {error}")
        raise typer.Exit(1) from None
