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
MOST_VALUES = 100_000
MOST_LEVELS = 100
INTERPOLATION = re.compile(r"\$\{[^}]*\}?")


@dataclass
class PlacedYaml:
    """What a file holds.

    Args:
        path: The file.
        value: Mappings, lists and values.
        lines: The line of each key or item, from 1.
        included: The file of each key or item that is not of ``path``.
        repeated: What is said of keys that stand twice in one mapping.
    """

    path: Path
    value: Any
    lines: dict[Keys, int] = field(default_factory=dict)
    included: dict[Keys, Path] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)

    def line(self, *keys: Any) -> int:
        """The line of a key, or of the nearest key around it."""
        return self.lines.get(self._nearest(keys), 1)

    def place(self, *keys: Any) -> str:
        """``line 3`` of a key, with the file where it is not of ``path``."""
        text = f"line {self.line(*keys)}"
        other = self.included.get(self._nearest(keys))
        if other is not None:
            text = f"{text} of {other.name}"
        return text

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
        self.repeated += other.repeated

    def move(self, old: Keys, new: Keys) -> None:
        """Give what stands at ``old``, and all within it, other keys."""
        for keys in list(self.lines):
            if keys[: len(old)] != old:
                continue
            moved = (*new, *keys[len(old) :])
            self.lines[moved] = self.lines[keys]
            if keys in self.included:
                self.included[moved] = self.included[keys]

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
    found = PlacedYaml(path, None)
    try:
        text = data.decode("utf-8-sig")
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None:
            # Before values are made: an alias is one place here, and may be many values there.
            _Places(found).add(root, ())
        found.value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        # PyYAML passes on the ValueError of a wrong date, or of a number of too many digits.
        raise ConfigError(f"{path} is no plain YAML: {e}", fix="give a file of cuvis-ai") from e
    if not isinstance(found.value, dict):
        what = f"{path} holds no mapping"
        raise ConfigError(what, fix="give a pipeline or a train run of cuvis-ai")
    _refuse_computed(found)
    return found


class _Places:
    """Notes the line of each key and item, and keys that stand twice.

    Args:
        found: The file.
    """

    def __init__(self, found: PlacedYaml) -> None:
        self.found = found
        self._seen = 0

    def add(self, node: Any, keys: Keys) -> None:
        """Note a node and all within it.

        Raises:
            ConfigError: There are more values than a file of settings has, where each alias counts
                as what it stands for; one within what it stands for has no end.
        """
        self.found.lines.setdefault(keys, node.start_mark.line + 1)
        self._seen += 1
        if self._seen > MOST_VALUES or len(keys) > MOST_LEVELS:
            what = (
                f"{self.found.path} holds more than {MOST_VALUES} values or {MOST_LEVELS} levels, "
                "those that aliases stand for included"
            )
            raise ConfigError(what, fix="write out the values that are needed, without aliases")
        if isinstance(node, yaml.MappingNode):
            self._add_mapping(node, keys)
        elif isinstance(node, yaml.SequenceNode):
            for number, inner in enumerate(node.value):
                self.found.lines[(*keys, number)] = inner.start_mark.line + 1
                self.add(inner, (*keys, number))

    def _add_mapping(self, node: yaml.MappingNode, keys: Keys) -> None:
        """Note the keys of a mapping, and those that stand twice in it."""
        lines: dict[str, int] = {}
        for key, inner in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if name in lines:
                path = ".".join(map(str, (*keys, name)))
                what = f"{path}, line {lines[name]}: line {line} has it again, and replaces it"
                self.found.repeated.append(what)
            lines[name] = line
            place = (*keys, key.value)
            self.found.lines[place] = line
            self.add(inner, place)


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
            yield (*keys, key), str(key)
            yield from _texts(inner, (*keys, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*keys, number))
