"""What is looked at when a space is loaded, so that a search never meets a sample that cannot be trained.

Each check raises a ConfigError of one line: the rule, the value, the mend.
"""

import math
from collections.abc import Mapping
from typing import Any

from ffsnn.fields import field_kinds
from ffsnn.validation import ConfigError
from spaces.parameter import AnyParameter, Choice, Float, Int, Value


def kinds_fit(parameters: Mapping[str, AnyParameter]) -> None:
    """A range of real numbers is for a field of real numbers, one of whole numbers for any number."""
    for path, parameter in parameters.items():
        kinds = field_kinds(path)
        if isinstance(parameter, Choice) or float in kinds or (isinstance(parameter, Int) and int in kinds):
            continue
        asked, bounds = ("float", parameter.float) if isinstance(parameter, Float) else ("int", parameter.int)
        raise ConfigError(f"{path} {_mend(kinds, *bounds)}, but got {asked}: {list(bounds)}")


def _mend(kinds: set[Any], low: float, high: float) -> str:
    if int in kinds:
        return f"is a whole number: take int: [{math.ceil(low)}, {math.floor(high)}]"
    if tuple in kinds:
        return "is a list: take choice: [first list, second list, ...]"
    if bool in kinds:
        return "is true or false: take choice: [true, false]"
    return f"is one of {', '.join(sorted(kinds))}: take choice: [...]"


def conditions_can_hold(parameters: Mapping[str, AnyParameter]) -> None:
    """Every parameter can exist: each other one that its `when` names, and theirs in turn, can be what is asked."""
    for path in parameters:
        for other, wanted in _wanted(path, parameters).items():
            asked = parameters[other]
            if isinstance(asked, Float):
                raise ConfigError(
                    f"{path}: when asks for {other}={_shown(wanted)}, a real number of {list(asked.float)}, which is "
                    f"never just that: let when name a choice or a whole number"
                )
            if not any(asked.can_be(value) for value in wanted):
                said = f"one of {_shown(asked.ends())}" if isinstance(asked, Choice) else f"in {list(asked.int)}"
                raise ConfigError(
                    f"{path}: when asks for {other}={_shown(wanted) or 'two different values'}, but it is {said}: "
                    f"correct the condition, or leave {path} out"
                )


def _wanted(path: str, parameters: Mapping[str, AnyParameter]) -> dict[str, list[Value]]:
    """The values that each other parameter may have where this one exists; a condition's own conditions count too."""
    wanted: dict[str, list[Value]] = {}
    waiting = [path]
    while waiting:
        for other, values in parameters[waiting.pop()].when.items():
            asked = values if isinstance(values, list) else [values]
            wanted[other] = [value for value in wanted.get(other, asked) if value in asked]
            waiting.append(other)
    return wanted


def _shown(values: list[Value]) -> str:
    return " or ".join(map(str, values))
