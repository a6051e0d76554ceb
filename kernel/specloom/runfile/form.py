"""The form of run files: one table says what they may hold, and a reader checks them against it.

Whether the things that a run file names exist is checked later, when they are constructed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from specloom.contract.errors import ConfigError, SpecloomError, did_you_mean, shown
from specloom.contract.nodes import STAGES
from specloom.runfile.names import NAME, wrong_name
from specloom.runfile.yaml import Document, Keys

VERSION = 1
FOREIGN = "x-"
"""What keys begin with that are another program's, such as ``x-trainrun``."""
METADATA = ("name", "description", "tags", "author")
PORT_NAME = re.compile(rf"{NAME.pattern}\.{NAME.pattern}")


class Value(NamedTuple):
    """A value that is accepted as it is if it fits; if not, checks go on with ``default``."""

    fits: Callable[[Any], bool]
    fix: str
    default: Any = None


Form: TypeAlias = "Value | list[Form] | Fields"
Fields: TypeAlias = "dict[str, Form]"  # "*" stands for keys that the user chooses


def _is_version(value: Any) -> bool:
    return type(value) is int and value == VERSION


def _is_seed(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_switch(value: Any) -> bool:
    return value in ("on", "off") or isinstance(value, bool)


def _is_port(value: Any) -> bool:
    return isinstance(value, str) and PORT_NAME.fullmatch(value) is not None


def _is_pair(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    source, target = value
    return _is_port(source) and _is_port(target)


def _is_type(value: Any) -> bool:
    return isinstance(value, str) and value != ""


REQUIRED = {
    "specloom": f"write 'specloom: {VERSION}', the form that this version reads",
    "data": "add data: {type: …, config: {…}}",
    "nodes": "add 'nodes:' with at least one node",
    "type": "write 'type: plugin.Name'",
}
MAPPING = Value(lambda value: isinstance(value, dict), "write 'key: value' lines")
LIST = Value(lambda value: isinstance(value, list), "write '- …' lines")
TEXT = Value(lambda value: isinstance(value, str), "write text, in quotes")
SEED = Value(_is_seed, "give a whole number, 0 to 2**63 - 1")
STAGE = Value(lambda value: value in STAGES, f"use one of: {', '.join(STAGES)}")
PORT = Value(_is_port, "write node.port")
PAIR = Value(_is_pair, "write - [source.output, target.input]", default=("", ""))
TYPE = Value(_is_type, REQUIRED["type"])
COMPONENT: Fields = {"type": TYPE, "config": MAPPING}
GRAPH: Fields = {
    "specloom": Value(_is_version, REQUIRED["specloom"]),
    "metadata": {"name": TEXT, "description": TEXT, "tags": [TEXT], "author": TEXT},
    "nodes": {"*": COMPONENT | {"stages": [STAGE]}},
    "connections": [PAIR],
    "outputs": {"*": PORT},
}
COMPANIONS_ON = ("on", True)
COMPANIONS = Value(_is_switch, "write companions: off, or remove it", default="on")
RUN = GRAPH | {"seed": SEED, "companions": COMPANIONS, "data": COMPONENT, "phases": [COMPONENT]}
SAVED = GRAPH | {"batch": MAPPING, "reading": MAPPING, "plugins": MAPPING, "state": MAPPING}
#: The keys of a node's class in files of cuvis-ai.
CUVIS_CLASS = frozenset({"class", "class_name"})
#: What other programs call the keys of a run file.
SYNONYMS = {
    "edges": "connections",
    "class_name": "type",
    "use": "type",
    "hparam": "config",
    "hparams": "config",
    "params": "config",
    "with": "config",
}


class Component(NamedTuple):
    """One ``{type: …, config: {…}}``: something to be constructed, and its place in the file."""

    keys: Keys = ()
    type: str = ""  # empty where the file has none, which was reported
    config: Mapping[str, Any] = {}
    stages: Sequence[str] | None = None


class RunFile(NamedTuple):
    """A run file whose form is right."""

    document: Document
    specloom: int = VERSION
    metadata: Mapping[str, Any] = {}
    seed: int = 0
    companions: str | bool = "on"
    data: Component = Component()
    nodes: Mapping[str, Component] = {}
    connections: Sequence[tuple[str, str]] = ()
    phases: Sequence[Component] = ()
    outputs: Mapping[str, str] = {}
    batch: Mapping[str, int] = {}
    reading: Mapping[str, Any] = {}
    plugins: Mapping[str, str] = {}
    state: Mapping[str, str] = {}


def interpret(document: Document, form: Fields = RUN) -> tuple[RunFile, list[SpecloomError]]:
    """A document as a run file (or a saved one), and everything that is wrong with its form."""
    reader = _FormReader(document)
    value = document.value
    if value is None:
        value = {}
    if _is_of_cuvis(value):
        what = "the file is a pipeline or a train run of cuvis-ai, and no run file"
        fix = f"run: specloom import cuvis {document.name}"
        return RunFile(document), [ConfigError(what, where=document.where(), fix=fix)]
    fields = reader.read(value, form, ())
    if fields is None:
        fields = {}
    if reader.problems and not fields.get("connections"):
        fields["connections"] = [PAIR.default]  # a misspelt key may have held them
    return RunFile(document, **fields), reader.problems


def _is_of_cuvis(value: Any) -> bool:
    """Whether a file has the form of cuvis-ai: a list of nodes with classes, or a pipeline."""
    if not isinstance(value, dict) or "specloom" in value:
        return False
    nodes = value.get("nodes")
    if not isinstance(nodes, list):
        return "pipeline" in value and nodes is None
    return any(isinstance(node, dict) and CUVIS_CLASS & node.keys() for node in nodes)


class _FormReader:
    """Reads values as far as they have the expected form, and collects what has not."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[SpecloomError] = []

    def read(self, value: Any, form: Form, keys: Keys) -> Any:
        """As much of ``value`` as has the form."""
        if isinstance(form, dict):
            return self._mapping(value, form, keys)
        if isinstance(form, list):
            return self._list(value, form[0], keys)
        if form.fits(value):
            return value
        self._report_unfit(value, form, keys)
        return form.default

    def _mapping(self, value: Any, form: Fields, keys: Keys) -> Any:
        """A mapping's values by key; a ``Component`` where the form has a type."""
        is_component = "type" in form
        if not MAPPING.fits(value):
            self._report_unfit(value, MAPPING, keys)
            if is_component:
                return Component(keys)
            return None
        found = {}
        for key, inner in value.items():
            read = self._entry(key, inner, form, keys)
            if read is not None:
                found[key] = read
        self._report_missing(value, found, form, keys)
        if is_component:
            return Component(keys, **found)
        return found

    def _entry(self, key: str, inner: Any, form: Fields, keys: Keys) -> Any:
        """The value of one key; None where the form does not know the key."""
        if not keys and str(key).startswith(FOREIGN):
            return None
        place = (*keys, key)
        if len(keys) == 1:
            self._check_name(str(keys[0]), key, place)
        inner_form = form.get(key) or form.get("*")
        if inner_form is None:
            what = f"unknown key {key!r} in {_label(keys)}"
            fix = _intended(key, form)
            self._report(what, place, fix)
            return None
        if inner is None and "*" not in form:
            return None  # a key without a value is as good as none
        return self.read(inner, inner_form, place)

    def _list(self, value: Any, form: Form, keys: Keys) -> Any:
        """The items that have the form."""
        if not LIST.fits(value):
            self._report_unfit(value, LIST, keys)
            return None
        found = []
        for number, item in enumerate(value):
            place = (*keys, number)
            read = self.read(item, form, place)
            if read is not None:
                found.append(read)
        return found

    def _check_name(self, side: str, name: str, place: Keys) -> None:
        wrong = wrong_name(side, name)
        if wrong is not None:
            what, fix = wrong
            self._report(what, place, fix)

    def _report_missing(
        self,
        value: Mapping[str, Any],
        found: Mapping[str, Any],
        form: Fields,
        keys: Keys,
    ) -> None:
        """Report the required keys that a mapping lacks."""
        label = _label(keys)
        for key, fix in REQUIRED.items():
            if key not in form:
                continue
            is_empty = found.get(key) == {}
            if is_empty or value.get(key) is None:
                place = (*keys, key)
                self._report(f"{label} has no {key!r}", place, fix)

    def _report_unfit(self, value: Any, expected: Value, keys: Keys) -> None:
        written = self.document.written(*keys, otherwise=shown(value))
        what = f"{_label(keys)} is {written}"
        self._report(what, keys, expected.fix)

    def _report(self, what: str, keys: Keys, fix: str) -> None:
        where = self.document.where(*keys)
        error = ConfigError(what, where=where, fix=fix)
        self.problems.append(error)


def _label(keys: Keys) -> str:
    """What messages call the value behind ``keys``."""
    if not keys:
        return "the file"
    return ".".join(map(str, keys))


def _intended(key: str, form: Fields) -> str:
    """The fix for a key that the form does not know."""
    own_name = SYNONYMS.get(key, key)
    fix = did_you_mean(own_name, form)
    if "config" in form and "did you" not in fix:
        return f"{fix} (parameters stand under config)"
    return fix
