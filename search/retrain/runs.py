"""A retraining in MLflow: a run each training, under the search's own run, beside its trials but none of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search import names
from search.registries import OBJECTIVES
from search.retrain.folder import RetrainFolder
from search.retrain.verdict import RetrainResult
from search.store.trial_folder import TrialFolder
from search.tracking.exporter import Exporter
from search.tracking.search_exporter import export_search
from search.tracking.store import all_runs

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput


class RetrainExporter(Exporter):
    """Writes one retraining into an MLflow store; every method can be repeated."""

    name_tag, number_tag = names.TAG_RETRAIN_OF, names.TAG_RETRAIN_RUN
    folder: RetrainFolder

    def __init__(self, home: Path, folder: RetrainFolder, uri: str | None = None) -> None:
        super().__init__(home, folder, folder.search, uri)

    def log_test(self, result: RetrainResult) -> None:
        """Each test accuracy, on the run of the network that it is of; of a front all that was tested."""
        told: dict[tuple[int, str], Sequence[float | None]] = {
            (result.winner.trial, names.TEST): result.test.accuracies
        }
        for point in result.front.points if result.front else ():
            for it in point.values:
                if it.on_test:
                    told[point.trial, names.TEST_PREFIX + OBJECTIVES[it.objective].short] = it.values
        for (trial, metric), values in told.items():
            for seed, value in zip(result.seeds, values, strict=True):
                run = self.runs[self.folder.number(trial, seed)]
                if value is not None and metric not in self.client.get_run(run).data.metrics:
                    self.client.log_metric(run, metric, value)

    def best(self) -> int | None:
        """Always None: no run keeps weights; the winner's are in the model registry."""
        return None

    def _query(self, name: str) -> str:
        return f"{super()._query(name)} AND tags.`{names.TAG_RETRAIN}` = '{self.folder.name}'"

    def _common(self) -> dict[str, str]:
        return {name: value for name, value in super()._common().items() if name != names.TAG_DATA}

    def _data(self) -> "list[DatasetInput]":
        """None: each seed draws validation images of its own."""
        return []

    def _tags(self, trial: TrialFolder) -> dict[str, str]:
        of, seed = self.folder.plan.of(trial.number)
        search = self.search.name
        return {
            names.TAG_KIND: "retrain", names.TAG_RETRAIN_OF: search, names.TAG_RETRAIN: self.folder.name,
            names.TAG_RETRAIN_RUN: str(trial.number), names.TAG_RETRAIN_TRIAL: str(of),
            names.TAG_RETRAIN_SEED: str(seed), names.TAG_NAME: f"{search}/{of:04d} seed {seed}",
        }  # fmt: skip

    def _parent(self) -> str:
        """The search's own run; a store that lacks it is given the whole search."""
        if (there := self._searchs()) is None:
            export_search(self.home, self.search, self.uri)
            there = self._searchs()
        assert there is not None
        return there

    def _searchs(self) -> str | None:
        mine = f"tags.`{names.TAG_SEARCH}` = '{self.search.name}' AND {names.IS_SEARCH}"
        runs = all_runs(self.client, self.experiment, mine)
        own = (run for run in runs if run.data.tags.get(names.TAG_ID) in (None, self.search.id))
        return next((str(run.info.run_id) for run in own), None)
