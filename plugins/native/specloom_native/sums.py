"""Sums, extremes and scaled copies of rows."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_double, c_int64, c_void_p
from typing import NamedTuple

import torch
from torch import Tensor

from specloom_native.arguments import (
    NAMES,
    Rows,
    address,
    as_flags,
    as_rows,
    as_vector,
    is_taken_as_it_is,
    library,
)

MEDIAN_BLOCK = 1024
"""The rows of a block of ``first_median``, as in medians.h."""


class RowMap(NamedTuple):
    """x -> x * scale + offset of each band, in float64."""

    scale: Tensor
    """(C,) or ()."""
    offset: Tensor
    """(C,) or ()."""


class Limits(NamedTuple):
    """The range that values are limited to."""

    low: Tensor
    """(C,) or ()."""
    high: Tensor
    """(C,) or ()."""


class Products(NamedTuple):
    """Sums of products of shifted rows, in float64."""

    sums: Tensor
    """(C + 1, C + 1): the upper triangle of those of the bands; in the last row the sums."""
    used: int
    """How many rows were added."""


def moments(
    rows: Tensor,
    shift: Tensor,
    *,
    keep: Tensor | None = None,
    row_map: RowMap | None = None,
    limits: Limits | None = None,
) -> Products:
    """The products of rows that are finite in every band.

    Args:
        rows: Of any real type, (N, C).
        shift: What is subtracted, (C,).
        keep: The rows to use, bool (N,); None for all.
        row_map: The map of the rows.
        limits: What values are limited to, without a map.

    Raises:
        ValueError: Shapes do not fit, or there are both a map and limits.
    """
    taken = as_rows(rows)
    bands = taken.values.shape[1]
    prepared = _prepare(taken, shift, keep, row_map, limits)
    kernels = library()
    width = kernels.products("moments_width")(c_int64(bands))
    sums = torch.empty(width, width, dtype=torch.float64)
    work = torch.empty(kernels.products("moments_work")(c_int64(bands)), dtype=torch.float64)
    used = kernels.products(f"moments_{taken.type_name}")(
        *_pointers(taken, prepared),
        c_void_p(sums.data_ptr()),
        c_void_p(work.data_ptr()),
    )
    return Products(sums[: bands + 1, : bands + 1], used)


def first_median(
    rows: Tensor,
    *,
    keep: Tensor | None = None,
    row_map: RowMap | None = None,
    limits: Limits | None = None,
) -> Tensor | None:
    """The lower median of each band, float64 (C,), of the first rows that are finite.

    At most 128 rows are used, of the first block of 1024 that has one; without any it is None.
    Arguments are those of ``moments``.

    Raises:
        ValueError: Shapes do not fit, or there are both a map and limits.
    """
    if is_taken_as_it_is(rows):
        return _first_median(rows, keep, row_map, limits)
    # Only the blocks that are looked at are copied, and not a whole image.
    flags = as_flags(keep, len(rows), "keep")
    for start in range(0, max(len(rows), 1), MEDIAN_BLOCK):
        block = slice(start, start + MEDIAN_BLOCK)
        block_flags = None if flags is None else flags[block]
        found = _first_median(rows[block], block_flags, row_map, limits)
        if found is not None:
            return found
    return None


def _first_median(
    rows: Tensor, keep: Tensor | None, row_map: RowMap | None, limits: Limits | None
) -> Tensor | None:
    taken = as_rows(rows)
    bands = taken.values.shape[1]
    medians = torch.empty(bands, dtype=torch.float64)
    *prepared, _ = _prepare(taken, medians, keep, row_map, limits)
    kernels = library()
    work = torch.empty(kernels.sums("median_work")(c_int64(bands)), dtype=torch.float64)
    used = kernels.sums(f"median_{taken.type_name}")(
        *_pointers(taken, [*prepared, medians]), c_void_p(work.data_ptr())
    )
    return medians if used else None


def mean_and_scatter(products: Tensor, shift: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The mean (C,) and the sum of (x - mean)(x - mean)^T, (C, C), with the bits of torch.

    Args:
        products: The ``sums`` of ``Products``, float64 (C + 1, C + 1) in one piece.
        shift: What was subtracted from each row, (C,).
        count: How many rows were added.

    Raises:
        ValueError: Shapes or types do not fit.
    """
    bands = products.shape[-1] - 1
    is_whole = products.is_contiguous() and products.is_cpu and products.dtype == torch.float64
    if not is_whole or products.shape != (bands + 1, bands + 1):
        raise ValueError(f"products is {products.dtype} {tuple(products.shape)}")
    origin = as_vector(shift, bands, torch.float64, "shift")
    mean = torch.empty(bands, dtype=torch.float64)
    scatter = torch.empty(bands, bands, dtype=torch.float64)
    library().sums("scatter")(
        c_void_p(products.data_ptr()),
        c_int64(bands),
        c_void_p(origin.data_ptr()),
        c_double(count),
        c_void_p(mean.data_ptr()),
        c_void_p(scatter.data_ptr()),
    )
    return mean, scatter


