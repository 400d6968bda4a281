"""What a search has come to, read once from its folder: a snapshot, of a running search too; nothing is written.

Optuna's figures take COMPLETE trials only, and most trials of an ASHA search are pruned. So the same trials stand in
studies in memory, each with its value at one epoch: at full length, where ASHA left only the better ones, or at an
epoch that most of them have reached.
"""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from ffsnn.config import RunConfig
from search.config import SearchConfig
from search.folder import SearchFolder
from search.points import distribution
from search.reconcile import TOLD
from search.trial_folder import State, TrialFolder
from spaces.space import Sample

ENOUGH = 20  # trials; fewer will do where they are half of all
Fate = State | Literal["unfinished"]
Times = dict[int, tuple[datetime | None, datetime | None]]


@dataclass(frozen=True)
class Result:
    """One trial."""

    number: int
    state: Fate
    reason: str  # finished, asha, diverged, died, ...; empty while it has not ended
    detail: str
    config: RunConfig
    sample: Sample
    accuracies: tuple[float, ...]  # validation, an epoch
    seconds: float  # of training and validation
    failures: int  # of its processes

    @property
    def epochs(self) -> int:
        return len(self.accuracies)

    def at(self, epoch: int) -> float | None:
        """Its accuracy after that epoch; None: it did not get there."""
        return self.accuracies[epoch - 1] if epoch <= self.epochs else None


@dataclass(frozen=True)
class Rung:
    """One of ASHA's rungs, or the full length."""

    epoch: int
    went_on: list[float]  # accuracies at that epoch
    stayed: list[float]  # stopped there by ASHA
    other: int  # trials that got there and no further, for another reason

    @property
    def reached(self) -> int:
        return len(self.went_on) + len(self.stayed) + self.other


