"""Strict YAML: plain data with the line of every key, and every problem told with file and line.

Refused: anchors, aliases, tags, duplicate keys, several documents, deep nesting. Numbers and
booleans are those of YAML 1.2, so ``1e-6`` is a number and ``no`` is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom.errors import ConfigError, SpecloomError, raise_all

if TYPE_CHECKING:
    from yaml import Event

DEEPEST = 20
LARGEST = 1_000_000
WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
WORDS |= {form(word): value for word, value in WORDS.items() for form in (str.title, str.upper)}
INT = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf)|\.(nan|NaN)"
)

Keys: TypeAlias = tuple[str | int, ...]


@dataclass
class Document:
    """What a file holds, and where each of its keys stands."""

    name: str
    value: Any = None
    places: dict[Keys, str] = field(default_factory=dict)

    def where(self, *keys: str | int) -> str:
        """``file:line`` of a key, or of the nearest key around it."""
        for length in range(len(keys), -1, -1):
            if (place := self.places.get(keys[:length])) is not None:
                return place
        return self.name


def read(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        ConfigError: It is not there, not text, or not plain YAML; ``Problems`` if in several ways.
    """
    try:
        raw = path.read_bytes()
    except OSError as e:
        reason = (
            "does not exist"
            if isinstance(e, FileNotFoundError)
            else f"cannot be read: {e.strerror}"
        )
        raise ConfigError(f"{path} {reason}", fix="check the path") from e
    if len(raw) > LARGEST:
        raise ConfigError(
            f"{path} has {len(raw)} bytes, at most {LARGEST} are read", where=str(path)
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = raw[: e.start].count(b"\n") + 1
        raise ConfigError(
            "is not UTF-8 text", where=f"{path}:{line}", fix="save it as UTF-8"
        ) from e
    return parse(text, str(path))


def parse(text: str, name: str) -> Document:
    """Parse YAML text; ``name`` stands for the file in messages."""
    import yaml

    document = Document(name, places={(): f"{name}:1"})
    problems: list[SpecloomError] = []
    try:
        _Builder(document, problems).build(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        fix = "indent with spaces, not tabs" if "\\t" in str(e.problem) else "mend the YAML there"
        problems.append(ConfigError(f"not YAML: {e.problem}", where=place, fix=fix))
    except yaml.reader.ReaderError as e:
        line = text[: e.position].count("\n") + 1
        problems.append(
            ConfigError(
                f"holds a character that YAML forbids ({e.reason})",
                where=f"{name}:{line}",
                fix="remove the control character",
            )
        )
    raise_all(problems)
    return document


def scalar(text: str) -> Any:
    """The value of an unquoted scalar.

    >>> scalar("1e-6"), scalar("no"), scalar("true"), scalar("0x10"), scalar("1.10")
    (1e-06, 'no', True, 16, 1.1)
    """
    if text in WORDS:
        return WORDS[text]
    if INT.fullmatch(text) and len(text) < 400:
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


class _Builder:
    """Builds values from parser events on a stack of its own: no depth can exhaust Python's."""

    def __init__(self, document: Document, problems: list[SpecloomError]) -> None:
        self.document, self.problems = document, problems
        self.stack: list[tuple[Any, Keys]] = []
        self.key: str | None = None
        self.waiting = False  # a mapping waits for the value of self.key

    def build(self, events: Iterator[Event]) -> None:
        import yaml

        documents = 0
        for event in events:
            mark: Any = event.start_mark
            place = f"{self.document.name}:{mark.line + 1}"
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise ConfigError(
                        "a second document begins", where=place, fix="remove the '---'"
                    )
            elif isinstance(event, yaml.AliasEvent):
                self._refuse(place, f"alias '*{event.anchor}'", "write the value out")
                self._put(None, place)
            elif isinstance(event, yaml.ScalarEvent):
                self._no_extras(event, place)
                plain = event.implicit[0]
                self._put(scalar(event.value) if plain else event.value, place, event.value)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._no_extras(event, place)
                if len(self.stack) >= DEEPEST:
                    raise ConfigError(
                        f"is nested more than {DEEPEST} deep", where=place, fix="flatten it"
                    )
                self._put({} if isinstance(event, yaml.MappingStartEvent) else [], place)
            elif isinstance(event, yaml.CollectionEndEvent):
                _, keys = self.stack.pop()
                self._resume(keys)

    def _resume(self, keys: Keys) -> None:
        """Back in the parent: it is a mapping that has just got the value of its key."""
        self.waiting, self.key = False, None

    def _put(self, value: Any, place: str, text: str | None = None) -> None:
        if not self.stack:
            keys: Keys = ()
            self.document.value = value
            self.document.places[()] = place
        else:
            parent, above = self.stack[-1]
            if isinstance(parent, list):
                keys = (*above, len(parent))
                parent.append(value)
                self.document.places[keys] = place
            elif not self.waiting:
                self._take_key(value, text, place, above)
                return
            else:
                keys = (*above, str(self.key))
                parent[self.key] = value
                self.waiting = False
        if isinstance(value, dict | list):
            self.stack.append((value, keys))
            self.waiting, self.key = False, None

    def _take_key(self, value: Any, text: str | None, place: str, above: Keys) -> None:
        if text is None:
            raise ConfigError("a mapping's key must be a name", where=place, fix="quote it")
        keys = (*above, text)
        if keys in self.document.places:
            first = self.document.places[keys]
            self._refuse(
                place, f"key {text!r} a second time (first at {first})", "keep one of the two"
            )
        self.document.places.setdefault(keys, place)
        self.key, self.waiting = text, True

    def _no_extras(self, event: Any, place: str) -> None:
        if event.anchor:
            self._refuse(place, f"anchor '&{event.anchor}'", "write the value out where it is used")
        if event.tag and event.tag != "!":
            self._refuse(place, f"tag {event.tag!r}", "remove the tag")

    def _refuse(self, place: str, what: str, fix: str) -> None:
        self.problems.append(ConfigError(f"{what} is not allowed", where=place, fix=fix))
