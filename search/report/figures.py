"""The report's figures, in one look; each needs at least one trial that it counts.

They are plotly's. Optuna's own import matplotlib and copy all trials for each parameter, which was half of the time
that a report of 400 trials took. Axes of values show the part in which trials can be told apart: what lies far below
stands as a mark at the edge.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from statistics import median

import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from search.objectives import Objective
from search.report.studies import Times
from search.store.results import Results, RungResult, TrialResult, TrialStatus

INK, BLUE, AMBER, RED = "#1f2933", "#1769aa", "#d08a1d", "#c4314b"
COLORS: dict[TrialStatus, str] = {"complete": BLUE, "pruned": AMBER, "failed": RED, "unfinished": "#2e8b57"}
WORDS: dict[TrialStatus, str] = {
    "complete": "at full length", "pruned": "pruned", "failed": "failed", "unfinished": "unfinished",
}  # fmt: skip
BLUES = [[0, "#a9cbe8"], [1, "#0b3c6f"]]  # Optuna's own begin at white
COLORWAY = [*COLORS.values(), "#7b4fa3", "#5b6673", "#a86b4c", "#3aa6a6"]
AXIS = {"gridcolor": "#e4e7eb", "linecolor": "#9aa4b0", "zeroline": False, "ticks": "outside", "tickcolor": "#c3cad2",
        "automargin": True, "title": {"standoff": 10, "font": {"size": 13}}}  # fmt: skip
TEMPLATE = go.layout.Template(layout={
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
    "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "colorway": COLORWAY,
    "xaxis": AXIS, "yaxis": AXIS, "hoverlabel": {"align": "left"},
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#9aa4b0", "activecolor": INK},
})  # fmt: skip


def themed(figure: go.Figure, height: int = 380) -> go.Figure:
    """In the report's colours; its heading and caption stand in the page."""
    return figure.update_layout(
        template=TEMPLATE, title=None, height=height, plot_bgcolor=None, margin={"l": 56, "r": 16, "t": 36, "b": 48}
    )


def scaled(figure: go.Figure, goal: Objective) -> go.Figure:
    """Values of the objective upwards."""
    return figure.update_yaxes(tickformat=".1%") if goal.is_share else figure


def whole_epochs(figure: go.Figure, epochs: int) -> go.Figure:
    """An axis of epochs: whole numbers, ten at most."""
    step = max(1, math.ceil(epochs / 10))
    return figure.update_xaxes(tick0=step, dtick=step, range=[0.5 if epochs < 10 else 0, epochs + 0.5])


def whole_trials(last: int) -> dict[str, int]:
    """Ticks of an axis of trials: whole numbers, about ten."""
    return {"tick0": 0, "dtick": max(1, math.ceil(last / 10))}


def interesting(values: Sequence[float], goal: Objective) -> tuple[float, float]:
    """From the best value past the median by twice their distance, if any value lies so far; with a margin."""
    costs = sorted(goal.cost(value) for value in values)
    best, middle, worst = costs[0], median(costs), costs[-1]
    if middle > best:
        worst = min(worst, middle + 2 * (middle - best))
    room = 0.06 * (worst - best) or 0.05 * abs(worst) or 0.01
    low, high = sorted((goal.cost(best - room), goal.cost(worst + room)))
    return low, high


def edge(span: tuple[float, float], goal: Objective) -> float:
    """Where marks of trials stand whose value lies beyond the worse end of an axis."""
    low, high = span
    room = 0.02 * (high - low)
    return low + room if goal.direction == "maximize" else high - room


def _best_so_far(results: Results, trials: Sequence[TrialResult]) -> list[float | None]:
    """The best last value of trials that keep the limits, up to each; None: none has come yet."""
    found: list[float | None] = []
    for trial in trials:
        best = found[-1] if found else None
        if results.keeps(trial):
            best = trial.values[-1] if best is None else results.config.goal.best([best, trial.values[-1]])
        found.append(best)
    return found


def history(results: Results) -> go.Figure:
    """Values at full length, and the best so far; trials that failed, and values far off, at the edge."""
    figure, goal, trials = go.Figure(), results.config.goal, results.of("complete")
    values = [trial.values[-1] for trial in trials]
    span = interesting(values, goal)
    figure.add_scatter(
        x=[trial.number for trial in trials], y=values, mode="markers", name="at full length",
        marker={"color": BLUE, "size": 7}, hovertemplate="trial %{x}: %{y:.4g}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[trial.number for trial in trials], y=_best_so_far(results, trials), mode="lines", name="best so far",
        line={"color": AMBER, "shape": "hv"}, hoverinfo="skip",
    )  # fmt: skip
    far = [trial for trial in trials if not span[0] <= trial.values[-1] <= span[1]]
    for name, group, symbol, color in (
        ("far off, at the edge", far, "triangle-down", BLUE), ("failed", results.of("failed"), "x-thin-open", RED),
    ):  # fmt: skip
        if group:
            figure.add_scatter(
                x=[trial.number for trial in group], y=[edge(span, goal)] * len(group), mode="markers", name=name,
                marker={"color": color, "size": 8, "symbol": symbol}, hovertemplate="%{text}<extra></extra>",
                text=[f"trial {it.number}: {goal.show(it.values[-1] if it.values else None)} {it.reason}"
                      for it in group],
            )  # fmt: skip
    figure.update_layout(xaxis_title="trial", yaxis_title=goal.title, showlegend=True)
    return scaled(themed(figure), goal).update_yaxes(range=span).update_xaxes(**whole_trials(results.trials[-1].number))