class Results:
    """A search's trials, in the order of their numbers."""

    def __init__(self, folder: SearchFolder) -> None:
        self.folder, self.name = folder, folder.name
        tree = folder.read()
        self.config: SearchConfig = folder.config
        self.versions: dict[str, str] = tree["versions"]
        self.checksum: str = tree["data"]
        self.spent = folder.spent()
        self.trials = [_result(trial, self.config) for trial in folder.trials()]
        self.times = _times(folder)

    def of(self, *states: Fate) -> list[Result]:
        return [trial for trial in self.trials if trial.state in states]

    @property
    def ended(self) -> list[Result]:
        return self.of("complete", "pruned", "failed")

    @property
    def epochs(self) -> int:
        """Epochs trained by all trials."""
        return sum(trial.epochs for trial in self.trials)

    @property
    def seconds(self) -> float:
        """Seconds of training and validation by all trials."""
        return sum(trial.seconds for trial in self.trials)

    @property
    def out_of_time(self) -> bool:
        budget = self.config.time_budget
        return budget is not None and self.spent >= 60 * budget and len(self.ended) == len(self.trials)

    def ranked(self) -> list[Result]:
        """As `SearchFolder.ranked`: by last accuracy, those at full length first."""
        scored = [trial for trial in self.trials if trial.epochs]
        return sorted(scored, key=lambda t: (t.epochs < self.config.epochs, -t.accuracies[-1], t.number))

    def reached(self, epoch: int) -> list[Result]:
        return [trial for trial in self.trials if trial.epochs >= epoch]

    def common_epoch(self) -> int | None:
        """The last rung, or the full length, that half of the trials have reached, or twenty; None: there is none."""
        started = len(self.reached(1))
        needed = min(ENOUGH, (started + 1) // 2)
        epochs = [epoch for epoch in self.milestones if len(self.reached(epoch)) >= needed]
        return epochs[-1] if started and epochs else None

    @property
    def milestones(self) -> list[int]:
        """The epochs at which trials can be compared: rungs, and the full length."""
        return sorted({*self.config.milestones, self.config.epochs})

    def rungs(self) -> list[Rung]:
        """How the trials came through ASHA's rungs; the last is the full length."""
        rungs = []
        for epoch in self.milestones:
            reached = self.reached(epoch)
            went_on = [trial for trial in reached if trial.epochs > epoch or trial.state == "complete"]
            stayed = [trial for trial in reached if trial not in went_on and trial.reason == "asha"]
            rungs.append(Rung(
                epoch, [trial.accuracies[epoch - 1] for trial in went_on],
                [trial.accuracies[epoch - 1] for trial in stayed], len(reached) - len(went_on) - len(stayed),
            ))  # fmt: skip
        return rungs

    def study(self, epoch: int | None = None) -> optuna.Study:
        """The trials in memory, under their own numbers and with parameters' short names.

        Args:
            epoch: those that reached it are COMPLETE, with their accuracy there, and all others FAIL. None: each has
                its own state and all its epochs.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(study_name=self.name, direction="maximize")
        for trial in self.trials:
            for _ in range(len(study.get_trials(deepcopy=False)), trial.number):
                study.add_trial(create_trial(state=TrialState.FAIL))  # one without a folder keeps its number
            study.add_trial(self._frozen(trial, epoch))
        return study

    def _frozen(self, trial: Result, epoch: int | None) -> FrozenTrial:
        if epoch is not None:
            value = trial.at(epoch)
            state = TrialState.FAIL if value is None else TrialState.COMPLETE
        else:
            state = TrialState.RUNNING if trial.state == "unfinished" else TOLD[trial.state]
            value = trial.accuracies[-1] if state == TrialState.COMPLETE else None
        frozen = create_trial(
            state=state, value=value, params={short(path): value for path, value in trial.sample.items()},
            distributions={short(path): distribution(self.config.space.parameters[path]) for path in trial.sample},
            intermediate_values=dict(enumerate(trial.accuracies, 1)),
        )  # fmt: skip
        start, complete = self.times.get(trial.number, (None, None))
        frozen.datetime_start = start or frozen.datetime_start
        if state.is_finished():
            frozen.datetime_complete = complete or frozen.datetime_start
        return frozen

    def csv(self) -> str:
        """A row a trial, numbers in full precision."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        parameters = list(self.config.space.parameters)
        writer.writerow(["number", "state", "reason", "epochs", "best_val_accuracy", "last_val_accuracy", "seconds",
                         *parameters])  # fmt: skip
        for trial in self.trials:
            scores = [max(trial.accuracies), trial.accuracies[-1]] if trial.epochs else ["", ""]
            values = [trial.sample.get(path, "") for path in parameters]
            writer.writerow([trial.number, trial.state, trial.reason, trial.epochs, *scores, trial.seconds, *values])
        return file.getvalue()


def short(path: str) -> str:
    """`tau` of `network.tau`."""
    return path.rsplit(".", 1)[-1]


def _result(trial: TrialFolder, config: SearchConfig) -> Result:
    end, sealed, run = trial.end(), trial.sealed_history(), trial.config()
    history = trial.history() if sealed is None else sealed
    return Result(
        number=trial.number,
        state=end.state if end else "unfinished",
        reason=end.reason if end else "",
        detail=end.detail if end else "",
        config=run,
        sample=config.space.read(run),
        accuracies=tuple(epoch.val_accuracy for epoch in history),
        seconds=sum(epoch.seconds for epoch in history),
        failures=len(trial.failures()),
    )


class _ReadOnly(BaseJournalBackend):
    """A journal as it stands, up to a line that is not whole; Optuna's own makes a file that is missing."""

    def __init__(self, content: bytes) -> None:
        self.lines = content[: content.rfind(b"\n") + 1].splitlines()

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return (json.loads(line) for line in self.lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise AssertionError("a report writes nothing to the study")


def _times(folder: SearchFolder) -> Times:
    """When each trial began and ended, as the study has it; nothing where it is missing or damaged."""
    try:
        storage = JournalStorage(_ReadOnly(folder.study_file.read_bytes()))
        trials = storage.get_all_trials(storage.get_study_id_from_name(folder.name), deepcopy=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):  # what Optuna's replay may raise
        return {}
    return {trial.number: (trial.datetime_start, trial.datetime_complete) for trial in trials}
