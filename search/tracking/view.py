"""A search as MLflow's pages show it: a prepared view of its trials, and the address of the best side by side.

A prepared view is a tag of the experiment, opened by its key; its JSON is what MLflow's own page (3.17) keeps of its
state. A plot of parallel coordinates leaves out each run that lacks one of its axes: so parameters that only some
trials have stand in a plot of their own, and the first plot shows every trial.
"""

import base64
import json
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ffsnn.fields import short
from ffsnn.validation import ConfigError
from search import names
from search.hints import command
from search.pareto.goals import Goals
from search.store.folder import SearchFolder
from search.tracking import runs
from search.tracking.search_exporter import export_search
from search.tracking.store import all_runs, open_store, store_uri
from spaces.space import Space

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

COMPARED = 20  # runs side by side
LAYERED = ("goodness_pos", "goodness_neg", "firing_rate")  # metrics of each layer
FIRST = ("attributes.`Run Name`", "runDateAndNestInfo", "attributes.`Created`")  # columns that are always there
MACHINE_LEARNING = "workflowType=machine_learning"  # else MLflow shows an experiment as one of language models
Card = dict[str, Any]


def prepare(home: Path, name: str, uri: str | None) -> dict[str, str]:
    """Write the view of a search into the store; its pages: what they show, and what comes after a server's address.

    Raises:
        ConfigError: there is no such search, or the store has no trial of it.
    """
    search = SearchFolder.open(home, name)
    if not search.is_settled:  # its runs bear the name that the folder had before
        with search.lease():
            said = search.settle()
            export_search(home, search, uri)
        print(said, file=sys.stderr)
    client, experiment = open_store(home, uri)
    best = _best(client, experiment, search)
    if not best:
        mend = search.how_to_go_on() if search.runner() else f"bring it there by {command('sync', name)}"
        raise ConfigError(f"MLflow at {uri or store_uri(home)} has no trial of {name!r} yet: {mend}")
    when = runs.span(search)[0]
    shown = view(name, search.config.space, layers(search), search.config.goals)
    state = base64.b64encode(zlib.compress(json.dumps(shown).encode()))
    envelope = {"name": name, "createdAt": when, "updatedAt": when, "state": f"deflate;{state.decode()}"}
    client.set_experiment_tag(experiment, names.VIEW + name, json.dumps(envelope))
    page = f"/#/experiments/{experiment}/runs?{MACHINE_LEARNING}&viewStateShareKey={name}&compareRunsMode="
    side_by_side = f"runs={quote(json.dumps(best))}&experiments={quote(json.dumps([experiment]))}"
    return {
        "charts": f"{page}CHART",
        "table": f"{page}TABLE",
        f"best {len(best)}": f"/#/compare-runs?{side_by_side}&{MACHINE_LEARNING}",  # it wants the runs first
    }


def layers(search: SearchFolder) -> int:
    """Number of layers of the deepest network that the space allows."""
    return max(len(search.config.space.apply(sample).network.widths) for sample in search.config.space.probes())


def view(name: str, space: Space, layers: int, goals: Goals) -> dict[str, Any]:
    """The state of MLflow's page: trials by the objective, all of them shown; of several, each against the first."""
    goal, *others = goals.objectives
    sections: list[tuple[str, int, int, list[Card]]] = [
        ("What pays", 1, 420, [_parallel(axes, goal.name) for axes in _axes(space)]),
        ("Learning curves", 2, 420, [_curve(goal.name), _curve("loss_0")]),
        ("Cost", 2, 360, [_scatter(names.ENERGY, goal.name), _scatter(names.SECONDS, goal.name)]),
        *([("Front", 2, 420, [_scatter(it.name, goal.name) for it in others])] if others else []),
        ("Layers", 3, 300, [_curve(f"{of}_{n}") for n in range(layers) for of in LAYERED]),
    ]
    cards = [
        card | {"uuid": f"{title}-{place}", "metricSectionId": title, "deleted": False, "isGenerated": False}
        for title, _, _, of_section in sections
        for place, card in enumerate(of_section)
    ]
    return {
        "searchFilter": f"tags.`{names.TAG_SEARCH}` = '{name}' AND tags.`{names.TAG_KIND}` = 'trial'",
        "orderByKey": f"metrics.`{goal.name}`", "orderByAsc": goal.direction == "minimize",
        "startTime": "ALL", "lifecycleFilter": "Active",
        "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": _columns(space, goals), "columnOrder": [*FIRST, *_columns(space, goals)],
        "runsHiddenMode": "SHOW_ALL", "hideEmptyCharts": True,
        "compareRunCharts": cards, "isAccordionReordered": True,
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "columns": columns, "cardHeight": height}
            for name, columns, height, _ in sections
        ],
    }  # fmt: skip


def _columns(space: Space, goals: Goals) -> list[str]:
    goal, *others = (it.name for it in goals.measured)
    metrics = [goal, names.BEST_PREFIX + goal, names.EPOCHS, names.SECONDS, names.SPIKES, names.ENERGY]
    ends = (names.TAG_STATE, names.TAG_STOP_REASON, *([names.TAG_PARETO] if len(goals.objectives) > 1 else []))
    return [
        *(f"metrics.`{name}`" for name in (*metrics[:3], *others)), *(f"tags.`{name}`" for name in ends),
        *(f"params.`{short(path)}`" for path in space.parameters),
        *(f"metrics.`{name}`" for name in metrics[3:] if name not in others),
    ]  # fmt: skip


def _axes(space: Space) -> list[list[str]]:
    """The parameters that every trial has; then, for each condition, those and the ones that exist under it."""
    groups: dict[str, list[str]] = {"": []}
    for path, parameter in space.parameters.items():
        leaf = short(path)
        name = leaf + names.LOG10 if runs.is_logarithmic(space, path) else leaf
        groups.setdefault(json.dumps(parameter.when) if parameter.when else "", []).append(name)
    common = groups.pop("")
    return [common, *(common + more for more in groups.values())]


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


def _best(client: "MlflowClient", experiment: str, search: SearchFolder) -> list[str]:
    """Runs of the best trials, by the one rule (`search.pareto.front.ranking`); those that MLflow has."""
    its = f"tags.`{names.TAG_SEARCH}` = '{search.name}' AND tags.`{names.TAG_KIND}` = 'trial'"
    trials = [run for run in all_runs(client, experiment, its) if names.TAG_TRIAL in run.data.tags]
    found = {int(run.data.tags[names.TAG_TRIAL]): run.info.run_id for run in reversed(trials)}  # of two, the first
    return [found[trial.number] for _, trial in search.ranked() if trial.number in found][:COMPARED]
