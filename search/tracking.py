"""Search folder -> MLflow: a projection, written by one background thread, never in the search's way.

Each trial is a run under the search's parent run; it is found again by its tags, and only the epochs it lacks are
added, so that any part can be repeated at any time. A store that fails is said once and caught up with later.
"""

import logging
import math
import os
import queue
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffsnn.config import Config, RunConfig
from ffsnn.run_folder import BEST, CONFIG
from ffsnn.trainer import EpochMetrics
from search.folder import SearchFolder, TrialsFolder
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
    TAG_NOTE,
    TAG_PARENT,
    TAG_SEARCH,
    TAG_STATE,
    TAG_STOP_REASON,
    TAG_TRIAL,
)  # fmt: skip
from search.trial_folder import End, TrialFolder

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

BATCH = 1000  # runs a page
LINES = 20  # of a failed trial's output
EVERY, AGAIN = 1.0, 5.0  # seconds between writes; after a failure
PATIENCE, PATIENCE_AT_HOME = 30.0, 300.0  # seconds without an answer of a server, or of the local store (a busy
# machine), after which the end of a search does not wait any longer
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


def store_uri(home: Path) -> str:
    return f"sqlite:///{home / DATABASE}"


def open_store(home: Path, uri: str | None = None) -> tuple["MlflowClient", str]:
    """The store and its experiment, made where missing; (client, experiment id).

    Args:
        home: the `mlruns/` folder.
        uri: of a tracking server; None: the local store.
    """
    os.environ |= {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    if not uri and not (home / DATABASE).exists():
        _create_store(home)
    client = MlflowClient(uri or store_uri(home))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        return client, experiment.experiment_id
    return client, client.create_experiment(EXPERIMENT, None if uri else (home / ARTIFACTS).as_uri())


def _create_store(home: Path) -> None:
    """Make the local store whole under another name, then give it its own: MLflow cannot go on from half its tables."""
    from mlflow.tracking import MlflowClient

    scratch = Path(tempfile.mkdtemp(prefix=".mlflow-", dir=home))
    try:
        MlflowClient(f"sqlite:///{scratch / DATABASE}").get_experiment_by_name(EXPERIMENT)
        with closing(sqlite3.connect(scratch / DATABASE)) as database:
            database.execute("VACUUM INTO ?", (str(scratch / "whole"),))
        with closing(sqlite3.connect(scratch / "whole")) as database:
            database.execute("PRAGMA journal_mode=WAL")  # writing is two to five times as fast, and it stays set
        with suppress(FileExistsError):  # another search was first
            os.link(scratch / "whole", home / DATABASE)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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

    number_tag = TAG_TRIAL  # which trial a run is of

    def __init__(self, home: Path, folder: SearchFolder, uri: str | None = None) -> None:
        self.home, self.folder, self.uri = home, folder, uri
        self.client, self.experiment = open_store(home, uri)
        self.there: dict[str, Run] = {}  # runs that the store had, by trial; the search's own has none
        self._take_stock()
        self.parent = self._parent()
        self.runs: dict[int, str] = {}
        self.logged: dict[int, int] = {}  # epochs of a trial that the store has
        self.whole: set[int] = set()  # trials that have ended, of which nothing is missing

    def sync(self, number: int) -> None:
        """Bring one trial's run up to date."""
        trial = self.folder.trial(number)
        if number in self.whole or not (trial.path / CONFIG).exists():
            return
        end, history = trial.end(), trial.history()
        run = self.runs.get(number) or self._open(trial, end, len(history))
        if number in self.whole:
            return
        if end and self.logged[number] > len(history):  # it fell back to a checkpoint, and was stopped before it was as
            self.client.delete_run(run)  # far again; MLflow forgets no single epoch
            self.there.pop(str(number), None)
            run = self._open(trial, end, len(history))
        self._log(run, history[self.logged[number] :])
        self.logged[number] = max(self.logged[number], len(history))
        if end:
            self._close(run, trial, end, history)
            self.whole.add(number)

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

    def best(self) -> int | None:
        """The trial whose weights are kept; None: no one's."""
        ranked = self.folder.ranked()
        return ranked[0][1].number if ranked else None

    def close(self, finished: bool) -> None:
        """End the parent run, and what an interruption left open."""
        self._close_trials()
        self.client.set_terminated(self.parent, "FINISHED" if finished else "KILLED")

    def _close_trials(self) -> None:
        for number, run in self.runs.items():
            if number not in self.whole:
                self.client.set_terminated(run, "KILLED")

    def _take_stock(self) -> None:
        """Find the search's runs. A store that hung may have made one twice: the first stays."""
        token: str | None = ""
        while token is not None:
            page = self.client.search_runs(
                [self.experiment], self._mine(), max_results=BATCH,
                order_by=["attributes.start_time ASC"], page_token=token or None,
            )  # fmt: skip
            for run in page:
                of = run.data.tags.get(self.number_tag, "")
                if of in self.there:
                    self.client.delete_run(run.info.run_id)
                else:
                    self.there[of] = run
            token = page.token or None

    def _mine(self) -> str:
        """The filter that finds the search's runs."""
        return f"tags.`{TAG_SEARCH}` = '{self.folder.name}'"

    def _tags(self, trial: TrialFolder) -> dict[str, str]:
        """What tells a trial's run from all others."""
        return {
            TAG_KIND: "trial", TAG_SEARCH: self.folder.name, TAG_TRIAL: str(trial.number),
            TAG_NAME: f"{self.folder.name}/{trial.number:04d}",
        }  # fmt: skip

    def _parent(self) -> str:
        config = self.folder.config
        if (run := self.there.get("")) is not None:
            self.client.update_run(run.info.run_id, "RUNNING")
            return str(run.info.run_id)
        tags = {TAG_KIND: "search", TAG_SEARCH: self.folder.name, TAG_NAME: self.folder.name}
        parent: str = self.client.create_run(self.experiment, tags=tags).info.run_id
        for name in ("space_name", "trials", "epochs", "seed"):
            self.client.log_param(parent, name, getattr(config, name))
        self.client.log_dict(parent, config.model_dump(mode="json"), "search.json")
        return parent

    def _open(self, trial: TrialFolder, end: End | None, epochs: int) -> str:
        """A trial's run; what of it the store has already is noted."""
        from mlflow.entities import Param

        number, config = trial.number, trial.config()
        tags = self._tags(trial) | {TAG_PARENT: self.parent, TAG_CONFIG_ID: config.id}
        there = self.there.get(str(number))
        run: str = (there or self.client.create_run(self.experiment, tags=tags)).info.run_id
        self.runs[number], self.logged[number] = run, 0
        if there is not None and end and self._is_whole(there, end, epochs):
            self.whole.add(number)
            return run
        if there is not None:
            self.client.update_run(run, "RUNNING")
            self._set_tags(run, tags)
            self.logged[number] = len({metric.step for metric in self.client.get_metric_history(run, OBJECTIVE)})
        # a run that a fault left without them has them now; the same again changes nothing
        self.client.log_batch(run, params=[Param(name, str(value)) for name, value in flat(config).items()])
        self.client.log_dict(run, config.model_dump(mode="json"), CONFIG)
        return run

    def _is_whole(self, run: "Run", end: End, epochs: int) -> bool:
        """Whether a run says how its trial ended, which is written last."""
        tags, status, seen = run.data.tags, run.info.status, run.data.metrics.get("epochs")
        return (status, tags.get(TAG_STATE), tags.get(TAG_PARENT), seen) == (
            STATUS[end.state], end.state, self.parent, epochs,
        )  # fmt: skip

    def _close(self, run: str, trial: TrialFolder, end: End, history: list[EpochMetrics]) -> None:
        from mlflow.entities import Metric

        tags = {TAG_STATE: end.state, TAG_STOP_REASON: end.reason}
        if end.state == "failed":
            output = trial.output(LINES) or "(nothing)"
            tags[TAG_NOTE] = f"**{end.reason}**: {end.detail}\n\nLast lines of its output:\n\n```\n{output}\n```"
        self._set_tags(run, tags)
        now = int(time.time() * 1000)
        if history:
            best = max(epoch.val_accuracy for epoch in history)
            self.client.log_batch(run, metrics=[Metric(f"best_{OBJECTIVE}", best, now, 0)])
        self.client.log_batch(run, metrics=[Metric("epochs", len(history), now, 0)])
        self.client.set_terminated(run, STATUS[end.state])

    def _log(self, run: str, epochs: list[EpochMetrics]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for epoch in epochs:  # an epoch a call, so that the store has all of it or nothing
            self.client.log_batch(run, [Metric(name, value, now, epoch.epoch) for name, value in points(epoch).items()])

    def _set_tags(self, run: str, tags: dict[str, str]) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])


