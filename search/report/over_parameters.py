"""Trials over their parameters: slices, and parallel coordinates.

The latter are drawn as plain lines in a few shades, so that hundreds of trials are a few traces and need no WebGL; the
best lie on top.
"""

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from ffsnn.fields import short
from search.objectives import Objective
from search.report import figures
from search.store.results import Results, TrialResult
from spaces.parameter import AnyParameter, Choice, Float, Int, Value, shown

SHADES = 8
MOST_TICKS, MOST_LOGARITHMIC = 10, 5  # of a slice's axis
Tick = tuple[float, str]  # place from 0 to 1, text


def slices(results: Results, epoch: int, paths: Sequence[str]) -> list[go.Figure]:
    """Value at an epoch over each parameter, a figure for each, with the same range of values; trials that ended before
    as crosses at the edge."""
    goal, reached = results.config.goal, results.reached(epoch)
    span = figures.interesting([trial.values[epoch - 1] for trial in reached], goal)
    lost = [trial for trial in results.trials if trial.epochs < epoch and trial.state != "unfinished"]
    return [
        _slice(results, path, [t for t in reached if path in t.sample], [t for t in lost if path in t.sample], epoch,
               span)
        for path in paths
    ]  # fmt: skip


def _slice(
    results: Results, path: str, trials: list[TrialResult], lost: list[TrialResult], epoch: int,
    span: tuple[float, float],
) -> go.Figure:  # fmt: skip
    figure, goal, parameter = go.Figure(), results.config.goal, results.config.space.parameters[path]
    edge = figures.edge(span, goal)
    drawn = [goal.cost(trial.values[epoch - 1]) <= max(map(goal.cost, span)) for trial in trials]
    figure.add_scatter(
        x=[_on_axis(parameter, trial.sample[path]) for trial in trials],
        y=[trial.values[epoch - 1] if inside else edge for trial, inside in zip(trials, drawn, strict=True)],
        mode="markers",
        marker={"color": [trial.number for trial in trials], "colorscale": figures.BLUES, "size": 7,
                "symbol": ["circle" if inside else "triangle-down" for inside in drawn]},
        text=[f"trial {trial.number}: {goal.show(trial.values[epoch - 1])}" for trial in trials],
        hovertemplate="%{text}<br>%{x}<extra></extra>",
    )  # fmt: skip
    if lost:
        figure.add_scatter(
            x=[_on_axis(parameter, trial.sample[path]) for trial in lost], y=[edge] * len(lost), mode="markers",
            marker={"color": figures.RED, "symbol": "x-thin-open", "size": 6},
            hovertemplate="%{text}<br>%{x}<extra></extra>",
            text=[f"trial {trial.number}: ended after {trial.epochs} epochs, {trial.reason}" for trial in lost],
        )  # fmt: skip
    figure.update_layout(xaxis_title=short(path), showlegend=False)
    figures.scaled(figures.themed(figure, 270), goal).update_yaxes(range=span)
    if isinstance(parameter, Choice):
        figure.update_xaxes(
            type="category", categoryorder="array", categoryarray=[shown(it) for it in parameter.choice]
        )
    elif parameter.log:
        drawn_at = _few_logarithmic([value for trace in figure.data for value in trace.x])
        figure.update_xaxes(type="log", tickvals=drawn_at, ticktext=[f"{value:g}" for value in drawn_at])
    elif isinstance(parameter, Int) and parameter.int[1] - parameter.int[0] <= MOST_TICKS:
        figure.update_xaxes(dtick=1)  # plotly would also write halves
    return figure.update_layout(margin={"l": 50, "r": 10, "t": 10, "b": 44})


def _few_logarithmic(values: Sequence[float]) -> list[float]:
    """Ticks of a logarithmic axis, five at most: 1, 2 and 5 times powers of ten, or these alone, or its ends.

    Plotly writes a 3 alone for 0.03.
    """
    low, high = min(values), max(values)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1,)):
        ticks = [it for power in powers for step in steps if low <= (it := float(f"{step}e{power}")) <= high]
        if 2 <= len(ticks) <= MOST_LOGARITHMIC:
            return ticks
    return sorted({float(f"{low:.2g}"), float(f"{high:.2g}")})


