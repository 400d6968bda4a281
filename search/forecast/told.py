"""What a study knows of its trials' epochs.

One objective is reported to Optuna as an intermediate value. With several Optuna refuses that, so that all that is
measured stands in an attribute of the trial, where samplers of our own find it.
"""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any
from weakref import WeakKeyDictionary

import optuna
from optuna.trial import FrozenTrial

from search.pareto.goals import Values

VALUES = "values"  # all that is measured, an entry an epoch
Told = tuple[dict[str, Any], dict[int, Values]]  # a trial's parameters, and what was measured of it by epoch

_read: WeakKeyDictionary[optuna.Study, list[tuple[FrozenTrial, Told]]] = WeakKeyDictionary()  # as last read


def told_values(trial: FrozenTrial) -> dict[int, Values]:
    """All that was measured of a trial, by epoch."""
    if (told := trial.user_attrs.get(VALUES)) is not None:
        return {epoch: tuple(values) for epoch, values in enumerate(told, 1)}
    return {epoch: (value,) for epoch, value in trial.intermediate_values.items()}


def told_of(study: optuna.Study) -> list[tuple[FrozenTrial, Told]]:
    """All trials of a study, by their number. One that did not change since the last call is not read again: a storage
    gives another object for one that did."""
    trials, before = study.get_trials(deepcopy=False), _read.get(study, [])
    _read[study] = found = [
        known if known and known[0] is trial else (trial, (trial.params, told_values(trial)))
        for trial, known in zip_longest(trials, before[: len(trials)])
    ]
    return found


def write_values(live: optuna.trial.Trial, values: Mapping[int, Values]) -> None:
    """Keep all that was measured, by epoch, from the first one on."""
    live.set_user_attr(VALUES, [list(values[epoch]) for epoch in sorted(values)])
