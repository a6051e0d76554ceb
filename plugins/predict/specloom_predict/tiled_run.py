"""Scenes larger than memory: run a graph tile by tile, with results equal to the untiled ones."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from specloom_predict.tile_plan import (
    TilePlan,
    TileStep,
    check_memory,
    is_map,
    plan_tiles,
    reader_of_bands,
)

if TYPE_CHECKING:
    from specloom import Batch, Graph, Run

TILE_BYTES = 1 << 24
"""The size of a tile of the cube; the arrays of the nodes take several times as much besides."""

MIN_ROWS = 64
"""Strips of fewer rows than this, margins apart, would be read mostly for their margins."""

STRIP_PIXELS = 1 << 20
"""Pixels of a strip, for nodes that work on strips of rows."""

Part: TypeAlias = tuple[slice, slice]
"""Rows and columns."""

Allocate: TypeAlias = Callable[[str, tuple[int, ...], np.dtype[Any]], NDArray[Any]]
"""Makes the array for a wanted value, from its name, shape and element type."""


Compiled: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""The graph as it runs on one tile after another."""


class Windowed(Protocol):
    """A scene of which parts can be read."""

    def window(self, rows: slice, cols: slice) -> Batch:
        """The part in some rows and columns, as a batch of one."""


class Tile(NamedTuple):
    """A part of a scene.

    Args:
        inner: The rows and columns whose values are taken.
        outer: The rows and columns that are read: the inner ones with a margin.
    """

    inner: Part
    outer: Part


class MadeTiles(Protocol):
    """What other processes made of the tiles of a scene in the first pass."""

    def read(self, number: int, tile: Tile) -> Mapping[str, NDArray[Any]]:
        """The maps of a tile without its margin, by ``node.port``."""


class FirstPass:
    """The first pass over the tiles of a scene, of which any process can make any tile.

    Args:
        run: The run; its graph is run in the stage ``predict``.
        scene: Where tiles are read.
        size: Rows and columns of the scene.
        want: Values as ``node.port``.
        memory: Bytes that whole-image values may take; by default half of what is free.
        tile_bytes: Bytes of the cube in one tile.

    Raises:
        NodeError: A node needs the whole image, and that would take more than ``memory``.
    """

    def __init__(
        self,
        run: Run,
        scene: Windowed,
        size: tuple[int, int],
        want: Iterable[str],
        memory: int | None = None,
        tile_bytes: int = TILE_BYTES,
    ) -> None:
        self._run = run
        self._scene = scene
        plan = _plan_within(run, size, sorted(set(want)), memory)
        self._step = plan.steps[0]
        #: The tiles, in the order in which one process makes them.
        self.tiles: list[Tile] = []
        if self._step.made:
            self.tiles = list(_tiles(scene, size, self._step.margin, tile_bytes))
        #: The node that needs a whole image of many bands, and that image; None without one.
        self.reader_of_bands = reader_of_bands(run.graph, plan)

    def make(self, number: int) -> dict[str, NDArray[Any]]:
        """The maps of a tile without its margin, by ``node.port``."""
        tile = self.tiles[number]
        with self._run.inference():
            made = _make_tile(self._run, self._compiled, self._scene, self._step, tile.outer, {})
        found = {}
        for end in self._step.made:
            value = made.get(end)
            if value is not None and is_map(self._run.graph.port(end)):
                found[end] = _without_margin(to_array(value), tile)
        return found

    @cached_property
    def _compiled(self) -> Compiled:
        return _compile(self._run, self._step)


def run_tiled(
    run: Run,
    scene: Windowed,
    size: tuple[int, int],
    want: Iterable[str],
    memory: int | None = None,
    allocate: Allocate | None = None,
    tile_bytes: int = TILE_BYTES,
    made_tiles: MadeTiles | None = None,
) -> dict[str, Any]:
    """The wanted values of one scene, equal to those of the untiled scene bit for bit.

    Args:
        run: The run; its graph is run in the stage ``predict``.
        scene: Where tiles are read.
        size: Rows and columns of the scene.
        want: Values as ``node.port``; maps come as arrays (1, H, W, …), others as one tile's.
        memory: Bytes that whole-image values may take; by default half of what is free.
        allocate: Makes the array for each wanted map, and for each map that only nodes read which
            work on tiles or strips of it; by default in memory.
        tile_bytes: Bytes of the cube in one tile.
        made_tiles: The tiles of the first pass but for its first one, which is made here in any
            case: nodes may store something of the cube.

    Raises:
        NodeError: A node needs the whole image, and that would take more than ``memory``.
    """
    wanted = sorted(set(want))
    plan = _plan_within(run, size, wanted, memory)
    values = _Values(run.graph, size, wanted, allocate, plan.between)
    with run.inference():
        for number, step in enumerate(plan.steps):
            made_before = made_tiles if number == 0 else None
            _run_tiles(run, scene, step, values, tile_bytes, made_before)
            for name in step.strips:
                _run_strips(run, name, values)
            _run_whole(run, step, values)
    return {end: values.found[end] for end in wanted}


