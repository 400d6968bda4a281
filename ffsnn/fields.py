"""The fields of a configuration by their paths: dotted (`network.tau`), or short (`tau`)."""

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ffsnn.config import RunConfig
from ffsnn.parts.registry import Registry
from ffsnn.validation import ConfigError, one_line

FILLED_IN = ("data.own",)  # no person sets these


def fields(model: type[BaseModel] = RunConfig, prefix: str = "") -> list[str]:
    """Dotted paths of all leaf fields, e.g. `network.tau`."""
    paths: list[str] = []
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            paths += fields(kind, f"{prefix}{name}.")
        elif prefix + name not in FILLED_IN:
            paths.append(prefix + name)
    return paths


def field_value(path: str, value: Any) -> Any:
    """Bring a value to the type of its field, as JSON has it: `"1e-3"` for `learning.lr` is 0.001.

    Rules that look at other fields are not asked.

    Args:
        path: dotted, one of `fields()`.
        value: as YAML or a caller has it.

    Raises:
        ConfigError: the field does not take it; one line.
    """
    try:
        adapter = _adapter(path)
        return adapter.dump_python(adapter.validate_python(value), mode="json")
    except ValidationError as error:
        raise ConfigError(one_line({**error.errors()[0], "loc": (path,)})) from error


def field_kinds(path: str) -> set[Any]:
    """Kinds of values that a field holds: of `bool`, `int`, `float`, `str`, `tuple`, None; or the texts themselves."""
    info, kinds = _field(path), set[Any]()
    if registries := [it for it in info.metadata if isinstance(it, Registry)]:
        return set(registries[0])
    waiting = [info.annotation]
    while waiting:
        kind = waiting.pop()
        if get_origin(kind) in (Union, UnionType):
            waiting += get_args(kind)
        elif get_origin(kind) is Literal:
            kinds |= set(get_args(kind))
        else:
            kinds.add(None if kind is NoneType else get_origin(kind) or kind)
    return kinds


def _field(path: str) -> FieldInfo:
    *branches, leaf = path.split(".")
    model: Any = RunConfig
    for branch in branches:
        model = model.model_fields[branch].annotation
    info: FieldInfo = model.model_fields[leaf]
    return info


@cache
def _adapter(path: str) -> TypeAdapter[Any]:
    info = _field(path)
    annotated: Any = Annotated[info.annotation, info]
    return TypeAdapter(annotated, config=ConfigDict(allow_inf_nan=False))


def aliases() -> dict[str, str]:
    """Short names: the last part of every dotted path (`tau` -> `network.tau`); they are all distinct."""
    return {short(path): path for path in fields()}


def short(path: str) -> str:
    """The short name of a dotted path: `tau` of `network.tau`; short names are distinct."""
    return path.rsplit(".", 1)[-1]
