"""Files that ship with the package, by their names: spaces and presets."""

from pathlib import Path

from ffsnn.validation import ConfigError, nearest


def names(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.yaml"))


def file_of(folder: Path, name: str, kind: str) -> Path:
    """The YAML file of a name.

    Raises:
        ConfigError: none has it; the nearest is named.
    """
    known = names(folder)
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean {near}? Else " if near else ""
        raise ConfigError(f"there is no {kind} {name!r}: {hint}give a YAML file, or one of {', '.join(known)}")
    return folder / f"{name}.yaml"
