"""The local losses of `losses.py` with their derivatives, for a few images at a time: compiled where that is
possible, for autograd takes longer than so few images' neurons do.

Legend: B samples = copies x rows, positive before negative ones (sample b shares row b % rows), H neurons.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit

from ffsnn.config import LearningConfig

COMPILED = ("threshold", "swish", "symba", "softmax")
THRESHOLD, SWISH, SYMBA, SOFTMAX = range(4)


class LossGradients(NamedTuple):
    """Part of a loss that some rows add, and its derivatives by the sums that it depends on, in samples' order."""

    loss: float
    total: np.ndarray[Any, Any]  # (samples,) float32, by the sum of a sample's counts
    squares: np.ndarray[Any, Any]  # (samples,) float32, by the sum of their squares
    counts: np.ndarray[Any, Any]  # (samples, H) float32, by each of them; (0, H): all 0


class GoodnessLoss(NamedTuple):
    """`losses.goodness_loss` of goodness that is `unit` times a sample's sum."""

    learning: LearningConfig
    squared: bool  # the sum is that of squared counts
    unit: float

    def __call__(self, begin: int, end: int, total: Any, squares: Any, counts: Any) -> LossGradients:
        """Part of rows begin..end, from the sums of all samples: (tiles, B) twice, which add up over tiles; (B, H)."""
        learning, copies = self.learning, self.learning.copies
        d_sums, zero = np.empty((copies, end - begin), np.float32), np.zeros(copies * (end - begin), np.float32)
        kind, theta, sums = COMPILED.index(learning.loss), learning.theta or 0.0, squares if self.squared else total
        of = _of_all if kind == SOFTMAX else _of_pairs
        loss = of(begin, end, sums, self.unit, copies, kind, float(learning.alpha), float(theta), d_sums)
        loss += self._smoothing(begin, end, sums, d_sums)
        own = d_sums.reshape(-1)
        return LossGradients(loss, *((zero, own) if self.squared else (own, zero)), counts[:0])

    def _smoothing(self, begin: int, end: int, sums: Any, d_sums: Any) -> float:
        """The part of `losses.with_label_smoothing`; adds its derivatives to `d_sums`."""
        if not self.learning.label_smoothing:
            return 0.0
        copies, rows = len(d_sums), sums.shape[1] // len(d_sums)
        slope = self.learning.label_smoothing * self.learning.alpha * self.unit / rows
        d_sums[0] += np.float32(slope)
        d_sums -= np.float32(slope / copies)
        shown = sums.reshape(len(sums), copies, rows)[:, :, begin:end].sum((0, 2), dtype=np.float64)
        return float(slope * (shown[0] - shown.mean()))


class ByAutograd(NamedTuple):
    """Any loss of samples' counts that is a mean over rows, such as one of a goodness that is no mean over neurons."""

    of: Callable[[torch.Tensor], torch.Tensor]  # counts (copies x some rows, H) -> ()
    copies: int

    def __call__(self, begin: int, end: int, total: Any, _squares: Any, counts: Any) -> LossGradients:
        (samples, H), copies = counts.shape, self.copies
        zero, share = np.zeros(copies * (end - begin), np.float32), copies * (end - begin) / samples
        with torch.enable_grad():
            rows = counts.reshape(copies, -1, H)[:, begin:end]
            some = torch.from_numpy(rows.reshape(-1, H).copy()).requires_grad_()
            loss = share * self.of(some)
            (gradient,) = torch.autograd.grad(loss, some)
        return LossGradients(loss.item(), zero, zero, gradient.numpy())


