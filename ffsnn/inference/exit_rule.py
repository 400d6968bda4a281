"""Early exit: an image is decided once its best label is far enough ahead of the second best, at the last step at the
latest; as pure functions.

One threshold serves all steps, as in the anytime reading of spiking networks (e.g. Li et al. 2023, "SEENN",
arXiv 2304.01230, there by softmax confidence; here by the margin of the goodness, which needs no scale of its own).

The threshold is chosen on validation images: of those whose accuracy is not below that of all T steps by more than a
tolerance, the one with the fewest steps on average; of equal ones the largest.

Legend: T time steps, B images, C classes; step t is counted from 1.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from ffsnn.validation import ConfigError

TOLERANCE = 0.001  # of accuracy: 0.1 points
ROUNDING = 1e-9  # of a difference of two shares of images
THRESHOLDS = 64  # that are tried; more are finer than the noise of some thousand validation images


class ExitPoint(NamedTuple):
    """A threshold and the results of it, averaged over images."""

    threshold: float  # inf: no image is stopped
    accuracy: float
    steps: float
    operations: float  # synaptic, a sample


def margins(scores_TBC: torch.Tensor) -> torch.Tensor:
    """The best label's score after each step, less the second best's: (T, B)."""
    best, second = scores_TBC.topk(2, -1).values.unbind(-1)
    return best - second


def exits(margins_TB: torch.Tensor, threshold: float) -> torch.Tensor:
    """The step (B,) at which each image is decided: the first whose margin is no less than the threshold, else T."""
    decided = margins_TB >= threshold
    decided[-1] = True
    return decided.to(torch.uint8).argmax(0) + 1


def at_exit(values_TB: torch.Tensor, steps_B: torch.Tensor) -> torch.Tensor:
    """Each image's value (B,) at the step at which it is decided."""
    return values_TB.gather(0, (steps_B - 1)[None])[0]


def curve(
    scores_TBC: torch.Tensor, operations_TB: torch.Tensor, y_B: torch.Tensor, thresholds: Sequence[float]
) -> list[ExitPoint]:
    """Accuracy, steps and operations of each threshold.

    Args:
        scores_TBC: of the labels, after each step.
        operations_TB: synaptic operations of a sample, up to and with each step.
        y_B: true labels.
        thresholds: that are tried.
    """
    margin, right = margins(scores_TBC), scores_TBC.argmax(-1) == y_B
    found = []
    for threshold in thresholds:
        steps = exits(margin, threshold)
        means = (at_exit(right, steps), steps, at_exit(operations_TB, steps))
        found.append(ExitPoint(threshold, *(it.double().mean().item() for it in means)))
    return found


def candidates(margins_TB: torch.Tensor, count: int = THRESHOLDS) -> list[float]:
    """Thresholds worth trying, ascending: quantiles of the margins that images have before the last step, and inf.

    Between two neighbouring margins a threshold changes nothing, so these are all there are, but for `count`.
    """
    seen = margins_TB[:-1].double().flatten().unique()
    if len(seen) > count:
        seen = seen[torch.linspace(0, len(seen) - 1, count).round().long()]
    return [*seen.tolist(), math.inf]


def chosen(points: Sequence[ExitPoint], tolerance: float = TOLERANCE) -> ExitPoint:
    """The point with the fewest steps among those that lose no more accuracy than the tolerance.

    Args:
        points: of a curve, that of inf among them.
        tolerance: share of images by which accuracy may be below that of all T steps.

    Raises:
        ConfigError: the tolerance is no share.
    """
    if not 0 <= tolerance < 1:
        raise ConfigError(f"the tolerance of early exit is a share of accuracy from 0 to 1, but got {tolerance:g}")
    full = max(points, key=lambda it: it.threshold).accuracy
    allowed = [it for it in points if full - it.accuracy <= tolerance + ROUNDING]
    return min(allowed, key=lambda it: (it.steps, -it.threshold))
