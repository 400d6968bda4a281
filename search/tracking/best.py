"""A search's best configurations: from its folder, or from MLflow alone, where only the tracking address is known.

Both rank by one rule (`search.pareto.front.ranking`). In MLflow a configuration is the run's
`config.json`, whose values have their types; parameters are text.
"""

import difflib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffsnn.config import RunConfig
from ffsnn.training.run_folder import CONFIG
from ffsnn.validation import ConfigError, brief
from search import environment, objectives
from search.cluster.servers import tracking_store
from search.names import EXPERIMENT, IS_SEARCH, TAG_EPOCHS, TAG_ID, TAG_LIMIT, TAG_OBJECTIVE, TAG_SEARCH, TAG_TRIAL
from search.objectives import Objective
from search.pareto.front import ranking
from search.pareto.goals import Goals, Values
from search.settings import elsewhere, redacted, setting
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.tracking.store import all_runs, client_of

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class Best:
    """A configuration, and what it reached in the search."""

    search: str
    trial: int
    values: Values  # all that is measured
    epochs: int
    goals: Goals
    config: RunConfig

    def yaml(self) -> str:
        """The configuration as YAML for `ffsnn train`, below a line that says where it is from."""
        told = zip(self.goals.measured, self.values, strict=True)
        reached = ", ".join(f"{it.title} {it.show(value)}" for it, value in told) + f" after {self.epochs} epochs"
        return f"# search {self.search}, trial {self.trial}: {reached}\n{self.config.yaml()}"


def best(home: Path, name: str, top: int, tracking_uri: str | None, say: Callable[[str], None]) -> list[Best]:
    """The best `top` trials: from the folder, unless it is not there or a tracking address is named.

    Raises:
        ConfigError: there is no such search, nothing in it has a result, or the address does not answer.
    """
    named = elsewhere(setting("tracking_uri", tracking_uri))
    if named is None or (tracking_uri is None and SearchFolder.exists(home, name)):
        return from_folder(SearchFolder.open(home, name), top)
    uri = tracking_store(tracking_uri)
    assert uri is not None
    folder = SearchFolder.open(home, name) if SearchFolder.exists(home, name) else None
    return from_mlflow(uri, name, top, say, folder.former_names if folder else [], folder.id if folder else None)


def from_folder(folder: SearchFolder, top: int) -> list[Best]:
    return _found(folder, folder.measured()[:top])


def front(folder: SearchFolder) -> list[Best]:
    """The points of a search's front, in the order of the first objective.

    Raises:
        ConfigError: it has one objective, no result yet, or none that keeps all limits.
    """
    goals, points = folder.config.goals, folder.front()
    if not points and (near := folder.measured()):
        values, trial = near[0]
        raise ConfigError(
            f"no trial of {folder.name} keeps {', '.join(map(str, goals.limits))}: the nearest is trial "
            f"{trial.number} with {goals.show(values)}"
        )
    return _found(folder, sorted(points, key=lambda point: goals.standing(point[0]).costs))


def _found(folder: SearchFolder, ranked: Sequence[tuple[Values, TrialFolder]]) -> list[Best]:
    goals = folder.config.goals
    found = [
        Best(folder.name, trial.number, values, len(trial.history()), goals, trial.config()) for values, trial in ranked
    ]
    if not found:
        raise folder.no_result()
    return found


def table(found: Sequence[Best]) -> str:
    """The points of a front for a person, a line each."""
    goals = found[0].goals
    head = ["trial", *(it.short for it in goals.measured), "epochs"]
    rows = [
        [str(it.trial), *(o.show(v) for o, v in zip(goals.measured, it.values, strict=True)), str(it.epochs)]
        for it in found
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in (head, *rows)
    )


