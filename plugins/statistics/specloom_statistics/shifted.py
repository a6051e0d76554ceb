"""The stream of blocks that moments and variances are summed from."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any, Self

import torch
from torch import Tensor

from specloom import LazyAffine, LazyLinear
from specloom.torch import no_memory, one_thread, reduce_blocks, usable_pixels
from specloom_statistics.band_products import BandProduct
from specloom_statistics.blocks import (
    NATIVE_PART_VALUES,
    PART_VALUES,
    row_blocks,
    row_parts,
    rows_per_block,
)
from specloom_statistics.merging import SampleMoments, merge_moments
from specloom_statistics.native import native_kernels

SHIFT_ROWS = 128
"""The shift is the median of this many rows."""


class Sums:
    """What is summed of some rows.

    Args:
        tensors: The sums, zeros before any row.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        #: Numbers, or tensors on a GPU, for which nothing waits before they are needed.
        self.count: int | Tensor = 0
        self.left_out: int | Tensor = 0

    def add(self, other: Sums) -> None:
        """Add those of other rows."""
        for mine, others in zip(self.tensors, other.tensors, strict=True):
            mine += others
        self.count = self.count + other.count
        self.left_out = self.left_out + other.left_out


def _merge(parts: Sequence[Sums]) -> Sums:
    first, *others = parts
    for other in others:
        first.add(other)
    return first


