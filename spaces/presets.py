"""Single configurations worth keeping: `spaces/presets/*.yaml`, by name."""

from pathlib import Path

from ffsnn.config import RunConfig
from ffsnn.validation import ConfigError

PRESETS = Path(__file__).parent / "presets"


def names() -> list[str]:
    return sorted(file.stem for file in PRESETS.glob("*.yaml"))


def description(name: str) -> str:
    """The line that stands at the begin of a preset's file."""
    first, _, _ = (PRESETS / f"{name}.yaml").read_text().partition("\n")
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def file_of(name: str) -> Path:
    """The YAML file of a shipped preset.

    Raises:
        ConfigError: none has that name.
    """
    if name not in names():
        raise ConfigError(f"there is no configuration {name!r}: give a YAML file, or one of {', '.join(names())}")
    return PRESETS / f"{name}.yaml"


def load(name: str | Path) -> RunConfig:
    """A YAML file's configuration, or a shipped preset's.

    Raises:
        ConfigError: neither is there, or a rule is broken; one line.
    """
    return RunConfig.load(name if Path(name).is_file() else file_of(str(name)))
