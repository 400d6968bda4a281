"""Two runs or more side by side: their results, the fields that differ, their learning curves on one picture."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import rich.table

from ffsnn.config import RunConfig
from ffsnn.inspection.energy import of_rates, spikes_of
from ffsnn.training.epoch_metrics import EpochMetrics, best_of
from ffsnn.training.run_folder import RunFolder
from ffsnn.validation import ConfigError
from search.hints import command
from search.names import TRIALS
from search.progress import clock
from search.report.document import Block, Document, Figures, Section, Table, Text
from search.tracking.runs import fields

OF_THE_MACHINE = ("device", "data_dir")  # fields that do not decide on results


@dataclass(frozen=True)
class ComparedRun:
    """One run, as it stands."""

    name: str
    config: RunConfig
    history: list[EpochMetrics]


def compared(paths: Sequence[Path]) -> list[ComparedRun]:
    """The runs of some folders, or of files in them.

    Raises:
        ConfigError: they are fewer than two, one stands twice, or one cannot be read or has no epoch yet.
    """
    folders = [path.parent if path.is_file() else path for path in paths]
    if len(folders) < 2:
        raise ConfigError(f"two runs at least are compared, but got {len(folders)}: name another one")
    if twice := [path for path in folders if sum(path.resolve() == other.resolve() for other in folders) > 1]:
        raise ConfigError(f"a run is compared with others, but {twice[0]} is named twice: leave it out once")
    found = []
    for path, name in zip(folders, _names(folders), strict=True):
        run = RunFolder(path)
        if not (history := run.history()):
            raise ConfigError(f"{path} has no epoch to compare yet: wait for its first")
        found.append(ComparedRun(name, run.config(), history))
    return found


def _names(folders: Sequence[Path]) -> list[str]:
    """`mine/0003` for a trial, a folder's name for any other run; paths, where two would be called alike."""
    names = [f"{path.parents[1].name}/{path.name}" if path.parent.name == TRIALS else path.name for path in folders]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, folders, strict=True)]


def differing(runs: Sequence[ComparedRun]) -> Table:
    """The fields whose values differ, a column a run."""
    trees = [fields(run.config) for run in runs]
    rows = []
    for field in dict.fromkeys(name for tree in trees for name in tree):
        values = tuple(_shown(tree.get(field)) for tree in trees)
        if len(set(values)) > 1 and field not in OF_THE_MACHINE:
            rows.append((field, *values))
    return Table(("field", *(run.name for run in runs)), tuple(rows))


def results(runs: Sequence[ComparedRun]) -> Table:
    """Results, a column a run."""
    columns = [_result(run) for run in runs]
    rows = tuple((what, *(column[what] for column in columns)) for what in columns[0])
    return Table(("result", *(run.name for run in runs)), rows)


def _result(run: ComparedRun) -> dict[str, str]:
    history, last, best = run.history, run.history[-1], best_of(run.history)
    energy = of_rates(run.config, last.firing_rate, last.input_spikes)
    return {
        "best validation accuracy": _accuracy(best),
        "reached at epoch": str(best.epoch),
        "last validation accuracy": _accuracy(last),
        "epochs": f"{len(history)} of {run.config.learning.last_epoch}",
        "training and validation": clock(sum(epoch.seconds for epoch in history)),
        "spikes a sample": f"{spikes_of(run.config, last.firing_rate):,.0f}",
        "energy a sample (nJ)": "-" if energy is None else f"{energy.nanojoules:.4g}",
    }


def tables(runs: Sequence[ComparedRun]) -> list[rich.table.Table | str]:
    """The same for a terminal."""
    made: list[rich.table.Table | str] = []
    for table in (results(runs), differing(runs)):
        if not table.rows:
            made.append("every field is the same")
            continue
        shown = rich.table.Table()
        for name in table.head:
            shown.add_column(name, overflow="fold", justify="left" if name == table.head[0] else "right")
        for row in table.rows:
            shown.add_row(*map(str, row))
        made.append(shown)
    return made


def document(runs: Sequence[ComparedRun]) -> Document:
    """The page of a comparison."""
    validated = [run for run in runs if best_of(run.history).is_validated] or runs
    best = max(validated, key=lambda run: best_of(run.history).val_accuracy)
    table = differing(runs)
    changed: list[Block] = [table] if table.rows else []
    changed.append(Text("All other fields are the same." if table.rows else "Every field is the same."))
    return Document(
        "Runs " + " and ".join(run.name for run in runs) if len(runs) < 4 else f"{len(runs)} runs",
        "One run is one draw of its seed: a small difference between two is no evidence. "
        f"{command('train', 'CONFIG', '--seeds', 5)} trains one configuration with several.",
        {"best validation accuracy": _accuracy(best_of(best.history)), "by": best.name},
        [
            Section("Results", [results(runs)]),
            Section("What differs", changed),
            Section("Learning curves", [
                Figures((_curves(runs),)),
                Text("After each epoch; a larger marker is the best one, whose weights are kept.", True),
            ]),
        ],
    )  # fmt: skip


def _curves(runs: Sequence[ComparedRun]) -> object:
    from plotly import graph_objects as go

    from search.report.figures import themed

    figure = go.Figure()
    for run in runs:
        best = best_of(run.history).epoch
        figure.add_scatter(
            x=[epoch.epoch for epoch in run.history], y=[epoch.val_accuracy for epoch in run.history], name=run.name,
            mode="lines+markers",
            marker={"size": [11 if epoch.epoch == best else 4 for epoch in run.history]},
            hovertemplate="epoch %{x}: %{y:.2%}",
        )  # fmt: skip
    figure.update_layout(xaxis_title="epoch", yaxis_title="validation accuracy", showlegend=True, hovermode="x")
    figure.update_xaxes(tickformat="d")
    return themed(figure, 440).update_yaxes(tickformat=".1%")


def _accuracy(epoch: EpochMetrics) -> str:
    return f"{epoch.val_accuracy:.2%}" if epoch.is_validated else "none (final fit)"


def _shown(value: object) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)
