"""Where everything is: each place by option, else environment, else the nearest `ffsnn.toml` upwards, else here.

    home = "/shared/searches"                 # holds mlruns/; on a cluster a folder that all nodes see
    address = "10.0.0.1:6379"                 # of a Ray cluster
    storage = "postgresql://me@db/ffsnn"      # of the study
    tracking_uri = "http://10.0.0.4:5000"     # of the MLflow server
    data_dir = "/data"
    use = ["my_parts.py"]                     # files of one's own parts, which every command then knows

A password lives in memory alone: what is written or shown has gone through `without_password` or `redacted`.
"""

import difflib
import os
import re
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from ffsnn.validation import ConfigError
from search.names import PLACES_FILE, SEARCHES

ENVIRONMENT = {
    "home": "FFSNN_HOME", "address": "FFSNN_ADDRESS", "storage": "FFSNN_STORAGE",
    "tracking_uri": "MLFLOW_TRACKING_URI", "data_dir": "FFSNN_DATA",
}  # fmt: skip
FOLDERS = ("home", "data_dir")
USE = "use"  # the one key of the file that is no place
LOCAL = "local"  # as the value of a place: this machine, whatever was set or stored before
_PASSWORD = re.compile(r"(\w://[^\s:/@'\"]*):[^\s'\"]*@")
_IN_QUERY = re.compile(r"([?&]\w*password=)[^&\s'\"]*")


class Unreachable(ConfigError):
    """A server does not answer, or not as it should: the same may go through another time."""


def setting(name: str, asked: str | Path | None = None) -> str | None:
    """A place: the argument, else the environment's, else that of `ffsnn.toml`; None: it is set nowhere.

    Raises:
        ConfigError: `ffsnn.toml` cannot be read, or has an unknown key.
    """
    return str(asked) if asked else os.environ.get(ENVIRONMENT[name]) or _from_file().get(name)


def elsewhere(uri: str | None) -> str | None:
    """An address that is not `local`; None: here."""
    return None if uri == LOCAL else uri


def origins(said: str) -> str:
    """Settings in a message that come from the environment or a file, and how to overrule them."""
    notes = []
    for name, variable in ENVIRONMENT.items():
        source, value = variable, os.environ.get(variable)
        if not value:
            with suppress(ConfigError):
                source, value = PLACES_FILE, _from_file().get(name)
        if value and any(len(shown) > 3 and shown in said for shown in _shown(name, value)):
            other = "FOLDER" if name in FOLDERS else f"{LOCAL}, or another,"
            notes.append(f"{name} comes from {source}: --{name.replace('_', '-')} {other} overrules it")
    return "; ".join(notes)


def _shown(name: str, value: str) -> set[str]:
    """Forms in which a setting may stand in a message."""
    if name in FOLDERS:
        return {str(Path(value).expanduser().absolute())}
    return {value, without_password(value), redacted(value)}


def home_of(home: str | Path | None = None) -> Path:
    """The `mlruns/` folder: of the home that is set, else of the nearest folder upwards that has one, else here."""
    here = Path.cwd()
    if chosen := setting("home", home):
        root = Path(chosen).expanduser()
    else:
        root = next((folder for folder in (here, *here.parents) if (folder / "mlruns").is_dir()), here)
    return root.absolute() / "mlruns"


def find_home(home: str | Path | None = None) -> Path:
    """The `mlruns/` folder of `home_of`, made where it is missing.

    Raises:
        ConfigError: it cannot be made or written.
    """
    mlruns = home_of(home)
    if re.search("[?\udc80-\udcff]|%[0-9A-Fa-f]{2}", str(mlruns)):
        raise ConfigError(
            f"the address of MLflow's store takes no folder whose path has '?', '%' before two hexadecimal digits, or "
            f"what is not UTF-8, but got {str(mlruns)!r}: name another with --home"
        )
    try:
        (mlruns / SEARCHES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {mlruns}: {error.strerror}; name another folder with --home") from error
    if not os.access(mlruns / SEARCHES, os.W_OK):
        raise ConfigError(f"cannot write to {mlruns / SEARCHES}: read-only; name another folder with --home")
    return mlruns


def own_files() -> list[Path]:
    """Files of one's own parts that the nearest `ffsnn.toml` names, by paths relative to it.

    Raises:
        ConfigError: it cannot be read, names them in no list, or is another user's: their code would run.
    """
    file, said = _read_file()
    named = said.get(USE, [])
    if file and named and file.stat().st_uid not in (os.getuid(), 0):
        raise ConfigError(f"{file} is another user's, and {USE} in it would run their code: give --use instead")
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise ConfigError(f'{USE} in {file} must be a list of Python files, such as ["my_parts.py"], but is {named!r}')
    return [file.parent / Path(each).expanduser() for each in named] if file else []


def _read_file() -> tuple[Path | None, dict[str, Any]]:
    """The nearest `ffsnn.toml`, and what stands in it."""
    here = Path.cwd()
    file = next((file for folder in (here, *here.parents) if (file := folder / PLACES_FILE).is_file()), None)
    if file is None:
        return None, {}
    try:
        return file, tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read as TOML ({redacted(str(error))})") from error


def _from_file() -> dict[str, str]:
    """Places in the nearest `ffsnn.toml`; folders in it are relative to it."""
    file, said = _read_file()
    if file is None:
        return {}
    said.pop(USE, None)
    for name, value in said.items():
        if name not in ENVIRONMENT:
            near = difflib.get_close_matches(name, ENVIRONMENT, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"it may have {', '.join(ENVIRONMENT)}, {USE}"
            raise ConfigError(f"{file} has {name!r}, which is no place: {hint}")
        if not isinstance(value, str):
            raise ConfigError(f"{name} in {file} must be a text in quotes, but is {value!r}")
        if name in FOLDERS:
            said[name] = str(file.parent / Path(value).expanduser())
    return said


def without_password(url: str) -> str:
    """An address as it may be kept."""
    kept = re.sub(r"([?&])\w*password=[^&]*(&?)", lambda found: found[1] if found[2] else "", url)
    return _PASSWORD.sub(r"\1@", kept)


def redacted(text: str) -> str:
    """A text as it may be shown: an address, or a message of a library that has one in it."""
    return _IN_QUERY.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def hide_passwords(commands: tuple[str, ...] = ("search", "retrain", "doctor")) -> None:
    """Start this process anew where a password stands in its command line, which every user of this machine can read
    and Ray notes down; the address goes into the environment."""
    options = {"--storage": "storage", "--tracking-uri": "tracking_uri"}
    arguments, left = sys.argv[1:], []
    if arguments[:1] not in [[command] for command in commands] or sys.orig_argv[-len(arguments) :] != arguments:
        return
    environment = dict(os.environ)
    while arguments:
        option, is_one, value = arguments.pop(0).partition("=")
        if option in options and (is_one or arguments):
            value = value if is_one else arguments.pop(0)
            if without_password(value) != value:
                environment[ENVIRONMENT[options[option]]] = value
            else:
                left += [option, value]
        else:
            left.append(option + is_one + value)
    if environment != dict(os.environ):
        command = [*sys.orig_argv[: len(sys.orig_argv) - len(sys.argv[1:])], *left]
        os.execve(sys.executable, [sys.executable, *command[1:]], environment)
