"""Run files: one table says what they may hold, and then what they name is made and checked.

Everything that does not fit is told, with its place: first its form, then its names and values.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from specloom.contract.abilities import Loss
from specloom.contract.errors import (
    ConfigError,
    GraphError,
    PluginError,
    SpecloomError,
    did_you_mean,
    raise_all,
    shown,
)
from specloom.contract.nodes import STAGES
from specloom.contract.phases import LossMinimiser, Trainer
from specloom.contract.ports import Connection, Port
from specloom.contract.sources import missing_by_split
from specloom.graph.connections import BATCH, NAME, told, wrong_name
from specloom.graph.graph import Graph
from specloom.plugins import KINDS, Plugins
from specloom.runfile import parameters
from specloom.runfile.yaml import Document, Keys

VERSION = 1
METADATA = ("name", "description", "tags", "author")
ENDS = re.compile(rf"{NAME.pattern}\.{NAME.pattern}")


class Plain(NamedTuple):
    """A value that is taken as it stands if it fits; if not, ``instead`` lets checks go on."""

    fits: Callable[[Any], bool]
    fix: str
    instead: Any = None


Form: TypeAlias = "Plain | list[Form] | Keyed"
Keyed: TypeAlias = "dict[str, Form]"  # "*" stands for keys that the user chooses


REQUIRED = {
    "specloom": f"write 'specloom: {VERSION}', the form that this version reads",
    "data": "add data: {type: …, config: {…}}",
    "nodes": "add 'nodes:' with at least one node",
    "type": "write 'type: plugin.Name'",
}
MAPPING = Plain(lambda value: isinstance(value, dict), "write 'key: value' lines")
LIST = Plain(lambda value: isinstance(value, list), "write '- …' lines")
TEXT = Plain(lambda value: isinstance(value, str), "write text, in quotes")
SEED = Plain(lambda n: type(n) is int and 0 <= n < 2**63, "give a whole number, 0 to 2**63 - 1")
STAGE = Plain(lambda value: value in STAGES, f"use one of: {', '.join(STAGES)}")
END = Plain(lambda end: isinstance(end, str) and ENDS.fullmatch(end) is not None, "write node.port")
PAIR = Plain(
    lambda ends: isinstance(ends, list) and [*map(END.fits, ends)] == [True, True],
    "write - [source.output, target.input]",
    instead=("", ""),
)
TYPE = Plain(lambda name: isinstance(name, str) and name != "", REQUIRED["type"])
USE: Keyed = {"type": TYPE, "config": MAPPING}
GRAPH: Keyed = {
    "specloom": Plain(lambda value: type(value) is int and value == VERSION, REQUIRED["specloom"]),
    "metadata": {"name": TEXT, "description": TEXT, "tags": [TEXT], "author": TEXT},
    "nodes": {"*": USE | {"stages": [STAGE]}},
    "connections": [PAIR],
    "outputs": {"*": END},
}
RUN = GRAPH | {"seed": SEED, "data": USE, "phases": [USE]}
SAVED = GRAPH | {"batch": MAPPING, "plugins": MAPPING, "state": MAPPING}
ELSEWHERE = {"edges": "connections", "class_name": "type", "use": "type"}
ELSEWHERE |= dict.fromkeys(("hparam", "hparams", "params", "with"), "config")


#: What a class of each kind must have.
NEEDED = {
    "nodes": ("inputs", "outputs", "forward"),
    "sources": ("outputs", "sizes", "splits", "count", "batches"),
    "trainers": ("check", "train"),
}


class Use(NamedTuple):
    """One ``{type: …, config: {…}}``: something to be made, and where the file asks for it."""

    keys: Keys = ()
    type: str = ""  # where it has no type, which was told
    config: Mapping[str, Any] = {}
    stages: Sequence[str] | None = None


class RunFile(NamedTuple):
    """A run file whose form is right; whether its names exist is found out when it is built."""

    document: Document
    specloom: int = VERSION
    metadata: Mapping[str, Any] = {}
    seed: int = 0
    data: Use = Use()
    nodes: Mapping[str, Use] = {}
    connections: Sequence[tuple[str, str]] = ()
    phases: Sequence[Use] = ()
    outputs: Mapping[str, str] = {}
    batch: Mapping[str, int] = {}
    plugins: Mapping[str, str] = {}
    state: Mapping[str, str] = {}


def interpret(document: Document, form: Keyed = RUN) -> tuple[RunFile, list[SpecloomError]]:
    """A document as a run file (or a saved one), and everything that is wrong with its form."""
    reader = _Reader(document)
    top = reader.read({} if document.value is None else document.value, form, ()) or {}
    if reader.problems and not top.get("connections"):
        top["connections"] = [PAIR.instead]  # a misspelt key may have held them
    return RunFile(document, **top), reader.problems


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document, self.problems = document, list[SpecloomError]()

    def bad(self, what: str, keys: Keys, fix: str) -> None:
        self.problems.append(ConfigError(what, where=self.document.where(*keys), fix=fix))

    def read(self, value: Any, form: Form, keys: Keys) -> Any:
        """As much of ``value`` as has the form; the rest is told, and left out."""
        label = ".".join(map(str, keys)) or "the file"
        plain = MAPPING if isinstance(form, dict) else LIST if isinstance(form, list) else form
        if not plain.fits(value):
            self.bad(f"{label} is {shown(value)}", keys, plain.fix)
            return Use(keys) if "type" in form else plain.instead
        if isinstance(form, dict):
            found = self.mapping(value, form, keys, label)
            return Use(keys, **found) if "type" in form else found
        if isinstance(form, list):
            items = [self.read(item, form[0], (*keys, i)) for i, item in enumerate(value)]
            return [item for item in items if item is not None]
        return value

    def mapping(self, value: dict[str, Any], form: Keyed, keys: Keys, label: str) -> dict[str, Any]:
        found = {}
        for key, inner in value.items():
            place = (*keys, key)
            wrong = wrong_name(str(keys[0]), key) if len(keys) == 1 else None
            if wrong:
                self.bad(wrong[0], place, wrong[1])
            if not (known := form.get(key) or form.get("*")):
                self.bad(f"unknown key {key!r} in {label}", place, _meant(key, form))
            elif inner is not None or "*" in form:  # a key without a value is as good as none
                found[key] = self.read(inner, known, place)
        for key in (key for key in REQUIRED if key in form):
            if value.get(key) is None or found[key] == {}:
                self.bad(f"{label} has no {key!r}", (*keys, key), REQUIRED[key])
        return {key: inner for key, inner in found.items() if inner is not None}


def _meant(key: str, known: Keyed) -> str:
    fix = did_you_mean(ELSEWHERE.get(key, key), known)
    aside = "config" in known and "did you" not in fix
    return f"{fix} (parameters stand under config)" if aside else fix


# The graph, the source (None in a saved pipeline), and the phases, each with its reference.
Parts: TypeAlias = tuple[Graph, Any, list[tuple[str, Trainer[Graph, Any]]]]


def assemble(file: RunFile, problems: list[SpecloomError], plugins: Plugins) -> Parts:
    """Make and check everything that a run file names; no pixel is read.

    Args:
        file: The run file.
        problems: What is wrong with its form, to be told together with the rest.
        plugins: Where names are looked up.

    Raises:
        SpecloomError: Something is wrong; ``Problems`` where it is several things.
    """
    problems, where = list(problems), file.document.where
    make = partial(_made, file.document, plugins, problems)
    label, source = make(file.data, "sources")
    batch, given, splits = getattr(source, "outputs", None), file.batch, STAGES
    missing_outputs = dict[str, list[str]]()
    try:
        given, splits = (given, splits) if source is None else (source.sizes(), source.splits())
        missing_outputs = missing_outputs if source is None else missing_by_split(source)
    except Exception as e:
        problems.append(told(e, label, where("data")))
    nodes = {name: make(use, "nodes", "losses") for name, use in file.nodes.items()}
    types = {name: label for name, (label, _) in nodes.items()}
    made = {name: node for name, (_, node) in nodes.items()}
    stages = {name: tuple(use.stages) for name, use in file.nodes.items() if use.stages}
    phases = [make(use, "trainers") for use in file.phases]

    def present(end: str, side: str, at: str) -> str:
        """The end of a connection with its port's present name, whatever it was called before."""
        name, _, port = end.partition(".")
        owner = source if name == BATCH else made.get(name)
        ports = getattr(owner, side, ())
        return end.removesuffix(port) + parameters.current(owner, port, ports, name, at)

    outputs = {key: present(e, "outputs", where("outputs", key)) for key, e in file.outputs.items()}
    pairs = [(where("connections", i), *pair) for i, pair in enumerate(file.connections)]
    links = [
        Connection(present(a, "outputs", at), present(b, "inputs", at), at) for at, a, b in pairs
    ]
    graph = Graph(
        made,
        links,
        batch=batch,
        given=given,
        outputs=outputs,
        types=types,
        stages=stages,
        document=file.document,
        splits=splits,
        earlier=problems,
        missing_outputs=missing_outputs,
    )
    both = zip([partial(where, *use.keys, "config") for use in file.phases], phases, strict=True)
    wrong = [error for at, (_, one) in both for error in one.check(graph, at)]
    raise_all(wrong or [*_idle_losses(graph, [one for _, one in phases])])
    return graph, source, phases


