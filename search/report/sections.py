"""What a report says of one search, section by section; beside each figure, how it counts trials.

Optuna's figures and importances take trials at full length only, which in an ASHA search are the few best. Where trials
are to be compared with each other (importance, slices, parallel coordinates) it is at one epoch that enough reached.
"""

import statistics

import optuna
from optuna.trial import TrialState

from ffsnn.fields import short
from ffsnn.training.run_folder import CONFIG
from search.hints import command
from search.objectives import Objective
from search.progress import clock
from search.registries import SCHEDULERS
from search.report import figures
from search.report.document import Block, Code, Figures, Section, Table, Text
from search.report.overview import standings, without_secrets
from search.report.studies import as_ended, at_epoch, counted, times
from search.store.results import Results, Rung, TrialResult, TrialStatus, epochs_of, seconds_of

TOP = 10
AT_LEAST = 10  # trials, for importances
STATUSES: tuple[TrialStatus, ...] = ("complete", "pruned", "failed", "unfinished")


def note(text: str) -> Text:
    return Text(text, is_note=True)


def best(results: Results) -> Section:
    """The best trials, each with the command that trains it."""
    ranked, goal = results.ranked()[:TOP], results.config.goal
    if not ranked:
        return Section("Best trials", [Text("No trial has finished an epoch.")])
    table = standings(results, TOP)
    train = [Code(command("train", results.folder.trial(trial.number).path / CONFIG)) for trial in ranked]
    return Section("Best trials", [
        Table((*table.head, "train it"), tuple((*row, code) for row, code in zip(table.rows, train, strict=True))),
        note(
            f"The best {len(ranked)} of {len(results.reached(1))} trials with a result, by {goal.title} after "
            f"their last epoch; those at full length ({results.config.epochs} epochs) stand before all others. The "
            f"best of many, seen with one seed, is flattered by chance. To rank the best by several seeds and open the "
            f"test files once:"
        ),
        Code(command("retrain", results.name)),
    ])  # fmt: skip


def history(results: Results) -> Section:
    """Optuna's optimisation history."""
    study, title = as_ended(results), "Optimisation history"
    count, full = counted(study), results.config.epochs
    if not count:
        return Section(title, [Text(f"No trial has reached the full length of {full} epochs.")])
    return Section(title, [
        Figures((figures.history(study, results.config.goal),)),
        note(f"Counts the {count} of {len(results.trials)} trials at full length ({full} epochs); the others are left "
             f"out, and stand among the learning curves."),
    ])  # fmt: skip


def rungs(results: Results) -> Section:
    """Section on how trials came through the rungs."""
    title = "Rung survival"
    if SCHEDULERS[results.config.scheduler].stop_reason is None:
        return Section(
            title, [Text(f"Every trial ran to its end: there were no rungs (--scheduler {results.config.scheduler}).")]
        )
    if not results.reached(1):
        return Section(title, [Text("No trial has finished an epoch.")])
    passed = [rung for rung in results.rungs() if rung.reached]
    blocks: list[Block] = [Table(
        ("rung", "reached it", "promoted", "share", "stopped", "other outcomes", "best", "median"),
        tuple(_rung(rung, results.config.goal) for rung in passed),
    )]  # fmt: skip
    if any(rung.promoted or rung.stopped for rung in passed):
        blocks.append(Figures((figures.rungs(passed, results.config.goal),)))
    return Section(title, [
        *blocks,
        note(f"Counts all trials that reached a rung, by their value at its epoch; at the last, the full length, "
             f"promoted means completed. Other outcomes: diverged, failed, out of time, or still under way. ASHA "
             f"decides as trials come, without waiting for the rest of a rung: the first ones are promoted more easily "
             f"than about one in {results.config.rungs[1]}, and overlap with those that were stopped."),
    ])  # fmt: skip


def _rung(rung: Rung, goal: Objective) -> tuple[str, ...]:
    known = rung.promoted + rung.stopped
    return (
        f"epoch {rung.epoch}", str(rung.reached), str(len(rung.promoted)), f"{len(rung.promoted) / rung.reached:.0%}",
        str(len(rung.stopped)), str(rung.other),
        goal.show(goal.best(known) if known else None), goal.show(statistics.median(known) if known else None),
    )  # fmt: skip


def compared(results: Results) -> list[Section]:
    """Importance, slices and parallel coordinates, at the common epoch."""
    epoch = results.common_epoch()
    titles = ("Parameter importance", "Slices", "Parallel coordinates")
    if epoch is None:
        return [Section(title, [Text("No trial has finished an epoch.")]) for title in titles]
    study = at_epoch(results, epoch)
    names = _varied(study, [short(path) for path in results.config.space.parameters])
    counts = (
        f"Counts the {counted(study)} of {len(results.trials)} trials that reached epoch {epoch}, by their value "
        f"there, whether they were promoted or not"
    )
    goal = results.config.goal
    blocks = (
        _importance(results, study, counts), _slices(study, names, counts, goal), _parallel(study, names, counts, goal),
    )  # fmt: skip
    return [Section(title, block) for title, block in zip(titles, blocks, strict=True)]


