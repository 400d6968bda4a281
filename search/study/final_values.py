"""What a trial would have come to at full length, from as much of its curve as there is."""

from collections.abc import Mapping, Sequence

import numpy as np

from search.objectives import Objective
from search.study.encoding import Array


def final_costs(curves: Sequence[Mapping[int, float]], epochs: int, objective: Objective, cap: str = "none") -> Array:
    table = np.full((len(curves), epochs), np.nan)
    for row, curve in zip(table, curves, strict=True):
        for epoch, value in curve.items():
            if epoch <= epochs:
                row[epoch - 1] = value
    if objective.is_share:
        clipped = np.clip(table, 0.001, 0.999)
        table = np.log(clipped / (1 - clipped))
    if objective.direction == "maximize":
        table = -table
    steps = np.diff(table, axis=1)
    known = np.isfinite(steps).any(0)
    gains = np.zeros(epochs - 1)
    gains[known] = np.nanmean(steps[:, known], axis=0)
    lengths = np.array([np.flatnonzero(np.isfinite(row))[-1] + 1 for row in table])
    last = table[np.arange(len(table)), lengths - 1]
    to_come = np.append(np.cumsum(gains[::-1])[::-1], 0.0)  # from each epoch to the last
    final = last + to_come[lengths - 1]
    if cap == "worst":
        for length in np.unique(lengths)[::-1]:
            further = final[lengths > length]
            if len(further):
                mine = lengths == length
                final[mine] = np.maximum(final[mine], further.max())
    elif cap == "best":
        for length in np.unique(lengths)[::-1]:
            further = final[lengths > length]
            if len(further):
                mine = lengths == length
                final[mine] = np.maximum(final[mine], np.min(further))
    elif cap == "median":
        for length in np.unique(lengths)[::-1]:
            further = final[lengths > length]
            if len(further):
                mine = lengths == length
                final[mine] = np.maximum(final[mine], np.median(further))
    return final
