"""Search folder -> MLflow: a projection, written by one background thread, never in the search's way.

Each trial is a run under the search's parent run; it is found again by its tags, and only the epochs it lacks are
added, so that any part can be repeated at any time. A store that fails is said once and caught up with later.
"""

import logging
import math
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffsnn.config import Config, RunConfig
from ffsnn.run_folder import BEST, CONFIG
from ffsnn.trainer import EpochMetrics
from search.folder import SearchFolder, TrialFolder
from search.names import (
    ARTIFACTS,
    DATABASE,
    ENVIRONMENT,
    EXPERIMENT,
    MODEL,
    OBJECTIVE,
    PICTURES,
    TAG_CONFIG_ID,
    TAG_KEPT,
    TAG_KIND,
    TAG_NAME,
    TAG_PARENT,
    TAG_SEARCH,
    TAG_STATE,
    TAG_STOP_REASON,
    TAG_TRIAL,
)  # fmt: skip

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

BATCH = 1000  # MLflow's limit of metrics a call
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


def store_uri(home: Path) -> str:
    return f"sqlite:///{home / DATABASE}"


def open_store(home: Path) -> tuple["MlflowClient", str]:
    """The local store and its experiment, made where missing; (client, experiment id)."""
    os.environ |= {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    import mlflow
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    mlflow.set_tracking_uri(store_uri(home))
    client = MlflowClient(store_uri(home))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        return client, experiment.experiment_id
    with closing(
        sqlite3.connect(home / DATABASE)
    ) as database:  # writing is two to five times as fast, and it stays set
        database.execute("PRAGMA journal_mode=WAL")
    return client, client.create_experiment(EXPERIMENT, artifact_location=(home / ARTIFACTS).as_uri())


def flat(config: RunConfig) -> dict[str, Any]:
    """Parameters by their short names; what is not set is left out, for "None" would make an axis categorical."""
    flat_: dict[str, Any] = {}
    for name, value in config:
        if isinstance(value, Config):
            flat_ |= {leaf: v for leaf, v in value.model_dump(mode="json").items() if v is not None}
        elif value is not None:
            flat_[name] = value
    return flat_


def points(epoch: EpochMetrics) -> dict[str, float]:
    """An epoch's metrics by name; a layer's have its number behind them."""
    values: dict[str, float] = {}
    for name, value in epoch.json().items():
        if isinstance(value, tuple | list):
            values |= {f"{name}_{layer}": v for layer, v in enumerate(value)}
        elif name != "epoch":
            values[name] = value
    return {name: value for name, value in values.items() if math.isfinite(value)}


class Projection:
    """Writes one search into an MLflow store; every method can be repeated."""

    def __init__(self, home: Path, folder: SearchFolder) -> None:
        self.folder = folder
        self.client, self.experiment = open_store(home)
        self.parent = self._parent()
        self.runs: dict[int, str] = {}
        self.logged: dict[int, int] = {}  # epochs of a trial that the store has

    def sync(self, number: int) -> None:
        """Bring one trial's run up to date."""
        trial = self.folder.trial(number)
        if not (trial.path / "config.json").exists():
            return
        run = self.runs.get(number) or self._open(trial)
        history, end = trial.history(), trial.end()
        self._log(run, history[self.logged[number] :])
        self.logged[number] = len(history)
        if end:
            self._set_tags(run, {TAG_STATE: end.state, TAG_STOP_REASON: end.reason})
            if history:
                best = max(epoch.val_accuracy for epoch in history)
                self.client.log_metric(run, f"best_{OBJECTIVE}", best, step=0)
                self.client.log_metric(run, "epochs", len(history), step=0)
            self.client.set_terminated(run, STATUS[end.state])

    def keep(self, number: int) -> None:
        """Log a trial's best weights, and the pictures drawn with them; once."""
        trial, run = self.folder.trial(number), self.runs[number]
        best = str(max(trial.history(), key=lambda epoch: epoch.val_accuracy).epoch)
        if self.client.get_run(run).data.tags.get(TAG_KEPT) == best:
            return
        from ffsnn.show import show

        for picture in show(trial.path):
            self.client.log_artifact(run, str(picture), PICTURES)
        for file in (CONFIG, BEST):
            self.client.log_artifact(run, str(trial.path / file), MODEL)
        self._set_tags(run, {TAG_KEPT: best})

    def close(self, finished: bool) -> None:
        """End the parent run, and what an interruption left open."""
        for number, run in self.runs.items():
            if self.folder.trial(number).end() is None:
                self.client.set_terminated(run, "KILLED")
        self.client.set_terminated(self.parent, "FINISHED" if finished else "KILLED")

    def _parent(self) -> str:
        config = self.folder.config
        run = self._find(TAG_KIND, "search")
        if run is None:
            tags = {TAG_KIND: "search", TAG_SEARCH: self.folder.name, TAG_NAME: self.folder.name}
            run = self.client.create_run(self.experiment, tags=tags).info.run_id
            for name in ("space_name", "trials", "epochs", "seed"):
                self.client.log_param(run, name, getattr(config, name))
            self.client.log_dict(run, config.model_dump(mode="json"), "search.json")
        else:
            self.client.update_run(run, "RUNNING")
        return run

    def _open(self, trial: TrialFolder) -> str:
        from mlflow.entities import Param

        number, config = trial.number, trial.config()
        run = self._find(TAG_TRIAL, str(number))
        if run is None:
            tags = {
                TAG_KIND: "trial", TAG_SEARCH: self.folder.name, TAG_TRIAL: str(number), TAG_PARENT: self.parent,
                TAG_NAME: f"{self.folder.name}/{number:04d}", TAG_CONFIG_ID: config.id,
            }  # fmt: skip
            run = self.client.create_run(self.experiment, tags=tags).info.run_id
            self.client.log_batch(run, params=[Param(name, str(value)) for name, value in flat(config).items()])
            self.client.log_dict(run, config.model_dump(mode="json"), "config.json")
        else:
            self.client.update_run(run, "RUNNING")
        seen = self.client.get_metric_history(run, OBJECTIVE)
        self.runs[number], self.logged[number] = run, len({metric.step for metric in seen})
        return run

    def _find(self, tag: str, value: str) -> str | None:
        query = f"tags.`{TAG_SEARCH}` = '{self.folder.name}' and tags.`{tag}` = '{value}'"
        found = self.client.search_runs([self.experiment], query, max_results=1)
        return str(found[0].info.run_id) if found else None

    def _log(self, run: str, epochs: list[EpochMetrics]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, epoch.epoch) for epoch in epochs for name, value in points(epoch).items()]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run, metrics=metrics[start : start + BATCH])

    def _set_tags(self, run: str, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])


