"""What a report says of several objectives: the front as a picture and a table, and hypervolume over trials."""

from itertools import accumulate

import plotly.graph_objects as go

from ffsnn.fields import short
from search.hints import command
from search.pareto.front import Box
from search.registries import OBJECTIVES
from search.report import figures
from search.report.document import Block, Code, Figures, Section, Table, Text
from search.report.sections import note
from search.retrain import front as retrained
from search.retrain.folder import results as retrainings
from search.retrain.front import FrontResult
from search.store.results import Results, TrialResult


def sections(results: Results) -> list[Section]:
    """The front of several objectives, as a picture and a table; nothing for one objective."""
    goals, trials = results.config.goals, results.reached(1)
    if len(goals.objectives) == 1:
        return []
    points = sorted(results.front(), key=lambda trial: goals.standing(trial.last).costs)
    if not points:
        return [Section("The front", [Text("No trial has a result that keeps all limits.")])]
    standings = [goals.standing(trial.last) for trial in trials]
    box = Box.around(goals, standings)
    rows = tuple(
        (str(trial.number), *(it.show(value) for it, value in zip(goals.measured, trial.last, strict=True)),
         str(trial.epochs))
        for trial in points
    )  # fmt: skip
    share = box.share(standings)
    return [Section("The front", [
        Figures((_picture(results),)),
        Table(("trial", *(it.title for it in goals.measured), "epochs"), rows),
        note(f"The {len(points)} of {len(trials)} trials that no other one dominates"
             f"{' among those that keep ' + ', '.join(map(str, goals.limits)) if goals.limits else ''}, each after its "
             f"last epoch, those that were stopped early too. The picture has the first two objectives; triangles lie "
             f"beyond its edge. As files:"),
        Code(command("best", results.name, "--front")),
        Figures((_course(results, box),)),
        note(f"Hypervolume {share:.3f}: the share that the front dominates of the box {box}. The last corner is the "
             f"reference point: of a cost its limit, else the largest that a trial had."),
    ]), *_retrained(results)]  # fmt: skip


def _retrained(results: Results) -> list[Section]:
    """The front's newest retraining: its points on the test images; nothing where there is none."""
    result = next((it for it in retrainings(results.folder) if it.front is not None), None)
    if result is None or result.front is None:
        return []
    front = result.front
    head, rows = retrained.cells(front)
    blocks: list[Block] = [
        Figures((_on_test(front),)),
        Table(head, tuple(rows)),
        note(f"Every point with {len(result.seeds)} seeds that the search had not used, {result.epochs} epochs each: "
             f"mean ± 95 % interval (Student's t) on the {result.test.images:,} of the test set, opened once."),
        *map(Text, retrained.words(front)),
    ]  # fmt: skip
    if any(point.exit for point in front.points):
        blocks += [
            Figures((_early_exit(front),)),
            note("Early exit: an image is stopped at the step at which its best label is far enough ahead. A line a "
                 "point, over all thresholds, on the validation images of its best seed; in the table the threshold "
                 "that was chosen there, on the test images, as a mean over seeds."),
        ]  # fmt: skip
    return [Section("The front, retrained", blocks)]


def _on_test(front: FrontResult) -> go.Figure:
    """Quality over cost of each point, with intervals."""
    quality, cost = OBJECTIVES[front.quality], OBJECTIVES[front.cost]
    figure = go.Figure()
    for name, trials, color in (
        ("the front", {it.trial for it in front.points} - {front.champion, front.cheapest}, figures.BLUE),
        ("cheapest", {front.cheapest} - {front.champion}, figures.AMBER),
        ("champion" if front.champion != front.cheapest else "champion and cheapest", {front.champion}, "#333333"),
    ):
        points = [(it.trial, it.of(quality.name), it.of(cost.name)) for it in front.points if it.trial in trials]
        there = [(trial, y, x) for trial, y, x in points if y and x and y.mean is not None and x.mean is not None]
        if there:
            figure.add_scatter(
                x=[x.mean for _, _, x in there], y=[y.mean for _, y, _ in there], name=name, mode="markers",
                marker={"color": color, "size": 9},
                error_x={"array": [x.half for _, _, x in there], "thickness": 1},
                error_y={"array": [y.half for _, y, _ in there], "thickness": 1},
                customdata=[f"trial {trial}<br>{y.show(quality)}<br>{x.show(cost)}" for trial, y, x in there],
                hovertemplate="%{customdata}<extra></extra>",
            )  # fmt: skip
    figure.update_layout(xaxis_title=cost.title, yaxis_title=quality.title.replace("validation", "test"))
    figure.update_layout(showlegend=True, hovermode="closest")
    return figures.scaled(figures.themed(figure, 440), quality)


