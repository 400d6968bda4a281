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


def load(name: str | Path) -> RunConfig:
    """A YAML file's configuration, or a shipped preset's.

    Raises:
        ConfigError: neither is there, or a rule is broken; one line.
    """
    path = Path(name)
    if path.is_file():
        return RunConfig.load(path)
    if path.suffix or str(name) not in names():
        raise ConfigError(f"there is no configuration {str(name)!r}: give a YAML file, or one of {', '.join(names())}")
    return RunConfig.load(PRESETS / f"{name}.yaml")
