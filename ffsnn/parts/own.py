"""Parts of one's own: a file that registers a goodness, a loss, an encoder, a layer, ... is imported by its path.

    ffsnn.use("max_goodness.py")

A file is known by the sha256 of its source, and the source that was hashed is the one that runs: no bytecode is read or
written. A search and a training run keep copies of the files that they need, in `parts/`. Such a copy never runs by
itself, only by `use` of it or by `trust`: a folder may come from anyone.
"""

import difflib
import hashlib
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ffsnn import atomic
from ffsnn.parts import contract
from ffsnn.parts.registry import Registry
from ffsnn.validation import ConfigError

PARTS = "parts"  # the folder of the copies, within a search's or a run's
SEARCH, RUN = "search.json", "config.json"  # beside which it stands
DIFFERENCE = 10  # lines of it that are shown


@dataclass(frozen=True)
class OwnFile:
    """A file of one's own that this process has imported."""

    path: Path
    source: bytes
    sha256: str
    module: str  # its name in `sys.modules`

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def parts(self) -> list[tuple[Registry[Any], str]]:
        """The parts that it registered."""
        return [(registry, name) for registry in Registry.every for name in registry.registered_by(self.module)]


_used: dict[str, OwnFile] = {}  # by sha256


def used() -> list[OwnFile]:
    """The files that this process has imported, in that order."""
    return list(_used.values())


def use(path: str | Path, sha256: str | None = None) -> OwnFile:
    """Import a file of parts, once a process, and try out each part on small tensors (`ffsnn.parts.contract`).

    Args:
        path: of the file.
        sha256: what its source must have; None: any.

    Raises:
        ConfigError: there is no such file, it fails (nothing of it stays), a name is taken, or a part breaks its
            contract; one line.
    """
    shown, path = path, Path(path).expanduser().absolute()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {shown} ({error.strerror}): name a Python file that registers parts") from error
    digest = hashlib.sha256(source).hexdigest()
    if sha256 not in (None, digest):
        raise ConfigError(f"{shown} was changed: its sha256 is {digest[:12]}..., but {str(sha256)[:12]}... is recorded")
    if digest in _used:
        return _used[digest]
    if any(before.path == path for before in _used.values()):
        raise ConfigError(f"{shown} was changed after this process had imported it: use it in a new process")
    module = f"own_{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}_{digest[:8]}"
    file = OwnFile(path, source, digest, module)
    try:
        _run(file, str(shown))
        for registry, name in file.parts:
            if wrong := contract.broken(registry, name):
                raise ConfigError(f"{shown}: {wrong}")
    except ConfigError:
        forget(file)
        raise
    _used[digest] = file
    return file


