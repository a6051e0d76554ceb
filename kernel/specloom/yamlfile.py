"""Strict YAML: plain data with the line of every key, and every problem told with file and line.

Refused: anchors, aliases, tags, duplicate keys, several documents, deep nesting. Numbers and
booleans are those of YAML 1.2, so ``1e-6`` is a number and ``no`` is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from specloom.errors import ConfigError, SpecloomError, raise_all

DEEPEST = 20
LARGEST = 1_000_000
WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
WORDS |= {form(word): value for word, value in WORDS.items() for form in (str.title, str.upper)}
INT = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
FIXES = {
    "\\t": "indent with spaces, not tabs",
    "any token": "put the text in quotes",
    "mapping values": "align it with the lines around it, or put text that holds ': ' in quotes",
    "<block end>": "align it with the lines around it",
    "but got": "close the bracket or the quote above it",
    "end of stream": "close the bracket or the quote above it",
    "expected ':'": "write 'name: value'",
    "": "mend the YAML there",
}

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
            f"it has {len(raw)} bytes, at most {LARGEST} are read",
            where=str(path),
            fix="keep data in files of their own",
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

    document, loader = Document(name, places={(): f"{name}:1"}), None
    builder = _Builder(document)
    try:
        loader = yaml.SafeLoader(text)
        builder.build(iter(loader.get_event, None))
    except ConfigError as e:
        builder.problems.append(e)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        fix = next(fix for part, fix in FIXES.items() if part in str(e.problem))
        builder.bad(f"not YAML: {e.problem}", fix, mark.line if mark else 0)
    except yaml.reader.ReaderError as e:
        what = f"holds the character U+{e.character:04X}, which YAML forbids"
        builder.bad(what, "remove it", text.count("\n", 0, e.position))
    except (ValueError, OverflowError):  # PyYAML's, of numbers that it does not check
        fix = "mend the number after the backslash or the percent sign"
        builder.bad("not YAML: a number in it is out of range", fix, loader.line if loader else 0)
    raise_all(builder.problems)
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

    def __init__(self, document: Document) -> None:
        self.document, self.problems = document, list[SpecloomError]()
        self.stack: list[tuple[Any, Keys]] = []
        self.key: str | None = None  # of the innermost mapping, while it waits for the value
        self.line = 0

    def bad(self, what: str, fix: str, line: int | None = None) -> None:
        self.problems.append(ConfigError(what, where=self._place(line), fix=fix))

    def build(self, events: Iterator[Any]) -> None:
        import yaml

        documents = 0
        for event in events:
            self.line = event.start_mark.line
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._end("a second document begins", "remove the '---'")
            elif isinstance(event, yaml.AliasEvent):
                self.bad(f"alias '*{event.anchor}' is not allowed", "write the value out")
                self._put(None, event.anchor)
            elif isinstance(event, yaml.ScalarEvent):
                self._no_extras(event)
                text = event.value
                self._put(scalar(text) if event.implicit[0] else text, text)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._no_extras(event)
                if len(self.stack) >= DEEPEST:
                    raise self._end(f"is nested more than {DEEPEST} deep", "flatten it")
                self._put({} if isinstance(event, yaml.MappingStartEvent) else [])
            elif isinstance(event, yaml.CollectionEndEvent):
                self.stack.pop()
                self.key = None

    def _put(self, value: Any, text: str | None = None) -> None:
        parent, keys = self.stack[-1] if self.stack else (None, ())
        if isinstance(parent, list):
            keys = (*keys, len(parent))
            parent.append(value)
        elif parent is not None and self.key is None:
            self._take_key(text, parent, keys)
            return
        elif parent is not None:
            keys = (*keys, str(self.key))
            parent[self.key], self.key = value, None
        else:
            self.document.value = value
        if parent is None or isinstance(parent, list):
            self.document.places[keys] = self._place()
        if isinstance(value, dict | list):
            self.stack.append((value, keys))

    def _take_key(self, text: str | None, parent: Any, above: Keys) -> None:
        if text is None:
            raise self._end("a mapping's key must be a name", "write 'name: value'")
        if text in parent:
            first = self.document.places[*above, text]
            self.bad(
                f"key {text!r} a second time (first at {first}) is not allowed",
                "keep one of the two",
            )
        self.document.places.setdefault((*above, text), self._place())
        self.key = text

    def _no_extras(self, event: Any) -> None:
        if event.anchor:
            what = f"anchor '&{event.anchor}' is not allowed"
            self.bad(what, "write the value out where it is used")
        if event.tag and event.tag != "!":
            self.bad(f"tag {event.tag!r} is not allowed", "remove the tag")
        if any("\ud800" <= character <= "\udfff" for character in getattr(event, "value", "")):
            fix = "write the character itself, not half of it"
            self.bad("a character that no text can hold is not allowed", fix)

    def _end(self, what: str, fix: str) -> ConfigError:
        return ConfigError(what, where=self._place(), fix=fix)

    def _place(self, line: int | None = None) -> str:
        return f"{self.document.name}:{(self.line if line is None else line) + 1}"