class Squares(NamedTuple):
    """Sums of shifted rows and of their squares, in float64."""

    sums: Tensor
    """(C,)."""
    squares: Tensor
    """(C,)."""
    used: int
    """How many rows were added."""


def variances(
    rows: Tensor,
    shift: Tensor,
    *,
    keep: Tensor | None = None,
    row_map: RowMap | None = None,
    limits: Limits | None = None,
) -> Squares:
    """The sums and squares of rows that are finite in every band; arguments as of ``moments``.

    Raises:
        ValueError: Shapes do not fit.
    """
    taken = as_rows(rows)
    bands = taken.values.shape[1]
    prepared = _prepare(taken, shift, keep, row_map, limits)
    sums, squares, work = torch.empty(3, bands, dtype=torch.float64)
    used = library().sums(f"variances_{taken.type_name}")(
        *_pointers(taken, prepared),
        c_void_p(sums.data_ptr()),
        c_void_p(squares.data_ptr()),
        c_void_p(work.data_ptr()),
    )
    return Squares(sums, squares, used)


def _prepare(
    rows: Rows,
    shift: Tensor,
    keep: Tensor | None,
    row_map: RowMap | None,
    limits: Limits | None,
) -> tuple[Tensor | None, ...]:
    """Flags, scale, offset, low, high and shift as kernels take them, in this order.

    The caller holds them until the kernel has ended.

    Raises:
        ValueError: Shapes do not fit, or there are both a map and limits.
    """
    count, bands = rows.values.shape
    flags = as_flags(keep, count, "keep")
    low, high = _limits(limits, row_map, rows)
    origin = as_vector(shift, bands, torch.float64, "shift")
    return (flags, *_doubles(row_map, bands), low, high, origin)


def _pointers(rows: Rows, prepared: Sequence[Tensor | None]) -> list[c_int64 | c_void_p]:
    """Rows, and what was prepared for them, as arguments of a kernel."""
    pointer, count, stride, bands = rows.arguments
    sizes = [c_int64(count), c_int64(stride), c_int64(bands)]
    return [c_void_p(pointer), *sizes, *(c_void_p(address(one)) for one in prepared)]


def _limits(
    limits: Limits | None, row_map: RowMap | None, rows: Rows
) -> tuple[Tensor | None, Tensor | None]:
    if limits is None:
        return None, None
    if row_map is not None:
        raise ValueError("a map and limits exclude each other")
    bands = rows.values.shape[1]
    low = as_vector(limits.low, bands, rows.values.dtype, "low")
    return low, as_vector(limits.high, bands, rows.values.dtype, "high")


def _doubles(row_map: RowMap | None, bands: int) -> tuple[Tensor | None, Tensor | None]:
    if row_map is None:
        return None, None
    scale = as_vector(row_map.scale, bands, torch.float64, "scale")
    return scale, as_vector(row_map.offset, bands, torch.float64, "offset")


