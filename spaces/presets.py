"""Single configurations worth keeping: `spaces/presets/*.yaml`, by name."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ffsnn.config import RunConfig
from ffsnn.validation import ConfigError, parse
from spaces import shipped

if TYPE_CHECKING:
    from ffsnn.reproduction.published import Published

PRESETS = Path(__file__).parent / "presets"
PUBLISHED = "published.json"  # beside them: test accuracies, by preset


def names() -> list[str]:
    return shipped.names(PRESETS)


def description(name: str) -> str:
    """The line that stands at the begin of a preset's file."""
    first, _, _ = (PRESETS / f"{name}.yaml").read_text().partition("\n")
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def file_of(name: str) -> Path:
    """The YAML file of a shipped preset.

    Raises:
        ConfigError: none has that name.
    """
    return shipped.file_of(PRESETS, name, "configuration")


def published(name: str) -> "Published":
    """A preset with the test accuracies that it was published with.

    Raises:
        ConfigError: there is no such preset, or it has no published figures.
    """
    from ffsnn.reproduction.published import Published

    trees = json.loads((PRESETS / PUBLISHED).read_text())
    if name not in trees:
        raise ConfigError(f"{name!r} has no published accuracy to reproduce: take one of {', '.join(sorted(trees))}")
    return parse(Published, {"name": name, "config": load(name), **trees[name]})


def load(name: str | Path) -> RunConfig:
    """A YAML file's configuration, or a shipped preset's.

    Raises:
        ConfigError: neither is there, or a rule is broken; one line.
    """
    return RunConfig.load(name if Path(name).is_file() else file_of(str(name)))
