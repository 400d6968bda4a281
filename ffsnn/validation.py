"""What all configurations have in common: a frozen base, files, and errors of one line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from ffsnn.strict_yaml import load_json, load_yaml

M = TypeVar("M", bound=BaseModel)


class ConfigError(ValueError):
    """A configuration breaks a rule; the message is one line: the rule, the value, the mend."""


class Config(BaseModel):
    """Base of all configuration models: frozen, unknown fields refused, numbers finite."""

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


def parse(model: type[M], tree: Mapping[str, Any]) -> M:
    """Validate `tree` as `model`, with errors of one line each instead of pydantic's."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("; ".join(one_line(item) for item in error.errors())) from error


def one_line(item: Any) -> str:
    """One of pydantic's errors: where, the rule, the value."""
    where = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{where}: {message}" if where else message
    if item["type"] == "extra_forbidden":
        return f"{where}: there is no such field"
    return f"{where}: {message[0].lower()}{message[1:]}, but got {item['input']!r}"
