"""What all configurations have in common: a frozen base, files, and errors of one line."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ffsnn.strict_yaml import load_json, load_yaml

M = TypeVar("M", bound=BaseModel)
SLIP = 3  # letters that a misspelt name has more or less, at most


class ConfigError(ValueError):
    """A configuration breaks a rule; the message is one line: the rule, the value, the mend."""


class Config(BaseModel):
    """Base of all configuration models: frozen, unknown fields refused, numbers finite.

    Attributes:
        also: words that other programs have for its fields, such as `learning_rate` for `lr`: what a person may write
            in place of them is answered with the field, but not taken.
    """

    also: ClassVar[dict[str, str]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML file's mapping.

    Raises:
        ConfigError: missing, unreadable, not a mapping, or with a key that stands twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        tree = load_json(text) if Path(path).suffix == ".json" else load_yaml(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} must hold a mapping, but holds {type(tree).__name__}")
    return tree


def nearest(name: str, known: Iterable[str], also: Mapping[str, str] = MappingProxyType({})) -> str | None:
    """The one of the known names that is meant by another one: by its meaning, else by its spelling; None: none."""
    listed = list(known)
    if (meant := also.get(name.lower().replace("-", "_"))) in listed:
        return meant
    near = difflib.get_close_matches(name, listed, n=1)
    return near[0] if near else None


def words(model: type[BaseModel]) -> dict[str, str]:
    """Other words for the fields of a model, and of those within it."""
    found = dict(model.also) if issubclass(model, Config) else {}
    for info in model.model_fields.values():
        if _is_model(info.annotation):
            found |= words(info.annotation)  # type: ignore[arg-type]
    return found


def parse(model: type[M], tree: Mapping[str, Any]) -> M:
    """Validate `tree` as `model`, with errors of one line each instead of pydantic's."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        items = error.errors()
        misspelt = {(*it["loc"][:-1], _meant(model, it["loc"])) for it in items if it["type"] == "extra_forbidden"}
        told = [it for it in items if it["type"] != "missing" or it["loc"] not in misspelt]  # which says it better
        raise ConfigError("; ".join(one_line(item, model) for item in told)) from error


def brief(error: BaseException, most: int = 200) -> str:
    """The message of a library's error, in one line of so many characters at most; its name where it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def one_line(item: Any, model: type[BaseModel] | None = None) -> str:
    """One of pydantic's errors: where, the rule, the value; for a field that `model` does not have, the nearest."""
    where = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{where}: {message}" if where else message
    if item["type"] == "extra_forbidden":
        meant = _meant(model, item["loc"]) if model else None
        return f"{where}: there is no such field" + (f", did you mean {meant}?" if meant else "")
    return f"{where}: {message[0].lower()}{message[1:]}, but got {item['input']!r}"


def _meant(model: type[BaseModel], where: Sequence[Any]) -> str | None:
    """The field that is nearest to an unknown one in the same place, else the one of its name in another place."""
    *path, name = map(str, where)
    kinds: list[Any] = [model]
    for part in path:
        named = [kind for kind in kinds if _is_model(kind) and kind.__name__.lower() == part]  # one of several kinds
        kinds = named or [inner for kind in kinds for inner in _inside(kind, part)]
    beside = [field for kind in kinds if _is_model(kind) for field in kind.model_fields]
    also = {word: field for kind in kinds if _is_model(kind) for word, field in words(kind).items()}
    if (meant := also.get(name.lower())) in beside:
        return meant
    if near := nearest(name, [field for field in beside if abs(len(field) - len(name)) <= SLIP]):
        return near
    wanted = words(model).get(name.lower(), name)
    return next((other for other in _paths(model) if other.rpartition(".")[2] == wanted), None)


def _inside(kind: Any, part: str) -> list[Any]:
    """Kinds of what stands under a key."""
    if _is_model(kind):
        return _alternatives(kind.model_fields[part].annotation) if part in kind.model_fields else []
    if get_origin(kind) is dict:
        return _alternatives(get_args(kind)[1])
    return []


def _alternatives(kind: Any) -> list[Any]:
    if get_origin(kind) in (Union, UnionType, Annotated):
        return [inner for part in get_args(kind) for inner in _alternatives(part)]
    return [kind]


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of all fields, those of the outermost first."""
    for name in model.model_fields:
        yield prefix + name
    for name, info in model.model_fields.items():
        if _is_model(info.annotation):
            yield from _paths(info.annotation, f"{prefix}{name}.")  # type: ignore[arg-type]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
