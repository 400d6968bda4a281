"""A space with some fields set: a parameter that is set is searched no more, any other field changes in the base."""

from collections.abc import Mapping
from typing import Any

from ffsnn.fields import field_of, field_value
from ffsnn.validation import ConfigError
from spaces.parameter import as_text
from spaces.space import OWN, Space


def fixed(space: Space, values: Mapping[str, Any]) -> Space:
    """A space with fields (dotted paths) at given values.

    Parameters whose condition does not hold then are left out, and so are the points' values for what is set.

    Raises:
        ConfigError: a field is the search's own, nothing is left to be searched, or a rule is broken.
    """
    for path in values:
        if path in OWN:
            option = path.rpartition(".")[2].replace("_", "-")
            raise ConfigError(f"--set {path} is the search's own, the same for every trial: take --{option}")
    values = {path: field_value(path, value) for path, value in values.items()}
    parameters = {}
    filled: dict[str, Any] = {}
    gone: set[str] = set()  # parameters that cannot exist any more
    for path, parameter in space.model_dump(mode="json")["parameters"].items():
        if path in values:
            continue
        conditions = {}
        for other, wanted in parameter["when"].items():
            if other in gone or (other in values and not _holds(values[other], wanted)):
                gone.add(path)
            elif other not in values:
                conditions[other] = wanted
        if path not in gone:
            parameters[path] = {**parameter, "when": conditions}
            if parameter["when"] and not conditions and field_of(space.base, path) is None:
                filled[path] = space.parameters[path].ends()[0]  # by what is set every trial has one
    if not parameters:
        raise ConfigError(f"--set leaves nothing to search: {', '.join(values)} are all that the space varies")
    points = ({path: value for path, value in point.items() if path in parameters} for point in space.points)
    return Space.parse(space.model_dump(mode="json") | {
        "base": space.base.replaced(filled | values).model_dump(mode="json"), "parameters": parameters,
        "points": [point for point in points if point],
    })  # fmt: skip


def _holds(value: Any, wanted: Any) -> bool:
    return as_text(value) in (wanted if isinstance(wanted, list) else [wanted])
