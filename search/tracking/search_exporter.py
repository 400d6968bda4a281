"""Search folder -> MLflow: each trial a run under the search's own."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from search import names
from search.store.folder import SearchFolder
from search.store.trial_folder import TrialFolder
from search.tracking import landing, orphans, runs
from search.tracking.exporter import Exporter
from search.tracking.note import note

if TYPE_CHECKING:
    from mlflow.entities import Metric


class SearchExporter(Exporter):
    """Writes one search into an MLflow store."""

    def __init__(self, home: Path, folder: SearchFolder, uri: str | None = None) -> None:
        super().__init__(home, folder, folder, uri)

    def best(self) -> int | None:
        ranked = self.search.ranked()
        return ranked[0][1].number if ranked else None

    def close(self, finished: bool) -> None:
        """End the search's own run, too, with what it has come to; runs of the front are marked.

        What bears a former name of the search and is no trial's (retrainings, model, page) follows.
        """
        super().close(finished)
        for name in self.search.former_names:
            orphans.follow(self.client, self.experiment, self.search, name)
        if len(self.goals.objectives) > 1:
            front = {trial.number for _, trial in self.search.front()}
            for number, run in self.runs.items():
                self._write(run, tags={names.TAG_PARETO: str(int(number in front))})
        self._write(self.parent, metrics=self._new_totals(), tags={names.TAG_NOTE: note(self.search)})
        status = "FINISHED" if finished or self.search.is_out_of_time else "KILLED"
        self.client.set_terminated(self.parent, status, runs.span(self.folder)[1])
        landing.describe(self.client, self.experiment)

    def _new_totals(self) -> "list[Metric]":
        """The totals that MLflow lacks, as its latest ones: its order is by step, here the seconds that the search has
        run, then by time. They may be less than before, where trials that had ended go on."""
        from mlflow.entities import Metric

        said, known = landing.totals(self.search), self.client.get_run(self.parent).data.metrics
        now, step = int(time.time() * 1000), int(said[names.SECONDS])
        return [Metric(name, value, now, step) for name, value in said.items() if known.get(name) != value]

    def _tags(self, trial: TrialFolder) -> dict[str, str]:
        return {
            names.TAG_KIND: "trial", names.TAG_SEARCH: self.folder.name, names.TAG_TRIAL: str(trial.number),
            names.TAG_NAME: f"{self.folder.name}/{trial.number:04d}",
        }  # fmt: skip

    def _parent(self) -> str:
        config, there = self.search.config, self.there.get("")
        if there is None:
            tags = {names.TAG_KIND: "search", names.TAG_SEARCH: self.folder.name, names.TAG_NAME: self.folder.name}
            begun = runs.span(self.folder)[0]
            there = self.client.create_run(
                self.experiment, start_time=begun, tags=tags | {names.TAG_NOTE: note(self.search)}
            )
        else:
            self.client.update_run(there.info.run_id, "RUNNING")
        run: str = there.info.run_id
        said = {name: getattr(config, name) for name in ("space_name", "trials", "epochs", "seed")}
        lacking = {name: value for name, value in said.items() if name not in there.data.params}  # `trials` may grow
        self._write(run, parameters=lacking, tags=self.tags | {names.TAG_EPOCHS: str(config.epochs)})
        self.client.log_dict(run, config.model_dump(mode="json"), names.SEARCH_FILE)
        self.client.log_inputs(run, self._data())
        return run


def export_search(home: Path, folder: SearchFolder, uri: str | None = None) -> int:
    """Bring the whole search into MLflow, with the model of its best trial; returns the number of its trials."""
    return SearchExporter(home, folder, uri).export_all()
