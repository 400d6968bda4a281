"""Sections that compare trials with each other: importance, slices, parallel coordinates.

Trials that were stopped early cannot be compared with others by their last values: so all are compared at one epoch
that enough of them reached.
"""

from ffsnn.fields import short
from search.report import figures, over_parameters
from search.report.document import Block, Figures, Section, Table, Text
from search.report.importance import AT_LEAST, epoch_of_importance
from search.report.sections import note
from search.report.studies import at_epoch, best_trials, importances
from search.store.results import Results

TITLES = ("Parameter importance", "Slices", "Parallel coordinates")


def sections(results: Results) -> list[Section]:
    """Importance, slices and parallel coordinates."""
    epoch = results.common_epoch()
    if epoch is None:
        return [Section(title, [Text("No trial has finished an epoch.")]) for title in TITLES]
    compared = [trial for trial in results.trials if trial.epochs >= epoch or trial.state != "unfinished"]
    paths = [path for path in results.config.space.parameters if any(path in trial.sample for trial in compared)]
    shares = _shares(results)
    paths.sort(key=lambda path: -shares.get(short(path), 0))
    blocks = (_importance(results, shares), _slices(results, epoch, paths), _parallel(results, epoch, paths))
    return [Section(title, block) for title, block in zip(TITLES, blocks, strict=True)]


def _shares(results: Results) -> dict[str, float]:
    epoch = epoch_of_importance(results)
    return {} if epoch is None else importances(at_epoch(results, epoch))


def _counts(results: Results, epoch: int, compared_by: str = "value") -> str:
    return (
        f"Counts the {len(results.reached(epoch))} of {len(results.trials)} trials that reached epoch {epoch}, by "
        f"their {compared_by} there, whether they were promoted or not"
    )


def _importance(results: Results, shares: dict[str, float]) -> list[Block]:
    epoch = epoch_of_importance(results)
    if epoch is None:
        count = len(results.reached(1))
        return [Text(f"Importances need {AT_LEAST} trials that reached one epoch, but here are {count}.")]
    if not shares:
        return [Text("The best trials were no better than the worst: nothing sets them apart.")]
    if len(shares) == 1:
        return [Text("One parameter alone: there is none to compare its importance with.")]
    count, by = len(results.reached(epoch)), results.config.goals.compared_by
    return [
        Figures((figures.importance_bars(shares),)),
        note(f"{_counts(results, epoch, by)}. PED-ANOVA (Watanabe et al. 2023): how differently the best "
             f"{best_trials(count)} of them are distributed over each parameter than all {count}; shares of one. A "
             f"parameter with a condition is judged where it exists. From fewer than about 50 trials the shares are "
             f"rough."),
        _by_rung(results, epoch, shares),
        note("The same at every rung that was reached by enough trials. Only survivors reach a later one: a parameter "
             "that decided who was stopped before counts little there."),
    ]  # fmt: skip


def _by_rung(results: Results, epoch: int, shares: dict[str, float]) -> Table:
    """A column for each rung, and for the epoch of the figure, wherever enough trials have reached it."""
    epochs = [it for it in sorted({*results.milestones, epoch}) if len(results.reached(it)) >= AT_LEAST]
    columns = [shares if it == epoch else importances(at_epoch(results, it)) for it in epochs]
    return Table(
        ("parameter", *(f"epoch {it}: {len(results.reached(it))} trials" for it in epochs)),
        tuple((name, *(f"{at[name]:.1%}" if name in at else "-" for at in columns)) for name in shares),
    )


def _slices(results: Results, epoch: int, paths: list[str]) -> list[Block]:
    lost = [trial for trial in results.trials if trial.epochs < epoch and trial.state != "unfinished"]
    crosses = f"; crosses at the edge are the {len(lost)} that ended before" if lost else ""
    return [
        Figures(tuple(over_parameters.slices(results, epoch, paths))),
        note(f"{_counts(results, epoch)}; the darker, the later the trial{crosses}. Triangles at the edge have a value "
             f"beyond it."),
    ]  # fmt: skip


def _parallel(results: Results, epoch: int, paths: list[str]) -> list[Block]:
    """Parameters that all trials have; then, for each condition, those that exist under it."""
    if len(paths) < 2:
        return [Text("One parameter alone: the slice shows all there is.")]
    parameters = results.config.space.parameters
    always, *groups = results.config.space.by_condition(paths)
    drawn = [always, *([*more, *[it for it in always if it not in parameters[more[0]].when][:2]] for more in groups)]
    blocks: list[Block] = []
    for axes in drawn:
        if axes and (figure := over_parameters.parallel(results, epoch, axes)):
            blocks.append(Figures((figure,), needs=110 * (len(axes) + 1)))
    apart = " Parameters with a condition stand apart, with the trials that have them." if groups else ""
    return [*blocks, note(
        f"{_counts(results, epoch)}. A line a trial, the darker the better; the most important parameters stand "
        f"first.{apart}"
    )]  # fmt: skip
