"""The local losses of `goodness.py` with their derivatives, for a few images at a time: compiled where that is
possible, for autograd takes longer than so few images' neurons do.

Legend: B samples = 2 x rows, positive before negative ones (sample b shares row b % rows), H neurons.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit

from ffsnn.config import LearningConfig

COMPILED = ("threshold", "swish", "symba")
THRESHOLD, SWISH, SYMBA = range(3)


class LossGradients(NamedTuple):
    """Part of a loss that some rows add, and its derivatives by the sums that it depends on, in samples' order."""

    loss: float
    total: np.ndarray[Any, Any]  # (samples,) float32, by the sum of a sample's counts
    squares: np.ndarray[Any, Any]  # (samples,) float32, by the sum of their squares
    counts: np.ndarray[Any, Any]  # (samples, H) float32, by each of them; (0, H): all 0


class PairLoss(NamedTuple):
    """`goodness.pair_loss` of goodness that is `unit` times a sample's sum."""

    learning: LearningConfig
    squared: bool  # the sum is that of squared counts
    unit: float

    def __call__(self, begin: int, end: int, total: Any, squares: Any, counts: Any) -> LossGradients:
        """Part of rows begin..end, from the sums of all samples: (tiles, B) twice, which add up over tiles; (B, H)."""
        d_sums, zero = np.empty(2 * (end - begin), np.float32), np.zeros(2 * (end - begin), np.float32)
        kind, theta = COMPILED.index(self.learning.loss), self.learning.theta or 0.0
        sums = squares if self.squared else total
        loss = _of_pairs(begin, end, sums, self.unit, kind, float(self.learning.alpha), float(theta), d_sums)
        return LossGradients(loss, *((zero, d_sums) if self.squared else (d_sums, zero)), counts[:0])


class ByAutograd(NamedTuple):
    """Any loss of samples' counts that is a mean over rows, such as one of a goodness that is no mean over neurons."""

    of: Callable[[torch.Tensor], torch.Tensor]  # counts (2 x some rows, H) -> ()

    def __call__(self, begin: int, end: int, total: Any, _squares: Any, counts: Any) -> LossGradients:
        samples, H = counts.shape
        zero, share = np.zeros(2 * (end - begin), np.float32), 2 * (end - begin) / samples
        with torch.enable_grad():
            some = torch.from_numpy(counts.reshape(2, -1, H)[:, begin:end].reshape(-1, H).copy()).requires_grad_()
            loss = share * self.of(some)
            (gradient,) = torch.autograd.grad(loss, some)
        return LossGradients(loss.item(), zero, zero, gradient.numpy())


class ReadoutLoss(NamedTuple):
    """`goodness.readout_loss` of rates."""

    true: np.ndarray[Any, Any]  # (rows,) int64
    T: int

    def __call__(self, begin: int, end: int, total: Any, _squares: Any, counts: Any) -> LossGradients:
        rows, H, zero = len(self.true), counts.shape[1], np.zeros(2 * (end - begin), np.float32)
        error = counts.reshape(2, rows, H)[:, begin:end] / np.float32(self.T)
        error[:, np.arange(end - begin), self.true[begin:end]] -= 1
        slope = error.reshape(-1, H) * np.float32(2 / (2 * rows * H * self.T))
        return LossGradients(float(np.square(error).sum()) / (2 * rows * H), zero, zero, slope)


LossOf = PairLoss | ByAutograd | ReadoutLoss


@njit(cache=True, nogil=True, error_model="numpy")
def _of_pairs(begin: int, end: int, sums: Any, unit: float, kind: int, alpha: float, theta: float, d_sums: Any) -> Any:
    (tiles, samples), loss = sums.shape, 0.0
    rows = samples // 2
    for r in range(begin, end):
        good_pos, good_neg = 0.0, 0.0  # sums of whole numbers: the same bits for any number of tiles
        for n in range(tiles):
            good_pos += sums[n, r]
            good_neg += sums[n, rows + r]
        good_pos, good_neg = unit * good_pos, unit * good_neg
        if kind == THRESHOLD:
            z_pos, z_neg = alpha * (theta - good_pos), alpha * (good_neg - theta)
            loss += _softplus(z_pos) + _softplus(z_neg)
            d_pos, d_neg = _sigmoid(z_pos), _sigmoid(z_neg)
        else:
            z = alpha * (good_neg - good_pos)
            share = _sigmoid(z)
            loss += z * share if kind == SWISH else _softplus(z)  # the other one is SYMBA
            d_pos = d_neg = share * (1 + z * (1 - share)) if kind == SWISH else share
        d_sums[r - begin] = -unit * alpha / rows * d_pos
        d_sums[end - begin + r - begin] = unit * alpha / rows * d_neg
    return loss / rows


@njit(inline="always")
def _sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


@njit(inline="always")
def _softplus(z: float) -> float:
    return math.log1p(math.exp(-abs(z))) + max(z, 0.0)
