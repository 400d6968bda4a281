"""Goals: the objectives of a search and the limits that its trials are to keep.

val_accuracy,synops            each in its own direction, which may be said: accuracy:max,synops:min
synops<=2e6, accuracy>=90%     limits; one on what a configuration says itself (T) is checked before any training
"""

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from search.objectives import Objective, named
from search.pareto.vectors import Standing
from search.registries import OBJECTIVES

if TYPE_CHECKING:
    from ffsnn.config import RunConfig
    from ffsnn.training.epoch_metrics import EpochMetrics
    from search.store.trial_folder import TrialFolder

Values = tuple[float, ...]  # of each measured objective, after an epoch
LIMIT = re.compile(r"\s*(\w+)\s*(<=|>=)\s*([^\s%]+)\s*(%?)\s*")


@dataclass(frozen=True)
class Limit:
    """A bound that a trial's value is to keep."""

    objective: Objective
    sign: str  # <= or >=
    bound: float

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Read `synops<=2e6`.

        Raises:
            ValueError: the text is not a limit; one line.
        """
        found = LIMIT.fullmatch(text)
        if found is None:
            raise ValueError(f"must be NAME<=NUMBER or NAME>=NUMBER, such as 'synops<=2e6', but got {text!r}")
        name, sign, number, percent = found.groups()
        objective = OBJECTIVES[named(name)]
        try:
            bound = float(number) / (100 if percent else 1)
        except ValueError:
            raise ValueError(f"must have a number behind {sign}, but got {text!r}") from None
        if not (math.isfinite(bound) and bound >= 0):
            raise ValueError(f"must have a finite bound of 0 or more, but got {text!r}")
        if objective.is_share and bound > 1:
            raise ValueError(f"must have a share from 0 to 1 or from 0 % to 100 %, but got {text!r}")
        return cls(objective, sign, bound)

    def __str__(self) -> str:
        return f"{self.objective.short}{self.sign}{self.bound:.12g}"

    def excess(self, value: float) -> float:
        """Distance of a value beyond the bound, as a share of it; 0 or less: the limit is kept."""
        beyond = value - self.bound if self.sign == "<=" else self.bound - value
        return beyond / (self.bound or 1.0)


@dataclass(frozen=True)
class Goals:
    """Objectives, the first one first, and limits."""

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()

    @classmethod
    def parse(cls, objective: str, limits: Iterable[str] = ()) -> "Goals":
        return cls(tuple(OBJECTIVES[name] for name in objective.split(",")), tuple(map(Limit.parse, limits)))

    @cached_property
    def measured(self) -> tuple[Objective, ...]:
        """The objectives, then those that a limit alone is on."""
        return tuple({it.name: it for it in (*self.objectives, *(limit.objective for limit in self.limits))}.values())

    @property
    def is_plain(self) -> bool:
        """True for one objective without limits, which a number ranks."""
        return len(self.measured) == 1 and not self.limits

    @property
    def compared_by(self) -> str:
        """The order of results, in words: `value`, or `rank by accuracy, synops<=2e+06`."""
        named = [*(it.short for it in self.objectives), *map(str, self.limits)]
        return "value" if self.is_plain else f"rank by {', '.join(named)}"

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        return [it.direction for it in self.objectives]

    @property
    def worst(self) -> Values:
        """Values that a sampler is told of a trial that diverged."""
        return tuple(it.worst for it in self.measured)

    def values(self, trial: "TrialFolder", history: "list[EpochMetrics] | None" = None) -> list[Values]:
        """All that is measured, after each epoch of a trial's history, or of another one."""
        history = trial.history() if history is None else history
        columns = (map(it.ranked, trial.values(it, history)) for it in self.measured)
        return list(zip(*columns, strict=True))

    def told(self, said: dict[str, Any]) -> Values:
        """All that is measured, from a report that has it by name; what is missing is no number."""
        return tuple(said.get(it.name, math.nan) for it in self.measured)

    def excesses(self, values: Sequence[float]) -> list[float]:
        """Distances by which limits are broken (`Limit.excess`)."""
        if not self.limits:
            return []
        by_name = dict(zip((it.name for it in self.measured), values, strict=True))
        return [limit.excess(by_name[limit.objective.name]) for limit in self.limits]

    def standing(self, values: Sequence[float]) -> Standing:
        """A result after an epoch, to be ranked; what an objective cannot tell is no result."""
        costs = tuple(
            math.inf if it.is_unknown(value) else it.cost(value)
            for it, value in zip(self.objectives, values, strict=False)
        )
        return Standing(self.violation(values), costs)

    def violation(self, values: Sequence[float]) -> float:
        """The sum of how far limits are broken; 0: all are kept."""
        return sum(max(it, 0.0) for it in self.excesses(values))

    def cost(self, values: Sequence[float]) -> Any:
        """The rank of a result at a rung: a number, or a `Standing` where there is more than one objective."""
        return self.objectives[0].cost(values[0]) if self.is_plain else self.standing(values)

    @property
    def lost(self) -> Any:
        """The cost of a trial that diverged or was dead."""
        return math.inf if self.is_plain else Standing(math.inf, (math.inf,) * len(self.objectives))

    def known(self, config: "RunConfig") -> list[tuple[Limit, float]]:
        """The limits that follow from a configuration alone, with its values."""
        return [(it, it.objective.of_config(config)) for it in self.limits if it.objective.by_config]

    def broken(self, config: "RunConfig") -> tuple[float, str] | None:
        """The limit that a configuration breaks most, before any training: how far, and in words; None: none."""
        over = [
            (limit.excess(value), f"{limit} must hold, but {limit.objective.short}={value:g}")
            for limit, value in self.known(config)
            if limit.excess(value) > 0
        ]
        return max(over, default=None)

    def show(self, values: Sequence[float]) -> str:
        """`val_accuracy 92.3%, synops 1.2e+04`"""
        return ", ".join(f"{it.short} {it.show(value)}" for it, value in zip(self.measured, values, strict=False))


def canonical_limits(limits: Sequence[str]) -> tuple[str, ...]:
    """Limits as they are stored.

    Raises:
        ValueError: a text is not a limit, or two limits cannot both hold; one line.
    """
    parsed = tuple(map(Limit.parse, limits))
    for one, other in itertools.permutations(parsed, 2):
        apart = one.sign == "<=" and other.sign == ">=" and one.bound < other.bound
        if apart and one.objective.name == other.objective.name:
            raise ValueError(f"must be met together, but no value keeps {one} and {other}")
    return tuple(dict.fromkeys(f"{it.objective.name}{it.sign}{it.bound!r}" for it in parsed))