def sync(home: Path, folder: SearchFolder, uri: str | None = None) -> int:
    """Bring the whole search into MLflow, with the model of its best trial; returns the number of its trials."""
    projection = Projection(home, folder, uri)
    return project(projection, lambda: None)


def project(projection: Projection, alive: Callable[[], None]) -> int:
    """All trials, the best one's model, the end; `alive` is called after each step."""
    folder = projection.folder
    trials = list(folder.trials())
    for trial in trials:
        projection.sync(trial.number)
        alive()
    if (best := projection.best()) is not None:
        projection.keep(best)
        alive()
    projection.close(finished=all(trial.end() for trial in trials))
    return len(trials)


class Tracker(threading.Thread):
    """Writes the trials that have news, until it is closed.

    A store that fails or hangs is said once and tried again; the search never waits for it but at its end, and then
    only while it answers.
    """

    def __init__(
        self, home: Path, folder: TrialsFolder, uri: str | None, say: Callable[[str], None],
        projection: Callable[..., Projection] = Projection,
    ) -> None:  # fmt: skip
        super().__init__(name="mlflow", daemon=True)
        self.home, self.folder, self.uri, self.say, self.projection = home, folder, uri, say, projection
        self.news: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.complained = self.done = False
        self.answered = time.monotonic()

    def changed(self, number: int) -> None:
        self.news.put(number)

    def close(self) -> bool:
        """Write what is left; whether all of it could be written."""
        self.news.put(None)
        self.answered = time.monotonic()
        patience = PATIENCE if self.uri else PATIENCE_AT_HOME
        while self.is_alive() and time.monotonic() - self.answered < patience:
            self.join(0.2)
        return self.done

    def run(self) -> None:
        projection: Projection | None = None
        late: set[int] = set()
        closing = False
        while not closing:
            closing = self._gather(late, pause=AGAIN if self.complained else EVERY)
            try:
                projection = projection or self.projection(self.home, self.folder, self.uri)
                for number in sorted(late):
                    projection.sync(number)
                    late.discard(number)
                    self._answers()
                if closing:
                    project(projection, self._answers)
                    self.done = True
            except Exception as error:  # whatever a store may raise: the search goes on
                projection = None
                self._complain(error)

    def _gather(self, late: set[int], pause: float) -> bool:
        """Wait for news, and a little for more of it; whether there will be no more."""
        try:
            news = [self.news.get(timeout=pause if late else None)]
        except queue.Empty:
            return False
        if news != [None]:
            time.sleep(pause)
        while not self.news.empty():
            news.append(self.news.get())
        late |= {number for number in news if number is not None}
        return None in news

    def _answers(self) -> None:
        self.answered = time.monotonic()
        if self.complained:
            self.complained = False
            self.say("MLflow answers again")

    def _complain(self, error: Exception) -> None:
        if not self.complained:
            self.complained = True
            reason = " ".join(str(error).split())[:200]
            self.say(f"MLflow does not answer ({reason}); the search goes on, and catches up")