def _varied(study: optuna.Study, names: list[str]) -> list[str]:
    """The parameters that some trial has which is counted: a condition may have left one out."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [name for name in names if any(name in trial.params for trial in trials)]


def _importance(results: Results, study: optuna.Study, counts: str) -> list[Block]:
    count = counted(study)
    if count < AT_LEAST:
        return [Text(f"Importances need {AT_LEAST} trials that reached one epoch, but here are {count}.")]
    shares = figures.importances(study)
    if not shares:
        return [Text("The best trials were no better than the worst: nothing sets them apart.")]
    if len(shares) == 1:
        return [Text("One parameter alone: there is none to compare its importance with.")]
    return [
        Figures((figures.importance_bars(study, results.config.goal),)),
        note(f"{counts}. PED-ANOVA (Watanabe et al. 2023): how differently the best {figures.best_trials(count)} of "
             f"them are distributed over each parameter than all {count}; shares of one. A parameter with a condition "
             f"is judged where it exists. From fewer than about 50 trials the shares are rough."),
        _importance_by_rung(results, list(shares)),
        note("The same at every rung that was reached by enough trials. Only survivors reach a later one: a parameter "
             "that decided who was stopped before counts little there."),
    ]  # fmt: skip


def _importance_by_rung(results: Results, names: list[str]) -> Table:
    """A column for each rung, and for the common epoch, wherever enough trials have reached it."""
    epochs = sorted({*results.milestones, results.common_epoch() or 0})
    studies = {epoch: at_epoch(results, epoch) for epoch in epochs if len(results.reached(epoch)) >= AT_LEAST and epoch}
    shares = [figures.importances(study) for study in studies.values()]
    head = (f"epoch {epoch}: {counted(study)} trials" for epoch, study in studies.items())
    return Table(
        ("parameter", *head),
        tuple((name, *(f"{at[name]:.1%}" if name in at else "-" for at in shares)) for name in names),
    )


def _slices(study: optuna.Study, names: list[str], counts: str, goal: Objective) -> list[Block]:
    return [Figures(tuple(figures.slices(study, names, goal))), note(f"{counts}; the darker, the later the trial.")]


def _parallel(study: optuna.Study, names: list[str], counts: str, goal: Objective) -> list[Block]:
    if len(names) < 2:
        return [Text("One parameter alone: the slice shows all there is.")]
    width = 110 * (len(names) + 1)
    return [
        Figures((figures.parallel(study, names, goal),), needs=width),
        note(f"{counts}. A line a trial; None where a parameter's condition did not hold."),
    ]


def curves(results: Results) -> Section:
    """Section with all trials' learning curves."""
    count = len(results.reached(1))
    if not count:
        return Section("Learning curves", [Text("No trial has finished an epoch.")])
    return Section("Learning curves", [
        Figures((figures.curves(results),)),
        note(f"Counts the {count} of {len(results.trials)} trials that finished an epoch, those that were pruned, "
             f"failed or are unfinished too."),
    ])  # fmt: skip


def ends(results: Results) -> Section:
    """Section on how trials ended, and what failed on the way."""
    groups: dict[tuple[TrialStatus, str], list[TrialResult]] = {}
    for trial in sorted(results.trials, key=lambda trial: STATUSES.index(trial.state)):
        groups.setdefault((trial.state, trial.reason), []).append(trial)
    if not groups:
        return Section("Failures", [Text("No trial has begun.")])
    rows = tuple(
        (figures.WORDS[state], reason, str(len(trials)), str(epochs_of(trials)), _numbers(trials),
         without_secrets(trials[0].detail))
        for (state, reason), trials in groups.items()
    )  # fmt: skip
    failed = len(results.of("failed"))
    blocks: list[Block] = [
        Text(f"{failed} of {len(results.trials)} trials failed."),
        Table(("end", "reason", "trials", "epochs", "which", "what the first one said"), rows),
    ]
    processes: dict[str, list[tuple[TrialResult, str]]] = {}
    for trial in results.trials:
        for failure in trial.failures:
            processes.setdefault(failure.reason, []).append((trial, failure.detail))
    if processes:
        blocks += [
            Text("Processes that failed; a trial goes on in another as long as it has retries left:"),
            Table(("reason", "times", "which trials", "what the first one said"), tuple(
                (reason, str(len(found)), _numbers([trial for trial, _ in found]), without_secrets(found[0][1]))
                for reason, found in sorted(processes.items())
            )),
        ]  # fmt: skip
    return Section("Failures", blocks)


def _numbers(trials: list[TrialResult]) -> str:
    numbers = sorted({trial.number for trial in trials})
    return ", ".join(map(str, numbers[:TOP])) + (" ..." if len(numbers) > TOP else "")


def time_spent(results: Results) -> Section:
    """Section on where the time went."""
    groups = [(figures.WORDS[fate], results.of(fate)) for fate in STATUSES if results.of(fate)]
    if not groups:
        return Section("Time spent", [Text("No trial has begun.")])
    total = seconds_of(results.trials)
    rows = tuple(
        (name, str(len(trials)), str(epochs_of(trials)), clock(seconds_of(trials)),
         f"{seconds_of(trials) / total:.0%}" if total else "-")
        for name, trials in [*groups, ("all", results.trials)]
    )  # fmt: skip
    blocks: list[Block] = [Text(_saved(results)), Table(("trials", "count", "epochs", "training", "share"), rows)]
    if begun := times(results.folder):
        blocks += [
            Figures((figures.timeline(as_ended(results, begun)),)),
            note("Counts all trials, from when each was asked for to when it ended, pauses and retries within it; one "
                 "that is unfinished is drawn up to now."),
        ]  # fmt: skip
    return Section("Time spent", blocks)


def _saved(results: Results) -> str:
    spent = f"The search ran for {clock(results.spent)} over all its sessions. " if results.spent else ""
    done, full = epochs_of(results.trials), len(results.trials) * results.config.epochs
    return f"{spent}Its trials trained {done:,} epochs, {done / full:.0%} of what as many at full length would take."