def use_named(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Import the files that a YAML file's `use` names, by paths relative to its folder; the mapping without it.

    Raises:
        ConfigError: `use` is no list of paths; as `use`.
    """
    if "use" not in tree:
        return tree
    named = tree["use"]
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise ConfigError(f"use must be a list of Python files, such as [my_parts.py], but got {named!r}")
    for each in named:
        use(folder / Path(each).expanduser())
    return {key: value for key, value in tree.items() if key != "use"}


def forget(file: OwnFile) -> None:
    """Take back what a file registered."""
    for registry in Registry.every:
        registry.forget(file.module)
    sys.modules.pop(file.module, None)
    _used.pop(file.sha256, None)


def _run(file: OwnFile, shown: str) -> None:
    module = ModuleType(file.module)
    module.__file__ = str(file.path)
    sys.modules[file.module] = module
    try:
        exec(compile(file.source, str(file.path), "exec", dont_inherit=True), module.__dict__)
    except SyntaxError as error:
        raise ConfigError(f"{shown}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:  # whatever the file may raise
        raise ConfigError(f"{shown}{_line(error, file.path)}: {_said(error)}") from error


def _line(error: BaseException, path: Path) -> str:
    """The line of a file at which an error was met."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removeprefix("ValueError: ").removesuffix(": ")


def files_of(parts: Iterable[tuple[Registry[Any], str]]) -> list[OwnFile]:
    """The files that registered these parts, each once; those of the project, or of this program itself, have none.

    Raises:
        ConfigError: two files have the same name.
    """
    found: dict[str, OwnFile] = {}
    for registry, name in parts:
        if (file := _file_of(registry, name)) and (other := found.setdefault(file.name, file)) != file:
            raise ConfigError(f"{other.path} and {file.path} have the same name: rename one of them")
    return list(found.values())


def refuse_without_file(parts: Iterable[tuple[Registry[Any], str]]) -> None:
    """Make sure that another process can have these parts, too.

    Raises:
        ConfigError: one is neither the project's nor of a file.
    """
    for registry, name in parts:
        if registry.origin(name) is not None and _file_of(registry, name) is None:
            raise ConfigError(
                f"the {registry.kind} {name!r} is registered by this program alone, and a trial's process would not "
                f"know it: put it into a file of its own, and name that (--use FILE, use=[FILE])"
            )


def _file_of(registry: Registry[Any], name: str) -> OwnFile | None:
    module = registry.origin(name)
    return next((file for file in _used.values() if file.module == module), None)


def keep(files: Iterable[OwnFile], folder: Path) -> None:
    """Write copies of files to `parts/` in a folder, unless they are there."""
    for file in files:
        copy = folder / PARTS / file.name
        if not copy.exists() or copy.read_bytes() != file.source:
            copy.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(copy, file.source)


def kept(folder: Path) -> dict[str, str]:
    """The copies in a folder: their names, and the sha256 of each."""
    copies = sorted((folder / PARTS).glob("*.py"))
    return {copy.name: hashlib.sha256(copy.read_bytes()).hexdigest() for copy in copies}


def lacking(recorded: Mapping[str, str]) -> list[str]:
    """The files of a search or a run, by their names and sha256, that this process has not imported."""
    return [name for name, sha256 in recorded.items() if sha256 not in _used]


def require(recorded: Mapping[str, str], folder: Path, whose: str) -> None:
    """Make sure that this process has imported the files that a search or a run was begun with, unchanged.

    Args:
        recorded: their names, and the sha256 of each.
        folder: where the copies are.
        whose: `search mine`, for the message.

    Raises:
        ConfigError: one is not, or is another one now; then the difference follows the line.
    """
    not_there = lacking(recorded)
    for name in not_there:
        if (now := next((file for file in _used.values() if file.name == name), None)) is not None:
            raise ConfigError(
                f"{whose} was begun with another {name} than {now.path}: put that back, begin anew by another name, or "
                f"take the folder's copy by --trust instead of --use{_difference(folder / PARTS / name, now)}"
            )
    if not_there:
        raise ConfigError(
            f"{whose} was begun with parts of its own ({', '.join(not_there)}): name them with --use FILE, or trust "
            f"the copy in its folder with --trust"
        )


def _difference(copy: Path, now: OwnFile) -> str:
    """The first lines of what has changed since a copy was made."""
    try:
        before = copy.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    after = now.source.decode(errors="replace").splitlines()
    lines = list(difflib.unified_diff(before, after, "as it was", "as it is", n=0, lineterm=""))
    return "\n" + "\n".join([*lines[:DIFFERENCE], *(["..."] if len(lines) > DIFFERENCE else [])])


def home_of(run: Path) -> Path | None:
    """The folder whose `parts/` a run's needs: its own, or that of the search that it is a trial or a retraining of."""
    above = [run.absolute(), *run.absolute().parents][:5]
    for folder, beside in zip(above[::2], (RUN, SEARCH, SEARCH), strict=False):
        if (folder / PARTS).is_dir() and (folder / beside).is_file():
            return folder
    return None


def require_of_run(run: Path) -> None:
    """Make sure that the parts that a run's folder needs are imported.

    Raises:
        ConfigError: as `require`.
    """
    if (folder := home_of(run)) is not None:
        require(kept(folder), folder, str(run))


def trust(run: str | Path) -> None:
    """Import the copies that a run's folder (or that of its search) has kept: whoever made the folder made that code.

    Raises:
        ConfigError: as `use`.
    """
    path = Path(run)
    if (folder := home_of(path if path.is_dir() else path.parent)) is not None:
        for name in kept(folder):
            use(folder / PARTS / name)
