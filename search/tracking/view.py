"""A search as MLflow's pages show it: a prepared view of its trials, and one of the best.

MLflow's page loads the first hundred runs and says so nowhere: the view's first heading does (45 characters are shown
of one). A plot of parallel coordinates leaves out each run that lacks one of its axes: so parameters that only some
trials have stand in a plot of their own, and the first plot shows every trial.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ffsnn.fields import short
from ffsnn.validation import ConfigError
from search import names
from search.display.sentences import remark
from search.hints import command
from search.pareto.goals import Goals
from search.store.folder import SearchFolder
from search.tracking import runs
from search.tracking.search_exporter import export_search
from search.tracking.shared_view import BEST, MACHINE_LEARNING, filtered, shared
from search.tracking.store import all_runs, open_store, store_uri
from spaces.parameter import Sample
from spaces.space import Space

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

COMPARED = 20  # runs side by side
NARROW = 88  # pixels of a column: as many decimals as a person reads; MLflow rounds none
LOADED = 100  # runs that MLflow's page loads at once
LAYERED = ("goodness_pos", "goodness_neg", "firing_rate")  # metrics of each layer

ABSENT = "-"  # the value of a parameter whose condition does not hold
Card = dict[str, Any]
Charts = tuple[str, int, int, list[Card]]  # title of a section, columns, height in pixels, cards


def prepare(home: Path, name: str, uri: str | None) -> dict[str, str]:
    """Write the view of a search into the store; its pages: what they show, and what comes after a server's address.

    Raises:
        ConfigError: there is no such search, or the store has no trial of it.
    """
    search = SearchFolder.open(home, name)
    if not search.is_settled:  # its runs bear the name that the folder had before
        with search.lease():
            if said := search.settle():
                remark(said)
            export_search(home, search, uri)
    client, experiment = open_store(home, uri)
    trials = _trials(client, experiment, search)
    found = _by_number(trials)
    if not found:
        mend = search.how_to_go_on() if search.runner() else f"bring it there by {command('sync', name)}"
        raise ConfigError(f"MLflow at {uri or store_uri(home)} has no trial of {name!r} yet: {mend}")
    when, space, goals = runs.span(search)[0], search.config.space, search.config.goals
    own = search.id if all(names.TAG_ID in run.data.tags for run in trials) else None
    shared(client, experiment, name, view(name, space, layers(search), goals, len(found), own), when)
    best = _best(search, found)
    if best:
        shared(client, experiment, name + BEST, side_by_side(space, goals, best), when)
    page = f"/#/experiments/{experiment}/runs?{MACHINE_LEARNING}&viewStateShareKey={name}"
    if len(found) > LOADED:
        remark(
            f"MLflow's page loads the best {LOADED} of {len(found)} trials, and more by 'Load more' at the end of its "
            f"list; all are in the report: {command('report', name)}"
        )
    pages = {"charts": f"{page}&compareRunsMode=CHART", "table": f"{page}&compareRunsMode=TABLE"}
    return pages | ({f"best {len(best)}": f"{page}{quote(BEST)}&compareRunsMode=CHART"} if best else {})


def layers(search: SearchFolder) -> int:
    """Number of layers of the deepest network that the space allows."""
    return max(len(search.config.space.apply(sample).network.widths) for sample in search.config.space.probes())


def view(name: str, space: Space, layers: int, goals: Goals, trials: int, id_: str | None = None) -> dict[str, Any]:
    """The state of MLflow's page: trials by the objective, all of them shown; of several, each against the first.

    Args:
        name: of the search.
        space: that it searches.
        layers: of its deepest network.
        goals: what it is after.
        trials: that MLflow has of it.
        id_: the search's own, by which another one of its name is left out; None: its runs do not say it.
    """
    goal, *others = goals.objectives
    shown = (
        f"Parameters, best {LOADED} of {trials} (then Load more)" if trials > LOADED else f"Parameters and {goal.title}"
    )
    sections: list[Charts] = [
        (shown, 1, 420, [_parallel(axes, goal.name) for axes in _axes(space)]),
        (f"{goal.title.capitalize()} and loss by epoch", 2, 420, [_curve(goal.name), _curve("loss_0")]),
        ("Against energy (nJ a sample) and seconds", 2, 360,
         [_scatter(names.ENERGY, goal.name), _scatter(names.SECONDS, goal.name)]),
        *([("Front: against each cost", 2, 420, [_scatter(it.name, goal.name) for it in others])] if others else []),
        ("Goodness and firing rate of layers by epoch", 3, 300,
         [_curve(f"{of}_{n}") for n in range(layers) for of in LAYERED]),
    ]  # fmt: skip
    state = filtered(
        _trials_of(name, id_), f"metrics.`{goal.name}`", goal.direction == "minimize", _columns(space, goals)
    )
    return _with_charts(state, sections)


def _with_charts(state: dict[str, Any], sections: list[Charts]) -> dict[str, Any]:
    cards = [
        card | {"uuid": f"{title}-{place}", "metricSectionId": title, "deleted": False, "isGenerated": False}
        for title, _, _, of_section in sections
        for place, card in enumerate(of_section)
    ]
    narrow = {column: NARROW for column in state["selectedColumns"] if not column.startswith("tags.")}
    return state | {
        "columnWidths": narrow, "compareRunCharts": cards, "isAccordionReordered": True,
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "columns": columns, "cardHeight": height}
            for name, columns, height, _ in sections
        ],
    }  # fmt: skip


def side_by_side(space: Space, goals: Goals, best: dict[str, Sample]) -> dict[str, Any]:
    """The state of the page of the best trials: a line each over the parameters in which they differ.

    MLflow's own page of runs side by side draws the first three parameters by name, and cannot be told which.
    """
    paths = [path for path in space.parameters if len({repr(it.get(path, ABSENT)) for it in best.values()}) > 1]
    kept = space.model_copy(update={"parameters": {path: space.parameters[path] for path in paths}})
    goal, title = goals.objectives[0], "The parameters in which the best differ"
    ids = ", ".join(f"'{run}'" for run in best)
    state = filtered(f"attributes.run_id IN ({ids})", f"metrics.`{goal.name}`", goal.direction == "minimize",
                     _columns(kept, goals))  # fmt: skip
    cards = [*(_parallel(axes, goal.name) for axes in _axes(kept) if axes), _curve(goal.name)]
    return _with_charts(state, [(title, 1, 420, cards)])


def _columns(space: Space, goals: Goals) -> list[str]:
    """Columns: objectives and parameters first, last those that say nearly the same again."""
    measured = [it.name for it in goals.measured]
    last = [names.BEST_PREFIX + measured[0], names.SECONDS, names.SPIKES, names.ENERGY]
    ends = (names.TAG_STATE, names.TAG_STOP_REASON, *([names.TAG_PARETO] if len(goals.objectives) > 1 else []))
    return [
        *(f"metrics.`{name}`" for name in (*measured, names.EPOCHS)),
        *(f"params.`{short(path)}`" for path in space.parameters),
        *(f"tags.`{name}`" for name in ends),
        *(f"metrics.`{name}`" for name in last if name not in measured),
    ]


def _axes(space: Space) -> list[list[str]]:
    """The parameters that every trial has; then, for each condition, those and the ones that exist under it."""
    common, *groups = (
        [short(path) + (names.LOG10 if runs.is_logarithmic(space, path) else "") for path in group]
        for group in space.by_condition(space.parameters)
    )
    return [common, *(common + more for more in groups)]


def _parallel(axes: list[str], metric: str) -> Card:
    return {"type": "PARALLEL", "selectedParams": axes, "selectedMetrics": [metric], "showAllRuns": True}


def _curve(metric: str) -> Card:
    return {
        "type": "LINE", "metricKey": metric, "selectedMetricKeys": [metric], "xAxisKey": "step",
        "xAxisScaleType": "linear", "scaleType": "linear", "lineSmoothness": 0, "displayPoints": True,
        "yAxisKey": "metric", "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True,
    }  # fmt: skip


def _scatter(x: str, y: str) -> Card:
    return {"type": "SCATTER", "xaxis": {"key": x, "type": "METRIC"}, "yaxis": {"key": y, "type": "METRIC"}}


def _trials_of(name: str, id_: str | None = None) -> str:
    """The filter that finds the runs of a search's trials."""
    own = f" AND tags.`{names.TAG_ID}` = '{id_}'" if id_ else ""
    return f"tags.`{names.TAG_SEARCH}` = '{name}' AND tags.`{names.TAG_KIND}` = 'trial'{own}"


def _trials(client: "MlflowClient", experiment: str, search: SearchFolder) -> "list[Run]":
    """The runs of a search's trials that MLflow has, oldest first; not those of another one of its name."""
    return [
        run for run in all_runs(client, experiment, _trials_of(search.name))
        if names.TAG_TRIAL in run.data.tags and run.data.tags.get(names.TAG_ID, search.id) == search.id
    ]  # fmt: skip


def _by_number(trials: "list[Run]") -> dict[int, str]:
    """Ids of runs by the trials' numbers; of two the first."""
    return {int(run.data.tags[names.TAG_TRIAL]): run.info.run_id for run in reversed(trials)}


def _best(search: SearchFolder, found: dict[int, str]) -> dict[str, Sample]:
    """Samples of the best trials, by their runs, in the order of the one rule (`search.pareto.front.ranking`); of two
    trials of the same sample the better one."""
    best: dict[str, Sample] = {}
    for _, trial in search.ranked():
        sample = search.config.space.read(trial.config())
        if trial.number in found and sample not in best.values():
            best[found[trial.number]] = sample
        if len(best) == COMPARED:
            break
    return best
