"""The Python builder: connect nodes by their ports, and save or load the result."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from specloom.contract.errors import GraphError, did_you_mean
from specloom.contract.nodes import Source, Trainable, missing_by_split
from specloom.contract.ports import Connection
from specloom.execution import saved_pipeline
from specloom.graph.graph import Graph
from specloom.plugins import Plugins
from specloom.runfile.form import METADATA
from specloom.runfile.names import BATCH, wrong_name


class Pipeline:
    """A graph in the making.

    ``pipeline.connect((normalizer.normalized, rx.data), (rx.scores, head.scores))`` adds the nodes
    and connects their ports.

    Args:
        name: The name of the pipeline.
        plugins: Where the classes of nodes are looked up when it is saved or loaded.
    """

    def __init__(self, name: str = "pipeline", plugins: Plugins | None = None) -> None:
        self.name, self.plugins = name, plugins
        self.nodes, self.links, self.outputs = (
            dict[str, Any](),
            list[Connection](),
            dict[str, str](),
        )
        self.stages: dict[str, tuple[str, ...]] = {}
        self._graph: Graph | None = None

    def add_node(self, node: Any, name: str = "") -> str:
        """Add a node, and give it a name if it has none; adding it again changes nothing.

        Raises:
            GraphError: Another node has that name.
        """
        if known := [name for name, one in self.nodes.items() if one is node]:
            return known[0]
        wish = name or getattr(node, "name", "")
        if wish in self.nodes:
            raise GraphError(f"there are two nodes named {wish!r}", fix="rename one of them")
        chosen = wish or self._free_name(type(node).__name__)
        if wrong_name("nodes", chosen):
            fix = f"use letters, digits and _, beginning with a letter, and not {BATCH!r}"
            raise GraphError(f"{chosen!r} is no name for a node", fix=fix)
        if hasattr(node, "name"):
            node.name = chosen
        self.nodes[chosen], self._graph = node, None
        return chosen

    def connect(self, *pairs: tuple[Any, Any]) -> None:
        """Connect outputs to inputs: ``(source.port, target.port)``.

        Raises:
            GraphError: An end is no port, or on the wrong side.
        """
        for source, target in pairs:
            for end, side in ((source, "outputs"), (target, "inputs")):
                if getattr(end, "side", "") != side:
                    what = f"{end} is none of a node's {side}, which belong here"
                    raise GraphError(what, fix="write (source.outputs.x, target.inputs.y)")
            ends = [f"{self.add_node(end.node)}.{end.port}" for end in (source, target)]
            self.links.append(Connection(*ends))
        self._graph = None

    def graph(self, source: Source | None = None) -> Graph:
        """The checked graph for batches of ``source``.

        Raises:
            GraphError: The graph cannot work; ``Problems`` where that has several reasons.
        """
        if source is None and self._graph and self._graph.outputs == self.outputs:
            return self._graph
        kept: dict[str, Any] = {"outputs": self.outputs, "stages": self.stages}
        if source:
            kept["missing_outputs"] = missing_by_split(source)
            kept |= {
                "batch": source.outputs,
                "batch_sizes": source.sizes(),
                "splits": source.splits(),
            }
        self._graph = Graph(self.nodes, self.links, **kept)
        return self._graph

    def unfreeze_nodes_by_name(self, names: Iterable[str]) -> None:
        """Unfreeze the named nodes for gradient training.

        Raises:
            GraphError: There is no such node, or it has nothing to train.
        """
        for node in list(self._trainable(names)):
            node.unfreeze()
            if not [*node.parameters()]:
                what = f"node {node.name!r} has nothing to train yet: its sizes are not known"
                raise GraphError(what, fix="call pipeline.graph(source) before")

    def freeze_nodes_by_name(self, names: Iterable[str]) -> None:
        """Freeze the named nodes again.

        Raises:
            GraphError: There is no such node, or it has nothing to train.
        """
        for node in list(self._trainable(names)):
            node.freeze()

    def serialize(self) -> dict[str, Any]:
        """The pipeline as a run file would hold it: nodes, connections and outputs."""
        return saved_pipeline.to_dict(self.graph(), self.plugins or Plugins())

    def save_to_file(self, path: str | Path, metadata: Any = None) -> None:
        """Write ``path`` (YAML) and the weights beside it, as ``execution/saved_pipeline.py`` does.

        Args:
            path: The YAML file; the weights get the same name with ``.safetensors``.
            metadata: A mapping or an object with name, description, tags and author.
        """
        given = metadata if isinstance(metadata, Mapping) else vars(metadata or object)
        about = {"name": self.name} | {key: given[key] for key in METADATA if given.get(key)}
        saved_pipeline.save(Path(path), self.graph(), about, self.plugins or Plugins())

    @classmethod
    def load(cls, path: str | Path, plugins: Plugins | None = None) -> Self:
        """A saved pipeline, with its fitted state.

        Raises:
            IntegrityError: The files are not what they say they are.
        """
        graph, metadata = saved_pipeline.load(Path(path), plugins)
        pipeline = cls(metadata.get("name", Path(path).stem), plugins)
        pipeline.links = [one for one in graph.connections if not graph.connections.is_implied(one)]
        pipeline.nodes, pipeline.outputs = dict(graph.nodes), dict(graph.outputs)
        pipeline.stages, pipeline._graph = dict(graph.stages), graph
        return pipeline

    def _trainable(self, names: Iterable[str]) -> Iterator[Any]:
        for name in names:
            if name not in self.nodes:
                raise GraphError(f"there is no node {name!r}", fix=did_you_mean(name, self.nodes))
            node = self.nodes[name]
            if not isinstance(node, Trainable) or not getattr(node, "trainable", True):
                raise GraphError(f"node {name!r} has nothing to train", fix=f"leave {name!r} out")
            yield node

    def _free_name(self, cls: str) -> str:
        """``RXGlobal`` as ``rx_global``, then ``rx_global_2``; ``IoULoss`` as ``iou_loss``."""
        import re

        base = re.sub(r"(?<=[a-z0-9]{2})(?=[A-Z])|(?<=\w)(?=[A-Z][a-z])", "_", cls).lower()
        names = [base, *(f"{base}_{i}" for i in range(2, len(self.nodes) + 3))]
        return next(name for name in names if name not in self.nodes)