def _idle_losses(graph: Graph, phases: Sequence[Trainer[Graph, Any]]) -> Iterator[SpecloomError]:
    """The losses that none of the phases (if there is any) minimises."""
    used = {
        name for one in phases if isinstance(one, LossMinimiser) for name in one.losses_of(graph)
    }
    for name, node in graph.nodes.items() if phases else ():
        if isinstance(node, Loss) and name not in used:
            what, where = f"no phase trains the loss {name!r}", graph.where("nodes", name)
            fix = "add a phase that does, name it under that phase's losses, or remove the node"
            yield GraphError(what, where=where, fix=fix)


def _check_kind(made: Any, label: str, kinds: Sequence[str], where: str) -> None:
    """Accept an instance that has what its kind needs.

    Raises:
        PluginError: Something is missing, or is something else.
    """
    kind = KINDS[kinds[0]]
    fix = f"repair the plugin {label.partition('.')[0]!r}: offer a class that is a {kind}"
    for name in NEEDED[kinds[0]]:
        if not hasattr(made, name):
            raise PluginError(f"{label} is no {kind}: it has no {name!r}", where=where, fix=fix)
        value = getattr(made, name)
        if name in ("inputs", "outputs"):
            if not _are_ports(value):
                what = f"{label} is no {kind}: its {name} are no mapping of names to ports"
                raise PluginError(what, where=where, fix=fix)
        elif not callable(value):
            what = f"{label} is no {kind}: its {name!r} cannot be called"
            raise PluginError(what, where=where, fix=fix)


def _are_ports(ports: Any) -> bool:
    if not isinstance(ports, Mapping):
        return False
    names = all(isinstance(name, str) for name in ports)
    return names and all(isinstance(port, Port) for port in ports.values())


def _made(
    document: Document, plugins: Plugins, problems: list[SpecloomError], use: Use, *kinds: str
) -> tuple[str, Any]:
    """The full name and an instance; None where it cannot be made, with the reasons noted."""
    if not use.type:
        return "", None
    at = partial(document.where, *use.keys)
    try:
        label, cls = plugins.find(use.type, kinds, at("type"))
        if not isinstance(cls, type):
            fix = f"repair the plugin {label.partition('.')[0]!r}: offer a class"
            raise PluginError(f"{label} is no class, but {shown(cls)}", where=at("type"), fix=fix)
        good, wrong = parameters.checked(cls, label, use.config, partial(at, "config"))
        problems += wrong
        if not parameters.required(cls) <= good.keys():
            return label, None
        made = cls(**good)
        _check_kind(made, label, kinds, at("type"))
        return label, made
    except Exception as e:
        problems.append(told(e, use.type, at()))
    return use.type, None