def importance_bars(shares: dict[str, float]) -> go.Figure:
    """Shares of one, the largest on top."""
    names = sorted(shares, key=lambda name: shares[name])
    figure = go.Figure()
    figure.add_bar(
        x=[shares[name] for name in names], y=names, orientation="h", marker_color=BLUE,
        text=[f"{shares[name]:.1%}" for name in names], textposition="outside", hoverinfo="skip",
    )  # fmt: skip
    figure.update_layout(xaxis_title="share of the importance", showlegend=False)
    figure.update_xaxes(range=[0, 1.15 * max(shares.values())], tickformat=".0%")  # room for the last label
    return themed(figure, 110 + 34 * len(names))


def curves(results: Results) -> go.Figure:
    """The objective by epoch: a line a trial, those that ended alike as one trace; the best on top."""
    best, goal = results.ranked()[0], results.config.goal
    figure, drawn = go.Figure(), results.reached(1)
    for state in ("pruned", "failed", "unfinished", "complete"):
        alike = [trial for trial in drawn if trial.state == state]
        if alike:
            _add_curves(figure, alike, WORDS[state], COLORS[state], 1.2)
    _add_curves(figure, [best], "best", INK, 2.6)
    figure.update_layout(xaxis_title="epoch", yaxis_title=goal.title, showlegend=True, hovermode="closest")
    return whole_epochs(scaled(themed(figure, 440), goal), results.config.epochs)


def _add_curves(figure: go.Figure, drawn: list[TrialResult], name: str, color: str, width: float) -> None:
    """The more there are, the paler each, so that many do not become one area."""
    gap = [None]
    red, green, blue = hex_to_rgb(color)
    color = f"rgba({red}, {green}, {blue}, {min(1.0, max(0.15, 12 / len(drawn))):.2f})"
    figure.add_scatter(
        x=[x for trial in drawn for x in [*range(1, trial.epochs + 1), *gap]],
        y=[y for trial in drawn for y in [*trial.values, *gap]],
        customdata=[f"trial {trial.number} {trial.reason}" for trial in drawn for _ in range(trial.epochs + 1)],
        hovertemplate="%{customdata}<br>epoch %{x}: %{y:.4g}<extra></extra>", mode="lines+markers", name=name,
        line={"color": color, "width": width}, marker={"size": 4},
    )  # fmt: skip


def rungs(rungs: Sequence[RungResult], goal: Objective) -> go.Figure:
    """The values at each rung, apart for those that were promoted and those that were stopped."""
    figure = go.Figure()
    groups = {
        "promoted": (BLUE, [rung.promoted for rung in rungs]),
        "stopped there": (AMBER, [rung.stopped for rung in rungs]),
    }
    for name, (color, groups_of_rungs) in groups.items():
        figure.add_box(
            x=[f"epoch {rung.epoch}" for rung, values in zip(rungs, groups_of_rungs, strict=True) for _ in values],
            y=[value for values in groups_of_rungs for value in values],
            name=name, marker={"color": color, "size": 5}, boxpoints="all", jitter=0.4, pointpos=0, line={"width": 1},
            fillcolor="rgba(0,0,0,0)", hovertemplate="%{x}: %{y:.4g}<extra></extra>", hoveron="points",
        )  # fmt: skip
    figure.update_layout(boxmode="group", yaxis_title=goal.title, showlegend=True)
    figure.update_xaxes(categoryorder="array", categoryarray=[f"epoch {rung.epoch}" for rung in rungs])
    return scaled(themed(figure), goal)


def timeline(results: Results, times: Times) -> go.Figure:
    """From when to when each trial ran; one that has not ended runs up to now."""
    figure, now = go.Figure(), datetime.now()
    for state, color in COLORS.items():
        drawn = [(trial.number, *times[trial.number]) for trial in results.of(state) if trial.number in times]
        bars = [(number, begun, ended or now) for number, begun, ended in drawn if begun]
        if bars:
            figure.add_bar(
                y=[number for number, *_ in bars], base=[begun.isoformat() for _, begun, _ in bars], orientation="h",
                x=[1000 * (ended - begun).total_seconds() for _, begun, ended in bars], name=WORDS[state],
                marker={"color": color, "line": {"width": 0}}, hovertemplate="trial %{y}<extra></extra>",
            )  # fmt: skip
    figure.update_layout(yaxis_title="trial", showlegend=True, barmode="overlay")
    return themed(figure).update_xaxes(type="date").update_yaxes(**whole_trials(results.trials[-1].number))


def distributions(searches: Sequence[Results], epoch: int) -> go.Figure:
    """The share of each search's trials that stay below a value, at an epoch."""
    figure, goal = go.Figure(), searches[0].config.goal
    for results in searches:
        values = sorted(trial.values[epoch - 1] for trial in results.reached(epoch))
        figure.add_scatter(
            x=values, y=[rank / len(values) for rank in range(1, len(values) + 1)], name=results.name, mode="lines",
            line={"shape": "hv", "width": 2},
        )  # fmt: skip
    figure.update_layout(xaxis_title=goal.title, yaxis_title="share of trials below", showlegend=True)
    return themed(figure).update_xaxes(tickformat=".0%" if goal.is_share else None).update_yaxes(tickformat=".0%")


def best_by_epochs(searches: Sequence[Results]) -> go.Figure:
    """The best last value of any trial so far, over the epochs that the trials up to there have trained."""
    figure, goal = go.Figure(), searches[0].config.goal
    for results in searches:
        trials = [trial for trial in results.trials if trial.epochs]
        figure.add_scatter(
            x=list(accumulate(trial.epochs for trial in trials)), name=results.name, mode="lines",
            y=_best_so_far(results, trials), line={"shape": "hv", "width": 2},
        )  # fmt: skip
    figure.update_layout(
        xaxis_title="epochs trained by all trials so far", yaxis_title=f"best {goal.title} so far", showlegend=True
    )
    return scaled(themed(figure), goal)
