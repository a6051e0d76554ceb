"""Scenes larger than memory: run a graph tile by tile, with results equal to the untiled ones."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from specloom_predict.tiling import check_memory, is_map, tiling

if TYPE_CHECKING:
    from specloom import Batch, Graph, Run

TILE_BYTES = 1 << 24
"""Of the cube, in one tile: the nodes' own arrays come on top, several times as much."""

Part: TypeAlias = tuple[slice, slice]
"""Rows and columns."""

Allocate: TypeAlias = Callable[[str, tuple[int, ...], np.dtype[Any]], NDArray[Any]]
"""Makes the array for a wanted value: its name, shape and element type."""


class Windowed(Protocol):
    """A scene of which parts can be read."""

    def window(self, rows: slice, cols: slice) -> Batch:
        """The part in some rows and columns, as a batch of one."""


def run_tiled(
    run: Run,
    scene: Windowed,
    size: tuple[int, int],
    want: Iterable[str],
    memory: int | None = None,
    allocate: Allocate | None = None,
    tile_bytes: int = TILE_BYTES,
) -> dict[str, Any]:
    """The wanted values of one scene, equal to those of the untiled scene bit for bit.

    Args:
        run: The run; its graph is run in the stage ``predict``.
        scene: Where tiles are read.
        size: Rows and columns of the scene.
        want: Values as ``node.port``; maps come as arrays (1, H, W, …), others as one tile's.
        memory: Bytes that whole-image values may take; by default half of what is free.
        allocate: Makes the array for each wanted map; by default in memory.
        tile_bytes: Bytes of the cube in one tile.

    Raises:
        NodeError: A node needs the whole image, and that would take more than ``memory``.
    """
    graph, wanted = run.graph, sorted(set(want))
    plan = tiling(graph, wanted, *size)
    check_memory(graph, plan, *size, _free_bytes() // 2 if memory is None else memory)
    found: dict[str, Any] = {}
    with run.inference():
        compiled = run.plan("predict", [end for end in plan.tiled if end[:6] != "batch."])
        tiles = list(_tiles(graph, scene, size, plan.margin, tile_bytes))
        run.hook.progress(run=run, what="tiles", done=0, total=len(tiles))
        for done, (inner, outer) in enumerate(tiles, start=1):
            batch = run.runtime.adopt(scene.window(*outer), graph.batch)
            values = {f"batch.{name}": one for name, one in batch.items()} | compiled(batch)
            for end in plan.tiled:
                make = allocate if end in wanted else None
                _place(found, end, graph, values.get(end), size, inner, outer, make)
            run.hook.progress(run=run, what="tiles", done=done, total=len(tiles))
        rest = [end for end in wanted if end not in found]
        if rest:
            given = run.runtime.adopt({**found}, {end: graph.port(end) for end in found})
            last = run.plan("predict", rest, provided=found)
            for end, value in last({**_of_batch(given), **given}).items():
                everything = (slice(0, size[0]), slice(0, size[1]))
                _place(found, end, graph, value, size, everything, everything, allocate)
    return {end: found[end] for end in wanted}


def _of_batch(values: Mapping[str, Any]) -> dict[str, Any]:
    return {end.partition(".")[2]: one for end, one in values.items() if end[:6] == "batch."}


def _place(
    found: dict[str, Any],
    end: str,
    graph: Graph,
    value: Any,
    size: tuple[int, int],
    inner: Part,
    outer: Part,
    allocate: Allocate | None,
) -> None:
    """Put what one tile made into its place of the whole map."""
    if value is None or not is_map(graph.port(end)):
        found.setdefault(end, value)
        return
    part = np.asarray(value.cpu() if hasattr(value, "cpu") else value)
    if end not in found:
        shape = (1, *size, *part.shape[3:])
        found[end] = allocate(end, shape, part.dtype) if allocate else np.empty(shape, part.dtype)
    crop = tuple(
        slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True)
    )
    found[end][:, inner[0], inner[1]] = part[:, crop[0], crop[1]]


def _tiles(
    graph: Graph, scene: Windowed, size: tuple[int, int], margin: int, tile_bytes: int
) -> Iterator[tuple[Part, Part]]:
    """Tiles of whole rows if these fit, each without and with its margin."""
    height, width = size
    pixel = scene.window(slice(0, 1), slice(0, 1))["cube"].nbytes
    columns = max(1, min(width, tile_bytes // pixel))
    rows = max(1, min(height, tile_bytes // (pixel * columns)))
    if columns < width and rows < 64 + 2 * margin:  # narrow strips would be all margin
        side = max(1, math.isqrt(tile_bytes // pixel))
        rows, columns = min(height, side), min(width, side)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            inner = (slice(top, min(top + rows, height)), slice(left, min(left + columns, width)))
            yield inner, (_grown(inner[0], margin, height), _grown(inner[1], margin, width))


def _grown(part: slice, margin: int, size: int) -> slice:
    return slice(max(part.start - margin, 0), min(part.stop + margin, size))


def _free_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
