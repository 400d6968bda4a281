"""Two searches side by side, at one epoch that enough trials of each reached."""

import statistics

from search.config import SearchConfig, differences
from search.progress import clock
from search.report import figures
from search.report.document import Block, Figures, Section, Table, Text
from search.report.sections import note
from search.report.studies import at_epoch, counted
from search.store.results import Results, epochs_of, seconds_of


def common_epoch(results: Results, other: Results) -> int | None:
    """The last epoch that enough trials of both have reached; None: one of them has no result."""
    epochs = [epoch for searched in (results, other) if (epoch := searched.common_epoch()) is not None]
    return min(epochs) if len(epochs) == 2 else None


def section(results: Results, other: Results) -> Section:
    epoch = common_epoch(results, other)
    if results.config.objective != other.config.objective:
        said = f"{results.name} is after {results.config.objective}, {other.name} after {other.config.objective}"
        return Section("Comparison", [Text(f"The two searches do not compare: {said}.")])
    here, there = _numbers(results, epoch), _numbers(other, epoch)
    rows = tuple((what, value, there[what]) for what, value in here.items())
    blocks: list[Block] = [*_warnings(results, other), Table(("", results.name, other.name), rows)]
    if epoch is None:
        return Section("Comparison", [*blocks, Text("There is nothing to draw before a trial of each has a result.")])
    studies = [at_epoch(searched, epoch) for searched in (results, other)]
    counts = " and ".join(f"{counted(study)} of {study.study_name}" for study in studies)
    return Section("Comparison", [
        *blocks,
        Figures((figures.best_by_epochs([results, other]),)),
        note("Counts all trials with a result by their last value, in the order of their numbers."),
        Figures((figures.distributions(studies, results.config.goal),)),
        note(f"Counts the trials that reached epoch {epoch}, by their value there: {counts}. Each "
             f"search is one draw of its seed: a small difference between two is no evidence that one is the better "
             f"way to search."),
    ])  # fmt: skip


def _numbers(results: Results, epoch: int | None) -> dict[str, str]:
    """Rows of the comparison, by their names."""
    goal = results.config.goal
    complete = [trial.values[-1] for trial in results.of("complete")]
    rows = {
        "trials with a result": str(len(results.reached(1))),
        "epochs at full length": str(results.config.epochs),
        "trials at full length": str(len(complete)),
        "best at full length": goal.show(goal.best(complete) if complete else None),
    }
    if epoch is not None:
        values = [value for trial in results.trials if (value := trial.at(epoch)) is not None]
        rows |= {
            f"trials that reached epoch {epoch}": str(len(values)),
            f"best at epoch {epoch}": goal.show(goal.best(values)),
            f"median at epoch {epoch}": goal.show(statistics.median(values)),
        }
    return rows | {
        "epochs trained": f"{epochs_of(results.trials):,}",
        "training": clock(seconds_of(results.trials)),
        "ran for": clock(results.spent) if results.spent else "-",
    }


def _warnings(results: Results, other: Results) -> list[Block]:
    """Remarks that must be read before values are compared."""
    found: list[Block] = []
    if results.folder.read()["data"] != other.folder.read()["data"]:
        same = results.config.base.data == other.config.base.data
        found.append(Text(
            "Their seeds split the data differently: a part of any difference is that of the validation images."
            if same else "They were trained on different data: their values do not compare."
        ))  # fmt: skip
    changed = tuple(differences(_unnamed(results.config), _unnamed(other.config)))
    if not changed:
        return [*found, Text("Nothing that decides on results differs between them.")]
    return [*found, Text("Settings that differ:"), Table(("setting", results.name, other.name), changed)]


def _unnamed(config: SearchConfig) -> SearchConfig:
    return config.model_copy(update={"name": "", "space_name": "", "first": ()})