def _on_axis(parameter: AnyParameter, value: Any) -> Any:
    return shown(value) if isinstance(parameter, Choice) else value


def parallel(results: Results, epoch: int, paths: Sequence[str]) -> go.Figure | None:
    """The trials that reached an epoch and have all of these parameters, in the order of the axes; the last axis is the
    value. None: there is no such trial."""
    goal = results.config.goal
    trials = [trial for trial in results.reached(epoch) if all(path in trial.sample for path in paths)]
    if not trials:
        return None
    values = [trial.values[epoch - 1] for trial in trials]
    low, high = figures.interesting(values, goal)
    axes = [(short(path), _ticks(results.config.space.parameters[path])) for path in paths]
    figure, shades = go.Figure(), dict[int, list[tuple[TrialResult, list[float]]]]()
    for trial, value in zip(trials, values, strict=True):
        place = min(1.0, max(0.0, (value - low) / (high - low)))
        good = place if goal.direction == "maximize" else 1 - place
        heights = [_place(results.config.space.parameters[path], trial.sample[path]) for path in paths]
        shades.setdefault(min(SHADES - 1, int(SHADES * good)), []).append((trial, [*heights, place]))
    for shade, lines in sorted(shades.items()):
        figure.add_scatter(
            x=[x for _ in lines for x in [*range(len(paths) + 1), None]],
            y=[y for _, heights in lines for y in [*heights, None]],
            customdata=[_about(trial, epoch, goal) for trial, _ in lines for _ in range(len(paths) + 2)],
            mode="lines", hovertemplate="%{customdata}<extra></extra>", opacity=0.75,
            line={"color": sample_colorscale(figures.BLUES, shade / (SHADES - 1))[0], "width": 1.3},
        )  # fmt: skip
    axes.append((goal.title, [(at, goal.show(low + at * (high - low))) for at in (0, 0.25, 0.5, 0.75, 1)]))
    for x, (name, ticks) in enumerate(axes):
        figure.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, line={"color": "#9aa4b0", "width": 1})
        figure.add_annotation(x=x, y=1.08, text=name, showarrow=False, font={"size": 13})
        for place, text in ticks:
            figure.add_annotation(
                x=x, y=place, text=text, showarrow=False, xanchor="left", xshift=3, font={"size": 11},
                bgcolor="rgba(255,255,255,0.7)", borderpad=0,
            )  # fmt: skip
    figures.themed(figure, 400).update_layout(
        showlegend=False, hovermode="closest", margin={"l": 40, "r": 70, "t": 30, "b": 14}
    )
    figure.update_xaxes(visible=False, range=[-0.2, len(paths) + 0.35])
    return figure.update_yaxes(visible=False, range=[-0.06, 1.14])


def _about(trial: TrialResult, epoch: int, goal: Objective) -> str:
    return f"trial {trial.number}: {goal.show(trial.values[epoch - 1])}"


def _ticks(parameter: AnyParameter) -> list[Tick]:
    """The ticks of a parameter: all choices, or both ends and between."""
    if isinstance(parameter, Choice):
        return [(_place(parameter, it), shown(it)) for it in parameter.choice]
    low, high = _range(parameter)
    ticks = []
    for place in (0, 0.25, 0.5, 0.75, 1):
        value = low + place * (high - low)
        value = 10**value if parameter.log else value
        ticks.append((float(place), f"{value:.3g}" if isinstance(parameter, Float) else str(round(value))))
    return ticks


def _range(parameter: AnyParameter) -> tuple[float, float]:
    assert not isinstance(parameter, Choice)
    low, high = parameter.float if isinstance(parameter, Float) else parameter.int
    return (math.log10(low), math.log10(high)) if parameter.log else (low, high)


def _place(parameter: AnyParameter, value: Value) -> float:
    """A value on its axis, from 0 to 1."""
    if isinstance(parameter, Choice):
        choices = [repr(it) for it in parameter.choice]
        return choices.index(repr(value)) / (len(choices) - 1) if len(choices) > 1 else 0.5
    low, high = _range(parameter)
    assert isinstance(value, int | float)
    return ((math.log10(value) if parameter.log else value) - low) / (high - low)
