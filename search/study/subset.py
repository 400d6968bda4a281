"""What of a long study a sampler looks at, so that a suggestion costs no more late in a search than early."""

import copy
import math
from collections.abc import Container
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

BEST_KEPT = 50  # TPE models the best 25 as good, however many there are


class StudySubset:
    """A study as a sampler sees it for one suggestion: its best trials, an even share of the rest, those that run.

    Up to `limit` trials it is the study itself. Beyond, TPE's good trials stay the same, and what they are compared
    with, the density of all others, is estimated from a sample of these.
    """

    def __init__(self, study: optuna.Study, limit: int) -> None:
        self.study = study
        trials = study.get_trials(deepcopy=False)
        left_out = beyond(trials, limit, -1 if study.direction == StudyDirection.MINIMIZE else 1)
        self.trials = [trial for trial in trials if trial.number not in left_out] if left_out else trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self.study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        """In place of the method by which all of Optuna's samplers read a study."""
        wanted = [trial for trial in self.trials if states is None or trial.state in states]
        return copy.deepcopy(wanted) if deepcopy else wanted


def beyond(trials: list[FrozenTrial], limit: int, sign: int = 1) -> set[int]:
    """The numbers of the ended trials that are left out, so that `limit` are left; `sign`: 1 if more is better."""
    ended = [trial for trial in trials if trial.state.is_finished()]
    if len(ended) <= limit:
        return set()
    best_first = sorted(ended, key=lambda trial: _merit(trial, sign), reverse=True)
    rest = sorted(trial.number for trial in best_first[BEST_KEPT:])
    count = limit - BEST_KEPT
    return set(rest) - {rest[i * len(rest) // count] for i in range(count)}


def _merit(trial: FrozenTrial, sign: int) -> tuple[float, int, int, float, int]:
    """Rank trials as TPE does: those that keep all limits first, the others by how far they break them; of equal ones
    complete trials by value, then stopped ones by how far they came; failed ones last.

    A stopped trial has a value, too: its last one.
    """
    if trial.state == TrialState.FAIL:  # it has no value, and nothing tells whether it would keep a limit
        return -math.inf, 0, 0, 0.0, -trial.number
    kept = -sum(max(excess, 0.0) for excess in trial.constraints.values())
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return kept, 2, 0, sign * trial.value, -trial.number
    told = trial.intermediate_values
    last = max(told, default=-1)
    return kept, int(trial.state == TrialState.PRUNED), last, sign * told.get(last, -sign * math.inf), -trial.number
