"""YAML and JSON whose mappings say everything once, with keys of text: what `yaml.safe_load` lets pass in silence.

Where a key stands twice, the standard loaders keep the last value and drop the others; and YAML 1.1 reads the keys
`on`, `off`, `yes` and `no` as booleans.
"""

import json
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.nodes import MappingNode, SequenceNode

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class _StrictLoader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: dict[Any, Any]) -> MappingNode:
        mapping = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in mapping.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                continue
            if key.tag != _TEXT:
                shown = key.value if isinstance(key.value, str) else "a list or a mapping"
                kind = key.tag.rpartition(":")[2]
                raise ComposerError(None, None, f"line {line}: the key {shown} is read as {kind}, but must be text: "
                                    f"correct it, or put it in quotes")  # fmt: skip
            if key.value in lines:
                raise ComposerError(None, None, f"{key.value!r} stands in line {lines[key.value]} and again in line "
                                    f"{line}, of which only one would count: leave one out")  # fmt: skip
            lines[key.value] = line
        return mapping

    def flatten_mapping(self, node: MappingNode) -> None:
        """Take merged mappings (`<<: *other`) in: one's own keys count first, then those of the first mapping named.

        PyYAML 6.0.4 compares keys by identity, and lets now one and now the other count.
        """
        own: list[Any] = []
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag != _MERGE:
                own.append((key, value))
                continue
            for part in value.value if isinstance(value, SequenceNode) else [value]:
                if not isinstance(part, MappingNode):
                    line = value.start_mark.line + 1
                    raise ComposerError(None, None, f"line {line}: << takes a mapping, or a list of mappings")
                self.flatten_mapping(part)
                for pair in part.value:
                    merged.setdefault(pair[0].value, pair)
        names = {key.value for key, _ in own}
        node.value = [pair for name, pair in merged.items() if name not in names] + own


def load_yaml(text: str) -> Any:
    """The content of a YAML document.

    Raises:
        yaml.YAMLError: it is none, a key stands twice, or a key is no text.
    """
    return yaml.load(text, _StrictLoader)  # a SafeLoader


def load_json(text: str) -> Any:
    """The content of a JSON document; as `load_yaml`, in a hundredth of the time.

    Raises:
        ValueError: it is none, or a key stands twice.
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} stands twice, of which only one would count: leave one out")
    return mapping
