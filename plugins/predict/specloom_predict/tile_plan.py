"""How a graph can run on tiles of a scene: the margin they need, and what needs the whole image.

Nodes that see one pixel (``locality = "pixel"``) or its neighbourhood (``"halo"``) run on tiles
read with enough of a margin. Where a node needs the whole image, only its inputs are put together:
a quantile needs the map of scores, not the cube. A node that works strip by strip reads and writes
maps that may be larger than memory. What reads the outputs of either runs in another pass over the
tiles.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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

TILED = "tiled"
STRIPS = "strips"
WHOLE = "whole"
"""How a node runs: on tiles, on strips of rows that come twice, or on the whole image."""


@dataclass(frozen=True)
class TileStep:
    """One pass over the tiles of a scene, and the nodes that then need more than a tile.

    Args:
        made: The values that tiles make in this pass.
        read: The maps of earlier passes that they are made from.
        reads_scene: Whether the cube is read.
        margin: The pixels that a tile needs around it.
        strips: The nodes that then work strip by strip.
        whole_read: The values that nodes read which then run on the whole image.
        whole_made: The values that those nodes make for others.
    """

    made: list[str]
    read: list[str]
    reads_scene: bool
    margin: int
    strips: list[str]
    whole_read: list[str]
    whole_made: list[str]


@dataclass(frozen=True)
class TilePlan:
    """How the wanted values of a graph are made tile by tile.

    Args:
        steps: The passes over the tiles, in their order; with one at least.
        whole: The nodes that run once, on the whole image.
        whole_bytes: The values that are in memory as a whole, with their sizes in bytes.
        between: The maps that are neither wanted nor in memory as a whole.
    """

    steps: list[TileStep]
    whole: list[str]
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
    passes = _Passes(graph, sorted(set(want)))
    steps = passes.steps()
    stored = set[str]()
    in_memory = set[str]()
    for step in steps:
        stored.update(step.made, _outputs_of(graph, step.strips))
        in_memory.update(step.whole_read, step.whole_made)
    whole_bytes = {end: _map_bytes(graph, end, height, width) for end in sorted(in_memory)}
    whole = [name for name, kind in passes.kinds.items() if kind == WHOLE]
    return TilePlan(steps, whole, whole_bytes, stored.difference(passes.wanted, in_memory))


class _Passes:
    """How each node runs, and in which pass over the tiles.

    Nodes that work strip by strip, or on the whole image, run after the pass that makes their
    inputs, and what reads their outputs tile by tile runs in the next pass.

    Args:
        graph: The graph.
        wanted: The values that the caller wants.
    """

    def __init__(self, graph: Graph, wanted: Sequence[str]) -> None:
        self.graph = graph
        self.wanted = wanted
        self.kinds: dict[str, str] = {}
        self.numbers: dict[str, int] = {}
        needed = graph.ancestors(wanted)
        for name in graph.order:
            if name in needed:
                kind = self._kind(name)
                self.kinds[name] = kind
                self.numbers[name] = self._first_pass(name, kind)

    def steps(self) -> list[TileStep]:
        """The passes, in their order."""
        by_pass = self._stored()
        steps: list[TileStep] = []
        stored = set[str]()
        for number, ends in enumerate(by_pass):
            made = sorted(ends)
            running = self.graph.ancestors(made, provided=stored) & self.kinds.keys()
            read = _inputs_of(self.graph, running)
            strips = self._nodes(STRIPS, number)
            whole = self._nodes(WHOLE, number)
            whole_outputs = _outputs_of(self.graph, whole)
            whole_made = whole_outputs & self._needed_outside(whole)
            step = TileStep(
                made,
                read=sorted(read & stored),
                reads_scene=any(_node(end) == "batch" for end in {*read, *made}),
                margin=self._margin(made, running, stored),
                strips=strips,
                whole_read=sorted(_inputs_of(self.graph, whole) - whole_outputs),
                whole_made=sorted(whole_made),
            )
            steps.append(step)
            stored.update(made, _outputs_of(self.graph, strips), whole_made)
        return steps

    def _kind(self, name: str) -> str:
        """How a node runs.

        What a node of the whole image makes is stored only where it is one value a pixel; what
        reads anything else of it needs the whole image as well.
        """
        node = self.graph.nodes[name]
        for end in _inputs(self.graph, name):
            from_whole = self.kinds.get(_node(end)) == WHOLE
            if from_whole and not _is_thin(self.graph.port(end)):
                return WHOLE
        if getattr(node, "locality", "image") in ("pixel", "halo"):
            return TILED
        if isinstance(node, StripWise) and self._has_maps_only(name):
            return STRIPS
        return WHOLE

    def _first_pass(self, name: str, kind: str) -> int:
        """The first pass in which all inputs of a node are there."""
        first = 0
        for end in _inputs(self.graph, name):
            source = _node(end)
            source_kind = self.kinds.get(source, TILED)
            after = self.numbers.get(source, 0)
            both_whole = source_kind == WHOLE and kind == WHOLE
            if source_kind != TILED and not both_whole:
                after += 1
            first = max(first, after)
        return first

    def _nodes(self, kind: str, number: int) -> list[str]:
        """The nodes of one kind in one pass, in running order."""
        return [
            name
            for name, found in self.kinds.items()
            if found == kind and self.numbers[name] == number
        ]

    def _needed_outside(self, names: Collection[str]) -> set[str]:
        """The values that are wanted, or that other nodes read."""
        others = self.kinds.keys() - set(names)
        return _inputs_of(self.graph, others).union(self.wanted)

    def _has_maps_only(self, name: str) -> bool:
        ends = {*_inputs(self.graph, name), *_outputs_of(self.graph, [name])}
        return all(is_map(self.graph.port(end)) for end in ends)

    def _stored(self) -> list[set[str]]:
        """The values of tiles that are stored, by the pass that makes them."""
        stored: list[set[str]] = [set() for _ in range(max([0, *self.numbers.values()]) + 1)]
        ends = set(self.wanted)
        for name, kind in self.kinds.items():
            for end in _inputs(self.graph, name):
                # What has many bands takes less time to make again than to store.
                is_later = self.numbers[name] > self.numbers.get(_node(end), 0)
                is_read_later = is_later and _is_thin(self.graph.port(end))
                from_node = _node(end) in self.kinds
                if kind != TILED or (is_read_later and from_node):
                    ends.add(end)
        for end in ends:
            if self.kinds.get(_node(end), TILED) == TILED:
                stored[self.numbers.get(_node(end), 0)].add(end)
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


def reader_of_bands(graph: Graph, plan: TilePlan) -> tuple[str, str] | None:
    """The first node that needs a whole image of many bands, and that image; None without one.

    Tiles that are made elsewhere would then be about as large as the cube.
    """
    for name in plan.whole:
        for end in _inputs(graph, name):
            from_tiles = end in plan.steps[0].whole_read
            if from_tiles and is_map(graph.port(end)) and not _is_thin(graph.port(end)):
                return name, end
    return None


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


def _outputs_of(graph: Graph, names: Iterable[str]) -> set[str]:
    """The values ``node.port`` that nodes make for each batch."""
    found = set[str]()
    for name in names:
        for port, declared in graph.nodes[name].outputs.items():
            if not declared.per_stage:
                found.add(f"{name}.{port}")
    return found


def _inputs_of(graph: Graph, names: Iterable[str]) -> set[str]:
    """The values ``node.port`` that nodes read."""
    found = set[str]()
    for name in names:
        found.update(_inputs(graph, name))
    return found


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
