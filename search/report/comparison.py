"""Two searches side by side, at one epoch that enough trials of each reached."""

import statistics
from collections.abc import Callable

from search.config import SearchConfig, differences
from search.objectives import Objective
from search.progress import clock
from search.report import figures
from search.report.document import Block, Figures, Section, Table, Text
from search.report.sections import note
from search.store.results import Results, epochs_of, seconds_of

Show = Callable[[Objective, float | None], str]


def common_epoch(results: Results, other: Results) -> int | None:
    """The last epoch that enough trials of both have reached; None: one of them has no result."""
    epochs = [epoch for searched in (results, other) if (epoch := searched.common_epoch()) is not None]
    return min(epochs) if len(epochs) == 2 else None


def section(results: Results, other: Results) -> Section:
    epoch = common_epoch(results, other)
    if results.config.objective != other.config.objective:
        said = f"{results.name} is after {results.config.objective}, {other.name} after {other.config.objective}"
        return Section("Comparison", [Text(f"The two searches do not compare: {said}.")])
    goal, here, there = results.config.goal, _numbers(results, epoch), _numbers(other, epoch)
    rows = tuple(
        (what, show(goal, value), show(goal, there[what][1]), _difference(goal, value, there[what][1], show))
        for what, (show, value) in here.items()
    )
    head = ("", results.name, other.name, "difference")
    blocks: list[Block] = [*_warnings(results, other), Table(head, rows)]
    if epoch is None:
        return Section("Comparison", [*blocks, Text("There is nothing to draw before a trial of each has a result.")])
    counts = " and ".join(f"{len(it.reached(epoch))} of {it.name}" for it in (results, other))
    return Section("Comparison", [
        *blocks,
        Figures((figures.best_by_epochs([results, other]),)),
        note("Counts all trials with a result by their last value, in the order of their numbers; the best are those "
             "that keep the limits of their search."),
        Figures((figures.distributions([results, other], epoch),)),
        note(f"Counts the trials that reached epoch {epoch}, by their value there: {counts}. Each "
             f"search is one draw of its seed: a small difference between two is no evidence that one is the better "
             f"way to search."),
    ])  # fmt: skip


def _numbers(results: Results, epoch: int | None) -> dict[str, tuple[Show, float | None]]:
    """Rows of the comparison, by their names: how they are shown, and the value."""
    goal = results.config.goal
    complete = results.of("complete")
    good = [trial.values[-1] for trial in complete if results.keeps(trial)]
    rows: dict[str, tuple[Show, float | None]] = {
        "trials with a result": (_count, len(results.reached(1))),
        "epochs at full length": (_count, results.config.epochs),
        "trials at full length": (_count, len(complete)),
        "best at full length": (Objective.show, goal.best(good) if good else None),
    }
    if epoch is not None:
        reached = results.reached(epoch)
        values = [trial.values[epoch - 1] for trial in reached]
        good = [trial.values[epoch - 1] for trial in reached if results.keeps(trial, epoch)]
        rows |= {
            f"trials that reached epoch {epoch}": (_count, len(values)),
            f"best at epoch {epoch}": (Objective.show, goal.best(good) if good else None),
            f"median at epoch {epoch}": (Objective.show, statistics.median(values)),
        }
    return rows | {
        "epochs trained": (_count, epochs_of(results.trials)),
        "training": (_time, seconds_of(results.trials)),
        "ran for": (_time, results.spent or None),
    }


def _count(_: Objective, value: float | None) -> str:
    return f"{value:,.0f}"


def _time(_: Objective, value: float | None) -> str:
    return "-" if value is None else clock(value)


def _difference(goal: Objective, here: float | None, there: float | None, show: Show) -> str:
    """The first less the second; of shares in points."""
    if here is None or there is None:
        return "-"
    by = abs(here - there)
    text = f"{100 * by:.2f} points" if show is Objective.show and goal.is_share else show(goal, by)
    return f"{'+' if here > there else '-' if here < there else ''}{text}"


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
        return [*found, Text("Nothing that says what is searched, and by which rules, differs between them.")]
    return [*found, Text("Settings that differ:"), Table(("setting", results.name, other.name), changed)]


def _unnamed(config: SearchConfig) -> SearchConfig:
    return config.model_copy(update={"name": "", "space_name": "", "first": ()})
