"""The report's figures: Optuna's own wherever it has one, in the report's colours; else plotly's.

Each takes an in-memory study (`Results.study`) or the results, and needs at least one trial that it counts.
"""

import math
from itertools import accumulate

import optuna
import plotly.graph_objects as go
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState
from optuna.visualization import (
    plot_intermediate_values,
    plot_optimization_history,
    plot_parallel_coordinate,
    plot_param_importances,
    plot_slice,
    plot_timeline,
)

from search.results import Fate, Results, Rung

ACCURACY = "validation accuracy"
COLORS: dict[Fate, str] = {"complete": "#1769aa", "pruned": "#d08a1d", "failed": "#c4314b", "unfinished": "#2e8b57"}
WORDS: dict[Fate, str] = {"complete": "at full length", "pruned": "pruned", "failed": "failed",
                          "unfinished": "unfinished"}  # fmt: skip
BLUES = [[0, "#c3d9ee"], [1, "#0b3c6f"]]  # Optuna's own begin at white
ACROSS = 4  # slices beside each other
GRID = {"gridcolor": "#e4e7eb", "linecolor": "#9aa4b0", "zeroline": False, "ticks": "outside", "tickcolor": "#c3cad2",
        "automargin": True, "title": {"standoff": 12}}  # fmt: skip
THEME = go.layout.Template(layout={
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#2b3440"},
    "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "colorway": [*COLORS.values()],
    "xaxis": GRID, "yaxis": GRID, "hoverlabel": {"align": "left"}, "title": {"font": {"size": 14}},
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
})  # fmt: skip


def _themed(figure: go.Figure, height: int = 380) -> go.Figure:
    """In the report's colours; its heading and caption stand in the page."""
    figure.update_layout(
        template=THEME, title=None, height=height, width=None, plot_bgcolor=None, margin={"l": 60, "r": 20, "t": 36, "b": 50}
    )
    return figure


def _percent(figure: go.Figure) -> go.Figure:
    return figure.update_yaxes(tickformat=".1%")


def history(*studies: optuna.Study) -> go.Figure:
    """Each trial's value, and the best so far."""
    figure = plot_optimization_history(studies[0] if len(studies) == 1 else studies, target_name=ACCURACY)
    return _percent(_themed(figure))


def importances(study: optuna.Study) -> dict[str, float]:
    """PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255): what sets the best tenth of the trials apart from all."""
    return optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def importances_bars(study: optuna.Study) -> go.Figure:
    figure = plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), target_name=ACCURACY)
    figure.update_layout(xaxis_title="share of the importance", yaxis_title=None, showlegend=False)
    return _themed(figure.update_traces(marker_color=COLORS["complete"]), 120 + 34 * len(figure.data[0].y))


def slices(study: optuna.Study, parameters: list[str]) -> list[go.Figure]:
    """Value over each parameter, at most four beside each other."""
    rows = math.ceil(len(parameters) / ACROSS)
    width = math.ceil(len(parameters) / rows)
    figures = []
    for start in range(0, len(parameters), width):
        figure = plot_slice(study, parameters[start : start + width], target_name=ACCURACY)
        figure.update_traces(marker={"colorscale": BLUES, "colorbar": {"thickness": 12, "xpad": 8}})
        figures.append(_percent(_themed(figure, 300)))
    return figures


def parallel(study: optuna.Study, parameters: list[str]) -> go.Figure:
    figure = _themed(plot_parallel_coordinate(study, parameters, target_name=ACCURACY), 440)
    return figure.update_layout(margin={"t": 50, "b": 60})


def curves(results: Results) -> go.Figure:
    """Validation accuracy by epoch; Optuna leaves failed trials out, so they go in as pruned ones."""
    study = results.study()
    for frozen in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        frozen.state = TrialState.PRUNED
    figure = plot_intermediate_values(study)
    trials = {f"Trial{trial.number}": trial for trial in results.trials}
    seen: set[Fate] = set()
    for trace in figure.data:
        trial = trials[trace.name]
        trace.update(
            name=WORDS[trial.state], legendgroup=trial.state, showlegend=trial.state not in seen,
            line={"color": COLORS[trial.state], "width": 1.2 if trial.state == "pruned" else 2}, marker={"size": 5},
            opacity=0.4 if trial.state == "pruned" else 0.9, meta=trial.number,
            hovertemplate=f"trial {trial.number} {trial.state} {trial.reason}<br>epoch %{{x}}: %{{y:.2%}}<extra></extra>",
        )  # fmt: skip
        seen.add(trial.state)
    figure.update_layout(xaxis_title="epoch", yaxis_title=ACCURACY, showlegend=True)
    return _percent(_themed(figure, 440))


def rungs(rungs: list[Rung]) -> go.Figure:
    """The values at each rung, apart for those that went on and those that were stopped."""
    figure = go.Figure()
    for name, color in (("went on", COLORS["complete"]), ("stopped there", COLORS["pruned"])):
        points = [(f"epoch {rung.epoch}", value) for rung in rungs
                  for value in (rung.went_on if name == "went on" else rung.stayed)]  # fmt: skip
        figure.add_box(
            x=[x for x, _ in points], y=[y for _, y in points], name=name, marker={"color": color, "size": 5},
            boxpoints="all", jitter=0.4, pointpos=0, line={"width": 1}, fillcolor="rgba(0,0,0,0)",
        )  # fmt: skip
    figure.update_layout(boxmode="group", yaxis_title=ACCURACY, showlegend=True)
    figure.update_xaxes(categoryorder="array", categoryarray=[f"epoch {rung.epoch}" for rung in rungs])
    return _percent(_themed(figure))


def timeline(study: optuna.Study) -> go.Figure:
    figure = plot_timeline(study)
    states: dict[str, Fate] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "unfinished"}
    for trace in figure.data:
        state = states[trace.name]
        trace.update(name=WORDS[state], marker={"color": COLORS[state]})
    figure.update_layout(xaxis_title=None, yaxis_title="trial")
    return _themed(figure)


def seconds(results: Results) -> go.Figure:
    """Seconds of training, a bar a trial."""
    figure = go.Figure()
    for state, color in COLORS.items():
        if trials := results.of(state):
            figure.add_bar(
                x=[trial.number for trial in trials], y=[trial.seconds for trial in trials], name=WORDS[state],
                marker={"color": color}, customdata=[trial.epochs for trial in trials],
                hovertemplate="trial %{x}: %{y:.1f} s, %{customdata} epochs<extra></extra>",
            )  # fmt: skip
    figure.update_layout(barmode="overlay", xaxis_title="trial", yaxis_title="seconds of training", showlegend=True)
    return _themed(figure, 300)


def best_over_epochs(searches: list[Results], epoch: int | None) -> go.Figure:
    """Best value so far over the epochs that all trials before, and the one itself, have trained.

    Args:
        searches: those to compare.
        epoch: at which trials are compared; None: at full length.
    """
    figure = go.Figure()
    for results, color in zip(searches, (COLORS["complete"], COLORS["pruned"]), strict=True):
        values = [trial.at(epoch or results.config.epochs) or 0.0 for trial in results.trials]
        figure.add_scatter(
            x=list(accumulate(trial.epochs for trial in results.trials)), y=[best or None for best in accumulate(values, max)],
            mode="lines", line={"shape": "hv", "color": color, "width": 2}, name=results.name,
        )  # fmt: skip
    figure.update_layout(xaxis_title="epochs trained by all trials", yaxis_title=f"best {ACCURACY} so far",
                         showlegend=True)  # fmt: skip
    return _percent(_themed(figure))
