"""How a graph can run on tiles of a scene: the margin they need, and what needs the whole image.

Nodes that see one pixel (``locality = "pixel"``) or its neighbourhood (``"halo"``) run on tiles
read with enough of a margin. Where a node needs the whole image, only its inputs are put together:
a quantile needs the map of scores, not the cube. A node that works strip by strip reads and writes
maps that may be larger than memory; what reads its outputs runs in another pass over the tiles.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from specloom import Graph, NodeError, Port, StripWise

ITEM_BYTES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "uint16": 2,
    "float16": 2,
    "bfloat16": 2,
    "float64": 8,
    "int64": 8,
    "uint64": 8,
}
"""Bytes of a value by the type of its port; 4 for any other type."""


@dataclass(frozen=True)
class TileStep:
    """One pass over the tiles of a scene, and the nodes that then work strip by strip.

    Args:
        made: The values that tiles make in this pass.
        read: The maps of earlier passes that they are made from.
        reads_scene: Whether the cube is read.
        margin: The pixels that a tile needs around it.
        strips: The nodes that work strip by strip on what was made so far, in running order.
    """

    made: list[str]
    read: list[str]
    reads_scene: bool
    margin: int
    strips: list[str]


@dataclass(frozen=True)
class TilePlan:
    """How the wanted values of a graph are made tile by tile.

    Args:
        steps: The passes over the tiles, in their order; with one at least.
        whole: The nodes that run once, on the whole image.
        whole_inputs: The values that they read and do not make.
        whole_bytes: The values that are in memory as a whole, with their sizes in bytes.
        between: The maps that only later passes and nodes that work in strips read.
    """

    steps: list[TileStep]
    whole: list[str]
    whole_inputs: list[str]
    whole_bytes: Mapping[str, int]
    between: Collection[str]

    @property
    def tiled(self) -> list[str]:
        """The values that the tiles of the first pass make."""
        return self.steps[0].made

    @property
    def margin(self) -> int:
        """The pixels that a tile of the first pass needs around it."""
        return self.steps[0].margin


def plan_tiles(graph: Graph, want: Iterable[str], height: int, width: int) -> TilePlan:
    """Plan how values ``node.port`` are made from tiles of an image of ``height`` x ``width``."""
    wanted = sorted(set(want))
    passes = _Passes(graph, wanted)
    whole_inputs = set[str]()
    for name in passes.whole:
        whole_inputs.update(_inputs(graph, name))
    from_tiles = {end for end in whole_inputs if _node(end) not in passes.whole}
    from_whole = {end for end in wanted if _node(end) in passes.whole}
    in_memory = sorted(from_tiles | from_whole)
    whole_bytes = {end: _map_bytes(graph, end, height, width) for end in in_memory}
    steps = passes.steps(from_tiles.union(wanted) - from_whole)
    stored = set[str]()
    for step in steps:
        stored.update(step.made, *(_outputs(graph, name) for name in step.strips))
    between = stored.difference(wanted, from_tiles)
    return TilePlan(steps, passes.whole, sorted(from_tiles), whole_bytes, between)


class _Passes:
    """In which pass over the tiles each node runs.

    A node that works strip by strip runs after the pass that makes its inputs, and a node that
    reads its outputs in the next pass.

    Args:
        graph: The graph.
        wanted: The values that the caller wants.
    """

    def __init__(self, graph: Graph, wanted: Iterable[str]) -> None:
        self.graph = graph
        self.whole: list[str] = []
        self.tiled: dict[str, int] = {}
        self.strips: dict[str, int] = {}
        needed = graph.ancestors(wanted)
        for name in graph.order:
            if name in needed:
                self._add(name)

    def steps(self, needed: Collection[str]) -> list[TileStep]:
        """The passes that make ``needed``, which no node makes that needs the whole image."""
        by_pass = self._stored(needed)
        steps: list[TileStep] = []
        stored = set[str]()
        for number, ends in enumerate(by_pass):
            made = sorted(ends)
            running = self.graph.ancestors(made, provided=stored) & self.tiled.keys()
            read = set[str]()
            for name in running:
                read.update(_inputs(self.graph, name))
            strips = [name for name, at in self.strips.items() if at == number]
            reads_scene = any(_node(end) == "batch" for end in {*read, *made})
            margin = self._margin(made, running, stored)
            steps.append(TileStep(made, sorted(read & stored), reads_scene, margin, strips))
            stored.update(made, *(_outputs(self.graph, name) for name in strips))
        return steps

    def _add(self, name: str) -> None:
        node = self.graph.nodes[name]
        locality = getattr(node, "locality", "image")
        inputs = _inputs(self.graph, name)
        in_strips = isinstance(node, StripWise) and self._has_maps_only(name)
        if any(_node(end) in self.whole for end in inputs):
            self.whole.append(name)
        elif locality in ("pixel", "halo"):
            self.tiled[name] = self._first_pass(inputs)
        elif in_strips:
            self.strips[name] = self._first_pass(inputs)
        else:
            self.whole.append(name)

    def _first_pass(self, inputs: Iterable[str]) -> int:
        """The first pass in which all inputs are there."""
        first = 0
        for end in inputs:
            node = _node(end)
            if node in self.strips:
                first = max(first, self.strips[node] + 1)
            else:
                first = max(first, self.tiled.get(node, 0))
        return first

    def _has_maps_only(self, name: str) -> bool:
        ends = [*_inputs(self.graph, name), *_outputs(self.graph, name)]
        return all(is_map(self.graph.port(end)) for end in ends)

    def _stored(self, needed: Collection[str]) -> list[set[str]]:
        """The values of tiles that are stored, by the pass that makes them."""
        last = max([0, *self.tiled.values(), *self.strips.values()])
        stored: list[set[str]] = [set() for _ in range(last + 1)]
        ends = set(needed)
        for name in self.strips:
            ends.update(_inputs(self.graph, name))
        for name, at in self.tiled.items():
            for end in _inputs(self.graph, name):
                # What has many bands takes less time to make again than to store.
                if self.tiled.get(_node(end), at) < at and _is_thin(self.graph.port(end)):
                    ends.add(end)
        for end in ends:
            if _node(end) not in self.strips:
                stored[self.tiled.get(_node(end), 0)].add(end)
        return stored

    def _margin(
        self, made: Iterable[str], running: Collection[str], stored: Collection[str]
    ) -> int:
        """The margin that the values of one pass need."""
        margins: dict[str, int] = {}
        for name in self.graph.order:
            if name not in running:
                continue
            node = self.graph.nodes[name]
            halo = int(node.halo) if node.locality == "halo" else 0
            upstream = [_node(end) for end in _inputs(self.graph, name) if end not in stored]
            margins[name] = halo + max((margins.get(node, 0) for node in upstream), default=0)
        return max((margins.get(_node(end), 0) for end in made), default=0)


def check_memory(graph: Graph, plan: TilePlan, height: int, width: int, memory: int) -> None:
    """Accept a plan whose whole-image values fit into ``memory`` bytes.

    Raises:
        NodeError: They do not; nothing has run yet.
    """
    total = sum(plan.whole_bytes.values())
    if total <= memory:
        return
    name = plan.whole[0]
    largest_first = sorted(plan.whole_bytes, key=lambda end: -plan.whole_bytes[end])
    listed = ", ".join(f"{end} {_size_text(plan.whole_bytes[end])}" for end in largest_first)
    raise NodeError(
        f"{graph.label(name)} needs the whole image: {height} x {width} pixels take "
        f"{_size_text(total)} of memory ({listed}), more than the {_size_text(memory)} allowed",
        where=graph.where("nodes", name),
        fix="allow more memory, cut the scene into cubes.Blocks, or use nodes that see one pixel",
    )


def is_map(port: Port) -> bool:
    """Whether the values of a port lie on the image: (B, H, W, …)."""
    return port.names[1:3] == ("H", "W")


def _is_thin(port: Port) -> bool:
    """Whether a map has one value for each pixel."""
    return is_map(port) and port.names[3:] in ((), ("1",))


def _outputs(graph: Graph, name: str) -> list[str]:
    """The values ``node.port`` that a node makes for each batch."""
    ports = graph.nodes[name].outputs.items()
    return [f"{name}.{port}" for port, declared in ports if not declared.per_stage]


def _node(end: str) -> str:
    return end.partition(".")[0]


def _inputs(graph: Graph, name: str) -> list[str]:
    """The values ``node.port`` that a node reads."""
    return list(chain.from_iterable(graph.incoming(name).values()))


def _map_bytes(graph: Graph, end: str, height: int, width: int) -> int:
    """The memory of a whole map, as far as the graph knows its sizes; 0 of what is no map."""
    port = graph.port(end)
    if not is_map(port):
        return 0
    sizes = {axis: inferred.size for axis, inferred in graph.inferred_sizes[_node(end)].items()}
    sizes |= {"B": 1, "H": height, "W": width}
    count = 1
    for axis in port.names:
        fixed = int(axis) if axis.isdigit() else 1
        count *= sizes.get(axis, fixed)
    return ITEM_BYTES.get(port.dtype, 4) * count


def _size_text(size: int) -> str:
    if size < 1e6:
        return f"{size / 1e3:.0f} kB"
    if size < 1e9:
        return f"{size / 1e6:.0f} MB"
    return f"{size / 1e9:.2f} GB"
