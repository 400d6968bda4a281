"""A search's trials as Optuna takes them, for importances: in memory, nothing of the search's own is opened; and when
they began and ended, by its study.

Optuna counts COMPLETE trials only, and most trials of an ASHA search are pruned: so those that reached one epoch stand
in a study as COMPLETE, with their value there.
"""

import json
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from ffsnn.fields import short
from search.pareto.front import ranking
from search.store.folder import SearchFolder
from search.store.results import Results
from search.study.sampling import distribution
from search.study.study_store import study_name

TOP, TOP_TRIALS = 0.1, 5  # PED-ANOVA's best trials: a tenth, but at least five, as its authors advise
Times = dict[int, tuple[datetime | None, datetime | None]]  # of a trial: begun, ended


def at_epoch(results: Results, epoch: int) -> optuna.Study:
    """The trials that reached an epoch, with their value there, and parameters' short names.

    By several objectives, or with limits, the value is a trial's place among them, from 0, the best.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what is missing is said on the page
    goals, reached = results.config.goals, results.reached(epoch)
    if goals.is_plain:
        direction, values = goals.objectives[0].direction, [trial.values[epoch - 1] for trial in reached]
    else:
        ranked = ranking([(trial.number, epoch, trial.measured[epoch - 1]) for trial in reached], epoch, goals)
        direction, values = "minimize", np.argsort(ranked).tolist()
    study = optuna.create_study(study_name=results.name, direction=direction)
    kinds = {path: distribution(parameter) for path, parameter in results.config.space.parameters.items()}
    study.add_trials([
        create_trial(
            value=value, params={short(path): value for path, value in trial.sample.items()},
            distributions={short(path): kinds[path] for path in trial.sample},
        )
        for trial, value in zip(reached, values, strict=True)
    ])  # fmt: skip
    return study


def counted(study: optuna.Study) -> int:
    """Trials that Optuna's importances count."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def best_trials(count: int) -> int:
    """Number of trials, out of `count`, that PED-ANOVA sets apart from all."""
    return max(round(TOP * count), min(TOP_TRIALS, count // 2))


def _evaluator(study: optuna.Study) -> PedAnovaImportanceEvaluator:
    count = counted(study)
    return PedAnovaImportanceEvaluator(target_quantile=(best_trials(count) - 0.5) / count)  # rounded up


@contextmanager
def _few_trials() -> Iterator[None]:
    """Optuna warns where a parameter has few trials; the page says so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
        yield


@_few_trials()
def importances(study: optuna.Study) -> dict[str, float]:
    """PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255): what sets the best trials apart from all; shares of one.

    Empty where the best cannot be told from the worst.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
    values = sorted(sign * trial.value for trial in trials if trial.value is not None)
    if values[-best_trials(len(values))] == values[0]:
        return {}
    return optuna.importance.get_param_importances(study, evaluator=_evaluator(study))


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