def from_mlflow(
    uri: str, name: str, top: int, say: Callable[[str], None], former: Sequence[str] = (), id_: str | None = None
) -> list[Best]:  # fmt: skip
    """From the runs that bear the search's name, else a former one; one without a configuration is passed over, and
    said. Of several searches of the name it is the one with the id, else the newest."""
    environment.prepare()
    from mlflow.exceptions import MlflowException

    try:
        client = client_of(uri)
        named = (_runs(client, f"tags.`{TAG_SEARCH}` = '{it}'") for it in (name, *reversed(former)) if "'" not in it)
        runs = next(filter(None, named), [])
        if not runs:
            raise ConfigError(_unknown(uri, name, _runs(client, IS_SEARCH)))
        return _best_of(client, name, _of_one(runs, id_, say), top, say)
    except MlflowException as error:
        raise ConfigError(redacted(f"{uri} does not answer as MLflow does: {brief(error)}")) from error


def _of_one(runs: list["Run"], id_: str | None, say: Callable[[str], None]) -> list["Run"]:
    """The runs of one search, of those that bear a name; they are the oldest first."""
    ids = [run.data.tags[TAG_ID] for run in runs if TAG_TRIAL not in run.data.tags and TAG_ID in run.data.tags]
    wanted = id_ if id_ in ids or not ids else ids[-1]
    if id_ is None and len(set(ids)) > 1:
        say(f"{len(set(ids))} searches have this name there: these are of the newest")
    return [run for run in runs if run.data.tags.get(TAG_ID) in (None, wanted)]


def _runs(client: "MlflowClient", query: str) -> list["Run"]:
    """The runs of our experiment, oldest first."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return [] if experiment is None else all_runs(client, experiment.experiment_id, query)


def _unknown(uri: str, name: str, searches: list["Run"]) -> str:
    known = [run.data.tags.get(TAG_SEARCH, "") for run in searches]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.3) or known[-3:]
    hint = f"did you mean {', '.join(near)}?" if near else "it holds no search at all"
    return f"there is no search {name!r} at {redacted(uri)}: {hint}"


def _best_of(client: "MlflowClient", name: str, runs: list["Run"], top: int, say: Callable[[str], None]) -> list[Best]:
    search = next((run for run in runs if TAG_TRIAL not in run.data.tags), None)
    full = int(search.data.tags.get(TAG_EPOCHS) or search.data.params.get("epochs") or 0) if search else 0
    named = search.data.tags.get(TAG_OBJECTIVE, objectives.DEFAULT) if search else objectives.DEFAULT
    limits = json.loads(search.data.tags.get(TAG_LIMIT, "[]")) if search else []
    try:
        goals = Goals.parse(objectives.canonical(named), limits)
    except ValueError as error:
        raise ConfigError(f"search {name!r} is after {named}, but the objective {error}") from error
    entries, their, seen = [], list["Run"](), set[int]()
    for run in runs:
        tags, metrics = run.data.tags, run.data.metrics
        there = all(it.name in metrics for it in goals.measured)
        if there and TAG_TRIAL in tags and (number := int(tags[TAG_TRIAL])) not in seen:
            seen.add(number)
            values = tuple(float(metrics[it.name]) for it in goals.measured)
            entries.append((number, _epochs(client, run, goals.objectives[0]), values))
            their.append(run)
    found: list[Best] = []
    for at in ranking(entries, full, goals):
        number, epochs, values = entries[at]
        if len(found) == top:
            break
        try:
            found.append(Best(name, number, values, epochs, goals, _config(client, their[at])))
        except Exception as error:  # of the artifact store or the file
            say(f"trial {number} is passed over: its run has no configuration ({brief(error, 120)})")
    if not found:
        raise ConfigError(f"no run of {name} has both a configuration and a value of {goals.objectives[0].name}")
    return found


def _epochs(client: "MlflowClient", run: "Run", objective: Objective) -> int:
    """That a trial has done; it says so itself once it has ended."""
    if (said := run.data.metrics.get("epochs")) is not None:
        return int(said)
    return max(int(metric.step) for metric in client.get_metric_history(run.info.run_id, objective.name))


def _config(client: "MlflowClient", run: "Run") -> RunConfig:
    with tempfile.TemporaryDirectory(prefix="ffsnn-best-") as scratch:
        file: Any = client.download_artifacts(run.info.run_id, CONFIG, scratch)
        return RunConfig.load(file)
