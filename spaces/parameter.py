"""The axes of a search space: a range of real or of whole numbers, or a list of values."""

import json
import math
import random
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from ffsnn.validation import Config

Value = bool | int | float | str | None
Sample = dict[str, Value]
_float = float  # `Float.float` has its name
LARGEST_INT = 2**53  # beyond it not every whole number is a float, which is how Optuna keeps them


class Prior(Config):
    """A belief about where a parameter's good values are; it counts less with every trial that is known."""

    centre: Value
    confidence: float = Field(0.5, ge=0, le=1, description="0: none at all; 1: good values are near the centre alone")


class Parameter(Config):
    """One axis. `when` names other parameters and the value (or values) they must have for this one to exist."""

    when: dict[str, Value | list[Value]] = Field({}, description="conditions, all of which must hold")
    prior: Prior | None = Field(None, description="a belief about its good values")

    @model_validator(mode="after")
    def _prior_inside(self) -> Self:
        if self.prior is not None and not self.contains(self.prior.centre):
            raise ValueError(f"the centre of a prior must be a value of its parameter, but got {self.prior.centre!r}")
        return self

    def contains(self, value: Value) -> bool:
        """True if a value lies in the range, or is one of the choices."""
        raise NotImplementedError

    def ends(self) -> list[Value]:
        """The values that a space is tried out with."""
        raise NotImplementedError

    def draw(self, generator: random.Random) -> Value:
        """A value at random, from within."""
        raise NotImplementedError

    def can_be(self, value: Value) -> bool:
        """True if a sampler may choose just this value; from a real range it practically never does."""
        raise NotImplementedError


class _Range(Parameter):
    log: bool = Field(False, description="uniform in the logarithm")

    def _check(self, low: float, high: float) -> None:
        if not low < high:
            raise ValueError(f"low < high must hold, but got low={low}, high={high}")
        if self.log and low <= 0:
            raise ValueError(f"low > 0 must hold for a log range, but got low={low}")


class Float(_Range):
    """A real number between two bounds, both included."""

    float: tuple[float, float]

    def contains(self, value: Value) -> bool:
        low, high = self.float
        return isinstance(value, int | _float) and not isinstance(value, bool) and low <= value <= high

    @model_validator(mode="after")
    def _valid(self) -> Self:
        self._check(*self.float)
        return self

    def ends(self) -> list[Value]:
        return list(self.float)

    def draw(self, generator: random.Random) -> Value:
        low, high = self.float
        drawn = math.exp(generator.uniform(math.log(low), math.log(high))) if self.log else generator.uniform(low, high)
        return min(max(drawn, low), high)

    def can_be(self, value: Value) -> bool:
        return False


class Int(_Range):
    """A whole number between two bounds, both included."""

    int: tuple[int, int]

    def contains(self, value: Value) -> bool:
        return self.can_be(value)

    @model_validator(mode="after")
    def _valid(self) -> Self:
        self._check(*self.int)
        if max(map(abs, self.int)) > LARGEST_INT:
            raise ValueError(f"whole numbers may have {LARGEST_INT} at most, but got {list(self.int)}")
        return self

    def ends(self) -> list[Value]:
        return list(self.int)

    def draw(self, generator: random.Random) -> Value:
        return generator.randint(*self.int)

    def can_be(self, value: Value) -> bool:
        low, high = self.int
        return isinstance(value, float | int) and value in range(low, high + 1)


class Choice(Parameter):
    """One of a list of values; one that is a list itself (`widths: {choice: [[500, 500], [1000]]}`) by its JSON."""

    choice: tuple[Value, ...] = Field(min_length=1)

    def contains(self, value: Value) -> bool:
        return value in self.choice

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if len(set(self.choice)) < len(self.choice):
            raise ValueError(f"the values of a choice must differ, but got {list(self.choice)}")
        return self

    def ends(self) -> list[Value]:
        return list(self.choice)

    def draw(self, generator: random.Random) -> Value:
        return generator.choice(self.choice)

    def can_be(self, value: Value) -> bool:
        return value in self.choice


def _kind(value: Any) -> str | None:
    if isinstance(value, Parameter):
        return type(value).__name__.lower()
    kinds = [kind for kind in ("float", "int", "choice") if isinstance(value, Mapping) and kind in value]
    return kinds[0] if len(kinds) == 1 else None


AnyParameter = Annotated[
    Annotated[Float, Tag("float")] | Annotated[Int, Tag("int")] | Annotated[Choice, Tag("choice")],
    Discriminator(
        _kind,
        custom_error_type="parameter_kind",
        custom_error_message="a parameter has one of float: [low, high], int: [low, high], choice: [values]",
    ),
]


def shown(value: Value, digits: int = 4) -> str:
    """A value for people to read; one that is not whole with so many significant digits."""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def as_text(value: Any) -> Any:
    """A list as its JSON: samplers, studies and MLflow take none."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


def as_list(value: Any) -> Any:
    """Inverse of `as_text`."""
    if isinstance(value, str) and re.fullmatch(r"\[.*\]", value):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
