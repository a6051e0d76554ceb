"""Strict YAML: plain data with the line of every key; every problem has its file and line.

Refused: anchors, aliases, tags, duplicate keys, several documents, deep nesting. Numbers and
booleans are those of YAML 1.2, so ``1e-6`` is a number and ``no`` is text.
"""

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeAlias

from specloom.contract.errors import ConfigError, SpecloomError, raise_all

DEEPEST = 20
LARGEST = 4 << 20
"""Bytes of a file: the parser takes a second for each million of characters."""
WORDS = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
INT = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?", re.ASCII)
INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
#: Where the two parsers differ: tabs, other alphabets, tags, blocks, directives, documents.
DIFFERING = re.compile(r"[^\n -~]|[?!|%]|(?<![\w\])])>|---|\.\.\.")
FIXES = {  # by what the parser says
    r"\\t": "indent with spaces, not tabs",
    "unknown escape": r"write single quotes, as in 'C:\data': between double ones \ is special",
    "any token": "put the text in quotes",
    "expected alphabetic": "put text that begins with * or & in quotes, such as '*.tif'",
    "mapping values": "align it with the lines around it, or put text that holds ': ' in quotes",
    "but got|end of stream": "close the bracket or the quote above it",
    "": "write 'name: value', aligned with the lines around it",
}

BEGINNING = 4096
"""How many bytes of a file are looked at for whether it is text."""

Keys: TypeAlias = tuple[str | int, ...]


@dataclass
class Document:
    """What a file holds, and where each of its keys stands."""

    name: str
    value: Any = None
    places: dict[Keys, str] = field(default_factory=dict)
    texts: dict[Keys, str] = field(default_factory=dict)

    def written(self, *keys: str | int, otherwise: str = "") -> str:
        """A number, true, false or null as it stands in the file: ``1.10``, which is 1.1.

        Args:
            keys: The keys of the value.
            otherwise: What to return for other values.
        """
        return self.texts.get(keys, otherwise)

    def where(self, *keys: str | int) -> str:
        """``file:line`` of a key, or of the nearest key around it."""
        for length in range(len(keys), -1, -1):
            place = self.places.get(keys[:length])
            if place is not None:
                return place
        return self.name


