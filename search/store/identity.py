"""Who a search is, whatever its folder is called: it may be renamed, moved or copied by a person."""

import json
import uuid
from pathlib import Path
from typing import Any

from ffsnn import atomic
from ffsnn.validation import ConfigError
from search import names
from search.store.trials_folder import TrialsFolder

FORMAT = 1  # of search.json; a newer one is not read


class IdentifiedFolder(TrialsFolder):
    """A folder with a `search.json`, which holds the search's id and the names that it has had."""

    def read(self) -> dict[str, Any]:
        """search.json.

        Raises:
            ConfigError: it is damaged, or newer than this version.
        """
        try:
            tree: dict[str, Any] = json.loads((self.path / names.SEARCH_FILE).read_text())
            format_ = tree.get("format")
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"{self.path / names.SEARCH_FILE} cannot be read ({error}): choose another --name"
            ) from error
        if format_ != FORMAT:
            raise ConfigError(f"{self.path} has format {format_}, but this version reads format {FORMAT}")
        return tree

    def _write(self, tree: dict[str, Any]) -> None:
        atomic.write(self.path / names.SEARCH_FILE, json.dumps(tree, indent=2))

    def settle(self) -> str | None:
        """Write down that a person has renamed, moved or copied the folder; in words, if its name is another one now.

        The folder's name is the search's. A copy is a search of its own, with an id of its own, from then on.
        """
        tree = self.read()
        before = tree["config"]["name"]
        copied = self._is_a_copy(tree)
        if before == self.name and self.id is not None:
            return None
        former = self.former_names
        self._write(tree | {
            "id": self.id or uuid.uuid4().hex, "former_names": former, "folder": str(self.path.resolve()),
            "config": tree["config"] | {"name": self.name},
        })  # fmt: skip
        if before == self.name and not copied:  # an earlier version's, which had no id
            return None
        if copied:
            return f"this is a copy of the search {before!r}, and from now on one of its own"
        return f"this search was {before!r} before its folder was renamed: it goes on as {self.name!r}"

    @property
    def id(self) -> str | None:
        """Identity that tells it from a search of the same name elsewhere; None: not given yet, or a copy."""
        if not (self.path / names.SEARCH_FILE).exists():
            return None
        tree = self.read()
        own: str | None = tree.get("id")
        return None if self._is_a_copy(tree) else own

    @property
    def former_names(self) -> list[str]:
        """Names that it had before its folder was renamed, the last one last; its runs in MLflow may bear them yet."""
        if not (self.path / names.SEARCH_FILE).exists():
            return []
        tree = self.read()
        if self._is_a_copy(tree):
            return []
        former = [*tree.get("former_names", []), tree["config"]["name"]]
        return [name for name in dict.fromkeys(former) if name != self.name]

    def was_called(self, name: str) -> bool:
        """True if it had a name before its folder was renamed; a damaged one does not say."""
        try:
            return name in self.former_names
        except ConfigError:
            return False

    @property
    def is_settled(self) -> bool:
        """False if a person has renamed or copied the folder since it was written last."""
        return self.id is not None and self.read()["config"]["name"] == self.name

    def _is_a_copy(self, tree: dict[str, Any]) -> bool:
        """True if the folder that was written last is still there, as the same search's, and is another one.

        In a home that was copied whole it is none, unless both would share a database or a server.
        """
        config, written = tree["config"], [self.path.parent / tree["config"]["name"]]
        if config.get("storage") or config.get("tracking_uri"):
            written.append(Path(tree.get("folder", self.path)))
        return any(self._is_also_at(path, tree) for path in written)

    def _is_also_at(self, path: Path, tree: dict[str, Any]) -> bool:
        if not (path / names.SEARCH_FILE).is_file() or path.samefile(self.path):
            return False
        try:
            return IdentifiedFolder(path).read().get("id") == tree.get("id")
        except ConfigError:
            return False
