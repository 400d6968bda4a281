"""Beliefs about a space (`prior:` of a parameter), as a density over places.

Each parameter has, with its prior's confidence, a normal density around the centre (of a choice: the centre's cell),
and otherwise a uniform one. An acquisition is weighed by it with a weight that falls with the number of trials
(piBO, Hvarfner et al. 2022, arXiv 2204.11051), so that a wrong belief costs a few trials and no more.

Legend: N places, P parameters.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from search.forecast.encoding import Axis, Encoding
from spaces.parameter import Choice

Array = npt.NDArray[np.float64]
WIDTH = 0.1  # standard deviation of a belief, as a share of the range
WEIGHT = 10.0  # of a prior, over the number of trials


class Beliefs:
    """The priors of a space's parameters."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding, self.axes = encoding, list(encoding.axes.values())

    def draw(self, generator: np.random.Generator, number: int) -> Array:
        """Places drawn from the priors, (N, P)."""
        places = generator.random((number, len(self.axes)))
        for column, axis in enumerate(self.axes):
            if (prior := axis.parameter.prior) is None:
                continue
            low, high = _belief(axis)
            believed = norm.ppf(norm.cdf(low) + generator.random(number) * (norm.cdf(high) - norm.cdf(low)))
            near = axis.place(prior.centre) + WIDTH * believed
            if isinstance(axis.parameter, Choice):
                near = np.full(number, axis.place(prior.centre))
            places[:, column] = np.where(generator.random(number) < prior.confidence, near, places[:, column])
        return np.clip(places, 0, np.nextafter(1, 0))

    def log_density(self, places: Array) -> Array:
        """Logarithm of the priors' density at places, (N,); a parameter that does not exist there has no say."""
        total, present = np.zeros(len(places)), self.encoding.present(self.encoding.values(places))
        for (column, axis), there in zip(enumerate(self.axes), present.values(), strict=True):
            if (prior := axis.parameter.prior) is None:
                continue
            if isinstance(axis.parameter, Choice):
                count = len(axis.parameter.choice)
                chosen = axis.values(places[:, column]) == axis.parameter.choice.index(prior.centre)
                believed = chosen * float(count)
            else:
                low, high = _belief(axis)
                away = (places[:, column] - axis.place(prior.centre)) / WIDTH
                believed = norm.pdf(away) / WIDTH / (norm.cdf(high) - norm.cdf(low))
            density = np.maximum(1 - prior.confidence + prior.confidence * believed, 1e-6)
            total += np.where(there, np.log(density), 0.0)
        return total


def _belief(axis: Axis) -> tuple[float, float]:
    """The ends of the range, in widths from the centre."""
    assert axis.parameter.prior is not None
    centre = axis.place(axis.parameter.prior.centre)
    return -centre / WIDTH, (1 - centre) / WIDTH
