"""Commands that hand networks over: `ffsnn export | import`."""

from pathlib import Path
from typing import Annotated

import typer

from ffsnn.validation import ConfigError
from search.cli.options import DataDir, Home, SetFields, TrackingUri, TrainedNetwork, Trust, Use, console
from search.display.sentences import remark
from search.hints import command


def export(
    run: TrainedNetwork,
    out: Annotated[Path, typer.Argument(help="the file (nir) or the folder (integers), replaced if it is there")],
    to: Annotated[str | None, typer.Option(metavar="FORMAT", help="nir, or integers (which --bits means)")] = None,
    bits: Annotated[int | None, typer.Option(help="of an integer weight: 8 or 4")] = None,
    data_dir: DataDir = None,
    tracking_uri: TrackingUri = None,
    home: Home = None,
    use: Use = None,
    trust: Trust = False,
) -> None:
    """Write a network as NIR, or with integer weights.

    For other frameworks and chips; its accuracy is measured.
    """
    from ffsnn.handover.formats import export
    from ffsnn.inspection.show import trained
    from search.resolve import use_parts
    from search.retrain.named import network
    from search.settings import find_home

    if to is None and bits is None:
        raise ConfigError("say the format: --to nir, or --bits 8 for integer weights")
    use_parts(use)
    with network(lambda: find_home(home), run, tracking_uri, trust, remark) as path:
        of_run, images = trained(path, data_dir)
        for line in export(of_run, images, out, to or "integers", bits):
            console.print(line, soft_wrap=True)


def import_(
    file: Annotated[Path, typer.Argument(help="a NIR graph")],
    out: Annotated[Path, typer.Argument(help="folder of the run that is made of it")],
    set_fields: SetFields = None,
    use: Use = None,
) -> None:
    """Make a run of a NIR graph.

    Of `ffsnn export` as it was, of another one with what --set says.
    """
    from ffsnn.fields import assignments
    from ffsnn.handover.nir_graph import read_into
    from search.resolve import use_parts

    use_parts(use)
    config = read_into(file, out, assignments(set_fields or ()))
    widths = "-".join(map(str, config.network.widths))
    console.print(f"{out}: {config.data.dataset}, {widths} neurons, T={config.network.T}", soft_wrap=True)
    console.print(f"next: {command('show', out)}", soft_wrap=True)
