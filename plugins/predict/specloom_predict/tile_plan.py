"""How a graph can run on tiles of a scene: the margin they need, and what needs the whole image.

Nodes that see one pixel (``locality = "pixel"``) or its neighbourhood (``"halo"``) run on tiles
read with enough of a margin. Where a node needs the whole image, only its inputs are put together:
a quantile needs the map of scores, not the cube.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from specloom import Graph, NodeError, Port

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
class TilePlan:
    """How the wanted values of a graph are made tile by tile.

    Args:
        tiled: The values that tiles make: wanted ones, and inputs of nodes that need the whole
            image.
        margin: The pixels that a tile needs around it.
        whole: The nodes that run once, on the whole image.
        whole_bytes: The values that are in memory as a whole, with their sizes in bytes.
    """

    tiled: list[str]
    margin: int
    whole: list[str]
    whole_bytes: Mapping[str, int]


def plan_tiles(graph: Graph, want: Iterable[str], height: int, width: int) -> TilePlan:
    """Plan how values ``node.port`` are made from tiles of an image of ``height`` x ``width``."""
    wanted = sorted(set(want))
    margins, whole = _margins(graph, wanted)
    whole_inputs = set[str]()
    for name in whole:
        whole_inputs.update(_inputs(graph, name))
    from_tiles = {end for end in whole_inputs if _node(end) not in whole}
    from_whole = {end for end in wanted if _node(end) in whole}
    in_memory = sorted(from_tiles | from_whole)
    whole_bytes = {end: _map_bytes(graph, end, height, width) for end in in_memory}
    tiled = sorted(from_tiles.union(wanted) - from_whole)
    margin = max((margins.get(_node(end), 0) for end in tiled), default=0)
    return TilePlan(tiled, margin, whole, whole_bytes)


def _margins(graph: Graph, wanted: Iterable[str]) -> tuple[dict[str, int], list[str]]:
    """The margin of each node that runs on tiles, and the nodes that need the whole image."""
    needed = graph.ancestors(wanted)
    margins: dict[str, int] = {}
    whole: list[str] = []
    for name in graph.order:
        if name not in needed:
            continue
        locality = getattr(graph.nodes[name], "locality", "image")
        upstream = {_node(end) for end in _inputs(graph, name)}
        if locality not in ("pixel", "halo") or upstream & set(whole):
            whole.append(name)
            continue
        halo = int(graph.nodes[name].halo) if locality == "halo" else 0
        margins[name] = halo + max((margins.get(node, 0) for node in upstream), default=0)
    return margins, whole


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
