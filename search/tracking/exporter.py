"""Trials -> MLflow: what all exports have in common. What a run says stands in `search.tracking.runs`.

Each trial is a run under a parent run; it is found again by its tags, and only the epochs it lacks are
added, so that any part can be repeated at any time.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffsnn.training.epoch_metrics import EpochMetrics
from ffsnn.training.run_folder import BEST, CONFIG
from search import names
from search.store.ends import End
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.store.trials_folder import TrialsFolder
from search.tracking import runs
from search.tracking.store import all_runs, open_store, write

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Run

STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


class Exporter(ABC):
    """Writes a folder of trials into an MLflow store; every method can be repeated.

    Args:
        home: the `mlruns/` folder.
        folder: of the trials.
        search: that the runs are of.
        uri: of a tracking server or store; None: the local one.
    """

    name_tag, number_tag = names.TAG_SEARCH, names.TAG_TRIAL  # of which search a run is, and of which trial

    def __init__(self, home: Path, folder: TrialsFolder, search: SearchFolder, uri: str | None) -> None:
        self.home, self.folder, self.search, self.uri = home, folder, search, uri
        config = search.config
        self.id, self.space, self.objective, self.goals = self.search.id, config.space, config.goal, config.goals
        self.tags = self._common()
        self.client, self.experiment = open_store(home, uri)
        self.there: dict[str, Run] = {}  # runs that the store had, by trial; the search's own has none
        self._take_stock()
        self.parent = self._parent()
        self.runs: dict[int, str] = {}
        self.logged: dict[int, int] = {}  # epochs of a trial that the store has
        self.whole: set[int] = set()  # trials that have ended, of which nothing is missing

    def export_trial(self, number: int) -> None:
        """Bring one trial's run up to date."""
        trial = self.folder.trial(number)
        if number in self.whole or not (trial.path / CONFIG).exists():
            return
        end, history = trial.end(), trial.history()
        run = self.runs.get(number) or self._open(trial, end, history)
        if number in self.whole:
            return
        if end and self.logged[number] > len(history):  # it fell back to a checkpoint, and was stopped before it was as
            self.client.delete_run(run)  # far again; MLflow forgets no single epoch
            self.there.pop(str(number), None)
            run = self._open(trial, end, history)
        for metrics in runs.metrics(trial, history, self.logged[number], self.goals):
            self._write(run, metrics=metrics)  # an epoch a call, so that the store has all of it or nothing
        self.logged[number] = max(self.logged[number], len(history))
        if end:
            self._close(run, trial, end, history)
            self.whole.add(number)

    def keep(self, number: int) -> None:
        """Log a trial's best weights, and the pictures drawn with them; once, and again where it has better ones."""
        self.export_trial(number)
        trial, run = self.folder.trial(number), self.runs[number]
        best = str(trial.best_epoch())
        if best in (str(None), self.client.get_run(run).data.tags.get(names.TAG_KEPT)):
            return
        from ffsnn.inspection.show import show

        for picture in show(trial.path):
            self.client.log_artifact(run, str(picture), names.PICTURES)
        for file in (CONFIG, BEST):
            self.client.log_artifact(run, str(trial.path / file), names.MODEL)
        self._write(run, tags={names.TAG_KEPT: best})

    def keep_early(self) -> None:
        """Keep the best trial now, unless it is still in training; it may be surpassed yet."""
        best = self.best()
        if best is not None and self.folder.trial(best).end():
            self.keep(best)

    def export_all(self, alive: Callable[[], None] = lambda: None) -> int:
        """Export all trials, the best one's model and the end, with `alive` after each step; the number of trials."""
        trials = list(self.folder.trials())
        for trial in trials:
            self.export_trial(trial.number)
            alive()
        if (best := self.best()) is not None:
            self.keep(best)
            alive()
        self.close(finished=all(trial.end() for trial in trials))
        return len(trials)

    @abstractmethod
    def best(self) -> int | None:
        """The trial whose weights are kept; None: no one's."""

    def close(self, finished: bool) -> None:
        """End what was left open: trials that may go on later, with what they have come to."""
        for number, run in self.runs.items():
            if number not in self.whole:
                trial = self.folder.trial(number)
                self._write(run, metrics=self._totals(trial, trial.history()))
                self.client.set_terminated(run, "KILLED", runs.ended(trial))

    def _take_stock(self) -> None:
        """Find the search's runs. A store that hung may have made one twice: the first stays.

        Runs of a search that was renamed are given its name; those of another one that has, or had, the name are not
        touched.
        """
        for name in (self.search.name, *self.search.former_names):
            for run in all_runs(self.client, self.experiment, self._query(name)):
                if not self._is_mine(run, name):
                    continue
                if name != self.search.name:
                    self._rename(run, name)
                of = run.data.tags.get(self.number_tag, "")
                if of in self.there:
                    self.client.delete_run(run.info.run_id)
                else:
                    self.there[of] = run

    def _is_mine(self, run: "Run", name: str) -> bool:
        """True if a run is this search's; one of an earlier version does not say so itself."""
        said = run.data.tags.get(names.TAG_ID)
        if said is not None:
            return said == self.id
        return name == self.search.name or not SearchFolder.exists(self.home, name)

    def _rename(self, run: "Run", before: str) -> None:
        shown = run.data.tags.get(names.TAG_NAME, "")
        tags = {self.name_tag: self.search.name, names.TAG_NAME: self.search.name + shown.removeprefix(before)}
        self._write(run.info.run_id, tags=tags)

    def _query(self, name: str) -> str:
        """The filter that finds the runs of a search by its name."""
        return f"tags.`{self.name_tag}` = '{name}'"

    def _common(self) -> dict[str, str]:
        """The tags that all runs bear."""
        return runs.of_search(self.search)

    def _data(self) -> "list[DatasetInput]":
        """Data set that all of them were trained on."""
        return [runs.data_set(self.search)]

    @abstractmethod
    def _tags(self, trial: TrialFolder) -> dict[str, str]:
        """Tags that tell a trial's run from all others."""

    @abstractmethod
    def _parent(self) -> str:
        """The run that all trials' runs are under."""

    def _open(self, trial: TrialFolder, end: End | None, history: list[EpochMetrics]) -> str:
        """A trial's run; what of it the store has already is noted."""
        number, config = trial.number, trial.config()
        own = {names.TAG_PARENT: self.parent, names.TAG_CONFIG_ID: config.id, names.TAG_SEED: str(config.seed)}
        tags = self.tags | self._tags(trial) | own
        there = self.there.get(str(number))
        if there is not None and there.data.tags.get(names.TAG_CONFIG_ID, config.id) != config.id:
            self.client.delete_run(there.info.run_id)  # its trial has more epochs now; MLflow changes no parameter
            there = None
        if there is None:
            run: str = self.client.create_run(self.experiment, start_time=runs.began(trial), tags=tags).info.run_id
        else:
            run = there.info.run_id
        self.runs[number], self.logged[number] = run, 0
        if there is not None:
            if end and self._is_whole(there, trial, end, history):
                self.whole.add(number)
                return run
            self.client.update_run(run, "RUNNING")
            there_already = self.client.get_metric_history(run, self.objective.name)
            self.logged[number] = len({metric.step for metric in there_already} - {0})  # a total of that name is at 0
        # a run that a fault left without them has them now; the same again changes nothing
        self._write(run, parameters=runs.parameters(config, self.space), tags=tags if there else {})
        self.client.log_dict(run, config.model_dump(mode="json"), CONFIG)
        self.client.log_inputs(run, self._data())
        return run

    def _is_whole(self, run: "Run", trial: TrialFolder, end: End, history: list[EpochMetrics]) -> bool:
        """True if a run has all that its trial came to, and how it ended, which is written last."""
        tags, totals = run.data.tags, runs.totals(trial, history, self.objective)
        return (
            run.info.status == STATUS[end.state] and tags.get(names.TAG_STATE) == end.state
            and tags.get(names.TAG_PARENT) == self.parent and run.data.metrics.get(names.EPOCHS) == len(history)
            and totals.keys() <= run.data.metrics.keys()
        )  # fmt: skip

    def _close(self, run: str, trial: TrialFolder, end: End, history: list[EpochMetrics]) -> None:
        self._write(run, metrics=self._totals(trial, history), tags=runs.of_end(trial, end))
        self.client.set_terminated(run, STATUS[end.state], runs.ended(trial))

    def _totals(self, trial: TrialFolder, history: list[EpochMetrics]) -> "list[Metric]":
        from mlflow.entities import Metric

        totals, when = runs.totals(trial, history, self.objective), runs.ended(trial)
        return [Metric(name, value, when, 0) for name, value in totals.items()]

    def _write(
        self, run: str, metrics: "list[Metric] | None" = None, parameters: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        write(self.client, run, metrics, parameters, tags)