def _plan_within(
    run: Run, size: tuple[int, int], wanted: Sequence[str], memory: int | None
) -> TilePlan:
    """How wanted values are made from tiles, within some bytes of memory.

    Raises:
        NodeError: A node needs the whole image, and that would take more.
    """
    plan = plan_tiles(run.graph, wanted, *size)
    limit = _free_bytes() // 2 if memory is None else memory
    check_memory(run.graph, plan, *size, limit)
    return plan


class _Values:
    """The values of a whole scene, put together from those of its tiles.

    Args:
        graph: The graph that makes them.
        size: Rows and columns of the scene.
        wanted: The values that the caller wants.
        allocate: Makes the array for each wanted map and those between; by default in memory.
        between: The maps that only nodes read which work on tiles or strips.
    """

    def __init__(
        self,
        graph: Graph,
        size: tuple[int, int],
        wanted: list[str],
        allocate: Allocate | None,
        between: Collection[str],
    ) -> None:
        self.graph = graph
        self.size = size
        self.allocate = allocate
        self.allocated = {*wanted, *between}
        self.found: dict[str, Any] = {}

    def place(self, end: str, value: Any, tile: Tile) -> None:
        """Put what one tile made into its place of the whole map."""
        if value is None or not is_map(self.graph.port(end)):
            self.found.setdefault(end, value)
            return
        self.place_map(end, _without_margin(to_array(value), tile), tile)

    def place_map(self, end: str, part: NDArray[Any], tile: Tile) -> None:
        """Put a map of one tile, without its margin, into its place of the whole map."""
        if end not in self.found:
            self.found[end] = self._empty(end, (1, *self.size, *part.shape[3:]), part.dtype)
        rows, columns = tile.inner
        self.found[end][:, rows, columns] = part

    def part(self, end: str, part: Part) -> NDArray[Any] | None:
        """A part of a map; None where the cube does not have it."""
        value = self.found[end]
        if value is None:
            return None
        rows, columns = part
        return np.ascontiguousarray(value[:, rows, columns])

    def _empty(self, end: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        if self.allocate is None or end not in self.allocated:
            return np.empty(shape, dtype)
        return self.allocate(end, shape, dtype)


def to_array(value: Any) -> NDArray[Any]:
    """A value as an array of this machine's memory."""
    if hasattr(value, "cpu"):
        value = value.cpu()
    return np.asarray(value)


def _run_tiles(
    run: Run,
    scene: Windowed,
    step: TileStep,
    values: _Values,
    tile_bytes: int,
    made_before: MadeTiles | None,
) -> None:
    """Run the graph on each tile, as far as tiles suffice.

    Args:
        run: The run.
        scene: Where tiles are read.
        step: The pass over the tiles.
        values: Where their values go.
        tile_bytes: Bytes of the cube in one tile.
        made_before: The tiles that are made already, all but the first; None for none.
    """
    if not step.made:
        return
    compiled = _compile(run, step)
    tiles = list(_tiles(scene, values.size, step.margin, tile_bytes))
    run.hook.progress(run=run, what="tiles", done=0, total=len(tiles))
    for number, tile in enumerate(tiles):
        if made_before is not None and number > 0:
            for end, part in made_before.read(number, tile).items():
                values.place_map(end, part, tile)
        else:
            parts = _parts(run, step.read, values, tile.outer)
            made = _make_tile(run, compiled, scene, step, tile.outer, parts)
            for end in step.made:
                values.place(end, made.get(end), tile)
        run.hook.progress(run=run, what="tiles", done=number + 1, total=len(tiles))


def _compile(run: Run, step: TileStep) -> Compiled:
    """The graph as it runs on each tile of a pass."""
    from_nodes = [end for end in step.made if not end.startswith("batch.")]
    return run.plan("predict", from_nodes, provided=step.read)


def _make_tile(
    run: Run,
    compiled: Compiled,
    scene: Windowed,
    step: TileStep,
    outer: Part,
    parts: Mapping[str, Any],
) -> dict[str, Any]:
    """The values of one tile, with its margin.

    Args:
        run: The run.
        compiled: The graph as it runs on each tile.
        scene: Where the tile is read.
        step: The pass over the tiles.
        outer: The rows and columns that are read.
        parts: These of the maps of earlier passes.
    """
    batch: dict[str, Any] = {}
    if step.reads_scene:
        batch.update(run.runtime.adopt(scene.window(*outer), run.graph.batch))
    made = {f"batch.{name}": value for name, value in batch.items()}
    made.update(compiled({**batch, **parts}))
    return made


def _without_margin(part: NDArray[Any], tile: Tile) -> NDArray[Any]:
    """A map of a tile, cut to the rows and columns whose values are taken."""
    rows, columns = map(_within, tile.inner, tile.outer)
    return part[:, rows, columns]


def _parts(run: Run, ends: Iterable[str], values: _Values, part: Part) -> Mapping[str, Any]:
    """A part of each of some maps, as the nodes' arrays."""
    found = {end: values.part(end, part) for end in ends}
    ports = {end: run.graph.port(end) for end in found}
    return run.runtime.adopt(found, ports)


def _run_strips(run: Run, name: str, values: _Values) -> None:
    """Run a node on strips of rows, which come twice, from the top."""
    node = run.graph.nodes[name]
    height, width = values.size
    rows = max(1, STRIP_PIXELS // width)
    parts: list[Part] = []
    for top in range(0, height, rows):
        parts.append((slice(top, min(top + rows, height)), slice(0, width)))
    passes = node.strip_passes()
    what = f"strips of {name}"
    run.hook.progress(run=run, what=what, done=0, total=2 * len(parts))
    for done, part in enumerate(parts, start=1):
        passes.scan(**_strip(run, name, values, part))
        run.hook.progress(run=run, what=what, done=done, total=2 * len(parts))
    passes.join()
    for done, part in enumerate(parts, start=len(parts) + 1):
        for port, value in passes.apply(**_strip(run, name, values, part)).items():
            values.place(f"{name}.{port}", value, Tile(part, part))
        run.hook.progress(run=run, what=what, done=done, total=2 * len(parts))


def _strip(run: Run, name: str, values: _Values, part: Part) -> dict[str, Any]:
    """The inputs of a node for a part of the image, in the node's array library."""
    node = run.graph.nodes[name]
    ends = run.graph.incoming(name)
    read = list(chain.from_iterable(ends.values()))
    if getattr(node, "array_library", "torch") == "numpy":
        parts: Mapping[str, Any] = {end: values.part(end, part) for end in read}
    else:
        parts = _parts(run, read, values, part)
    inputs: dict[str, Any] = {}
    for port, sources in ends.items():
        arrays = [parts[end] for end in sources]
        inputs[port] = arrays if node.inputs[port].many else arrays[0]
    return inputs


def _run_whole(run: Run, step: TileStep, values: _Values) -> None:
    """Run the nodes that need the whole image on the values that were made so far."""
    if not step.whole_made:
        return
    found = {end: values.found[end] for end in step.whole_read}
    ports = {end: run.graph.port(end) for end in found}
    provided = run.runtime.adopt(found, ports)
    compiled = run.plan("predict", step.whole_made, provided=found)
    everything: Part = (slice(0, values.size[0]), slice(0, values.size[1]))
    for end, value in compiled({**_batch_values(provided), **provided}).items():
        values.place(end, value, Tile(everything, everything))


def _batch_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the batch, under their names within it."""
    batch = {}
    for end, value in values.items():
        node, _, name = end.partition(".")
        if node == "batch":
            batch[name] = value
    return batch


def _tiles(scene: Windowed, size: tuple[int, int], margin: int, tile_bytes: int) -> Iterator[Tile]:
    """Tiles of whole rows if these fit, of squares otherwise."""
    height, width = size
    pixel_bytes = scene.window(slice(0, 1), slice(0, 1))["cube"].nbytes
    tile_rows, tile_columns = _tile_size(size, pixel_bytes, margin, tile_bytes)
    for top in range(0, height, tile_rows):
        rows = slice(top, min(top + tile_rows, height))
        for left in range(0, width, tile_columns):
            columns = slice(left, min(left + tile_columns, width))
            outer = (_grown(rows, margin, height), _grown(columns, margin, width))
            yield Tile((rows, columns), outer)


def _tile_size(
    size: tuple[int, int], pixel_bytes: int, margin: int, tile_bytes: int
) -> tuple[int, int]:
    """Rows and columns of a tile without its margin."""
    height, width = size
    columns = max(1, min(width, tile_bytes // pixel_bytes))
    rows = max(1, min(height, tile_bytes // (pixel_bytes * columns)))
    if columns < width and rows < MIN_ROWS + 2 * margin:
        side = max(1, math.isqrt(tile_bytes // pixel_bytes))
        return min(height, side), min(width, side)
    return rows, columns


def _grown(part: slice, margin: int, size: int) -> slice:
    return slice(max(part.start - margin, 0), min(part.stop + margin, size))


def _within(inner: slice, outer: slice) -> slice:
    """A part of an axis, counted from the beginning of a larger part."""
    return slice(inner.start - outer.start, inner.stop - outer.start)


def _free_bytes() -> int:
    """The memory that is free; all of the machine's where the system does not say so (macOS)."""
    name = "SC_AVPHYS_PAGES"
    if name not in os.sysconf_names:
        name = "SC_PHYS_PAGES"
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
