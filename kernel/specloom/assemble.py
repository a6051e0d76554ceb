"""From a run file to objects: the data source, the graph, the phases; every problem is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from specloom import params
from specloom.errors import ConfigError, SpecloomError, raise_all
from specloom.graph import Graph
from specloom.sizes import Link
from specloom.wiring import asked, told

if TYPE_CHECKING:
    from specloom.config import RunFile, Use
    from specloom.node import Source, Trainer
    from specloom.plugins import Plugins

NODES, SOURCES, TRAINERS = ("nodes", "losses"), ("sources",), ("trainers",)


@dataclass(frozen=True)
class Parts:
    """What a run file describes."""

    graph: Graph
    source: Source | None
    phases: list[tuple[str, Trainer]]


def assemble(
    file: RunFile, problems: list[SpecloomError], plugins: Plugins, *, saved: bool = False
) -> Parts:
    """Make and check everything that a run file names; no pixel is read.

    Args:
        file: The run file.
        problems: What is wrong with its form, to be told together with the rest.
        plugins: Where names are looked up.
        saved: Whether it is a saved pipeline, which has no data and no phases.

    Raises:
        SpecloomError: Something is wrong; ``Problems`` where it is several things.
    """
    maker = _Maker(file, list(problems), plugins)
    source = maker.make(file.data, SOURCES)[1] if file.data else None
    nodes = {name: maker.make(use, NODES) for name, use in file.nodes.items()}
    phases = [maker.make(use, TRAINERS) for use in file.phases]
    top = file.document.value
    if isinstance(top, dict) and top.get("data") is None and not saved:
        maker.problems.append(
            ConfigError(
                "there is no data",
                where=file.document.where(),
                fix="add data: {type: …, config: {…}}",
            )
        )
    given = file.saved.get("batch", {}) if saved else maker.sizes(source, file)
    links = [
        Link(source, target, file.document.where("connections", i))
        for i, (source, target) in enumerate(file.connections)
    ]
    made = {name: node for name, (_, node) in nodes.items()}
    graph = Graph(
        made,
        links,
        batch=asked(made, links) if source is None else source.outputs,
        given=given,
        outputs=file.outputs,
        types={name: label for name, (label, _) in nodes.items()},
        stages={name: use.stages for name, use in file.nodes.items() if use.stages is not None},
        document=file.document,
        earlier=maker.problems,
    )
    found: list[SpecloomError] = []
    for use, (_, phase) in zip(file.phases, phases, strict=True):
        found += phase.check(graph, partial(maker.at, use))
    raise_all(found)
    return Parts(graph, source, phases)


class _Maker:
    def __init__(self, file: RunFile, problems: list[SpecloomError], plugins: Plugins) -> None:
        self.document, self.problems, self.plugins = file.document, problems, plugins

    def at(self, use: Use, parameter: str) -> str:
        inside = ("config", parameter) if parameter else ()
        return self.document.where(*use.keys, *inside)

    def make(self, use: Use, kinds: tuple[str, ...]) -> tuple[str, Any]:
        """The full name and an instance; None where it cannot be made, with the reasons noted."""
        place = partial(self.at, use)
        try:
            label, cls = self.plugins.find(use.type, kinds, self.document.where(*use.keys, "type"))
            good, problems = params.checked(cls, label, use.config, place)
            self.problems += problems
            needed = params.required(cls)
            return label, cls(**good) if needed <= good.keys() else None
        except Exception as e:
            self.problems.append(told(e, use.type, place("")))
        return use.type, None

    def sizes(self, source: Source | None, file: RunFile) -> Mapping[str, int]:
        if source is None or file.data is None:
            return {}
        try:
            return source.sizes()
        except Exception as e:
            self.problems.append(told(e, file.data.type, self.document.where("data")))
            return {}
