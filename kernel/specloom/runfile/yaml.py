"""Strict YAML: plain data with the line of every key, and every problem told with file and line.

Refused: anchors, aliases, tags, duplicate keys, several documents, deep nesting. Numbers and
booleans are those of YAML 1.2, so ``1e-6`` is a number and ``no`` is text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeAlias

from specloom.contract.errors import ConfigError, SpecloomError, did_you_mean, raise_all

DEEPEST = 20
MAY_BE_MADE = ("config", "metadata", "outputs")
WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
WORDS |= {form(word): value for word, value in WORDS.items() for form in (str.title, str.upper)}
INT = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?", re.ASCII)
INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
FIXES = {  # by what the parser says
    r"\\t": "indent with spaces, not tabs",
    "any token": "put the text in quotes",
    "mapping values": "align it with the lines around it, or put text that holds ': ' in quotes",
    "but got|end of stream": "close the bracket or the quote above it",
    "": "write 'name: value', aligned with the lines around it",
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
        around = (keys[:length] for length in range(len(keys), -1, -1))
        return next((self.places[key] for key in around if key in self.places), self.name)


def read(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        ConfigError: It is not there, not text, or not plain YAML; ``Problems`` if in several ways.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as e:
        raise ConfigError(f"{path} cannot be read: {e.strerror}", fix="check the path") from e
    except UnicodeDecodeError as e:
        where, fix = f"{path}:{e.object[: e.start].count(10) + 1}", "save it as UTF-8"
        raise ConfigError("is not UTF-8 text", where=where, fix=fix) from e
    return parse(text, str(path))


def parse(text: str, name: str) -> Document:
    """Parse YAML text; ``name`` stands for the file in messages."""
    import yaml

    builder = _Builder(Document(name, places={(): f"{name}:1"}))
    try:
        builder.build(yaml.SafeLoader(text))
    except yaml.reader.ReaderError as e:
        builder.line = text.count("\n", 0, e.position)
        builder.bad(f"holds the character U+{e.character:04X}, which YAML forbids", "remove it")
    except yaml.MarkedYAMLError as e:
        builder.line = getattr(e.problem_mark, "line", 0)
        fix = next(fix for said, fix in FIXES.items() if re.search(said, str(e.problem)))
        builder.bad(f"not YAML: {e.problem}", fix)
    except (ValueError, OverflowError):  # of "\\Uffffffff", "\\ud800" and the like
        fix = "mend the number after the backslash or the percent sign"
        builder.bad("not YAML: a number in it is out of range", fix)
    raise_all(builder.problems)
    return builder.document


def scalar(text: str) -> Any:
    """The value of an unquoted scalar.

    >>> scalar("1e-6"), scalar("no"), scalar("true"), scalar("0x10"), scalar("1.10")
    (1e-06, 'no', True, 16, 1.1)
    """
    if text in WORDS:
        return WORDS[text]
    if INT.fullmatch(text) and len(text) < 400:
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return float(text) if FLOAT.fullmatch(text) else text


def override(document: Document, text: str) -> None:
    """Set one value: ``nodes.selector.config.n_select=5``."""
    path, equals, raw = text.partition("=")
    if not equals or not path:
        what, fix = "is not of the form path=value", "write --set nodes.NAME.config.PARAMETER=VALUE"
        raise ConfigError(f"{text!r} {what}", where="--set", fix=fix)
    keys: Keys = ()
    place, here = f"--set {text}", document.value
    value = parse(raw, place).value if raw.strip() else ""
    *above, last = path.split(".")
    for part in above:
        if isinstance(here, dict) and part in MAY_BE_MADE and here.get(part) is None:
            here[part] = {}
        key = _key(here, part, keys, place)
        here, keys = here[key], (*keys, key)
    key = last if isinstance(here, dict) else _key(here, last, keys, place)
    here[key], keys = value, (*keys, key)
    kept = {old: line for old, line in document.places.items() if old[: len(keys)] != keys}
    document.places = {**kept, keys: place}


def _key(here: Any, part: str, keys: Keys, place: str) -> str | int:
    """``part`` as a key of the mapping, or an index of the list, that ``here`` is."""
    options = here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
    known: dict[str, str | int] = {str(option): option for option in options}
    if part not in known:
        what = f"{'.'.join(map(str, keys)) or 'the file'} has no {part!r}"
        fix = did_you_mean(part, known, otherwise="shorten the path")
        raise ConfigError(what, where=place, fix=fix)
    return known[part]


class _Builder:
    """Builds values from parser events; it recurses to ``DEEPEST`` and refuses what is deeper."""

    def __init__(self, document: Document) -> None:
        self.document, self.problems, self.line = document, list[SpecloomError](), 0

    def place(self) -> str:
        return f"{self.document.name}:{self.line + 1}"

    def bad(self, what: str, fix: str, *, last: bool = False) -> None:
        self.problems.append(ConfigError(what, where=self.place(), fix=fix))
        raise_all(self.problems if last else ())

    def build(self, loader: Any) -> None:
        import yaml

        self.events, documents = self.read(loader), 0
        for event in self.events:
            documents += isinstance(event, yaml.DocumentStartEvent)
            if documents > 1:
                self.bad("a second document begins", "remove the '---'", last=True)
            if isinstance(event, yaml.NodeEvent):
                self.document.value = self.value(event, ())

    def read(self, loader: Any) -> Iterator[Any]:
        """The events, each with a look at what only a program would write."""
        for event in iter(loader.get_event, None):
            self.line = event.start_mark.line
            if anchor := getattr(event, "anchor", None):
                fix = "write the value out where it is used"
                self.bad(f"anchor or alias {anchor!r} is not allowed", fix)
            if (tag := getattr(event, "tag", None)) not in (None, "!"):
                self.bad(f"tag {tag!r} is not allowed", "remove the tag")
            getattr(event, "value", "").encode()  # half a character, escaped, fails here
            yield event

    def value(self, event: Any, keys: Keys) -> Any:
        """What begins with ``event``: a scalar, or a collection, whose events this takes."""
        import yaml

        self.document.places.setdefault(keys, self.place())
        if isinstance(event, yaml.AliasEvent):
            return None
        if isinstance(event, yaml.ScalarEvent):
            return scalar(event.value) if event.implicit[0] else event.value
        if len(keys) >= DEEPEST:
            self.bad(f"is nested more than {DEEPEST} deep", "flatten it", last=True)
        inside = takewhile(lambda e: not isinstance(e, yaml.CollectionEndEvent), self.events)
        if isinstance(event, yaml.SequenceStartEvent):
            return [self.value(item, (*keys, i)) for i, item in enumerate(inside)]
        found: dict[str, Any] = {}
        for key in inside:
            if not isinstance(key, yaml.ScalarEvent):
                self.bad("a mapping's key must be a name", "write 'name: value'", last=True)
            first = self.document.places.setdefault((*keys, key.value), self.place())
            if key.value in found:
                what = f"key {key.value!r} a second time (first at {first}) is not allowed"
                self.bad(what, "keep one of the two")
            found[key.value] = self.value(next(self.events), (*keys, key.value))
        return found