class _Loader:
    """Reads pixels into working memory, in float64 and mapped as their ``data`` is.

    Args:
        data: (..., C); the map of a ``LazyAffine`` or a ``LazyLinear`` is applied.
        borrow: Gives working memory of at least so many rows, float64 (rows, C or more).
        channels: C.
        limits: What the values of a tensor are limited to; None for none.
    """

    def __init__(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        borrow: Callable[[int], Tensor],
        channels: int,
        limits: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.limits = limits
        self.channels = channels
        self._data = data
        self._borrow = borrow
        # Borrowed when it is needed: kernels read the pixels themselves.
        self._memory: Tensor | None = None
        if isinstance(data, LazyLinear):
            self._product = BandProduct(data.matrix)

    def mapped(self, selected: Tensor) -> Tensor:
        """Pixels under the map of their data, float64 (N, C)."""
        return self(selected, None)[:, : self.channels]

    def __call__(self, selected: Tensor, shift: Tensor | None) -> Tensor:
        """Rows of the working memory with these pixels, less the ``shift`` if it is known."""
        count = selected.shape[0]
        memory = self._working_memory(count)
        values = memory
        if memory.shape[1] != self.channels:
            values = memory[:, : self.channels]
        if self.limits is not None:
            selected = selected.clamp(*self.limits) + 0 * selected  # NaN where it was infinite
        values.copy_(self._map_linear(selected))
        if isinstance(self._data, LazyAffine):
            values.mul_(self._data.scale).add_(self._data.offset)
        if shift is not None:
            values.sub_(shift)
        return memory

    def _working_memory(self, count: int) -> Tensor:
        """The first rows of the working memory."""
        if self._memory is None or self._memory.shape[0] < count:
            self._memory = self._borrow(count)
            if isinstance(self._data, LazyLinear):
                size = len(self._memory)
                self._raw = self._memory.new_zeros(size, self._product.row_width)
                self._mapped = self._memory.new_zeros(size, self._product.product_width)
                self._offset = torch.as_tensor(self._data.offset).detach().to(self._memory)
        return self._memory[:count]

    def _map_linear(self, selected: Tensor) -> Tensor:
        """Pixels under the linear map of a ``LazyLinear``; others as they are."""
        if not isinstance(self._data, LazyLinear):
            return selected
        count = selected.shape[0]
        values = self._raw[:count, : self._product.bands].copy_(selected)
        self._product(self._raw[:count], self._mapped[:count])
        results = self._mapped[:count, : self._product.channels].add_(self._offset)
        # A band that is not finite counts, even where the matrix is zero.
        return results.masked_fill_(~usable_pixels(values)[:, None], torch.nan)


def _native_options(
    kernels: ModuleType,
    data: Tensor | LazyAffine | LazyLinear,
    limits: tuple[Tensor, Tensor] | None,
) -> dict[str, Any]:
    """The map of a ``LazyAffine`` and the limits, as kernels take them."""
    if isinstance(data, LazyAffine):
        scale = torch.as_tensor(data.scale)
        return {"row_map": kernels.RowMap(scale, torch.as_tensor(data.offset))}
    if limits is not None:
        return {"limits": kernels.Limits(*limits)}
    return {}


class ShiftedSums(ABC):
    """Sums over rows that arrive in batches, in float64 and shifted to keep all digits.

    The shift is the median of the first usable rows: a value that occurs, so that the variance of
    a constant band is exactly 0, and counts stay whole numbers, whose products are exact. With
    the mean, the rounding of these products would no longer be random, and would add up. Rows
    that are not finite in every column are excluded and counted. Parts of a large batch are summed
    by several threads and merged in a fixed tree, so that the bits do not depend on the threads.

    Args:
        channels: C, the length of a row.
        device: The device of the rows and of the sums.
        columns: The columns of the working memory, at least C.
    """

    def __init__(self, channels: int, device: torch.device | str, columns: int) -> None:
        self.channels = channels
        self.device = torch.device(device)
        self._columns = columns
        self._sums = self._empty_sums()
        self._shift: Tensor | None = None
        self._may_wait = self.device.type == "cpu"
        self._kernels: ModuleType | None = None
        # Working memory that is used again: new memory costs as much time as the work in it.
        self._memories: deque[Tensor] = deque()

    @property
    def count(self) -> int:
        """How many rows were added."""
        return int(self._sums.count)

    @property
    def left_out(self) -> int:
        """How many rows were excluded."""
        return int(self._sums.left_out)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=torch.float64, device=self.device)

    def update(
        self,
        data: Tensor | LazyAffine | LazyLinear,
        keep: Tensor | None = None,
        *,
        limits: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Add pixels of any real type.

        Args:
            data: (..., C); the map of a ``LazyAffine`` or a ``LazyLinear`` is applied in float64.
            keep: The pixels to use, bool of as many elements; None for all.
            limits: Lowest and highest value of each band of a tensor, (C,): what lies beyond
                counts as the limit, and what is infinite is excluded; None for none.
        """
        mask = None if keep is None else keep.reshape(-1)
        raw = data if isinstance(data, Tensor) else data.data
        rows = raw.detach().reshape(-1, raw.shape[-1])
        used: list[Tensor] = []

        def borrow(count: int) -> Tensor:
            memory = self._borrow_memory(count)
            used.append(memory)
            return memory

        def new_loader() -> _Loader:
            return _Loader(data, borrow, self.channels, limits)

        self._kernels = native_kernels(self.device)
        if self._kernels is not None and not isinstance(data, LazyLinear):
            options = _native_options(self._kernels, data, limits)
            self._update_natively(self._kernels, rows, mask, options)
            return
        with one_thread():
            if self._shift is None:
                self._shift = self._find_shift(rows, mask, new_loader())
            self._add_all(rows, mask, new_loader)
        self._memories.extend(used)

    @property
    def has_shift(self) -> bool:
        """Whether any usable row was seen."""
        return self._shift is not None

    def share_shift(self, other: ShiftedSums) -> None:
        """Take the shift of sums of such rows, unless one is known: no row is then looked at."""
        if self._shift is None:
            self._shift = other._shift

    def find_shift(self, data: Tensor) -> bool:
        """Take the shift from the first usable rows of (..., C) ``data``, unless it is known.

        It is needed before ``new_part``.

        Returns:
            Whether it is known now.
        """
        if self._shift is None:
            rows = data.detach().reshape(-1, self.channels)
            kernels = native_kernels(self.device)
            if kernels is None:
                load = _Loader(data, self._borrow_memory, self.channels)
                self._shift = self._find_shift(rows, None, load)
            else:
                self._shift = kernels.first_median(rows)
        return self._shift is not None

    def new_part(self) -> Self:
        """An empty one for other rows of this stream, which another thread may update."""
        part = copy.copy(self)
        part._sums = self._empty_sums()
        return part

    def update_block(
        self, rows: Tensor, keep: Tensor, *, limits: tuple[Tensor, Tensor] | None = None
    ) -> None:
        """Add a block of rows (N, C) by a kernel of specloom-native, in one sum.

        Args:
            rows: The pixels.
            keep: The rows to use, bool (N,).
            limits: As of ``update``.
        """
        kernels = native_kernels(self.device)
        if kernels is None or self._shift is None:
            self.update(rows, keep, limits=limits)
            return
        options = _native_options(kernels, rows, limits)
        self._add_natively(kernels.RowSums(rows, keep=keep, **options), self._sums)

    def add_part(self, part: Self) -> None:
        """Add the sums of a part; those of all parts are to be added in one order."""
        self._sums.add(part._sums)

    def _update_natively(
        self, kernels: ModuleType, rows: Tensor, mask: Tensor | None, options: dict[str, Any]
    ) -> None:
        """Add rows by kernels, by several threads if there are many."""
        count, channels = rows.shape
        parts = row_parts(count, channels, self.device, NATIVE_PART_VALUES)
        if len(parts) < 2:
            self._add_few(kernels.RowSums(rows, keep=mask, **options))
            return
        if self._shift is None:
            self._shift = kernels.first_median(rows, keep=mask, **options)
        if self._shift is None:
            self._sums.left_out += count
            return

        def sums_of(number: int, _: None) -> Sums:
            part = parts[number]
            keep = None if mask is None else mask[part]
            sums = self._empty_sums()
            self._add_natively(kernels.RowSums(rows[part], keep=keep, **options), sums)
            return sums

        self._sums.add(reduce_blocks(sums_of, len(parts), no_memory, _merge))

    def _add_few(self, rows: Any) -> None:
        """Add the usable ones of few rows, a ``RowSums``, in one sum."""
        if self._shift is None:
            self._shift = rows.first_median()
        if self._shift is None:
            self._sums.left_out += rows.count
            return
        self._add_natively(rows, self._sums)

    def _add_all(
        self, rows: Tensor, mask: Tensor | None, new_loader: Callable[[], _Loader]
    ) -> None:
        """Add rows without a kernel that reads them, by several threads if there are many."""
        if self._shift is None:
            self._sums.left_out += len(rows)
            return
        values = PART_VALUES if self._kernels is None else NATIVE_PART_VALUES
        parts = row_parts(len(rows), rows.shape[1], self.device, values)
        if len(parts) < 2:
            self._add_part(rows, mask, new_loader(), self._sums)
            return

        def sums_of(number: int, loader: _Loader) -> Sums:
            part = parts[number]
            sums = self._empty_sums()
            self._add_part(rows[part], None if mask is None else mask[part], loader, sums)
            return sums

        self._sums.add(reduce_blocks(sums_of, len(parts), new_loader, _merge))

    def _borrow_memory(self, count: int) -> Tensor:
        """Working memory of at least so many rows, but for few rows no larger than needed."""
        with suppress(IndexError):
            memory = self._memories.pop()
            if len(memory) >= count:
                return memory
        if count <= SHIFT_ROWS:
            return self._new_memory(SHIFT_ROWS)
        return self._new_memory(rows_per_block(self.device))

    def _new_memory(self, rows: int) -> Tensor:
        """Working memory for so many rows."""
        return self._zeros(rows, self._columns)

    def _find_shift(self, rows: Tensor, mask: Tensor | None, load: _Loader) -> Tensor | None:
        """The median of the first usable rows; None where no row is usable."""
        for selected, _ in row_blocks(rows, rows_per_block(self.device), mask):
            # Nearly always these are usable, and the others need not be looked at.
            usable = self._usable_of(selected[:SHIFT_ROWS], load)
            if len(usable) < min(SHIFT_ROWS, len(selected)):
                usable = self._usable_of(selected, load)
            if len(usable):
                return usable[:SHIFT_ROWS, : self.channels].median(0).values
        return None

    def _usable_of(self, selected: Tensor, load: _Loader) -> Tensor:
        loaded = load(selected, None)
        return loaded[usable_pixels(loaded)]

    def _add_part(self, rows: Tensor, mask: Tensor | None, load: _Loader, sums: Sums) -> None:
        """Add the usable ones of some rows to ``sums``."""
        if not self._may_wait:
            self._add_without_waiting(rows, mask, load, sums)
        elif self._kernels is None:
            self._add_blocks(rows, mask, load, sums)
        else:
            for selected, size in row_blocks(rows, rows_per_block(self.device), mask):
                self._add_natively(self._kernels.RowSums(load.mapped(selected)), sums)
                sums.left_out += size - selected.shape[0]

    def _add_blocks(self, rows: Tensor, mask: Tensor | None, load: _Loader, sums: Sums) -> None:
        """Add the usable ones of some rows, block by block, without kernels."""
        for selected, size in row_blocks(rows, rows_per_block(self.device), mask):
            loaded = load(selected, self._shift)
            reduced, column_sums = self._reduce(loaded)
            # A sum is finite only where all terms are; where it overflows, each row is checked.
            if not math.isfinite(column_sums.sum().item()):
                loaded = loaded[usable_pixels(loaded)]
                reduced, _ = self._reduce(loaded)
            self._accumulate(sums.tensors, loaded, reduced)
            count = loaded.shape[0]
            sums.count += count
            sums.left_out += size - count

    def _add_without_waiting(
        self, rows: Tensor, mask: Tensor | None, load: _Loader, sums: Sums
    ) -> None:
        """Add the usable ones of some rows, without a result that the host would wait for.

        Rows that are not usable become zeros, which add nothing.
        """
        size = rows_per_block(self.device)
        for start in range(0, len(rows), size):
            loaded = load(rows[start : start + size], self._shift)
            usable = usable_pixels(loaded)
            if mask is not None:
                usable = usable & mask[start : start + size]
            used = loaded.masked_fill(~usable[:, None], 0)
            reduced, _ = self._reduce(used)
            self._accumulate(sums.tensors, used, reduced)
            count = usable.sum()
            sums.count = sums.count + count
            sums.left_out = sums.left_out + (len(loaded) - count)

    def _add_natively(self, selected: Any, sums: Sums) -> None:
        """Add the usable ones of some rows, a ``RowSums``, by a kernel."""
        *tensors, used = self._sum_natively(selected)
        for mine, others in zip(sums.tensors, tensors, strict=True):
            mine.add_(others)
        sums.count += used
        sums.left_out += selected.count - used

    @abstractmethod
    def _sum_natively(self, selected: Any) -> tuple[Any, ...]:
        """The sums of a ``RowSums``, of rows less the shift, and how many rows these are."""

    @abstractmethod
    def _empty_sums(self) -> Sums:
        """The sums of no row."""

    @abstractmethod
    def _reduce(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Sums over ``rows``, which stay as they are, and the sum of each column."""

    @abstractmethod
    def _accumulate(self, sums: Sequence[Tensor], rows: Tensor, reduced: Tensor) -> None:
        """Add what was ``reduced`` of finite ``rows``, which may be overwritten, to ``sums``."""

    @abstractmethod
    def moments(self) -> SampleMoments:
        """Size, mean and scatter so far; zeros before any row."""

    @abstractmethod
    def _set_moments(self, moments: SampleMoments) -> None:
        """Continue from ``moments``."""

    def _merge_moments(self, state: Mapping[str, Tensor], scatter: Tensor) -> None:
        """Merge counts and mean of a ``state`` with this ``scatter``."""
        count, left_out = (int(number) for number in state["counts"].tolist())
        self._sums.left_out += left_out
        if count:
            mean = state["mean"].to(self.device)
            other = SampleMoments(count, mean, scatter.to(self.device))
            merged = merge_moments(self.moments(), other)
            self._set_moments(merged)
            self._sums.count = merged.size
            self._shift = merged.mean

    def _counts(self) -> Tensor:
        return torch.tensor([self.count, self.left_out], dtype=torch.float64)
