"""An experiment as a document: a table, curves over epochs and seconds, and what was measured how."""

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from search.config import SearchConfig
from search.objectives import Objective
from search.report.document import Document, Figures, Section, Table, Text
from search.report.figures import COLORWAY, themed
from search.simulation.experiment import Pair, Plan
from search.simulation.measures import Estimate, answer_errors, mean, median, ratio, regret
from search.simulation.recorded import Answers

SHARES = (0.05, 0.01)  # of the surface's configurations, whose best are looked for
POINTS = 200  # of a curve


def document(answers: Answers, pairs: Sequence[Pair], plan: Plan, config: SearchConfig) -> Document:
    """All of an experiment."""
    surface, seeds, goal = answers.surface, len(pairs[0].courses), config.goal
    first, factor = config.rungs
    about = (
        f"{seeds} simulated searches of {plan.trials} trials each, {plan.slots} at once, on the learning curves of "
        f"{len(surface.samples)} configurations of {surface.space.base.data.dataset}, trained for {surface.epochs} "
        f"epochs with {len(surface.seeds)} seed{'s'[: len(surface.seeds) != 1]}. First rung after epoch {first}, one "
        f"in {factor} goes on."
    )
    key_figures = {
        "configurations": f"{len(surface.samples):,}", "curves": f"{surface.curves.shape[0] * len(surface.seeds):,}",
        f"best {goal.title}": goal.show(float(answers.final[answers.rank.argmin()])),
        "its best 1 %": goal.show(_threshold(answers, 0.01)), "its best 5 %": goal.show(_threshold(answers, 0.05)),
    }  # fmt: skip
    return Document(f"Simulated searches on {surface.name}", about, key_figures, [
        Section("Comparison", [table(answers, pairs, goal), Text(
            "Medians with their 95 % interval (order statistics) of the epochs, over all trials, until a configuration "
            "among the best 5 % and 1 % of the surface was trained to its end; '>' where a part of the searches never "
            f"came to one. Ratio: to the medians of {pairs[0].name}, seed by seed, with its bootstrap interval. "
            "Regret: how much worse than the surface's best the best trial was, on the mean over the epochs that all "
            "spent.",
            is_note=True)]),
        Section("Course", [
            Figures((curves(answers, pairs, goal, over="epochs"),)),
            Figures((curves(answers, pairs, goal, over="seconds"),)),
            Text("How much worse than the surface's best was what `ffsnn best` would have given at that moment, by its "
                 "value at full length over all recorded seeds: mean of the searches, with its 95 % interval.",
                 is_note=True)]),
        answers_section(answers, config),
    ])  # fmt: skip


def answers_section(answers: Answers, config: SearchConfig) -> Section:
    """The way that suggestions are answered, and how good these answers would be elsewhere."""
    goal = config.goal
    scale, form = (100, ".1f") if goal.is_share else (1, ".4g")
    rows = tuple(
        (str(it.epoch), *("-" if math.isnan(value) else f"{value * scale:{form}}"
                          for value in (it.nearest, it.seeds, it.any)))
        for it in answer_errors(answers, sorted({*config.milestones, config.epochs}))
    )  # fmt: skip
    unit = "percentage points" if goal.is_share else goal.title
    return Section("Answers", [
        Text(
            "A suggestion is answered by the nearest recorded configuration that this search has not had, and the "
            "sampler is told of that one: all it learns from was measured, but a surface is no finer than its points."
        ),
        Table(("epoch", f"held out, nearest ({unit})", "other seed", "any other"), rows),
        Text(
            "Mean absolute differences: of each configuration, left out, to the one that would answer for it; of the "
            "same under another seed; of any two.", is_note=True,
        ),
    ])  # fmt: skip


def table(answers: Answers, pairs: Sequence[Pair], goal: Objective) -> Table:
    """A row a pair."""
    count = len(answers.final)
    ranks = [max(round(share * count), 1) for share in SHARES]
    shared = min(len(course.seconds) for pair in pairs for course in pair.courses)
    rows = []
    for pair in pairs:
        cells = [pair.name]
        for rank in ranks:
            told = [course.epochs_to(rank) for course in pair.courses]
            others = [course.epochs_to(rank) for course in pairs[0].courses]
            cells.append(shown(median(told)))
        cells.append(shown(ratio(told, others), ".2f"))
        seconds = median([course.seconds_to(ranks[-1]) for course in pair.courses])
        areas = regret(pair.courses, answers.final[answers.rank.argmin()], shared, goal.cost)
        middle, half = mean(areas[:, None])
        scale, digits = (100, ".2f") if goal.is_share else (1, ".4g")
        cells += [shown(seconds), f"{middle[0] * scale:{digits}}\u00a0±\u00a0{half[0] * scale:{digits}}"]
        last, spread = mean(np.array([course.incumbent[-1:] for course in pair.courses]))
        cells.append(f"{goal.show(float(last[0]))} ±\u00a0{spread[0] * scale:{digits}}")
        cells.append(f"{np.median([len(course.seconds) for course in pair.courses]):,.0f}")
        rows.append(tuple(cells))
    head = (
        "sampler + scheduler", "epochs to the best 5 %", "to the best 1 %", "ratio", "seconds to the best 1 %",
        f"regret over {shared:,} epochs", "best in the end", "epochs in all",
    )  # fmt: skip
    return Table(head, tuple(rows))


def curves(answers: Answers, pairs: Sequence[Pair], goal: Objective, over: str) -> go.Figure:
    """The incumbent's distance from the surface's best over a budget, pair by pair."""
    figure, best = go.Figure(), goal.cost(float(answers.final[answers.rank.argmin()]))
    least = np.abs(np.diff(np.sort(answers.final)[[-2, -1]]))[0] / 2  # half a step: there is no zero on this axis
    for pair, color in zip(pairs, (COLORWAY * len(pairs)), strict=False):
        ends = [float(len(c.seconds) if over == "epochs" else c.seconds[-1]) for c in pair.courses]
        budget = np.geomspace(1 if over == "epochs" else max(min(ends) / 1000, 1e-3), float(np.median(ends)), POINTS)
        values = [c.after_epochs(budget) if over == "epochs" else c.after_seconds(budget) for c in pair.courses]
        sign = -1 if goal.direction == "maximize" else 1
        middle, half = mean(sign * np.array(values) - best)
        low, high = np.maximum(middle - half, least), middle + half
        figure.add_scatter(
            x=[*budget, *budget[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor=color,
            opacity=0.15, line={"width": 0}, hoverinfo="skip", legendgroup=pair.name, showlegend=False,
        )  # fmt: skip
        figure.add_scatter(x=budget, y=middle, name=pair.name, line={"color": color}, legendgroup=pair.name)
    figure.update_xaxes(type="log", title_text=f"{over} spent, over all trials")
    figure.update_yaxes(
        type="log", title_text=f"behind the best, {goal.title}", tickformat=".1%" if goal.is_share else None
    )
    return themed(figure, 420)


def shown(estimate: Estimate, form: str = ",.0f") -> str:
    """`107 [90, 131]`; what was never seen as `>`."""

    def number(value: float) -> str:
        return "-" if math.isnan(value) else ">" if math.isinf(value) else f"{value:{form}}"

    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]".replace(" ", "\u00a0")


def _threshold(answers: Answers, share: float) -> float:
    """The worst value among the best `share` of the surface."""
    last = max(round(share * len(answers.final)), 1) - 1
    return float(answers.final[answers.rank == last][0])
