"""From a run file to objects: the data source, the graph, the phases; every problem is told."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from specloom import params
from specloom.errors import SpecloomError, raise_all
from specloom.graph import Graph
from specloom.ports import Link
from specloom.wiring import told

if TYPE_CHECKING:
    from specloom.config import RunFile, Use
    from specloom.node import Source, Trainer
    from specloom.plugins import Plugins


@dataclass(frozen=True)
class Parts:
    """What a run file describes."""

    graph: Graph
    source: Source | None
    phases: list[tuple[str, Trainer]]


def assemble(file: RunFile, problems: list[SpecloomError], plugins: Plugins) -> Parts:
    """Make and check everything that a run file names; no pixel is read.

    Args:
        file: The run file.
        problems: What is wrong with its form, to be told together with the rest.
        plugins: Where names are looked up.

    Raises:
        SpecloomError: Something is wrong; ``Problems`` where it is several things.
    """
    maker = _Maker(file, plugins, list(problems))
    where = file.document.where
    label, source = maker.make(file.data, "sources")
    given = file.batch
    try:
        given = given if source is None else source.sizes()
    except Exception as e:
        maker.problems.append(told(e, label, where("data")))
    nodes = {name: maker.make(use, "nodes", "losses") for name, use in file.nodes.items()}
    made = {name: node for name, (_, node) in nodes.items()}
    phases = [maker.make(use, "trainers") for use in file.phases]
    pairs = enumerate(file.connections)
    links = [Link(start, end, where("connections", i)) for i, (start, end) in pairs]
    graph = Graph(
        made,
        links,
        batch=None if source is None else source.outputs,
        given=given,
        outputs=file.outputs,
        types={name: label for name, (label, _) in nodes.items()},
        stages={n: tuple(use.stages) for n, use in file.nodes.items() if use.stages is not None},
        document=file.document,
        earlier=maker.problems,
    )
    both = zip(file.phases, phases, strict=True)
    raise_all([error for use, (_, one) in both for error in one.check(graph, maker.place(use))])
    return Parts(graph, source, phases)


@dataclass
class _Maker:
    file: RunFile
    plugins: Plugins
    problems: list[SpecloomError]

    def place(self, use: Use) -> partial[str]:
        return partial(self.file.document.where, *use.keys, "config")

    def make(self, use: Use, *kinds: str) -> tuple[str, Any]:
        """The full name and an instance; None where it cannot be made, with the reasons noted."""
        if not use.type:
            return "", None
        where = self.file.document.where
        try:
            label, cls = self.plugins.find(use.type, kinds, where(*use.keys, "type"))
            good, problems = params.checked(cls, label, use.config, self.place(use))
            self.problems += problems
            return label, cls(**good) if params.required(cls) <= good.keys() else None
        except Exception as e:
            self.problems.append(told(e, use.type, where(*use.keys)))
        return use.type, None