def read(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        ConfigError: It is not there, not text, or not plain YAML; ``Problems`` if in several ways.
    """
    try:
        _require_file(path)
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (OSError, ValueError) as e:  # a name with a null byte is no name of a file
        what = f"{str(path)!r} cannot be read: {e}"
        if isinstance(e, OSError):
            what = f"{path} cannot be read: {e.strerror}"
        raise ConfigError(what, fix="check the path") from e
    if len(data) > LARGEST:
        raise _size_error(str(path))
    if b"\0" in data[:BEGINNING]:
        fix = "name a run file; cubes are named in it, or behind the pipeline of specloom predict"
        raise ConfigError(f"{path} holds no text, and is no YAML file", fix=fix)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = e.object.count(b"\n", 0, e.start) + 1
        where = f"{path}:{line}"
        raise ConfigError("is not UTF-8 text", where=where, fix="save it as UTF-8") from e
    return parse(text, str(path))


def _require_file(path: Path) -> None:
    """Refuse a named pipe or a socket, which might be waited for without end.

    A shell passes pipes of its own under ``/dev``, such as ``/dev/stdin``; these may be read.

    Raises:
        ConfigError: It is one.
        OSError: It is not there.
    """
    mode = path.stat().st_mode
    is_pipe = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    is_device = path.parts[:2] == ("/", "dev")
    if is_pipe and not is_device:
        what = f"{path} is a pipe or a socket, not a file"
        raise ConfigError(what, fix="give the path of a YAML file")


def parse(text: str, name: str) -> Document:
    """Parse YAML text; ``name`` stands for the file in messages.

    Raises:
        ConfigError: It is not plain YAML; ``Problems`` if in several ways.
    """
    if len(text) > LARGEST:
        raise _size_error(name)
    document = _parse_by_libyaml(text, name)
    if document is None:
        document = _parse_in_python(text, name)
    return document


def _parse_in_python(text: str, name: str) -> Document:
    """Parse YAML text, with the messages of the parser in Python.

    Raises:
        ConfigError: It is not plain YAML; ``Problems`` if in several ways.
    """
    import yaml

    document = Document(name, places={(): f"{name}:1"})
    builder = _Builder(document)
    try:
        builder.build(yaml.SafeLoader(text))
    except yaml.reader.ReaderError as e:
        builder.line = text.count("\n", 0, e.position)
        what = f"holds the character U+{e.character:04X}, which YAML forbids"
        builder.report(what, "remove it")
    except yaml.MarkedYAMLError as e:
        builder.line = getattr(e.problem_mark, "line", 0)
        problem = str(e.problem)
        builder.report(f"not YAML: {problem}", _fix_for(problem))
    except (ValueError, OverflowError):  # of "\\Uffffffff", "\\ud800" and the like
        fix = "correct the number after the backslash or the percent sign"
        builder.report("not YAML: a number in it is out of range", fix)
    raise_all(builder.problems)
    return document


def _parse_by_libyaml(text: str, name: str) -> Document | None:
    """What ``parse`` gives, 15 times faster; None where it would raise, or might be another.

    libyaml and the parser in Python give the same events for texts without the characters in
    ``DIFFERING`` (60,000 damaged run files were compared). Errors are left to the latter.
    """
    import yaml

    if not hasattr(yaml, "CSafeLoader") or DIFFERING.search(text):
        return None
    document = Document(name, places={(): f"{name}:1"})
    builder = _Builder(document)
    try:
        builder.build(yaml.CSafeLoader(text))
    except (yaml.YAMLError, SpecloomError, ValueError, OverflowError):
        return None
    if builder.problems:
        return None
    return document


def _size_error(name: str) -> ConfigError:
    what = f"is larger than {LARGEST >> 20} MiB"
    return ConfigError(what, where=name, fix="name another file: it holds no settings")


def _fix_for(problem: str) -> str:
    """The fix for what the parser says."""
    for pattern, fix in FIXES.items():
        if pattern and re.search(pattern, problem):
            return fix
    return FIXES[""]


def scalar(text: str) -> Any:
    """The value of an unquoted scalar.

    >>> scalar("1e-6"), scalar("no"), scalar("true"), scalar("0x10"), scalar("1.10")
    (1e-06, 'no', True, 16, 1.1)
    """
    if text in WORDS:
        return WORDS[text]
    if INT.fullmatch(text) and len(text) < 400:
        if text.startswith(("0x", "0o")):
            return int(text, base=0)
        return int(text)
    if INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    if FLOAT.fullmatch(text):
        return float(text)
    return text


def dump(value: Mapping[str, Any]) -> str:
    """YAML that ``parse`` reads back to the same value."""
    import yaml

    class Dumper(yaml.SafeDumper):
        ignore_aliases: Any = staticmethod(lambda data: True)

    def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
        tag = "tag:yaml.org,2002:str"
        if isinstance(scalar(text), str) and text.isprintable():
            return dumper.represent_scalar(tag, text)
        return dumper.represent_scalar(tag, text, style='"')

    Dumper.add_representer(str, represent_text)
    return yaml.dump(dict(value), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Builder:
    """Builds values from parser events; it recurses to ``DEEPEST`` and refuses what is deeper."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[SpecloomError] = []
        self.line = 0
        self.events: Iterator[Any] = iter(())

    def place(self) -> str:
        """``file:line`` of the event that was read last."""
        return f"{self.document.name}:{self.line + 1}"

    def report(self, what: str, fix: str) -> None:
        """Note a problem, and go on."""
        error = ConfigError(what, where=self.place(), fix=fix)
        self.problems.append(error)

    def stop(self, what: str, fix: str) -> None:
        """Note a problem and raise it with those before it: what follows cannot be read."""
        self.report(what, fix)
        raise_all(self.problems)

    def build(self, loader: Any) -> None:
        """Read the only document of a loader."""
        import yaml

        self.events = self.read(loader)
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
            if documents > 1:
                self.stop("a second document begins", "remove the '---'")
            if isinstance(event, yaml.NodeEvent):
                self.document.value = self.value(event, ())

    def read(self, loader: Any) -> Iterator[Any]:
        """The events, each checked for what only a program would write."""
        for event in iter(loader.get_event, None):
            self.line = event.start_mark.line
            anchor = getattr(event, "anchor", None)
            if anchor:
                fix = "write the value out where it is used"
                self.report(f"anchor or alias {anchor!r} is not allowed", fix)
            tag = getattr(event, "tag", None)
            if tag not in (None, "!"):
                self.report(f"tag {tag!r} is not allowed", "remove the tag")
            getattr(event, "value", "").encode()  # half a character, escaped, fails here
            yield event

    def value(self, event: Any, keys: Keys) -> Any:
        """What begins with ``event``: a scalar, or a collection, whose events this takes."""
        import yaml

        self.document.places.setdefault(keys, self.place())
        if isinstance(event, yaml.AliasEvent):
            return None
        if isinstance(event, yaml.ScalarEvent):
            is_plain = event.implicit[0]
            if not is_plain:
                return event.value
            found = scalar(event.value)
            if event.value and not isinstance(found, str):
                self.document.texts[keys] = event.value
            return found
        if len(keys) >= DEEPEST:
            self.stop(f"is nested more than {DEEPEST} deep", "flatten it")
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(keys)
        return self.mapping(keys)

    def inside(self) -> Iterator[Any]:
        """The events of a collection that has started, without its end."""
        import yaml

        def is_inside(event: Any) -> bool:
            return not isinstance(event, yaml.CollectionEndEvent)

        return takewhile(is_inside, self.events)

    def sequence(self, keys: Keys) -> list[Any]:
        """The items of a sequence."""
        found = []
        for number, event in enumerate(self.inside()):
            place = (*keys, number)
            item = self.value(event, place)
            found.append(item)
        return found

    def mapping(self, keys: Keys) -> dict[str, Any]:
        """The keys and values of a mapping."""
        import yaml

        found: dict[str, Any] = {}
        for event in self.inside():
            if not isinstance(event, yaml.ScalarEvent):
                self.stop("a mapping's key must be a name", "write 'name: value'")
            key = event.value
            place = (*keys, key)
            first = self.document.places.setdefault(place, self.place())
            if key in found:
                what = f"key {key!r} a second time (first at {first}) is not allowed"
                self.report(what, "remove one of the two")
            value = next(self.events)
            found[key] = self.value(value, place)
        return found
