"""The report's figures: Optuna's own wherever it has one, in the report's colours; else plotly's.

Each takes a study in memory (`search.report.studies`) or the results, and needs at least one trial that it counts.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

import optuna
import plotly.graph_objects as go
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.study import StudyDirection
from optuna.trial import TrialState
from optuna.visualization import (
    plot_edf,
    plot_intermediate_values,
    plot_optimization_history,
    plot_parallel_coordinate,
    plot_param_importances,
    plot_slice,
    plot_timeline,
)
from plotly.colors import hex_to_rgb, sample_colorscale

from search.objectives import Objective
from search.report.studies import as_pruned, counted
from search.store.results import Results, Rung, TrialResult, TrialStatus

TOP, TOP_TRIALS = 0.1, 5  # PED-ANOVA's best trials: a tenth, but at least five, as its authors advise
INK, BLUE, AMBER = "#1f2933", "#1769aa", "#d08a1d"
COLORS: dict[TrialStatus, str] = {"complete": BLUE, "pruned": AMBER, "failed": "#c4314b", "unfinished": "#2e8b57"}
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


def history(study: optuna.Study, goal: Objective) -> go.Figure:
    """Each trial's value, and the best so far."""
    figure = scaled(themed(plot_optimization_history(study, target_name=goal.title)), goal)
    figure.update_traces(marker_color=BLUE, selector={"mode": "markers"})
    figure.update_traces(line={"color": AMBER, "shape": "hv"}, name="best so far", selector={"mode": "lines"})
    return figure.update_layout(xaxis_title="trial", legend={"x": 0})


