"""The stream of blocks that moments and variances are summed from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from specloom import LazyAffine, LazyLinear
from specloom.torch import usable_pixels
from specloom_statistics.band_products import BandProduct
from specloom_statistics.blocks import row_blocks, rows_per_block
from specloom_statistics.merging import SampleMoments, merge_moments

SHIFT_ROWS = 128
"""The shift is the median of this many rows."""


class ShiftedSums(ABC):
    """Sums over rows that arrive in batches, in float64 and shifted to keep all digits.

    The shift is the median of the first usable rows: a value that occurs, so that the variance of
    a constant band is exactly 0, and counts stay whole numbers, whose products are exact. With
    the mean, the rounding of these products would no longer be random, and would add up. Rows
    that are not finite in every column are excluded and counted.

    Args:
        channels: C, the length of a row.
        device: The device of the rows and of the sums.
        columns: The columns of the working memory, at least C.
    """

    def __init__(self, channels: int, device: torch.device | str, columns: int) -> None:
        self.channels = channels
        self.device = torch.device(device)
        self.count = 0
        self.left_out = 0
        self._buffer = self._zeros(rows_per_block(self.device), columns)
        self._shift: Tensor | None = None

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=torch.float64, device=self.device)

    def update(self, data: Tensor | LazyAffine | LazyLinear, keep: Tensor | None = None) -> None:
        """Add pixels of any real type.

        Args:
            data: (..., C); the map of a ``LazyAffine`` or a ``LazyLinear`` is applied in float64.
            keep: The pixels to use, bool of as many elements; None for all.
        """
        mask = None if keep is None else keep.reshape(-1)
        if isinstance(data, LazyLinear):
            self._update_linear(data, mask)
            return
        raw = data.data if isinstance(data, LazyAffine) else data
        rows = raw.detach().reshape(-1, self.channels)
        for selected, size in row_blocks(rows, len(self._buffer), mask):
            added = self._add_rows(self._load(selected, data))
            self.left_out += size - added

    def _update_linear(self, data: LazyLinear, mask: Tensor | None) -> None:
        """Add pixels under a linear map of their bands."""
        product = BandProduct(data.matrix)
        offset = torch.as_tensor(data.offset).detach().to(self._buffer)
        rows = data.data.detach().reshape(-1, product.bands)
        raw = self._zeros(len(self._buffer), product.row_width)
        mapped = self._zeros(len(self._buffer), product.product_width)
        for selected, size in row_blocks(rows, len(self._buffer), mask):
            count = len(selected)
            values = raw[:count, : product.bands].copy_(selected)
            product(raw[:count], mapped[:count])
            results = mapped[:count, : self.channels].add_(offset)
            # A band that is not finite counts, even where the matrix is zero.
            results.masked_fill_(~usable_pixels(values)[:, None], torch.nan)
            added = self._add_rows(self._load(results, results))
            self.left_out += size - added

    def _load(self, selected: Tensor, data: Tensor | LazyAffine) -> Tensor:
        """Rows in the working memory: mapped as ``data`` is, and shifted if the shift is known."""
        rows = self._buffer[: len(selected)]
        values = rows if rows.shape[1] == self.channels else rows[:, : self.channels]
        values.copy_(selected)
        if isinstance(data, LazyAffine):
            values.mul_(data.scale).add_(data.offset)
        if self._shift is not None:
            values.sub_(self._shift)
        return rows

    def _add_rows(self, rows: Tensor) -> int:
        """Add the finite ones of some loaded rows; how many there are."""
        if self._shift is None:
            rows = rows[usable_pixels(rows)]
            if not len(rows):
                return 0
            self._shift = rows[:SHIFT_ROWS, : self.channels].median(0).values
            rows[:, : self.channels].sub_(self._shift)
        sums, column_sums = self._reduce(rows)
        # A sum is finite only where all terms are; where it overflows, each row is checked.
        if not math.isfinite(column_sums.sum().item()):
            rows = rows[usable_pixels(rows)]
            sums, _ = self._reduce(rows)
        self._accumulate(rows, sums)
        self.count += len(rows)
        return len(rows)

    @abstractmethod
    def _reduce(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Sums over ``rows``, which stay as they are, and the sum of each column."""

    @abstractmethod
    def _accumulate(self, rows: Tensor, sums: Tensor) -> None:
        """Add the ``sums`` of finite ``rows``, which may be overwritten."""

    @abstractmethod
    def moments(self) -> SampleMoments:
        """Size, mean and scatter so far; zeros before any row."""

    @abstractmethod
    def _set_moments(self, moments: SampleMoments) -> None:
        """Continue from ``moments``."""

    def _merge_moments(self, state: Mapping[str, Tensor], scatter: Tensor) -> None:
        """Merge counts and mean of a ``state`` with this ``scatter``."""
        count, left_out = (int(number) for number in state["counts"].tolist())
        self.left_out += left_out
        if count:
            mean = state["mean"].to(self.device)
            other = SampleMoments(count, mean, scatter.to(self.device))
            merged = merge_moments(self.moments(), other)
            self._set_moments(merged)
            self.count = merged.size
            self._shift = merged.mean

    def _counts(self) -> Tensor:
        return torch.tensor([self.count, self.left_out], dtype=torch.float64)