def _early_exit(front: FrontResult) -> go.Figure:
    """Accuracy over synaptic operations of each point, a threshold a mark."""
    figure = go.Figure()
    for point in front.points:
        if point.exit is not None:
            steps, operations, accuracies = zip(*point.exit.curve, strict=True)
            figure.add_scatter(
                x=operations, y=accuracies, name=f"trial {point.trial}", mode="lines+markers", marker={"size": 4},
                customdata=[f"trial {point.trial}: {step:.2f} steps" for step in steps],
                hovertemplate="%{customdata}, %{x:.4g} operations: %{y:.2%}<extra></extra>",
            )  # fmt: skip
    figure.update_layout(xaxis_title="synaptic operations of a sample", yaxis_title="validation accuracy")
    figure.update_yaxes(tickformat=".1%")
    figure.update_layout(showlegend=True, hovermode="closest")
    return figures.themed(figure, 440)


def _picture(results: Results) -> go.Figure:
    """The first two objectives of each trial after its last epoch: the front on top, dominated ones grey; those whose
    first objective is far off, as triangles at the edge."""
    goals, trials = results.config.goals, results.reached(1)
    first, other = goals.objectives[:2]
    points = sorted(results.front(), key=lambda trial: other.cost(trial.last[1]))
    rest = [trial for trial in trials if trial not in points]
    kept = [trial for trial in rest if not goals.standing(trial.last).violation]
    groups = [
        ("break a limit", [trial for trial in rest if trial not in kept], "x-thin-open", figures.AMBER),
        ("dominated", kept, "circle", "#b8bfc8"), ("the front", points, "circle", figures.BLUE),
    ]  # fmt: skip
    low, high = figures.interesting([trial.last[0] for trial in trials], first)
    span = min(low, *(trial.last[0] for trial in points)), max(high, *(trial.last[0] for trial in points))
    figure = go.Figure()
    for name, group, symbol, color in groups:
        inside = [span[0] <= trial.last[0] <= span[1] for trial in group]
        if group:
            figure.add_scatter(
                x=[trial.last[1] for trial in group], name=name,
                y=[trial.last[0] if it else figures.edge(span, first) for trial, it in zip(group, inside, strict=True)],
                mode="lines+markers" if group is points and len(goals.objectives) == 2 else "markers",
                line={"shape": "hv", "width": 1.5},
                marker={"symbol": [symbol if it else "triangle-down" for it in inside], "color": color, "size": 8},
                customdata=[_about(trial, results) for trial in group], hovertemplate="%{customdata}<extra></extra>",
            )  # fmt: skip
    figure.update_layout(xaxis_title=other.title, yaxis_title=first.title, showlegend=True, hovermode="closest")
    seen = [trial.last[1] for trial in trials]
    if min(seen) > 0 and max(seen) > 30 * min(seen):
        figure.update_xaxes(type="log")
    figure.update_xaxes(tickformat=".1%" if other.is_share else None)
    return figures.scaled(figures.themed(figure, 440), first).update_yaxes(range=span)


def _about(trial: TrialResult, results: Results) -> str:
    sample = ", ".join(f"{short(path)} {value:.4g}" if isinstance(value, float) else f"{short(path)} {value}"
                       for path, value in trial.sample.items())  # fmt: skip
    told = results.config.goals.show(trial.last)
    return f"trial {trial.number}, {figures.WORDS[trial.state]}, {trial.epochs} epochs<br>{told}<br>{sample}"


def _course(results: Results, box: Box) -> go.Figure:
    """The hypervolume after each trial with a result, over the epochs that the trials up to there have trained."""
    trials = results.reached(1)
    figure = go.Figure()
    figure.add_scatter(
        x=list(accumulate(trial.epochs for trial in trials)),
        y=box.course([results.config.goals.standing(trial.last) for trial in trials]),
        mode="lines", line={"shape": "hv", "width": 2, "color": figures.BLUE},
        customdata=[trial.number for trial in trials],
        hovertemplate="%{x} epochs, up to trial %{customdata}: %{y:.4f}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(xaxis_title="epochs trained by all trials so far", yaxis_title="hypervolume, share of the box")
    return figures.themed(figure, 300)