def sync(home: Path, folder: SearchFolder) -> int:
    """Bring the whole search into MLflow, with the model of its best trial; returns the number of its trials."""
    projection = Projection(home, folder)
    trials = list(folder.trials())
    for trial in trials:
        projection.sync(trial.number)
    if ranked := folder.ranked():
        projection.keep(ranked[0][1].number)
    projection.close(finished=all(trial.end() for trial in trials))
    return len(trials)


class Tracker(threading.Thread):
    """Writes the trials that have news, until it is closed; a failing store is said once and tried again."""

    def __init__(self, home: Path, folder: SearchFolder, say: Callable[[str], None]) -> None:
        super().__init__(name="mlflow", daemon=True)
        self.home, self.folder, self.say = home, folder, say
        self.news: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.complained = False

    def changed(self, number: int) -> None:
        self.news.put(number)

    def close(self) -> bool:
        """Write what is left; whether all of it could be written."""
        self.news.put(None)
        self.join()
        try:
            sync(self.home, self.folder)
        except Exception as error:
            self._complain(error)
            return False
        return True

    def run(self) -> None:
        projection: Projection | None = None
        late: set[int] = set()
        done = False
        while not done:
            news = [self.news.get()]
            while not self.news.empty():
                news.append(self.news.get())
            done = None in news
            late |= {number for number in news if number is not None}
            try:
                projection = projection or Projection(self.home, self.folder)
                for number in sorted(late):
                    projection.sync(number)
                    late.discard(number)
            except Exception as error:  # whatever a store may raise: the search goes on
                projection = None
                self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self.complained:
            self.complained = True
            reason = " ".join(str(error).split())[:200]
            self.say(f"MLflow does not answer ({reason}); the search goes on, and `ffsnn sync` catches up")
