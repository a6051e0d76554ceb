"""Large images, whose windows of rows are fitted and evaluated one after another."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from specloom import LazyAffine, LazyLinear, UnavailableError
from specloom_statistics import rows_per_block, sample_positions

if TYPE_CHECKING:
    from specloom import Batch, Graph, Port

PART_VALUES = 1 << 22
"""The values of a part of the pixels that a fit takes at a time."""

SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
"""The type of the same size, for types of which torch cannot set single elements."""

Arguments = Mapping[str, Any]


def is_map(port: Port) -> bool:
    """Whether the values of a port lie on the image: (B, H, W, …)."""
    return port.names[1:3] == ("H", "W")


class PixelParts:
    """Pixels of one batch, cut into parts whose borders follow from the batch alone.

    Wherever windows end, the parts are the same, so that no sum over them has other digits.

    Args:
        maps: The arguments that have a value for each pixel.
    """

    def __init__(self, maps: Collection[str]) -> None:
        self._maps = maps
        self._waiting: list[Arguments] = []
        self._waiting_rows = 0

    def add(self, arguments: Arguments, rows: slice | None = None) -> Iterator[Arguments]:
        """The parts that are complete with these pixels, the next ones of their image."""
        flat = {name: self._flat(name, value) for name, value in arguments.items()}
        widest = max(_columns(flat[name]) for name in flat if name in self._maps)
        first = next(_data(flat[name]) for name in flat if name in self._maps)
        size = part_rows(widest, first.device)
        start = 0
        while start < len(first):
            stop = min(start + size - self._waiting_rows, len(first))
            self._waiting.append(self._select(flat, slice(start, stop)))
            self._waiting_rows += stop - start
            start = stop
            if self._waiting_rows == size:
                yield from self.rest()

    def rest(self) -> Iterator[Arguments]:
        """What has come since the last part."""
        waiting = self._waiting
        self._waiting = []
        self._waiting_rows = 0
        if waiting:
            part = {}
            for name in waiting[0]:
                part[name] = self._joined(name, [one[name] for one in waiting])
            yield part

    def _flat(self, name: str, value: Any) -> Any:
        if name not in self._maps:
            return value
        return _with_data(value, lambda data: data.reshape(-1, *data.shape[3:]))

    def _select(self, flat: Arguments, rows: slice) -> Arguments:
        found = {}
        for name, value in flat.items():
            found[name] = value
            if name in self._maps:
                found[name] = _with_data(value, lambda data: data[rows])
        return found

    def _joined(self, name: str, values: list[Any]) -> Any:
        """Several values as one, (1, 1, N, …)."""
        first = values[0]
        if name not in self._maps:
            return first
        data = _data(first)
        if len(values) > 1:
            data = torch.cat([_data(value) for value in values])
        return _with_data(first, lambda _: data[None, None])


class WholeImage:
    """The windows of an image, put together.

    Args:
        maps: The arguments that have a value for each pixel.
        height: The rows of the image.
    """

    def __init__(self, maps: Collection[str], height: int) -> None:
        self._maps = maps
        self._height = height
        #: The arguments of the whole image, after the last window.
        self.arguments: dict[str, Any] = {}

    def add(self, arguments: Arguments, rows: slice) -> Iterable[Arguments]:
        """Take in a window, with which no part is complete."""
        for name, value in arguments.items():
            if name not in self._maps:
                self.arguments.setdefault(name, value)
                continue
            data = _data(value)
            if name not in self.arguments:
                self.arguments[name] = _with_data(value, self._empty)
            _data(self.arguments[name])[:, rows] = data
        return ()

    def rest(self) -> Iterable[Arguments]:
        """The whole image."""
        return (self.arguments,)

    def _empty(self, window: Tensor) -> Tensor:
        """Memory for the whole of what a window is a part of.

        Raises:
            UnavailableError: This machine has less.
        """
        shape = (1, self._height, *window.shape[2:])
        needed = prod(shape) * window.element_size()
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if needed > available:
            values = " x ".join(map(str, shape[1:]))
            raise UnavailableError(
                f"a node needs the whole image: its {values} values take {needed / 1e9:.1f} GB of "
                f"memory, this machine has {available / 1e9:.1f} GB",
                fix="fit on cubes.Blocks of it, then apply the run with specloom predict, in tiles",
            )
        return window.new_empty(shape)


class SampledPixels:
    """The pixels of an image at ``sample_positions``, taken from its windows.

    Args:
        height: The rows of the image.
        width: Its columns.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height = height
        self.width = width
        rows, columns = sample_positions(height, width)
        self.rows = torch.from_numpy(rows)
        self.columns = torch.from_numpy(columns)
        #: (n, C); None before any window.
        self.pixels: Tensor | None = None
        #: Which of them are valid, bool (n,); None where nothing says so.
        self.valid: Tensor | None = None

    def add(self, rows: slice, cube: Tensor, valid: Tensor | None) -> None:
        """Take in a window: ``cube`` (1, h, W, C), and which pixels are valid, (1, h, W)."""
        inside = (self.rows >= rows.start) & (self.rows < rows.stop)
        at = (self.rows[inside] - rows.start, self.columns[inside])
        if self.pixels is None:
            self.pixels = cube.new_empty(len(self.rows), cube.shape[3])
        _signed(self.pixels)[inside] = _signed(cube.detach()[0][at])
        if valid is not None:
            if self.valid is None:
                self.valid = valid.new_empty(len(self.rows))
            self.valid[inside] = valid[0][at]


def _signed(values: Tensor) -> Tensor:
    """The same bytes as integers of which torch can set single ones."""
    return values.view(SIGNED.get(values.dtype, values.dtype))


def sample_window(sampled: SampledPixels, rows: slice, batch: Batch) -> None:
    """Take the pixels that are looked at from a window."""
    cube = batch.get("cube")
    if isinstance(cube, Tensor) and cube.dim() == 4:
        sampled.add(rows, cube, batch.get("valid"))


def part_rows(columns: int, device: torch.device) -> int:
    """How many pixels of so many values a fit takes at a time."""
    unit = rows_per_block(device)
    return max(1, PART_VALUES // columns // unit) * unit


def local_nodes(graph: Graph, names: Iterable[str]) -> set[str]:
    """Those of some nodes, in running order, that see one pixel, as all nodes before them do."""
    found: set[str] = set()
    for name in names:
        before = {node_of(end) for ends in graph.incoming(name).values() for end in ends}
        is_local = getattr(graph.nodes[name], "locality", "image") == "pixel"
        if is_local and before <= found | {"batch"}:
            found.add(name)
    return found


def node_of(end: str) -> str:
    """The node in ``node.port``."""
    return end.partition(".")[0]


def _data(value: Any) -> Tensor:
    """The array behind a value that may be lazy."""
    data: Tensor = value.data if isinstance(value, LazyAffine | LazyLinear) else value
    return data


def _with_data(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The value with a change of its array."""
    if isinstance(value, LazyAffine | LazyLinear):
        return value._replace(data=change(value.data))
    return change(value)


def _columns(value: Any) -> int:
    data = _data(value)
    return data.shape[1] if data.dim() > 1 else 1
