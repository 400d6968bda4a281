"""Objectives: what a search is after, by name; a function of an epoch of a trial's history."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ffsnn.parts import contract
from search.registries import OBJECTIVES

if TYPE_CHECKING:
    from ffsnn.config import RunConfig
    from ffsnn.training.trainer import EpochMetrics

Value = Callable[["EpochMetrics", Callable[[], "RunConfig"]], float]  # an epoch, the trial's configuration if asked


@dataclass(frozen=True)
class Objective:
    """One number an epoch, and which way is better."""

    value: Value
    name: str  # of the metric, wherever it is reported: Tune, MLflow, tables
    title: str  # for a person, in a sentence
    direction: Literal["maximize", "minimize"]
    worst: float  # what a sampler is told of a trial that diverged
    is_share: bool = False  # shown as a percentage

    @property
    def mode(self) -> str:
        """The direction as Ray Tune calls it."""
        return self.direction[:3]

    def cost(self, value: float) -> float:
        """The value turned so that less is better: to sort by."""
        return -value if self.direction == "maximize" else value

    def best(self, values: list[float]) -> float:
        return min(values, key=self.cost)

    def show(self, value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:.2%}" if self.is_share else f"{value:.5g}"


register = OBJECTIVES.decorator(Objective, named=True)
DEFAULT = "val_accuracy"


@register(DEFAULT, title="validation accuracy", direction="maximize", worst=0.0, is_share=True)
def val_accuracy(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> float:
    """Share of the validation images that are predicted rightly."""
    return epoch.val_accuracy


@register("nanojoules_per_sample", title="energy estimate of a sample (nJ)", direction="minimize", worst=1e12)
def energy(epoch: "EpochMetrics", config: Callable[[], "RunConfig"]) -> float:
    """Estimated energy of a sample (`ffsnn.inspection.energy`); of no use alone: a silent network takes least."""
    from ffsnn.inspection.energy import of_rates

    found = of_rates(config(), epoch.firing_rate, epoch.input_spikes)
    return 1e12 if found is None else found.nanojoules


def _broken(objective: Objective) -> str | None:
    """The rule that an objective breaks, tried out on an epoch that never was; None: it breaks none."""
    from ffsnn.config import RunConfig
    from ffsnn.training.trainer import EpochMetrics

    epoch = EpochMetrics(1, (0.5, 0.4), (0.3, 0.2), (0.1, 0.1), (0.1, 0.2), 0.9, 1000.0, 2.0)
    value: object = objective.value(epoch, RunConfig)  # of someone else's making, whatever the types promise
    direction: str = objective.direction
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"must give a finite number for an epoch, but gave {value!r}"
    if direction not in ("maximize", "minimize"):
        return f"must have direction='maximize' or 'minimize', but got {direction!r}"
    return None


contract.CHECKS[OBJECTIVES.kind] = _broken
