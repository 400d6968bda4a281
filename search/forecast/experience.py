"""Experience: what the recorded surfaces say of a configuration before any of a search was trained.

A surface has hundreds of configurations of one data set at full length (`search.forecast.surface`). A Gaussian process
is fitted to the ranks of their values, and is asked for a configuration of any space by the fields that the surface
varied. A field that the space leaves alone counts as its base has it, a number beyond the recorded range as the range's
end. Of choices of which one was not recorded nothing is said: each counts as the mean of those that were, so that none
is preferred for being new, or for being known.

How far a surface holds for another data set is not assumed: a weight is learnt from the search's own trials (as those
of earlier tasks in Feurer et al. 2018, arXiv 1802.02219), and a surface that they contradict gets none.

Legend: N configurations by their places in the space that is searched, (N, P), S surfaces.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ffsnn.fields import field_of
from search.forecast.encoding import Array, Axis, Encoding
from search.forecast.final_values import normal_scores
from search.forecast.gaussian_process import GaussianProcess
from search.forecast.surface import Surface
from search.objectives import Objective
from search.registries import OBJECTIVES
from spaces.parameter import Choice, as_text
from spaces.space import Space

RECORDED = {  # objectives that surfaces are asked for
    "val_accuracy", "nanojoules_per_sample", "synaptic_operations_per_sample", "spikes_per_sample",
}  # fmt: skip
LEARNT_FROM = 300  # configurations of each surface; a suggestion's time grows with them
BELIEVED, STEADY = 0.7, 4.0  # weight of all surfaces before the first trial; trials that weigh as much as this belief


class Experience:
    """A space's configurations, as recorded surfaces expect them to do by one objective.

    Args:
        names: of shipped surfaces.
        space: that is searched.
        objective: that is asked for; of one that no surface was recorded for, there is no experience.
    """

    def __init__(self, names: Sequence[str], space: Space, objective: Objective) -> None:
        self.encoding, self.objective = Encoding(space), objective.name
        self.names = tuple(names) if objective.name in RECORDED else ()

    @cached_property
    def translations(self) -> list["_Translation"]:
        """The space's places as points of each surface."""
        return [_Translation(self.encoding, _learnt(name, self.objective)[0]) for name in self.names]

    def scores(self, places: Array) -> Array:
        """The score that each surface expects, as `normal_scores` are, the less the better, (N, S). The first call of a
        process fits the surfaces' models: half a second."""
        told = zip(self.names, self.translations, strict=True)
        expected = [_learnt(name, self.objective)[1].mean(it.points(places)) for name, it in told]
        return np.array(expected).reshape(len(expected), len(places)).T


@dataclass(frozen=True)
class Forecast:
    """Scores of configurations as a search's trials foretell them: what surfaces expect, as much of it as the trials
    bear out, and a Gaussian process of the rest."""

    experience: Experience
    weights: Array  # (S,) of the surfaces
    process: GaussianProcess

    @classmethod
    def fit(cls, experience: Experience, places: Array, scores: Array) -> "Forecast":
        """Fit to the scores of N trials, (N,): the weights by ridge regression towards a belief, none below 0."""
        expected = experience.scores(places)
        surfaces, apart = expected.shape[1], expected - expected.mean(0)
        belief = np.full(surfaces, BELIEVED / max(surfaces, 1))
        missed = scores - scores.mean() - apart @ belief
        learnt = np.linalg.solve(apart.T @ apart + STEADY * np.eye(surfaces), apart.T @ missed)
        weights = np.maximum(belief + learnt, 0)
        points = experience.encoding.points(places)
        return cls(experience, weights, GaussianProcess.fit(points, scores - expected @ weights))

    def believing(self, places: Array) -> "Forecast":
        """With trials that run, of which nothing is known yet (`GaussianProcess.believing`)."""
        return replace(self, process=self.process.believing(self.experience.encoding.points(places)))

    def predict(self, places: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of scores, (N,) each."""
        mean, deviation = self.process.predict(self.experience.encoding.points(places))
        return mean + self.experience.scores(places) @ self.weights, deviation


@cache
def _learnt(name: str, objective: str) -> tuple[Encoding, GaussianProcess]:
    """The process of a shipped surface, once a process."""
    surface, goal = Surface.load(name), OBJECTIVES[objective]
    costs = [goal.cost(value) for value in surface.final(goal, LEARNT_FROM).mean(1)]
    scores = normal_scores(np.array(costs))
    return surface.encoding, GaussianProcess.fit(surface.points[:LEARNT_FROM], scores)


class _Translation:
    """Places of a space that is searched as points of another one, which a surface has."""

    def __init__(self, searched: Encoding, recorded: Encoding) -> None:
        self.searched, self.recorded = searched, recorded
        self.base = {path: _place(axis, field_of(searched.space.base, path)) for path, axis in recorded.axes.items()}

    def points(self, places: Array) -> Array:
        """Points of the surface, (N, D), of places in the space, (N, P)."""
        values = self.searched.values(places)
        present = self.searched.present(values)
        translated = np.stack([
            np.where(present[path], self._places(path, values[path]), base) if path in values
            else np.full(len(places), base)
            for path, base in self.base.items()
        ], 1)  # fmt: skip
        unknown = np.isnan(translated)
        points = self.recorded.points(np.where(unknown, 0.5, translated))
        for n, (path, columns) in enumerate(self.recorded.columns.items()):
            if isinstance(self.recorded.axes[path].parameter, Choice):
                points[unknown[:, n], columns] = 1 / (columns.stop - columns.start)
        return points

    def _places(self, path: str, values: npt.NDArray[Any]) -> Array:
        """Places of a parameter's values on the surface, (N,); nan where it has none like them."""
        here, there = self.searched.axes[path].parameter, self.recorded.axes[path]
        if isinstance(here, Choice):
            places: Array = np.array([_place(there, value) for value in here.choice])
            if np.isnan(places).any():
                places[:] = np.nan
            chosen: Array = places[values]
            return chosen
        if isinstance(there.parameter, Choice):
            return np.array([_place(there, value.item()) for value in values])
        with np.errstate(all="ignore"):  # numbers that have no logarithm are like none
            within: Array = np.clip(there.within(values), 0, 1)
        return within


def _place(axis: Axis, value: Any) -> float:
    """Where a value lies on a surface's axis, from 0 to 1; nan where it has none like it."""
    value = as_text(value)
    if isinstance(axis.parameter, Choice):
        return axis.place(value) if value in axis.parameter.choice else np.nan
    if not isinstance(value, int | float) or (axis.log and value <= 0):
        return np.nan
    return min(max(axis.place(value), 0.0), 1.0)
