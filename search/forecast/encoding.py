"""A space's samples as numbers, for models: pure functions of the space.

A sample has a place from 0 to 1 for each parameter: where its number lies within the range (in its logarithm where that
is declared), or which of its choices it is. A model is shown points: a number by its place, a choice as a column for
each of its values, and what does not exist in a sample, because its condition does not hold, as -1.

Legend: N samples, P parameters, D columns of a point.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spaces.parameter import AnyParameter, Choice, Float, Int, Sample, Value
from spaces.space import Space

ABSENT = -1.0
Array = npt.NDArray[np.float64]


class Axis:
    """One parameter."""

    def __init__(self, parameter: AnyParameter) -> None:
        self.parameter = parameter
        self.log = not isinstance(parameter, Choice) and parameter.log

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Ends of the range, so that each whole number has a cell of its own; in the logarithm where that is so."""
        assert isinstance(self.parameter, Float | Int)
        if isinstance(self.parameter, Float):
            low, high = self.parameter.float
        else:
            low, high = self.parameter.int[0] - 0.5, self.parameter.int[1] + 0.5
        return (float(np.log(low)), float(np.log(high))) if self.log else (low, high)

    def place(self, value: Any) -> float:
        """Where a value lies, from 0 to 1."""
        if isinstance(self.parameter, Choice):
            return (self.parameter.choice.index(value) + 0.5) / len(self.parameter.choice)
        return float(self.within(value))

    def within(self, numbers: Any) -> Any:
        """Where numbers lie within the range; beyond its ends below 0 or above 1."""
        low, high = self.bounds
        return ((np.log(numbers) if self.log else numbers) - low) / (high - low)

    def values(self, places: Array) -> npt.NDArray[Any]:
        """The values at places; of a choice, which it is."""
        if isinstance(self.parameter, Choice):
            count = len(self.parameter.choice)
            which: npt.NDArray[Any] = np.minimum((places * count).astype(int), count - 1)
            return which
        low, high = self.bounds
        values = low + places * (high - low)
        values = np.exp(values) if self.log else values
        if isinstance(self.parameter, Float):
            values = np.clip(values, *self.parameter.float)
        else:
            values = np.clip(np.rint(values), *self.parameter.int).astype(int)
        return values

    def value(self, place: float) -> Value:
        found = self.values(np.array([place]))[0].item()
        value: Value = self.parameter.choice[found] if isinstance(self.parameter, Choice) else found
        return value

    def matches(self, values: npt.NDArray[Any], wanted: Value | list[Value]) -> npt.NDArray[np.bool_]:
        """Which of `values` are a wanted one."""
        each: list[Any] = wanted if isinstance(wanted, list) else [wanted]
        if isinstance(self.parameter, Choice):
            each = [self.parameter.choice.index(value) for value in each if value in self.parameter.choice]
        return np.isin(values, each)


class Encoding:
    """The translation of a space's samples into numbers."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.axes = {path: Axis(parameter) for path, parameter in space.parameters.items()}

    def places(self, samples: Sequence[Sample]) -> Array:
        """Places of samples, (N, P); in the middle for a parameter that a sample does not have."""
        return np.array([
            [axis.place(sample[path]) if path in sample else 0.5 for path, axis in self.axes.items()]
            for sample in samples
        ]).reshape(len(samples), len(self.axes))  # fmt: skip

    @cached_property
    def columns(self) -> dict[str, slice]:
        """The columns of a point that each parameter has."""
        each = (axis.parameter for axis in self.axes.values())
        widths = [len(it.choice) if isinstance(it, Choice) else 1 for it in each]
        ends = np.cumsum(widths).tolist()
        return {path: slice(end - width, end) for path, width, end in zip(self.axes, widths, ends, strict=True)}

    def values(self, places: Array) -> dict[str, npt.NDArray[Any]]:
        """Values at places, (N,) each; of a choice, which it is."""
        return {path: axis.values(places[:, n]) for n, (path, axis) in enumerate(self.axes.items())}

    def present(self, values: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.bool_]]:
        """Which samples have each parameter, because its condition holds, (N,) each."""
        found: dict[str, npt.NDArray[np.bool_]] = {}
        for path, axis in self.axes.items():
            found[path] = np.ones(len(values[path]), bool)
            for other, wanted in axis.parameter.when.items():
                found[path] &= found[other] & self.axes[other].matches(values[other], wanted)
        return found

    def points(self, places: Array) -> Array:
        """Points of places, (N, D)."""
        values = self.values(places)
        present = self.present(values)
        columns = []
        for n, (path, axis) in enumerate(self.axes.items()):
            if isinstance(axis.parameter, Choice):
                shown = np.eye(len(axis.parameter.choice))[values[path]]
            elif isinstance(axis.parameter, Int):  # the same for all places in a number's cell
                shown = axis.within(values[path])[:, None]
            else:
                shown = places[:, n : n + 1]
            columns.append(np.where(present[path][:, None], shown, ABSENT))
        return np.concatenate(columns, axis=1)

    def sample(self, places: Array) -> Sample:
        """The sample at one place of each parameter, (P,)."""
        sample: Sample = {}
        for place, (path, axis) in zip(places, self.axes.items(), strict=True):
            if self.space.active(path, sample):
                sample[path] = axis.value(float(place))
        return sample
