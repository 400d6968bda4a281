"""What a person reads when a search ends: the best trials, which parameters mattered, and what it has cost."""

import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from ffsnn.fields import short
from search.display.fitted import Column, fitted
from search.pareto import front
from search.progress import clock, describe, value_in
from search.report.importance import importance
from search.store.ends import End, by_reason
from search.store.folder import SearchFolder
from search.store.results import ENOUGH, Results, TrialResult, epochs_of
from spaces.parameter import Sample

BEST = 5
MATTERED = 2  # parameters that are named


def summary(folder: SearchFolder, console: Console) -> None:
    """The best trials, how the rest compare, what was learned, and what it has cost."""
    results = Results(folder)
    if failed := results.of("failed"):
        ends = [End("failed", trial.reason, trial.detail) for trial in failed]
        console.print(f"{len(failed)} trial{'s' * (len(failed) != 1)} failed: {by_reason(ends)}")
    ranked, goal, goals = results.ranked(), results.config.goal, results.config.goals
    if not ranked:
        console.print("no trial has finished an epoch")
        return
    several, all_values = len(goals.objectives) > 1, [trial.last for trial in ranked]
    first, title = ranked[:BEST], f"best {min(BEST, len(ranked))} of {len(ranked)} trials"
    if goals.violation(ranked[0].last):
        console.print(
            f"no trial keeps {', '.join(map(str, goals.limits))}: the nearest is trial {ranked[0].number} with "
            f"{goals.show(ranked[0].last)}"
        )
    elif several:
        first = results.front()
        title = f"the front, {len(first)} of {len(ranked)} trials"
    for line in best_tables(results, first, title, console):
        console.print(line)
    if several:
        standings = [goals.standing(values) for values in all_values]
        box = front.Box.around(goals, standings)
        console.print(f"hypervolume {box.share(standings):.3f} of the box {box}")
    scores = [trial.values[-1] for trial in ranked]
    console.print(
        f"all {len(scores)} at their last epoch: {goal.show(min(scores))} to {goal.show(max(scores))}, "
        f"median {goal.show(statistics.median(scores))} ({goal.title})"
    )
    for line in (learned(results), cost(results, ranked[0])):
        if line:
            console.print(line)


def best_tables(
    results: Results, best: Sequence[TrialResult], title: str, console: Console
) -> list[Table | str]:  # fmt: skip
    """A row a trial with what differs between them, in as many tables as the console's width asks for; what is the
    same for all is a line of its own."""
    measured = results.config.goals.measured
    paths = [path for path in results.config.space.parameters if any(path in trial.sample for trial in best)]
    same: Sample = {}
    if len(best) > 1:
        same = {path: best[0].sample[path] for path in paths
                if all(path in it.sample and it.sample[path] == best[0].sample[path] for it in best)}  # fmt: skip
    columns = [
        Column("trial", [str(trial.number) for trial in best]),
        *(
            Column(it.title.removeprefix("validation "), [it.show(trial.last[at]) for trial in best])
            for at, it in enumerate(measured)
        ),
        Column("epochs", [str(trial.epochs) for trial in best]),
        *(Column(short(path), [value_in(trial.sample, path) for trial in best]) for path in paths if path not in same),
    ]
    drawn = fitted(columns, console, f"{results.name}: {title}")
    return [*drawn, f"the same for all of these: {describe(same)}"] if same else [*drawn]


def learned(results: Results) -> str:
    """The parameters that set the best trials apart, as the report finds them; empty where the data do not tell."""
    if (found := importance(results)) is None:
        return ""
    named = " and ".join(f"{name} ({share:.0%})" for name, share in list(found.shares.items())[:MATTERED])
    rough = "; from fewer than 50 a rough guess" if found.trials < ENOUGH else ""
    goals = results.config.goals
    to = "" if goals.is_plain else f" for the {goals.compared_by}"
    return f"what mattered most{to}: {named}, by {found.trials} trials at epoch {found.epoch}{rough}"


def cost(results: Results, best: TrialResult) -> str:
    """Time and epochs of the search, energy of its best trial."""
    spent = f"{clock(results.spent)} in all, " if results.spent else ""
    energy = "" if best.nanojoules is None else f", {best.nanojoules:,.0f} nJ a sample by the 45 nm estimate"
    spikes = "" if best.spikes is None else f"; trial {best.number} fires {best.spikes:,.0f} spikes a sample{energy}"
    return f"cost: {spent}{epochs_of(results.trials):,} epochs{spikes}"
