"""The process beside the textbook's formulas and another implementation."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from search.forecast.gaussian_process import JITTER, GaussianProcess


def made(count: int, dimensions: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    points = generator.random((count, dimensions))
    return points, np.sin(5 * points[:, 0]) + points[:, 1] ** 2 + 0.05 * generator.standard_normal(count)


@pytest.mark.parametrize(("count", "dimensions"), [(5, 2), (40, 3), (80, 12)])
def test_it_predicts_what_another_implementation_does_with_the_same_scales(count: int, dimensions: int) -> None:
    points, values = made(count, dimensions)
    mine = GaussianProcess.fit(points, values)
    noise = (mine.factor @ mine.factor.T)[0, 0] - mine.variance - JITTER
    kernel = ConstantKernel(mine.variance) * Matern(mine.inverse_squares**-0.5, nu=2.5) + WhiteKernel(noise)
    theirs = GaussianProcessRegressor(kernel, optimizer=None, alpha=JITTER)
    theirs.fit(points, (values - mine.center) / mine.spread)
    others = np.random.default_rng(1).random((30, dimensions))
    mean, deviation = theirs.predict(others, return_std=True)
    got_mean, got_deviation = mine.predict(others)
    assert np.allclose(got_mean, mean * mine.spread + mine.center, atol=1e-4)
    assert np.allclose(got_deviation**2, (deviation**2 - noise) * mine.spread**2, atol=1e-4)


def test_it_finds_which_dimensions_matter() -> None:
    points, values = made(60, 6)
    scales = GaussianProcess.fit(points, values).inverse_squares ** -0.5
    assert scales[:2].max() < scales[2:].min()
    others, truth = made(200, 6, seed=1)
    predicted, deviation = GaussianProcess.fit(points, values).predict(others)
    assert np.corrcoef(predicted, truth)[0, 1] > 0.97
    assert np.mean(np.abs(predicted - truth) < 3 * np.hypot(deviation, 0.05)) > 0.9


def test_the_gradient_is_that_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    from search.forecast import gaussian_process

    seen = {}

    def minimize(loss, start, **_):
        seen["loss"], seen["at"] = loss, start + 0.3
        return type("Found", (), {"x": start})

    monkeypatch.setattr(gaussian_process, "minimize", minimize)
    GaussianProcess.fit(*made(20, 3))
    loss, at = seen["loss"], seen["at"]
    assert np.allclose(loss(at)[1], approx_fprime(at, lambda p: loss(p)[0], 1e-7), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("values", [np.zeros(6), np.array([0.0, 0, 0, 0, 0, 1.0])])
def test_values_that_hardly_differ_and_points_that_are_the_same_do_no_harm(values: np.ndarray) -> None:
    points = np.repeat(np.random.default_rng(0).random((3, 4)), 2, axis=0)
    mean, deviation = GaussianProcess.fit(points, values).predict(points)
    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()


def test_believing_leaves_the_mean_and_makes_sure() -> None:
    points, values = made(20, 3)
    model = GaussianProcess.fit(points, values)
    new, others = np.random.default_rng(2).random((2, 3)), np.random.default_rng(3).random((50, 3))
    mean, deviation = model.predict(np.concatenate([others, new]))
    believed_mean, believed = model.believing(new).predict(np.concatenate([others, new]))
    assert np.allclose(believed_mean, mean, atol=1e-6)
    assert (believed <= deviation + 1e-9).all()
    assert (believed[-2:] < 0.7 * deviation[-2:]).all()