class ReadoutLoss(NamedTuple):
    """`losses.readout_loss` of rates."""

    true: np.ndarray[Any, Any]  # (rows,) int64
    T: int

    def __call__(self, begin: int, end: int, total: Any, _squares: Any, counts: Any) -> LossGradients:
        samples, H = counts.shape
        error = counts.reshape(-1, len(self.true), H)[:, begin:end] / np.float32(self.T)
        zero = np.zeros(error.shape[0] * (end - begin), np.float32)
        error[:, np.arange(end - begin), self.true[begin:end]] -= 1
        slope = error.reshape(-1, H) * np.float32(2 / (samples * H * self.T))
        return LossGradients(float(np.square(error).sum()) / (samples * H), zero, zero, slope)


LossOf = GoodnessLoss | ByAutograd | ReadoutLoss


class RatePenalty(NamedTuple):
    """`losses.with_rate_penalty` of another loss: the same derivative by each spike, so it costs next to nothing."""

    loss_of: LossOf
    learning: LearningConfig
    T: int

    def __call__(self, begin: int, end: int, total: Any, squares: Any, counts: Any) -> LossGradients:
        part, (samples, H) = self.loss_of(begin, end, total, squares, counts), counts.shape
        slope = self.learning.rate_penalty / (samples * H * self.T)
        fired = float(total.reshape(len(total), self.learning.copies, -1)[:, :, begin:end].sum(dtype=np.float64))
        return part._replace(loss=part.loss + slope * fired, total=part.total + np.float32(slope))


@njit(cache=True, nogil=True, error_model="numpy")
def _of_pairs(
    begin: int, end: int, sums: Any, unit: float, copies: int, kind: int, alpha: float, theta: float, d_sums: Any
) -> Any:
    """The mean over pairs of a positive sample with each of its negative ones; derivatives (copies, end - begin)."""
    rows, loss = sums.shape[1] // copies, 0.0
    for r in range(begin, end):
        good_pos = unit * _sum_of_tiles(sums, r)
        pull = 0.0  # of the positive sample
        for c in range(1, copies):
            good_neg = unit * _sum_of_tiles(sums, c * rows + r)
            if kind == THRESHOLD:
                z_pos, z_neg = alpha * (theta - good_pos), alpha * (good_neg - theta)
                loss += _softplus(z_pos) + _softplus(z_neg)
                d_pos, d_neg = _sigmoid(z_pos), _sigmoid(z_neg)
            else:
                z = alpha * (good_neg - good_pos)
                share = _sigmoid(z)
                loss += z * share if kind == SWISH else _softplus(z)  # the other one is SYMBA
                d_pos = d_neg = share * (1 + z * (1 - share)) if kind == SWISH else share
            pull += d_pos
            d_sums[c, r - begin] = unit * alpha / (rows * (copies - 1)) * d_neg
        d_sums[0, r - begin] = -unit * alpha / (rows * (copies - 1)) * pull
    return loss / (rows * (copies - 1))


@njit(cache=True, nogil=True, error_model="numpy")
def _of_all(
    begin: int, end: int, sums: Any, unit: float, copies: int, kind: int, alpha: float, theta: float, d_sums: Any
) -> Any:
    """SOFTMAX of all samples of an image; derivatives (copies, end - begin)."""
    rows, loss = sums.shape[1] // copies, 0.0
    z = np.empty(copies)
    for r in range(begin, end):
        for c in range(copies):
            z[c] = alpha * unit * _sum_of_tiles(sums, c * rows + r)
        largest, total = z.max(), 0.0
        for c in range(copies):
            total += math.exp(z[c] - largest)
        loss += math.log(total) + largest - z[0]
        for c in range(copies):
            share = math.exp(z[c] - largest) / total
            d_sums[c, r - begin] = unit * alpha / rows * (share - (c == 0))
    return loss / rows


@njit(inline="always")
def _sum_of_tiles(sums: Any, sample: int) -> float:
    """Sum of whole numbers: the same bits for any number of tiles."""
    total = 0.0
    for n in range(sums.shape[0]):
        total += sums[n, sample]
    return total


@njit(inline="always")
def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


@njit(inline="always")
def _softplus(z: float) -> float:
    return math.log1p(math.exp(-abs(z))) + max(z, 0.0)
