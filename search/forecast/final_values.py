"""What trials would have come to at full length, from as much of their curves as there is.

A sampler that is shown last values takes an early stop for a bad configuration; one that is shown finished trials
alone learns from one trial in ten. Here each trial counts, with its last value and the gains that others had from that
epoch on, a mean an epoch: so trials that came to the same epoch keep their order. That is so of shares, such as an
accuracy; a cost (spikes, energy) spans decades from network to network and changes little within a training, so that
its last value says more than any mean of others' changes, by which many that keep a limit would seem to break it.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import norm, rankdata

from search.objectives import Objective
from search.pareto.goals import Goals

Array = npt.NDArray[np.float64]
NEAREST = 1e-3  # to 0 and 1, of a share: beyond it a validation set tells nothing


def final_costs(
    curves: Sequence[Mapping[int, Sequence[float]]], epochs: int, objective: Objective, at: int = 0
) -> Array:  # fmt: skip
    """The expected cost of each trial at full length, the less the better, (trials,).

    Args:
        curves: the values of each trial by epoch, of one at least, for each objective.
        epochs: of a trial at full length.
        objective: that is asked for; a share is taken as its log odds, in which gains are alike everywhere.
        at: which of the values is the objective's.
    """
    told = np.fromiter(map(len, curves), int, len(curves))
    columns = np.fromiter(chain.from_iterable(curves), int) - 1
    table = np.full((len(curves), epochs), np.nan)
    table[np.repeat(np.arange(len(curves)), told), columns] = np.fromiter(
        (values[at] for curve in curves for values in curve.values()), float
    )
    trained = table != objective.worst  # what diverged fell to it, which is no gain of others
    if objective.is_share:
        share = np.clip(table, NEAREST, 1 - NEAREST)
        table = np.log(share / (1 - share))
    last = np.maximum.reduceat(columns, np.cumsum(told) - told)
    if objective.direction == "maximize":
        table = -table
    final: Array = table[np.arange(len(table)), last]
    if not objective.is_share:
        return final
    steps = np.diff(table, axis=1)
    seen = np.isfinite(steps) & trained[:, 1:] & trained[:, :-1]
    gains = np.where(seen, steps, 0.0).sum(0) / np.maximum(seen.sum(0), 1)  # nothing where no one was that far
    to_come = np.append(np.cumsum(gains[::-1])[::-1], 0.0)  # from each epoch to the last
    final += to_come[last]
    return final


def final_values(costs: Array, objective: Objective) -> Array:
    """The values that have these final costs."""
    values: Array = -costs if objective.direction == "maximize" else costs
    return expit(values) if objective.is_share else values


def goal_costs(curves: Sequence[Mapping[int, Sequence[float]]], epochs: int, goals: Goals) -> Array:
    """The expected cost of each trial at full length by each objective, the less the better, (trials, objectives).

    Trials that are expected to break a limit come behind all others by every objective, by how far.
    """
    finals = np.stack([final_costs(curves, epochs, it, at) for at, it in enumerate(goals.measured)], 1)
    costs: Array = finals[:, : len(goals.objectives)]
    if goals.limits:
        values = [final_values(column, it) for column, it in zip(finals.T, goals.measured, strict=True)]
        broken = np.array([goals.violation(it) for it in np.stack(values, 1).tolist()])[:, None]
        costs = np.where(broken > 0, costs.max(0) + 1 + broken, costs)
    return costs


def normal_scores(costs: Array) -> Array:
    """Costs, column by column, as the normal distribution's quantiles of their ranks: no outlier counts for more than
    its rank."""
    scores: Array = norm.ppf((rankdata(costs, axis=0) - 0.5) / len(costs))
    return scores
