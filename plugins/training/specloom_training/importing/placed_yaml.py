"""YAML of other systems: plain data, with the line of each key, and nothing that is executed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from specloom import ConfigError, UnavailableError

Keys: TypeAlias = tuple[Any, ...]
LARGEST = 2**20
"""Bytes of a file."""
INTERPOLATION = re.compile(r"\$\{[^}]*\}?")


@dataclass
class PlacedYaml:
    """What a file holds.

    Args:
        path: The file.
        value: Mappings, lists and values.
        lines: The line of each key or item, from 1.
        included: The file of each key or item that is not of ``path``.
    """

    path: Path
    value: Any
    lines: dict[Keys, int] = field(default_factory=dict)
    included: dict[Keys, Path] = field(default_factory=dict)

    def line(self, *keys: Any) -> int:
        """The line of a key, or of the nearest key around it."""
        return self.lines.get(self._nearest(keys), 1)

    def where(self, *keys: Any) -> str:
        """``file:line`` of a key."""
        path = self.included.get(self._nearest(keys), self.path)
        return f"{path}:{self.line(*keys)}"

    def include(self, other: PlacedYaml, key: str) -> None:
        """Add the places of another file whose value stands under a key; those here stay."""
        for keys, line in other.lines.items():
            place = (key, *keys)
            if place not in self.lines:
                self.lines[place] = line
                self.included[place] = other.path

    def _nearest(self, keys: Keys) -> Keys:
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return keys[:length]
        return ()


def read(path: Path) -> PlacedYaml:
    """Read a file.

    Raises:
        ConfigError: It is no plain YAML mapping, or has values that are computed, ``${…}``.
        UnavailableError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as e:
        what = f"{path} cannot be read: {e.strerror}"
        raise UnavailableError(what, fix="check the path") from e
    except ValueError as e:
        # A path with a null character, which another file may name.
        raise ConfigError(f"{path} cannot be read: {e}", fix="check the path") from e
    if len(data) > LARGEST:
        raise ConfigError(f"{path} is longer than {LARGEST} bytes", fix="give a file of settings")
    try:
        text = data.decode("utf-8-sig")
        has_aliases = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))
        if has_aliases:
            what = f"{path} has aliases, which could stand for much"
            raise ConfigError(what, fix="write the values out")
        root = yaml.compose(text, yaml.SafeLoader)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        # PyYAML passes on the ValueError of a wrong date, or of a number of too many digits.
        raise ConfigError(f"{path} is no plain YAML: {e}", fix="give a file of cuvis-ai") from e
    if not isinstance(value, dict):
        what = f"{path} holds no mapping"
        raise ConfigError(what, fix="give a pipeline or a train run of cuvis-ai")
    found = PlacedYaml(path, value)
    _place(root, (), found.lines)
    _refuse_computed(found)
    return found


def _place(node: Any, keys: Keys, lines: dict[Keys, int]) -> None:
    """Note the lines of a node and of all within it."""
    lines.setdefault(keys, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, inner in node.value:
            place = (*keys, key.value)
            lines[place] = key.start_mark.line + 1
            _place(inner, place, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, inner in enumerate(node.value):
            _place(inner, (*keys, number), lines)


def _refuse_computed(found: PlacedYaml) -> None:
    """Raise ConfigError where a value is to be computed by another program."""
    for keys, text in _texts(found.value, ()):
        match = INTERPOLATION.search(text)
        if match is not None:
            name = ".".join(map(str, keys))
            what = f"{name} has the computed value {match[0]}"
            fix = "write the value itself; it is not computed here, as it may read the environment"
            raise ConfigError(what, where=found.where(*keys), fix=fix)


def _texts(value: Any, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Each text within a value, with its keys."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*keys, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*keys, number))
