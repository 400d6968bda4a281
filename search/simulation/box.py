"""The box in which the hypervolume of a simulated search is a share: the same for all searches on a surface.

It ends at the worst and the best value that any recorded configuration has at full length, objective by objective. A
share (an accuracy) counts by itself; what is not negative counts by its logarithm, for operations, spikes and energies
span decades. A hypervolume depends on its reference point more than on any search (Ishibuchi et al. 2018, doi
10.1162/evco_a_00226), so that another one can be given.

Legend: C configurations, S seeds, E epochs, M objectives.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffsnn.validation import ConfigError
from search.objectives import Objective
from search.pareto.goals import Limit
from search.simulation.measures import share
from search.simulation.recorded import Answers

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One objective's side of the box, by values."""

    objective: Objective
    ideal: float
    reference: float
    logarithmic: bool

    @classmethod
    def of(cls, objective: Objective, values: Array, limit: Limit | None) -> "Side":
        """The side around values, (C,).

        Raises:
            ConfigError: they are all the same, or the reference point is no worse than all of them.
        """
        worst_first = np.array(sorted(values.tolist(), key=objective.cost, reverse=True))
        logarithmic = not objective.is_share and bool((values >= 0).all())
        if logarithmic:
            worst_first = worst_first[worst_first > 0]
        reference = limit.bound if limit else worst_first[0] if len(worst_first) else 0.0
        ideal = worst_first[-1] if len(worst_first) else 0.0
        if not objective.cost(ideal) < objective.cost(reference) or (logarithmic and reference <= 0):
            raise ConfigError(
                f"{objective.short} must differ among what is recorded, and its reference point be worse than the "
                f"best, but got {objective.show(ideal)} and {objective.show(reference)}: choose another"
            )
        return cls(objective, float(ideal), float(reference), logarithmic)

    def costs(self, values: Array) -> Array:
        """Values as costs: 0 the ideal, 1 the reference point."""
        low, high, told = (self._cost(np.asarray(it)) for it in (self.ideal, self.reference, values))
        found: Array = (told - low) / (high - low)
        return found

    def _cost(self, values: Array) -> Array:
        if self.logarithmic:
            values = np.log(np.maximum(values, min(self.ideal, self.reference)))
        return -values if self.objective.direction == "maximize" else values

    def __str__(self) -> str:
        how = " (logarithmic)" if self.logarithmic else ""
        return f"{self.objective.short} {self.objective.show(self.reference)} to {self.objective.show(self.ideal)}{how}"


class Box:
    """The box of several objectives on a surface.

    Args:
        answers: of the surface.
        reference: limits whose bounds are the reference point, in place of the worst recorded values.

    Raises:
        ConfigError: an objective was not recorded, the box has no volume, or a limit is of no objective, or the wrong
            way round.
    """

    def __init__(self, answers: Answers, reference: Sequence[Limit] = ()) -> None:
        objectives = answers.goals.objectives
        given = {it.objective.name: it for it in reference}
        for limit in reference:
            if limit.objective not in objectives or (limit.sign == ">=") != (limit.objective.direction == "maximize"):
                named = ", ".join(f"{it.short}{'>=' if it.direction == 'maximize' else '<='}..." for it in objectives)
                raise ConfigError(f"--reference must be of an objective and bound what is worse ({named}): got {limit}")
        for it in objectives:
            if (answers.by_objective[it.name] == it.worst).all():
                raise ConfigError(f"{answers.surface.name} does not record {it.short}: choose another objective")
        values = np.stack([answers.by_objective[it.name] for it in objectives], -1)  # (C, S, E, M)
        told = (values != [it.worst for it in objectives]).all((1, 2, 3))  # never diverged, and it can be told
        final = values[told][:, :, -1].mean(1)
        self.sides = [Side.of(it, final[:, at], given.get(it.name)) for at, it in enumerate(objectives)]
        self.seen = self._costs(values)  # (C, S, E, M)
        self.counted = self._costs(values.mean(1))  # (C, E, M)
        self.whole = share(self.counted[:, -1])  # hypervolume of all configurations at full length
        if not self.whole:
            raise ConfigError(f"no recorded configuration is better than --reference by every objective ({self})")

    def _costs(self, values: Array) -> Array:
        return np.stack([side.costs(values[..., at]) for at, side in enumerate(self.sides)], -1)

    def __str__(self) -> str:
        return ", ".join(map(str, self.sides))
