"""What a study knows of a trial's epochs.

One objective is reported to Optuna as an intermediate value. With several Optuna refuses that, so that all that is
measured stands in an attribute of the trial, where samplers of our own find it.
"""

from collections.abc import Mapping

import optuna
from optuna.trial import FrozenTrial

from search.pareto.goals import Values

VALUES = "values"  # all that is measured, an entry an epoch


def told_values(trial: FrozenTrial) -> dict[int, Values]:
    """All that was measured of a trial, by epoch."""
    if (told := trial.user_attrs.get(VALUES)) is not None:
        return {epoch: tuple(values) for epoch, values in enumerate(told, 1)}
    return {epoch: (value,) for epoch, value in trial.intermediate_values.items()}


def write_values(live: optuna.trial.Trial, values: Mapping[int, Values]) -> None:
    """Keep all that was measured, by epoch, from the first one on."""
    live.set_user_attr(VALUES, [list(values[epoch]) for epoch in sorted(values)])
