"""How a graph can run on tiles of a scene: the margin they need, and what needs the whole image.

Nodes that see one pixel (``locality = "pixel"``) or its neighbourhood (``"halo"``) run on tiles
read with enough of a margin. Where a node needs the whole image, only what reaches it is put
together: a quantile needs the map of scores, not the cube.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from specloom import Graph, NodeError, Port

LIKELY_BYTES = {"bool": 1, "uint8": 1, "int8": 1, "int16": 2, "uint16": 2, "float16": 2}
LIKELY_BYTES |= {"bfloat16": 2, "float64": 8, "int64": 8, "uint64": 8}


@dataclass(frozen=True)
class Tiling:
    """How the wanted values of a graph are made tile by tile.

    Args:
        tiled: The values that tiles make: wanted ones, and those that whole-image nodes read.
        margin: The pixels that a tile needs around it.
        whole: The nodes that run once, on the whole image.
        kept: What has to be in memory as a whole, in bytes by value.
    """

    tiled: list[str]
    margin: int
    whole: list[str]
    kept: Mapping[str, int]


def tiling(graph: Graph, want: Iterable[str], height: int, width: int) -> Tiling:
    """Find out what of ``want`` can be made from tiles of an image of ``height`` x ``width``."""
    wanted = sorted(set(want))
    needed = graph.ancestors(wanted)
    margins: dict[str, int] = {}
    whole: list[str] = []
    for name in (name for name in graph.order if name in needed):
        locality = getattr(graph.nodes[name], "locality", "image")
        givers = {end.partition(".")[0] for end in _read(graph, name)}
        if locality in ("pixel", "halo") and not givers & {*whole}:
            own = int(graph.nodes[name].halo) if locality == "halo" else 0
            margins[name] = own + max((margins.get(upstream, 0) for upstream in givers), default=0)
        else:
            whole.append(name)
    crossing = {end for name in whole for end in _read(graph, name)}
    crossing = {end for end in crossing if end.partition(".")[0] not in whole}
    made = {end for end in wanted if end.partition(".")[0] in whole}
    kept = {end: _bytes(graph, end, height, width) for end in sorted(crossing | made)}
    tiled = sorted(crossing.union(wanted) - made)
    margin = max((margins.get(end.partition(".")[0], 0) for end in tiled), default=0)
    return Tiling(tiled, margin, whole, kept)


def check_memory(graph: Graph, plan: Tiling, height: int, width: int, memory: int) -> None:
    """Accept a tiling whose whole-image values fit into ``memory`` bytes.

    Raises:
        NodeError: They do not; nothing has run yet.
    """
    if (total := sum(plan.kept.values())) <= memory:
        return
    name, several = plan.whole[0], sorted(plan.kept, key=lambda end: -plan.kept[end])
    listed = ", ".join(f"{end} {_shown(plan.kept[end])}" for end in several)
    raise NodeError(
        f"{graph.label(name)} needs the whole image: {height} x {width} pixels take "
        f"{_shown(total)} of memory ({listed}), more than the {_shown(memory)} allowed",
        where=graph.where("nodes", name),
        fix="allow more memory, cut the scene into cubes.Blocks, or use nodes that see one pixel",
    )


def _read(graph: Graph, name: str) -> list[str]:
    return [end for ends in graph.incoming(name).values() for end in ends]


def is_map(port: Port) -> bool:
    """Whether a port's values lie on the image: (B, H, W, …)."""
    return port.names[1:3] == ("H", "W")


def _bytes(graph: Graph, end: str, height: int, width: int) -> int:
    """The memory of a whole map, as far as the graph knows its sizes; 0 of what is no map."""
    port = graph.port(end)
    if not is_map(port):
        return 0
    name, sizes = end.partition(".")[0], {"B": 1, "H": height, "W": width}
    known = {axis: one.size for axis, one in graph.inferred_sizes[name].items()}
    item = LIKELY_BYTES.get(port.dtype, 4)
    axes = ({**known, **sizes}.get(a, int(a) if a.isdigit() else 1) for a in port.names)
    return item * math.prod(axes)


def _shown(size: int) -> str:
    if size < 1e6:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
