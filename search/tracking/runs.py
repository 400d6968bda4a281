"""What a run of MLflow says of a trial, and that of a search: names, tags, parameters, metrics and times, as pure
functions of the search's folder, so that a store written anew says the same.

Axes: MLflow plots a parameter as a number where its text is one, on a linear scale, and leaves out of a plot the runs
that lack it. So what is not set is left out, and one searched over a logarithmic range has its logarithm beside it.
"""

import json
import math
import time
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from ffsnn.config import RunConfig
from ffsnn.fields import short
from ffsnn.inspection.energy import of_rates, spikes_of
from ffsnn.training.epoch_metrics import EpochMetrics
from ffsnn.training.run_folder import CONFIG, HISTORY
from ffsnn.validation import Config
from search import names
from search.objectives import Objective
from search.pareto.goals import Goals
from search.store.ends import End
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.store.trials_folder import TrialsFolder
from spaces.parameter import Float, Int
from spaces.space import Space

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric

LINES = 20  # of a failed trial's output
DIGEST = 36  # characters of a checksum that MLflow keeps of a data set's


def is_logarithmic(space: Space, path: str) -> bool:
    parameter = space.parameters[path]
    return isinstance(parameter, Float | Int) and parameter.log


def parameters(config: RunConfig, space: Space) -> dict[str, Any]:
    """Parameters by their short names, without those that are not set or belong to other choices of the space."""
    flat, sample = fields(config), space.read(config)
    for path in space.parameters:
        leaf = short(path)
        if path not in sample:
            flat[leaf] = None
        elif sample[path] is None:
            flat[leaf] = str(None)  # a choice, which a plot is to show
        elif is_logarithmic(space, path):
            flat[leaf + names.LOG10] = round(math.log10(sample[path]), 6)  # type: ignore[arg-type]
    return {name: value for name, value in flat.items() if value is not None}


def fields(config: RunConfig) -> dict[str, Any]:
    """All fields of a configuration by their short names; None: it is not set."""
    flat: dict[str, Any] = {}
    for name, value in config:
        flat |= value.model_dump(mode="json") if isinstance(value, Config) else {name: value}
    return flat | {f"options.{name}": value for name, value in flat.pop("options").items()}


def flat_metrics(epoch: EpochMetrics, measured: dict[str, float]) -> dict[str, float]:
    """An epoch's metrics by name; a layer's have its number behind them.

    The objectives come first: MLflow's page of runs side by side draws the first metric that it finds.
    """
    values = dict(measured)
    for name, value in epoch.json().items():
        if isinstance(value, tuple | list):
            values |= {f"{name}_{layer}": v for layer, v in enumerate(value)}
        elif name not in ("epoch", "measured") and value is not None:
            values[name] = value
    return {name: value for name, value in values.items() if math.isfinite(value)}


def totals(trial: TrialFolder, history: list[EpochMetrics], objective: Objective) -> dict[str, float]:
    """Totals of a trial that has ended; spikes and energy are those of a sample in its last epoch."""
    values: dict[str, float] = {names.EPOCHS: len(history)}
    if not history:
        return values
    config, rates = trial.config(), history[-1].firing_rate
    values |= {
        names.BEST_PREFIX + objective.name: objective.best([*map(objective.ranked, trial.values(objective, history))]),
        names.SECONDS: sum(epoch.seconds for epoch in history),
        names.SPEED: len(history) / sum(1 / epoch.images_per_second for epoch in history),
        names.SPIKES: spikes_of(config, rates),
    }
    if (energy := of_rates(config, rates, history[-1].input_spikes)) is not None:
        values |= {names.OPERATIONS: sum(energy.synaptic_operations), names.ENERGY: energy.nanojoules}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def of_search(search: SearchFolder) -> dict[str, str]:
    """The tags that all runs of a search bear."""
    config, tree = search.config, search.read()
    tags = {
        names.TAG_ID: search.id, names.TAG_OBJECTIVE: config.objective, names.TAG_SPACE: config.space_name,
        names.TAG_SEED: str(config.seed), names.TAG_DATASET: config.base.data.dataset, names.TAG_DATA: tree["data"],
        names.TAG_COMMIT: tree.get("commit"), names.TAG_LIMIT: json.dumps(config.limit) if config.limit else "",
    }  # fmt: skip
    return {name: value for name, value in tags.items() if value}


def of_end(trial: TrialFolder, end: End) -> dict[str, str]:
    """The tags of a trial that has ended; a failed one's description has its output."""
    tags = {names.TAG_STATE: end.state, names.TAG_STOP_REASON: end.reason}
    if end.state == "failed":
        output = trial.output(LINES) or "(nothing)"
        tags[names.TAG_NOTE] = f"**{end.reason}**: {end.detail}\n\nLast lines of its output:\n\n```\n{output}\n```"
    return tags


def data_set(search: SearchFolder) -> "DatasetInput":
    """The training images as MLflow's input."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = search.config.base.data
    profile = {"training_images": data.trained_on, "classes": data.facts.classes, "inputs": data.facts.inputs}
    return DatasetInput(
        Dataset(
            name=data.dataset, digest=search.read()["data"][:DIGEST], source_type="ffsnn",
            source=json.dumps({"dataset": data.dataset}), profile=json.dumps(profile),
        ),
        [InputTag("mlflow.data.context", "training")],
    )  # fmt: skip


def began(trial: TrialFolder) -> int:
    """Time at which a trial was given its configuration; milliseconds, as all times of MLflow."""
    return _written(trial, CONFIG)


def ended(trial: TrialFolder) -> int:
    """Time of a trial's last record."""
    return max(_written(trial, name) for name in (CONFIG, HISTORY, names.END_FILE))


def span(folder: TrialsFolder) -> tuple[int, int]:
    """Times of the first trial's begin and of the last record of any; now, where there is none."""
    trials = list(folder.trials())
    now = int(time.time() * 1000)
    return min(map(began, trials), default=now), max(map(ended, trials), default=now)


def metrics(trial: TrialFolder, history: list[EpochMetrics], known: int, goals: Goals) -> list[list["Metric"]]:
    """Those of each epoch after the first `known`, at the time that it would have ended at without a pause."""
    from mlflow.entities import Metric

    start, by = began(trial), [it.name for it in goals.measured]
    told = list(zip(*(trial.values(it, history) for it in goals.measured), strict=True))
    times = [start + int(1000 * seconds) for seconds in accumulate(epoch.seconds for epoch in history)]
    return [
        [
            Metric(name, number, when, epoch.epoch)
            for name, number in flat_metrics(epoch, dict(zip(by, values, strict=True))).items()
        ]
        for epoch, values, when in list(zip(history, told, times, strict=True))[known:]
    ]


def _written(trial: TrialFolder, name: str) -> int:
    """Time at which a file was written; 0: it is not there."""
    try:
        return int((trial.path / name).stat().st_mtime * 1000)
    except FileNotFoundError:
        return 0
