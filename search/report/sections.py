"""What a report says of one search, section by section; beside each figure, how it counts trials."""

import statistics

from ffsnn.training.run_folder import CONFIG
from search.hints import command
from search.objectives import Objective
from search.progress import clock
from search.registries import SCHEDULERS
from search.report import figures
from search.report.document import Block, Code, Figures, Section, Table, Text
from search.report.overview import standings, without_secrets
from search.report.studies import times
from search.store.results import Results, RungResult, TrialResult, TrialStatus, epochs_of, seconds_of

TOP = 10
STATUSES: tuple[TrialStatus, ...] = ("complete", "pruned", "failed", "unfinished")


def note(text: str) -> Text:
    return Text(text, is_note=True)


def best(results: Results) -> Section:
    """The best trials, each with the command that trains it."""
    ranked = results.ranked()[:TOP]
    if not ranked:
        return Section("Best trials", [Text("No trial has finished an epoch.")])
    train = [
        (str(trial.number), Code(command("train", results.folder.trial(trial.number).path / CONFIG)))
        for trial in ranked
    ]
    return Section("Best trials", [
        standings(results, TOP),
        note(
            f"The best {len(ranked)} of {len(results.reached(1))} trials with a result, {_order(results)}. The best of "
            f"many, seen with one seed, is flattered by chance. To rank the best by several seeds and open the "
            f"test files once:"
        ),
        Code(command("retrain", results.name)),
        Text("To train one of them:"),
        Table(("trial", "command"), tuple(train)),
    ])  # fmt: skip


def _order(results: Results) -> str:
    """The order of the best trials, in words."""
    if len(results.config.goals.objectives) > 1:
        return "after their last epoch: the front first; within it each next trial is the farthest from those before it"
    return (
        f"by {results.config.goal.title} after their last epoch; those at full length ({results.config.epochs} epochs) "
        f"stand before all others"
    )


def history(results: Results) -> Section:
    """Each trial at full length, and the best so far."""
    title, count, full = "Optimisation history", len(results.of("complete")), results.config.epochs
    failed = f", and at the edge the {len(results.of('failed'))} that failed" if results.of("failed") else ""
    if not count:
        return Section(title, [Text(f"No trial has reached the full length of {full} epochs.")])
    return Section(title, [
        Figures((figures.history(results),)),
        note(f"Counts the {count} of {len(results.trials)} trials at full length ({full} epochs){failed}; the others "
             "are left out, and stand among the learning curves."),
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
             f"promoted means completed. Other outcomes: diverged, failed, or still under way, at rest too; best and "
             f"median leave these out, and look at no limit. "
             f"{SCHEDULERS[results.config.scheduler].note(results.config)}"),
    ])  # fmt: skip


def _rung(rung: RungResult, goal: Objective) -> tuple[str, ...]:
    known = rung.promoted + rung.stopped
    return (
        f"epoch {rung.epoch}", str(rung.reached), str(len(rung.promoted)), f"{len(rung.promoted) / rung.reached:.0%}",
        str(len(rung.stopped)), str(rung.other),
        goal.show(goal.best(known) if known else None), goal.show(statistics.median(known) if known else None),
    )  # fmt: skip


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


def ends(results: Results) -> list[Section]:
    """Sections on how trials ended, and on what failed."""
    groups: dict[tuple[TrialStatus, str], list[TrialResult]] = {}
    for trial in sorted(results.trials, key=lambda trial: STATUSES.index(trial.state)):
        groups.setdefault((trial.state, trial.reason), []).append(trial)
    rows = tuple(
        (figures.WORDS[state], reason, str(len(trials)), str(epochs_of(trials)), _numbers(trials),
         without_secrets(trials[0].detail))
        for (state, reason), trials in groups.items() if state != "failed"
    )  # fmt: skip
    ended: Block = Text("Every trial failed." if groups else "No trial has begun.")
    if rows:
        ended = Table(("end", "reason", "trials", "epochs", "which", "what the first one said"), rows)
    return [Section("Ends", [ended]), Section("Failures", _failures(results, groups))]


def _failures(results: Results, groups: dict[tuple[TrialStatus, str], list[TrialResult]]) -> list[Block]:
    """Trials that failed, and processes of trials, whatever became of the trial."""
    blocks: list[Block] = [Text(f"{len(results.of('failed'))} of {len(results.trials)} trials failed.")]
    rows = tuple(
        (reason, str(len(trials)), str(epochs_of(trials)), _numbers(trials), without_secrets(trials[0].detail))
        for (state, reason), trials in groups.items() if state == "failed"
    )  # fmt: skip
    if rows:
        blocks.append(Table(("reason", "trials", "epochs", "which", "what the first one said"), rows))
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
    return blocks


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
            Figures((figures.timeline(results, begun),)),
            note("Counts all trials, from when each was asked for to when it ended, pauses and retries within it; one "
                 "that is unfinished is drawn up to now."),
        ]  # fmt: skip
    return Section("Time spent", blocks)


def _saved(results: Results) -> str:
    spent = f"The search ran for {clock(results.spent)} over all its sessions. " if results.spent else ""
    done, full = epochs_of(results.trials), len(results.trials) * results.config.epochs
    return f"{spent}Its trials trained {done:,} epochs, {done / full:.0%} of what as many at full length would take."
