"""A run of `ffsnn train` -> MLflow: one run in the same experiment, found again by the id that its folder keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ffsnn.config import RunConfig
from ffsnn.training.run_folder import CONFIG
from search import names
from search.hints import command
from search.objectives import DEFAULT
from search.pareto.goals import Goals
from search.store.trial_folder import TrialFolder
from search.tracking import runs
from search.tracking.store import all_runs, open_store, write

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
STATUS = {FINISHED: "FINISHED", STOPPED: "KILLED", FAILED: "FAILED"}


@dataclass
class TrackedRun:
    """A run's folder, and what of its end does not stand there."""

    path: Path
    state: str = STOPPED
    detail: str = ""  # why it failed
    test: float | None = None  # its accuracy on the test images, where they were opened


class RunExporter:
    """Writes one run's folder into an MLflow store; every method can be repeated.

    Args:
        home: the `mlruns/` folder.
        tracked: the run.
        uri: of a tracking server or store; None: the local one.
    """

    def __init__(self, home: Path, tracked: TrackedRun, uri: str | None = None) -> None:
        self.tracked, self.folder, self.goals = tracked, TrialFolder(tracked.path), Goals.parse(DEFAULT, ())
        self.config: RunConfig = self.folder.config()
        self.client, self.experiment = open_store(home, uri)
        there = self._there()
        if there is None:
            tags = {names.TAG_KIND: "run", names.TAG_RUN: self.folder.id, names.TAG_NAME: tracked.path.name}
            there = self.client.create_run(self.experiment, start_time=runs.began(self.folder), tags=tags)
        else:
            self.client.update_run(there.info.run_id, "RUNNING")
        self.run: str = there.info.run_id
        self._describe(there)
        known = self.client.get_metric_history(self.run, DEFAULT)
        self.logged = len({metric.step for metric in known})

    def export_trial(self, number: int = 0) -> None:
        """Write the epochs that the store lacks."""
        history = self.folder.history()
        for metrics in runs.metrics(self.folder, history, self.logged, self.goals):
            self._write(metrics)  # an epoch a call, so that the store has all of it or nothing
        self.logged = max(self.logged, len(history))

    def keep_early(self) -> None:
        """Nothing takes long at the end."""

    def export_all(self, alive: Callable[[], None] = lambda: None) -> None:
        """Write what the store lacks, and how the run ended."""
        from mlflow.entities import Metric

        self.export_trial()
        alive()
        tracked, when = self.tracked, runs.ended(self.folder)
        totals = runs.totals(self.folder, self.folder.history(), self.goals.objectives[0])
        if tracked.test is not None:
            totals[names.TEST] = tracked.test
        tags = {names.TAG_STATE: tracked.state, names.TAG_STOP_REASON: tracked.detail or tracked.state}
        self._write([Metric(name, value, when, 0) for name, value in totals.items()], tags)
        self.client.set_terminated(self.run, STATUS[tracked.state], when)

    def _there(self) -> "Run | None":
        """Its run in the store. A store that hung may have made one twice: the first stays."""
        found = all_runs(self.client, self.experiment, f"tags.`{names.TAG_RUN}` = '{self.folder.id}'")
        for other in found[1:]:
            self.client.delete_run(other.info.run_id)
        return found[0] if found else None

    def _describe(self, there: "Run") -> None:
        """Write its configuration, and where its folder lies now."""
        config, path = self.config, self.tracked.path.absolute()
        tags = {
            names.TAG_CONFIG_ID: config.id, names.TAG_SEED: str(config.seed), names.TAG_DATASET: config.data.dataset,
            names.TAG_OBJECTIVE: DEFAULT, names.TAG_NOTE: f"`{command('show', path)}`",
        }  # fmt: skip
        if config.is_final:
            tags[names.TAG_FINAL] = config.final_fit
        known = there.data.params
        said = {key: value for key, value in runs.fields(config).items() if value is not None and key not in known}
        write(self.client, self.run, parameters=said, tags=tags)
        self.client.log_dict(self.run, config.model_dump(mode="json"), CONFIG)

    def _write(self, metrics: "list[Metric]", tags: dict[str, str] | None = None) -> None:
        write(self.client, self.run, metrics, tags=tags)
