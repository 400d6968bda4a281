"""A Gaussian process for tens to hundreds of points: Matern 5/2, a length scale a dimension, at its posterior mode.

Rasmussen & Williams 2006, sections 2.2 and 5.4. Length scales have a log-normal prior that grows with the root of the
dimension (Hvarfner et al. 2024, arXiv 2402.02229), so that few points in many dimensions make a smooth model and not a
flat one. Deterministic: the same points give the same bits on the same machine.

Legend: N points, D dimensions, M other points.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Array = npt.NDArray[np.float64]
SCALE, SCALE_SD = 0.5, 0.7  # a length scale's prior median, times the root of D; its standard deviation, in logarithm
NOISE, NOISE_SD = 0.1, 1.0  # of the noise's variance, where values have variance 1
JITTER, STEPS, ROOT5 = 1e-6, 25, 5**0.5


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process."""

    points: Array  # (N, D)
    inverse_squares: Array  # (D,) of the length scales
    variance: float
    noise: float  # variance of a measurement
    factor: Array  # (N, N) lower triangle, Cholesky's, of the covariance with noise
    weights: Array  # (N,) the inverse covariance times the values
    center: float
    spread: float  # values are (value - center) / spread within

    @classmethod
    def fit(cls, points: Array, values: Array) -> "GaussianProcess":
        """Fit to N values at N points.

        Args:
            points: (N, D), each dimension of an extent of about 1.
            values: (N,).
        """
        count, dimensions = points.shape
        center, spread = float(values.mean()), float(values.std()) or 1.0
        target = (values - center) / spread
        squares = (points[:, None, :] - points[None, :, :]).reshape(-1, dimensions).T ** 2  # (D, N N)
        expected = np.array([*[np.log(SCALE * dimensions**0.5)] * dimensions, 0.0, np.log(NOISE)])
        trust = np.array([*[SCALE_SD] * dimensions, 1.0, NOISE_SD])

        def loss(parameters: Array) -> tuple[float, Array]:
            """Negative logarithm of the posterior, and its gradient."""
            inverse_squares, variance, noise = _unpacked(parameters)
            r = np.sqrt(inverse_squares @ squares + 1e-12)
            decay = variance * np.exp(-ROOT5 * r)
            covariance = decay * (1 + ROOT5 * r + 5 / 3 * r * r)
            lower = cholesky(covariance.reshape(count, count) + (noise + JITTER) * np.eye(count), lower=True)
            inverse = cho_solve((lower, True), np.eye(count))
            weights = inverse @ target
            pull = inverse - np.outer(weights, weights)  # twice the gradient by the covariance
            by_scale = squares @ (0.5 * pull.ravel() * decay * 5 / 3 * (1 + ROOT5 * r)) * inverse_squares
            away = (parameters - expected) / trust
            gradient = np.array([*by_scale, 0.5 * pull.ravel() @ covariance, 0.5 * np.trace(pull) * noise])
            value = 0.5 * target @ weights + np.log(np.diag(lower)).sum() + 0.5 * away @ away
            return float(value), gradient + away / trust

        found = minimize(loss, expected, jac=True, method="L-BFGS-B", options={"maxiter": STEPS},
                         bounds=[*[(-4.0, 6.0)] * dimensions, (-5.0, 5.0), (-8.0, 2.0)]).x  # fmt: skip
        inverse_squares, variance, noise = _unpacked(found)
        covariance = _covariance(points, points, inverse_squares, variance)
        lower = cholesky(covariance + (noise + JITTER) * np.eye(count), lower=True)
        weights = cho_solve((lower, True), target)
        return cls(points, inverse_squares, variance, noise + JITTER, lower, weights, center, spread)

    def believing(self, points: Array) -> "GaussianProcess":
        """The process as if what it predicts at more points, (M, D), had been measured there (Ginsbourger et al. 2010,
        kriging believer): its mean stays, and it is as sure there as where it was."""
        predicted = (self.predict(points)[0] - self.center) / self.spread
        values = self.factor @ (self.factor.T @ self.weights)
        everywhere, known = np.concatenate([self.points, points]), np.concatenate([values, predicted])
        covariance = _covariance(everywhere, everywhere, self.inverse_squares, self.variance)
        lower = cholesky(covariance + self.noise * np.eye(len(known)), lower=True)
        weights = cho_solve((lower, True), known)
        return replace(self, points=everywhere, factor=lower, weights=weights)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation at M points, (M,) each, without the noise of a measurement."""
        covariance = _covariance(points, self.points, self.inverse_squares, self.variance)
        known = solve_triangular(self.factor, covariance.T, lower=True)
        variance = np.maximum(self.variance - (known**2).sum(0), 1e-12)
        return covariance @ self.weights * self.spread + self.center, np.sqrt(variance) * self.spread

    def mean(self, points: Array) -> Array:
        """The mean alone at M points, (M,), which takes no time beside the deviation's."""
        covariance = _covariance(points, self.points, self.inverse_squares, self.variance)
        found: Array = covariance @ self.weights * self.spread + self.center
        return found


def _unpacked(parameters: Array) -> tuple[Array, float, float]:
    """Inverse squares of the length scales, variance, noise, from logarithms."""
    return np.exp(-2 * parameters[:-2]), float(np.exp(parameters[-2])), float(np.exp(parameters[-1]))


def _covariance(points: Array, others: Array, inverse_squares: Array, variance: float) -> Array:
    """Matern 5/2 between points, (M, N)."""
    one, two = points * inverse_squares**0.5, others * inverse_squares**0.5
    squares = (one**2).sum(1)[:, None] + (two**2).sum(1)[None] - 2 * one @ two.T
    r = np.sqrt(np.maximum(squares, 0) + 1e-12)
    found: Array = variance * (1 + ROOT5 * r + 5 / 3 * r * r) * np.exp(-ROOT5 * r)
    return found
