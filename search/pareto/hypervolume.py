"""The hypervolume of a front: the volume of what it dominates, down to a reference point (Zitzler and Thiele 1999)."""

from collections.abc import Sequence

Point = tuple[float, ...]  # costs, the less the better


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """Volume that the points dominate within the box that ends at the reference point; by slices of the last objective.

    Args:
        points: costs, one each objective; those beyond the reference add nothing.
        reference: the worst corner.
    """
    inside = sorted(
        {it for it in points if all(a < b for a, b in zip(it, reference, strict=True))}, key=lambda it: it[-1]
    )
    if not inside:
        return 0.0
    if len(reference) == 1:
        return reference[0] - inside[0][0]
    ends = [*(it[-1] for it in inside[1:]), reference[-1]]
    volume = 0.0
    for count, (point, end) in enumerate(zip(inside, ends, strict=True), 1):
        if end > point[-1]:
            volume += (end - point[-1]) * hypervolume([it[:-1] for it in inside[:count]], reference[:-1])
    return volume
