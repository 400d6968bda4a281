"""An experiment as a document: a table, curves over epochs and seconds, and what was measured how."""

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from search.config import SearchConfig
from search.objectives import Objective
from search.report.document import Block, Document, Figures, Section, Table, Text
from search.report.figures import COLORWAY, themed
from search.simulation.experiment import Pair, Plan
from search.simulation.measures import answer_errors, mean, median, ratio
from search.simulation.recorded import Answers
from search.simulation.yardsticks import Yardstick, shown, yardstick

POINTS = 200  # of a curve


def document(answers: Answers, pairs: Sequence[Pair], plan: Plan, config: SearchConfig) -> Document:
    """All of an experiment."""
    surface, seeds = answers.surface, len(pairs[0].courses)
    measure = yardstick(answers, config, plan.reference)
    first, factor = config.rungs
    about = (
        f"{seeds} simulated searches of {plan.trials} trials each, {plan.slots} at once, on the learning curves of "
        f"{len(surface.samples)} configurations of {surface.space.base.data.dataset}, trained for {surface.epochs} "
        f"epochs with {len(surface.seeds)} seed{'s'[: len(surface.seeds) != 1]}. First rung after epoch {first}, one "
        f"in {factor} goes on."
    )
    key_figures = {
        "configurations": f"{len(surface.samples):,}", "curves": f"{surface.curves.shape[0] * len(surface.seeds):,}",
        **measure.key_figures(),
    }  # fmt: skip
    of_table, of_curves = measure.notes(pairs[0].name)
    return Document(f"Simulated searches on {surface.name}", about, key_figures, [
        Section("Comparison", [*tables(measure, pairs), Text(of_table, is_note=True)]),
        Section("Course", [
            Figures((curves(measure, pairs, over="epochs"),)),
            Figures((curves(measure, pairs, over="seconds"),)),
            Text(of_curves, is_note=True)]),
        answers_section(answers, config),
    ])  # fmt: skip


def answers_section(answers: Answers, config: SearchConfig) -> Section:
    """The way that suggestions are answered, and how good these answers would be elsewhere."""
    said: list[Block] = [
        Text(
            "A suggestion is answered by the nearest recorded configuration that this search has not had, and the "
            "sampler is told of that one: all it learns from was measured, but a surface is no finer than its points."
        ),
        *(_errors(answers, config, it) for it in answers.goals.objectives),
        Text(
            "Mean absolute differences: of each configuration, left out, to the one that would answer for it; of the "
            "same under another seed; of any two.", is_note=True,
        ),
    ]  # fmt: skip
    return Section("Answers", said)


def _errors(answers: Answers, config: SearchConfig, goal: Objective) -> Table:
    scale, form = (100, ".1f") if goal.is_share else (1, ".4g")
    rows = tuple(
        (str(it.epoch), *("-" if math.isnan(value) else f"{value * scale:{form}}"
                          for value in (it.nearest, it.seeds, it.any)))
        for it in answer_errors(answers, goal, sorted({*config.milestones, config.epochs}))
    )  # fmt: skip
    unit = "percentage points" if goal.is_share else goal.title
    return Table(("epoch", f"held out, nearest ({unit})", "other seed", "any other"), rows)


def tables(measure: Yardstick, pairs: Sequence[Pair]) -> list[Block]:
    """A row a pair in each."""
    shared, first = min(len(course.seconds) for pair in pairs for course in pair.courses), pairs[0].courses
    (one, near), (two, nearer) = measure.targets
    rows, equal = [], []
    for pair in pairs:
        to_two, name = [course.epochs_to(nearer) for course in pair.courses], {"sampler + scheduler": pair.name}
        rows.append(name | {
            f"epochs to {one}": shown(median([course.epochs_to(near) for course in pair.courses])),
            f"to {two}": shown(median(to_two)),
            "ratio": shown(ratio(to_two, [course.epochs_to(nearer) for course in first]), ".2f"),
            f"seconds to {two}": shown(median([course.seconds_to(nearer) for course in pair.courses])),
            **measure.columns(pair.courses, shared),
            "epochs in all": f"{np.median([len(course.seconds) for course in pair.courses]):,.0f}",
        })  # fmt: skip
        equal.append(name | measure.at_equal_epochs(pair.courses, first, shared))
    made = [Table(tuple(each[0]), tuple(tuple(row.values()) for row in each)) for each in (rows, equal)]
    return [it for it in made if len(it.head) > 1]


def curves(measure: Yardstick, pairs: Sequence[Pair], over: str) -> go.Figure:
    """Curves of all pairs over a budget: what their searches have come to."""
    figure = go.Figure()
    for pair, color in zip(pairs, (COLORWAY * len(pairs)), strict=False):
        ends = [float(len(c.seconds) if over == "epochs" else c.seconds[-1]) for c in pair.courses]
        budget = np.geomspace(1 if over == "epochs" else max(min(ends) / 1000, 1e-3), float(np.median(ends)), POINTS)
        values = [c.after_epochs(budget) if over == "epochs" else c.after_seconds(budget) for c in pair.courses]
        drawn, least = measure.drawn(np.array(values))
        middle, half = mean(drawn)
        half = np.nan_to_num(half)  # of one search there is none
        low, high = np.maximum(middle - half, least), middle + half
        figure.add_scatter(
            x=[*budget, *budget[::-1]], y=[*high, *low[::-1]], fill="toself", fillcolor=color,
            opacity=0.15, line={"width": 0}, hoverinfo="skip", legendgroup=pair.name, showlegend=False,
        )  # fmt: skip
        figure.add_scatter(x=budget, y=middle, name=pair.name, line={"color": color}, legendgroup=pair.name)
    figure.update_xaxes(type="log", title_text=f"{over} spent, over all trials")
    figure.update_yaxes(
        type="log" if measure.logarithmic else "linear", title_text=measure.axis,
        tickformat=".1%" if measure.is_share else None,
    )  # fmt: skip
    return themed(figure, 420)
