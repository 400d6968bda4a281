"""`ffsnn data`: data sets of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import console

if TYPE_CHECKING:
    from ffsnn.datasets.dataset import DatasetFacts
from search.hints import command

app = typer.Typer(help="Data sets: those that ship with ffsnn, and your own.", no_args_is_help=True)
DataDir = Annotated[str | None, typer.Option(help="where data sets are kept (default: FFSNN_DATA, else your cache)")]
Name = Annotated[str, typer.Argument(help="of the data set")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="that configurations will say: dataset: NAME")],
    source: Annotated[
        str, typer.Argument(help="a folder with a sub-folder a class; .npz, .npy, .csv, IDX, .parquet, .ts, .h5, "
                                 "several with commas between them; torchvision:NAME, aeon:NAME, tonic:NAME")
    ],
    side: Annotated[int | None, typer.Option(help="height and width that images are brought to")] = None,
    grey: Annotated[bool, typer.Option("--grey", help="colour images become grey")] = False,
    labels: Annotated[str | None, typer.Option(help="the column of a table that holds the labels")] = None,
    test_share: Annotated[float, typer.Option(help="of the recordings, where the source has no test of its own")] = 0.2,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Read a source once, check it, and keep it as the data set NAME."""
    from ffsnn.datasets.add import add as add_source
    from ffsnn.datasets.sources.raw import Options
    from ffsnn.validation import ConfigError

    if side is not None and not 1 <= side <= 1024:
        raise ConfigError(f"--side must be 1 to 1024, but got {side}")
    from search.settings import setting

    folder = setting("data_dir", data_dir)
    card = add_source(name, source, Options(side, grey, labels), test_share, folder)
    for remark in card.remarks:
        console.print(remark)
    console.print(_line(card.name, card.facts, sum(card.test)))
    there = ("--data-dir", data_dir) if data_dir else ()
    console.print(
        f"next: {command('data', 'show', name, *there)}; in a space or configuration: data: {{dataset: {name}}}"
    )


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """List all data sets."""
    from ffsnn.datasets.folder import reading_from
    from ffsnn.parts.registry import DATASETS
    from search.settings import setting

    with reading_from(setting("data_dir", data_dir)):
        for name in DATASETS:
            console.print(_line(name, DATASETS[name].facts))


@app.command()
def show(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="picture with samples of each class [NAME.png]")] = None,
    data_dir: DataDir = None,
) -> None:
    """Show a data set: facts, recordings of each class, and a picture with samples."""
    from ffsnn.datasets.folder import reading_from
    from ffsnn.datasets.own import OwnDataset
    from ffsnn.inspection.samples import save_samples
    from ffsnn.parts.registry import DATASETS
    from ffsnn.validation import ConfigError
    from search.settings import setting

    folder = setting("data_dir", data_dir)
    with reading_from(folder):
        try:
            DATASETS.check(name)
        except ValueError as error:
            raise ConfigError(f"the data set {error}") from None
        dataset = DATASETS[name]
        card = dataset.card if isinstance(dataset, OwnDataset) else None
        console.print(_line(name, dataset.facts, sum(card.test) if card else None))
        if card:
            console.print(f"from {card.source}; sha256 {dataset.checksum[:12]}")
            for remark in card.remarks:
                console.print(remark)
            if card.kind == "events":
                console.print(f"the longest recording takes {card.milliseconds:,.0f} ms, which is the default window")
        file = out or Path(f"{name}.png")
        try:
            counts = save_samples(dataset, file, folder)
        except OSError as error:
            raise ConfigError(f"cannot write {file}: {error.strerror or error}; choose another with --out") from error
        width = max(map(len, counts))
        for number, (label, count) in enumerate(counts.items()):
            tested = f"  {card.test[number]:7,} for test" if card else ""
            console.print(f"  {label:{width}}  {count:7,} for training{tested}")
        console.print(f"written: {file}")


@app.command()
def remove(name: Name, data_dir: DataDir = None) -> None:
    """Delete a data set of your own; searches with it can go on no more."""
    from ffsnn.datasets.own import remove as remove_set
    from search.settings import setting

    console.print(f"removed: {remove_set(name, setting('data_dir', data_dir))}")


def _line(name: str, facts: "DatasetFacts", test: int | None = None) -> str:
    """`flowers: 1,438 images for training, 359 for test, 32x32, 3 channels, 10 classes`"""
    channels, height, width = facts.shape
    if facts.is_image:
        shape = f"{height}x{width}" + (f", {channels} channels" if channels > 1 else "")
    else:
        shape = f"{facts.inputs} {'channels' if facts.temporal else 'features'}"
    tested = "" if test is None else f", {test:,} for test"
    return f"{name}: {facts.train_images:,} {facts.noun} for training{tested}, {shape}, {facts.classes} classes"
