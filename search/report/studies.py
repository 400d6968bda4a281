"""A search's trials as Optuna's figures and importances take them: in memory, nothing of the search's own is opened.

They count COMPLETE trials only, and most trials of an ASHA search are pruned. So the same trials stand in studies in
which they are told differently: as each ended, or all those that reached one epoch with their value there.
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState, create_trial

from ffsnn.fields import short
from search.store.folder import SearchFolder
from search.store.results import Results, TrialResult
from search.study.reconcile import OPTUNA_STATE
from search.study.sampling import distribution
from search.study.study_store import study_name

Told = tuple[TrialState, float | None]
Times = dict[int, tuple[datetime | None, datetime | None]]  # of a trial: begun, ended


def as_ended(results: Results, times: Times | None = None) -> optuna.Study:
    """Each trial with its own state; COMPLETE are those at full length."""

    def told(trial: TrialResult) -> Told:
        state = TrialState.RUNNING if trial.state == "unfinished" else OPTUNA_STATE[trial.state]
        return state, trial.values[-1] if state == TrialState.COMPLETE else None

    return _study(results, told, times or {})


def at_epoch(results: Results, epoch: int) -> optuna.Study:
    """Those that reached an epoch are COMPLETE, with their value there; all others FAIL."""

    def told(trial: TrialResult) -> Told:
        value = trial.at(epoch)
        return (TrialState.FAIL if value is None else TrialState.COMPLETE), value

    return _study(results, told, {})


def as_pruned(results: Results) -> optuna.Study:
    """A study of all trials alike, with all their epochs."""
    return _study(results, lambda trial: (TrialState.PRUNED, None), {})


def counted(study: optuna.Study) -> int:
    """Trials that Optuna's figures and importances count."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _study(results: Results, told: Callable[[TrialResult], Told], times: Times) -> optuna.Study:
    """The trials under their own numbers, with parameters' short names."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what is missing is said on the page
    study = optuna.create_study(study_name=results.name, direction=results.config.goal.direction)
    known = 0
    for trial in results.trials:
        for _ in range(known, trial.number):
            study.add_trial(create_trial(state=TrialState.FAIL))  # one without a folder keeps its number
        state, value = told(trial)
        frozen = create_trial(
            state=state, value=value, params={short(path): value for path, value in trial.sample.items()},
            distributions={short(path): distribution(results.config.space.parameters[path]) for path in trial.sample},
            intermediate_values=dict(enumerate(trial.values, 1)),
        )  # fmt: skip
        begun, ended = times.get(trial.number, (None, None))
        frozen.datetime_start = begun or frozen.datetime_start
        if state.is_finished():
            frozen.datetime_complete = ended or frozen.datetime_start
        study.add_trial(frozen)
        known = trial.number + 1
    return study


class _ReadOnly(BaseJournalBackend):
    """A journal as it stands, up to a line that is not whole; Optuna's own makes a file that is missing."""

    def __init__(self, content: bytes) -> None:
        self.lines = content[: content.rfind(b"\n") + 1].splitlines()

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return (json.loads(line) for line in self.lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise AssertionError("a report writes nothing to the study")


def times(folder: SearchFolder) -> Times:
    """Times at which trials began and ended, from the search's study; empty where that is missing or damaged."""
    try:
        storage = JournalStorage(_ReadOnly(folder.study_file.read_bytes()))
        name = study_name(storage, folder.name)
        trials = storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):  # what Optuna's replay may raise
        return {}
    return {trial.number: (trial.datetime_start, trial.datetime_complete) for trial in trials}