def usable_rows(rows: Tensor, keep: Tensor | None = None) -> tuple[Tensor, int]:
    """Which rows (N, C) are finite in every band and in ``keep``, bool (N,), and how many.

    Raises:
        ValueError: Shapes do not fit.
    """
    taken = as_rows(rows)
    flags = as_flags(keep, len(taken.values), "keep")
    results = torch.empty(len(taken.values), dtype=torch.bool)
    pointer, count, stride, bands = taken.arguments
    used: int = library().sums(f"usable_{taken.type_name}")(
        c_void_p(pointer),
        c_int64(count),
        c_int64(stride),
        c_int64(bands),
        c_void_p(address(flags)),
        c_void_p(results.data_ptr()),
    )
    return results, used


class Extremes(NamedTuple):
    """Smallest and largest values of rows; infinite where there was no row."""

    low: Tensor
    """In the type of the rows, (C,)."""
    high: Tensor
    """(C,)."""
    used: int
    """How many rows were compared."""


def extremes(rows: Tensor, keep: Tensor | None = None) -> Extremes:
    """The extremes of rows (N, C) of any real type that are finite in every band.

    Args:
        rows: The rows.
        keep: The rows to use, bool (N,); None for all.

    Raises:
        ValueError: Shapes do not fit.
    """
    taken = as_rows(rows)
    pointer, count, stride, bands = taken.arguments
    flags = as_flags(keep, count, "keep")
    kernels = library()
    low = taken.values.new_full((bands,), torch.inf)
    high = -low
    work = low.new_empty(kernels.sums(f"extremes_work_{taken.type_name}")(c_int64(bands)))
    used = kernels.sums(f"extremes_{taken.type_name}")(
        c_void_p(pointer),
        c_int64(count),
        c_int64(stride),
        c_int64(bands),
        c_void_p(address(flags)),
        c_void_p(low.data_ptr()),
        c_void_p(high.data_ptr()),
        c_void_p(work.data_ptr()),
    )
    return Extremes(low, high, used)


def value_range(values: Tensor) -> tuple[Tensor, Tensor] | None:
    """The smallest and the largest of some values, () each; None if one of them is not finite.

    Args:
        values: Float32 or float64 in one piece, of any shape; without a value they are infinite.

    Raises:
        ValueError: They are of another type or device, or not in one piece.
    """
    if values.dtype not in NAMES or not values.is_cpu or not values.is_contiguous():
        raise ValueError(f"values are {values.dtype} {tuple(values.shape)} on {values.device}")
    bounds = torch.empty(2, dtype=values.dtype)
    pointer = bounds.data_ptr()
    are_finite = library().sums(f"range_{NAMES[values.dtype]}")(
        c_void_p(values.data_ptr()),
        c_int64(values.numel()),
        c_void_p(pointer),
        c_void_p(pointer + bounds.element_size()),
    )
    if not are_finite:
        return None
    low, high = bounds.unbind()
    return low, high


def scale(rows: Tensor, low: Tensor, span: Tensor, out: Tensor, *, clip: bool = False) -> None:
    """Write (rows - low) / span into ``out``, rounded after each operation.

    Args:
        rows: Float32 or float64, (N, C).
        low: In the type of the rows, (C,), or () for all bands.
        span: As ``low``.
        out: In the type of the rows, (N, C), in one piece.
        clip: Limit the results to [0, 1]; what is infinite becomes NaN.

    Raises:
        ValueError: Shapes or types do not fit.
    """
    taken = as_rows(rows)
    is_whole = out.is_contiguous() and out.device.type == "cpu"
    if out.shape != rows.shape or out.dtype != rows.dtype or not is_whole:
        raise ValueError(f"out is {out.dtype} {tuple(out.shape)}, not as the rows, in one piece")
    if taken.values.dtype != rows.dtype:
        raise ValueError(f"rows are {rows.dtype}, not float32 or float64")
    pointer, count, stride, bands = taken.arguments
    per_band = low.numel() > 1 or span.numel() > 1
    size = bands if per_band else 1
    lows = as_vector(low, size, rows.dtype, "low")
    spans = as_vector(span, size, rows.dtype, "span")
    library().sums(f"scale_{taken.type_name}")(
        c_void_p(pointer),
        c_int64(count),
        c_int64(stride),
        c_int64(bands),
        c_void_p(lows.data_ptr()),
        c_void_p(spans.data_ptr()),
        c_int64(per_band),
        c_int64(clip),
        c_void_p(out.data_ptr()),
    )
