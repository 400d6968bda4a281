"""Commands on networks: `ffsnn train | show | predict | reproduce`."""

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from ffsnn.config import RunConfig
from ffsnn.validation import ConfigError
from search.cli.options import DataDir, Home, TrackingUri, Trust, Use, console
from search.cli.train_options import parse_train_options


def train(
    context: typer.Context,
    test: Annotated[bool, typer.Option("--test", help="open the test files, once, at the end")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="train this many, with seeds one after another")] = 1,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Train one configuration: `ffsnn train best.yaml`, every field an option: `--dataset digits --tau 1.5 --T 8`;
    `--set tau=1.5` is the same.

    A shipped preset goes by its name: `ffsnn train mnist --seeds 3 --test`. `--out FOLDER` names the run's folder; one
    that is there goes on where it stopped.
    """
    from ffsnn.parts import own
    from search.resolve import use_parts
    from spaces import presets

    asked = parse_train_options(context.args)
    use_parts(use)
    if trust and asked.out:
        own.trust(asked.out)
    config = (presets.load(asked.config) if asked.config else RunConfig()).replaced(asked.changes)
    for remark in asked.remarks:
        console.print(remark)
    if seeds > 1 and asked.out:
        raise ConfigError(f"--out names the folder of one run, but got --seeds {seeds}: leave one of them out")

    from search.cli.train import train_seeds
    from search.settings import find_home

    train_seeds(config, seeds, test, Path(asked.out) if asked.out else None, find_home(home) / "runs", console)


def show(
    run: Annotated[Path, typer.Argument(help="folder of a run or trial, or one of its .safetensors files")],
    out: Annotated[Path | None, typer.Option(help="folder of the pictures (default: pictures/ in the run's)")] = None,
    data_dir: DataDir = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Draw a trained network: spike raster, samples, goodness, confusion matrix, early exit (PNG); and its cost."""
    from ffsnn.inference import exits
    from ffsnn.inspection import energy
    from ffsnn.inspection.show import show, trained

    _use_parts(use, trust, run)
    for picture in show(run, out, data_dir):
        print(picture)
    network, images = trained(run, data_dir)
    print(energy.measure(network, images).table())
    print(exits.refusal(network) or exits.choose(network, images).words())


def predict(
    run: Annotated[str, typer.Argument(help="folder of a run or trial, a .safetensors file, or models:/NAME@champion")],
    images: Annotated[list[Path], typer.Argument(help="IDX, PNG or .npy files")],
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
    """Print each image's label, and its margin: the best label's score less the second best's; and with --exit the
    time steps that it was shown for."""
    from contextlib import nullcontext

    from ffsnn.inference.exit_rule import TOLERANCE
    from ffsnn.inspection.show import chosen_exit, predict

    if tolerance is not None and not early:
        raise ConfigError(f"--tolerance is of early exit, but got --tolerance {tolerance:g} alone: add --exit")

    folder: AbstractContextManager[Path] = nullcontext(Path(run))
    if run.startswith("models:/"):
        from search.retrain.champion import downloaded
        from search.settings import find_home

        folder = downloaded(find_home(home), run, tracking_uri)
    with folder as path:
        _use_parts(use, trust, path)
        threshold = None
        if early:
            found = chosen_exit(path, TOLERANCE if tolerance is None else tolerance, data_dir)
            threshold = found.chosen.threshold
            print(found.words(), file=sys.stderr)
        for answer in predict(path, images, threshold):
            steps = "" if answer.steps is None else f"\t{answer.steps}"
            print(f"{answer.name}\t{answer.label}\t{answer.margin:.4f}{steps}")


def _use_parts(use: list[Path] | None, trust: bool, run: Path) -> None:
    """Import the files that are named and, where they are trusted, the copies that a run has kept."""
    from ffsnn.parts import own
    from search.resolve import use_parts

    use_parts(use)
    if trust:
        own.trust(run)


def reproduce(
    seeds: Annotated[int, typer.Option(help="of each group")] = 3,
    out: Annotated[Path | None, typer.Option(help="folder of the results; an interrupted table goes on")] = None,
    data_dir: DataDir = None,
    home: Home = None,
) -> None:
    """Train the method notes' own eight groups as they did, and print their figures beside ours."""
    from ffsnn.reproduction import report
    from ffsnn.reproduction.table import RECIPE_WIDTHS, ProcessDied, Setting
    from search.settings import find_home
    from spaces import presets

    recipe = presets.load("mnist").replaced({"network.widths": RECIPE_WIDTHS})
    try:
        report.reproduce(seeds, out or find_home(home) / "seed_table", data_dir, console, Setting(recipe=recipe))
    except ProcessDied as error:
        console.print(f"ffsnn: {error}")
        raise typer.Exit(1) from None
