"""The identity of a configuration: a digest of what it has other than the defaults.

It is the same on every machine and for ever, so that what was trained is found again. A field that is added later
changes no identity, as long as it stands at its default; where a default changes, `ID_VERSION` is raised.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ffsnn.config.data import DataConfig
from ffsnn.config.learning import AUGMENTATIONS, LearningConfig
from ffsnn.config.network import NetworkConfig
from ffsnn.validation import Config

Tree = dict[str, Any]  # the branches data, network and learning, as JSON has them

ID_VERSION = 2
ADDED = (  # fields since version 1, whose digests were of all fields
    "network.layer", "network.options", "data.window_ms", *(f"learning.{name}" for name in AUGMENTATIONS[1:]),
    "learning.dropout", "learning.average", "learning.negatives_per_image", "learning.warmup",
    "learning.restarts", "learning.rate_penalty", "network.label_layers", "learning.chosen_epoch", "network.learn",
    "network.learn_scope", "learning.batch_growth", "learning.label_smoothing", "network.features",
)  # fmt: skip


def id_of(method: Tree) -> str:
    """Today's identity: sha256, in hexadecimal digits."""
    changed = {path: value for path, value in _leaves(method) if value != DEFAULTS.get(path, _NONE)}
    return _digest({"version": ID_VERSION} | changed)


def earlier_ids(method: Tree) -> tuple[str, ...]:
    """Identities that earlier versions gave to the same configuration, which may need fields that they did not have."""
    if method["data"].get("own") is not None:
        return ()
    before, new = {branch: dict(fields) for branch, fields in method.items()}, dict[str, Any]()
    for path in ADDED:
        branch, leaf = path.split(".")
        new[path] = before[branch].pop(leaf)
    return () if any(new[path] not in (DEFAULTS.get(path), {}) for path in ADDED) else (_digest(before),)


def _leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths and values of a tree's leaves."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield path + key, value


def _digest(tree: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


_NONE = object()  # an option of a kind of layers has no default here
_BRANCHES: dict[str, type[Config]] = {"data": DataConfig, "network": NetworkConfig, "learning": LearningConfig}
DEFAULTS = dict(_leaves({name: kind.model_construct().model_dump(mode="json") for name, kind in _BRANCHES.items()}))