def best_trials(count: int) -> int:
    """Number of trials, out of `count`, that PED-ANOVA sets apart from all."""
    return max(round(TOP * count), min(TOP_TRIALS, count // 2))


def _evaluator(study: optuna.Study) -> PedAnovaImportanceEvaluator:
    count = counted(study)
    return PedAnovaImportanceEvaluator(target_quantile=best_trials(count) / count)


@contextmanager
def _few_trials() -> Iterator[None]:
    """Optuna warns where a parameter has few trials; the page says so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
        yield


@_few_trials()
def importances(study: optuna.Study) -> dict[str, float]:
    """PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255): what sets the best trials apart from all; shares of one.

    Empty where the best cannot be told from the worst.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
    values = sorted(sign * trial.value for trial in trials if trial.value is not None)
    if values[-best_trials(len(values))] == values[0]:
        return {}
    return optuna.importance.get_param_importances(study, evaluator=_evaluator(study))


@_few_trials()
def importance_bars(study: optuna.Study, goal: Objective) -> go.Figure:
    figure = plot_param_importances(study, evaluator=_evaluator(study), target_name=goal.title)
    figure.update_traces(marker_color=BLUE).update_layout(xaxis_title="share of the importance", yaxis_title=None)
    figure.update_xaxes(range=[0, 1.15 * max(figure.data[0].x)], tickformat=".0%")  # room for the last label
    return themed(figure, 110 + 34 * len(figure.data[0].y)).update_layout(showlegend=False)


def slices(study: optuna.Study, parameters: Sequence[str], goal: Objective) -> list[go.Figure]:
    """Value over each parameter, a figure for each, with the same range of values."""
    figures = [plot_slice(study, [parameter], target_name=goal.title) for parameter in parameters]
    values = [value for figure in figures for trace in figure.data for value in trace.y]
    room = 0.05 * (max(values) - min(values)) + 0.001
    for figure in figures:
        figure.update_traces(marker={"colorscale": BLUES, "showscale": False, "size": 7})
        scaled(themed(figure, 270), goal).update_yaxes(range=[min(values) - room, max(values) + room], title=None)
        figure.update_layout(margin={"l": 50, "r": 10, "t": 10, "b": 44})
    return figures


def parallel(study: optuna.Study, parameters: Sequence[str], goal: Objective) -> go.Figure:
    """A line a trial; Optuna's own begin at white, so each has its color anew, and the best lie on top."""
    figure = themed(
        plot_parallel_coordinate(study, list(parameters), target_name=goal.title.removeprefix("validation ")), 440
    )
    *lines, scale = figure.data
    for line in lines:
        line.update(line={"color": sample_colorscale(BLUES, line.y[0])[0]}, opacity=0.7)
    scale.marker.update(
        colorscale=BLUES, colorbar={"thickness": 12, "title": None, "tickformat": ".0%" if goal.is_share else None}
    )
    figure.data = (*sorted(lines, key=lambda line: line.y[0]), scale)
    return figure.update_layout(margin={"l": 34, "r": 10, "t": 24, "b": 40})


def curves(results: Results) -> go.Figure:
    """The objective by epoch: Optuna's line for each trial, those that ended alike as one trace; the best on top."""
    best, goal = results.ranked()[0], results.config.goal
    trials = {f"Trial{trial.number}": trial for trial in results.trials}
    drawn = [(trials[trace.name], trace) for trace in plot_intermediate_values(as_pruned(results)).data]
    figure = go.Figure()
    for state in ("pruned", "failed", "unfinished", "complete"):
        alike = [(trial, trace) for trial, trace in drawn if trial.state == state]
        if alike:
            _add_curves(figure, alike, WORDS[state], COLORS[state], 1.2)
    _add_curves(figure, [(best, trace) for trial, trace in drawn if trial is best], "best", INK, 2.6)
    figure.update_layout(xaxis_title="epoch", yaxis_title=goal.title, showlegend=True, hovermode="closest")
    return scaled(themed(figure, 440), goal)


def _add_curves(
    figure: go.Figure, drawn: list[tuple[TrialResult, go.Scatter]], name: str, color: str, width: float
) -> None:
    """The more there are, the paler each, so that many do not become one area."""
    gap = [None]
    red, green, blue = hex_to_rgb(color)
    color = f"rgba({red}, {green}, {blue}, {min(1.0, max(0.15, 12 / len(drawn))):.2f})"
    figure.add_scatter(
        x=[x for _, trace in drawn for x in [*trace.x, *gap]], y=[y for _, trace in drawn for y in [*trace.y, *gap]],
        customdata=[f"trial {trial.number} {trial.reason}" for trial, trace in drawn for _ in [*trace.x, *gap]],
        hovertemplate="%{customdata}<br>epoch %{x}: %{y:.4g}<extra></extra>", mode="lines+markers", name=name,
        line={"color": color, "width": width}, marker={"size": 4},
    )  # fmt: skip


def rungs(rungs: Sequence[Rung], goal: Objective) -> go.Figure:
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


def timeline(study: optuna.Study) -> go.Figure:
    """From when to when each trial ran."""
    states: dict[str, TrialStatus] = {
        "COMPLETE": "complete",
        "PRUNED": "pruned",
        "FAIL": "failed",
        "RUNNING": "unfinished",
    }
    figure = plot_timeline(study)
    for trace in figure.data:
        state = states[trace.name]
        trace.update(name=WORDS[state], marker={"color": COLORS[state]})
    figure.update_layout(xaxis_title=None, yaxis_title="trial")
    return themed(figure)


def distributions(studies: Sequence[optuna.Study], goal: Objective) -> go.Figure:
    """The share of each study's trials that stay below a value."""
    figure = themed(plot_edf(list(studies), target_name=goal.title))
    figure.update_layout(yaxis_title="share of trials below", showlegend=True)
    return figure.update_xaxes(tickformat=".0%" if goal.is_share else None).update_yaxes(tickformat=".0%")


def best_by_epochs(searches: Sequence[Results]) -> go.Figure:
    """The best last value of any trial so far, over the epochs that the trials up to there have trained."""
    figure, goal = go.Figure(), searches[0].config.goal
    better = max if goal.direction == "maximize" else min
    for results in searches:
        trials = [trial for trial in results.trials if trial.epochs]
        figure.add_scatter(
            x=list(accumulate(trial.epochs for trial in trials)), name=results.name, mode="lines",
            y=list(accumulate((trial.values[-1] for trial in trials), better)), line={"shape": "hv", "width": 2},
        )  # fmt: skip
    figure.update_layout(
        xaxis_title="epochs trained by all trials so far", yaxis_title=f"best {goal.title} so far", showlegend=True
    )
    return scaled(themed(figure), goal)
