"""The fields of a configuration by their paths: dotted (`network.tau`), or short (`tau`)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ffsnn.config import RunConfig
from ffsnn.parts.registry import Registry
from ffsnn.strict_yaml import load_yaml
from ffsnn.validation import ConfigError, nearest, one_line, words

FILLED_IN = ("data.own",)  # no person sets these
OPTIONS = "network.options."  # before the name of an option of a kind of layers


def fields(model: type[BaseModel] = RunConfig, prefix: str = "") -> list[str]:
    """Dotted paths of all leaf fields, e.g. `network.tau`; the options of a kind of layers are that kind's."""
    paths: list[str] = []
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            paths += fields(kind, f"{prefix}{name}.")
        elif prefix + name not in FILLED_IN and f"{prefix}{name}." != OPTIONS:
            paths.append(prefix + name)
    return paths


def is_option(path: str) -> bool:
    """True for `network.options.kernel` and the like, which the kind of layers types."""
    return path.startswith(OPTIONS)


def field_value(path: str, value: Any) -> Any:
    """Bring a value to the type of its field, as JSON has it: `"1e-3"` for `learning.lr` is 0.001.

    Rules that look at other fields are not asked.

    Args:
        path: dotted, one of `fields()`.
        value: as YAML or a caller has it.

    Raises:
        ConfigError: the field does not take it; one line.
    """
    if is_option(path):
        return value
    try:
        adapter = _adapter(path)
        return adapter.dump_python(adapter.validate_python(value), mode="json")
    except ValidationError as error:
        raise ConfigError(one_line({**error.errors()[0], "loc": (path,)})) from error


def registry_of(path: str) -> Registry[Any] | None:
    """The registry whose parts a field names; None: it names none."""
    if is_option(path):
        return None
    return next((it for it in _field(path).metadata if isinstance(it, Registry)), None)


def field_of(config: RunConfig, path: str) -> Any:
    """The value of a field of a configuration; None for an option that its kind of layers does not have."""
    if is_option(path):
        return config.network.options.get(path.removeprefix(OPTIONS))
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def named_parts(config: RunConfig) -> Iterator[tuple[Registry[Any], str]]:
    """The parts that a configuration names."""
    for path in fields():
        if (registry := registry_of(path)) is not None:
            yield registry, field_of(config, path)


def field_kinds(path: str) -> set[Any]:
    """Kinds of values that a field holds: of `bool`, `int`, `float`, `str`, `tuple`, None; or the texts themselves."""
    if is_option(path):
        return {bool, int, float, str, tuple}
    info, kinds = _field(path), set[Any]()
    if (registry := registry_of(path)) is not None:
        return set(registry)
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


def full(name: str) -> str | None:
    """The dotted path of a field by its short name or by that path: `tau`, `network.tau`, `options.kernel`; None: there
    is no such field."""
    known = aliases()
    if name in known.values():
        return name
    option = f"network.{name.removeprefix('network.')}"
    return option if is_option(option) and option != OPTIONS else known.get(name)


def short(path: str) -> str:
    """The short name of a dotted path: `tau` of `network.tau`, `options.kernel`; short names are distinct."""
    if is_option(path):
        return path.removeprefix("network.")
    return path.rsplit(".", 1)[-1]


def path_of(name: Any) -> str:
    """The dotted path of a field, by either of its names.

    Raises:
        ConfigError: there is no such field; the nearest is named.
    """
    if (path := full(str(name))) is not None:
        return path
    meant = meant_by(str(name))
    mend = f"did you mean {meant}?" if meant else f"its fields are {', '.join(aliases())}"
    raise ConfigError(f"{name!r} is no field of a run's configuration; {mend}")


def meant_by(name: str) -> str | None:
    """The field, by its short or its dotted name, that is meant by an unknown one; None: none is near."""
    known = aliases()
    return nearest(name, [*known, *known.values()], words(RunConfig))


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Values by dotted paths: `["tau=2", "data.dataset=digits"]`; what stands behind the sign is YAML.

    Raises:
        ConfigError: a text is no assignment, the field is none, or stands twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"--set takes FIELD=VALUE, such as tau=2, but got {text!r}")
        path = path_of(name.strip())
        if path in found:
            raise ConfigError(f"--set names {path} twice: leave one out")
        found[path] = typed(path, value, f"--set {text}")
    return found


def typed(path: str, text: str, said: str) -> Any:
    """A field's value as a person typed it: YAML, but for a field that holds a text, such as a folder.

    Args:
        path: of the field, dotted.
        text: what was typed.
        said: the same with its option, for the message.

    Raises:
        ConfigError: it cannot be read.
    """
    if field_kinds(path) <= {str, None}:
        return None if text == "null" else text
    try:
        return load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{said} cannot be read as YAML ({' '.join(str(error).split())}): mind brackets and quotes"
        ) from None


@dataclass(frozen=True)
class FieldFacts:
    """A field, for a person: its values, its default, what it means."""

    path: str
    values: str  # its type and its range, or the names that it takes
    default: Any
    meaning: str


def facts(path: str) -> FieldFacts:
    """The facts of a field by its dotted path."""
    info = _field(path)
    kinds = field_kinds(path)
    names = sorted(kind for kind in kinds if isinstance(kind, str))
    plain = sorted(_KINDS[kind] for kind in kinds if not isinstance(kind, str) and kind is not None)
    bounds = [
        f"{sign} {getattr(it, name)}" for it in info.metadata for name, sign in _SIGNS.items() if hasattr(it, name)
    ]
    said = ", ".join(names) or " or ".join(plain) + (f" {', '.join(bounds)}" if bounds else "")
    if None in kinds:
        said += ", or null"
    return FieldFacts(path, said, _listed(info.default), info.description or "")


_KINDS: dict[Any, str] = {bool: "true or false", int: "int", float: "float", str: "text", tuple: "list"}
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
