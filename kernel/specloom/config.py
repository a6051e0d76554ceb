"""Run files: their keys, checked one by one, with the place of each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from specloom.errors import ConfigError, SpecloomError, did_you_mean, in_file_order
from specloom.node import STAGES

if TYPE_CHECKING:
    from specloom.yamlfile import Document, Keys

VERSION = 1
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
TOP = ("specloom", "metadata", "seed", "data", "nodes", "connections", "phases", "outputs")
SAVED = ("batch", "plugins", "state")
ELSEWHERE = {
    "hparam": "config",
    "hparams": "config",
    "params": "config",
    "edges": "connections",
    "class_name": "type",
    "use": "type",
    "with": "config",
}
METADATA = ("name", "description", "tags", "author")


@dataclass(frozen=True)
class Use:
    """One ``{type: …, config: {…}}``: something to be made, and where the file asks for it."""

    keys: Keys
    type: str
    config: dict[str, Any] = field(default_factory=dict)
    stages: tuple[str, ...] | None = None


@dataclass
class RunFile:
    """A run file whose form is right; whether its names exist is found out when it is built."""

    document: Document
    metadata: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    data: Use | None = None
    nodes: dict[str, Use] = field(default_factory=dict)
    connections: list[tuple[str, str]] = field(default_factory=list)
    phases: list[Use] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    saved: dict[str, Any] = field(default_factory=dict)


def interpret(document: Document) -> tuple[RunFile, list[SpecloomError]]:
    """A document as a run file, and everything that is wrong with its form."""
    reader = _Reader(document)
    return reader.run_file(), in_file_order(reader.problems)


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document, self.problems = document, list[SpecloomError]()

    def bad(self, what: str, keys: Keys, fix: str) -> None:
        self.problems.append(ConfigError(what, where=self.document.where(*keys), fix=fix))

    def run_file(self) -> RunFile:
        file, top = RunFile(self.document), self.document.value
        if top is None:
            self.bad("the file is empty", (), "start with 'specloom: 1'")
            return file
        if not self.mapping(top, (), "the file", (*TOP, *SAVED)):
            return file
        if (version := top.get("specloom")) != VERSION or version is True:
            given = repr(top["specloom"]) if "specloom" in top else "absent"
            self.bad(
                f"the key 'specloom' is {given}, this version reads {VERSION}",
                ("specloom",),
                f"write 'specloom: {VERSION}' first",
            )
        file.metadata = self.metadata(top.get("metadata"))
        seed = top.get("seed", 0)
        if type(seed) is int and 0 <= seed < 2**63:
            file.seed = seed
        else:
            self.bad(f"seed is {seed!r}", ("seed",), "give a whole number from 0 to 2**63 - 1")
        if top.get("data") is not None:
            file.data = self.use(top["data"], ("data",))
        file.nodes = self.nodes(top.get("nodes"))
        file.connections = self.connections(top.get("connections"))
        for i, entry in enumerate(self.items(top.get("phases"), ("phases",))):
            if use := self.use(entry, ("phases", i)):
                file.phases.append(use)
        file.outputs = self.outputs(top.get("outputs"))
        file.saved = {key: top[key] for key in SAVED if key in top}
        return file

    def metadata(self, value: Any) -> dict[str, Any]:
        if value is None or not self.mapping(value, ("metadata",), "metadata", METADATA):
            return {}
        for key, one in value.items():
            texts = self.items(one, ("metadata", key)) if key == "tags" else [one]
            if key in METADATA and not all(isinstance(text, str) for text in texts):
                self.bad(f"metadata.{key} is {one!r}", ("metadata", key), "write text, in quotes")
        return dict(value)

    def nodes(self, value: Any) -> dict[str, Use]:
        if value in (None, {}):
            self.bad("there are no nodes", ("nodes",), "add 'nodes:' with at least one node")
            return {}
        if not self.mapping(value, ("nodes",), "nodes", None):
            return {}
        found = {}
        for name, entry in value.items():
            if not NAME.fullmatch(name) or name == "batch":
                why, fix = "is no name", "use letters, digits and _, beginning with a letter"
                if name == "batch":
                    why, fix = "is kept for the data", "give the node another name"
                self.bad(f"node name {name!r} {why}", ("nodes", name), fix)
            if use := self.use(entry, ("nodes", name)):
                found[name] = use
        return found

    def use(self, value: Any, keys: Keys) -> Use | None:
        path = ".".join(map(str, keys))
        known = ("type", "config", "stages") if keys[0] == "nodes" else ("type", "config")
        if not self.mapping(value, keys, path, known):
            return None
        if not isinstance(kind := value.get("type"), str):
            what = f"{path} has no type" if kind is None else f"{path}.type is {kind!r}"
            self.bad(what, (*keys, "type"), "write 'type: plugin.Name'")
            return None
        config = {} if value.get("config") is None else value["config"]
        if not self.mapping(config, (*keys, "config"), f"{path}.config", None):
            config = {}
        stages = None
        if value.get("stages") is not None:
            stages = tuple(map(str, self.items(value["stages"], (*keys, "stages"))))
            for wrong in (stage for stage in stages if stage not in STAGES):
                self.bad(
                    f"{path} names the stage {wrong!r}",
                    (*keys, "stages"),
                    did_you_mean(wrong, STAGES),
                )
        return Use(keys, kind, dict(config), stages)

    def connections(self, value: Any) -> list[tuple[str, str]]:
        found = []
        for i, pair in enumerate(self.items(value, ("connections",))):
            ends = pair if isinstance(pair, list) else []
            if len(ends) != 2 or not all(_is_end(end) for end in ends):
                self.bad(
                    f"connection {pair!r} is not of the form [node.port, node.port]",
                    ("connections", i),
                    "write - [source.output, target.input]",
                )
                found.append(("", ""))
            else:
                found.append((ends[0], ends[1]))
        return found

    def outputs(self, value: Any) -> dict[str, str]:
        if value is None or not self.mapping(value, ("outputs",), "outputs", None):
            return {}
        for name, end in value.items():
            if not _is_end(end):
                self.bad(f"output {name!r} is {end!r}", ("outputs", name), "write node.port")
        return {name: end for name, end in value.items() if _is_end(end)}

    def mapping(self, value: Any, keys: Keys, label: str, known: Iterable[str] | None) -> bool:
        if not isinstance(value, dict):
            self.bad(f"{label} is {_kind(value)}, not a mapping", keys, "write 'key: value' lines")
            return False
        names = value if known is None else known
        for key in [key for key in value if key not in names]:
            hint = ELSEWHERE.get(key, "")
            fix = f"did you mean {hint!r}?" if hint in names else did_you_mean(key, names)
            if "config" in names and "did" not in fix:
                fix += " (parameters stand under config)"
            self.bad(f"unknown key {key!r} in {label}", (*keys, key), fix)
        return True

    def items(self, value: Any, keys: Keys) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            self.bad(
                f"{'.'.join(map(str, keys))} is {_kind(value)}, not a list",
                keys,
                "write '- …' lines",
            )
            return []
        return value


def _is_end(value: Any) -> bool:
    return (
        isinstance(value, str)
        and all(map(NAME.fullmatch, value.split(".")))
        and value.count(".") == 1
    )


def _kind(value: Any) -> str:
    names = {
        str: "text",
        int: "a number",
        float: "a number",
        bool: "true or false",
        list: "a list",
        dict: "a mapping",
        type(None): "empty",
    }
    return names[type(value)]
