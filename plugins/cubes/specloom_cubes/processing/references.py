"""White and dark references: the mean or median of their lines, and their exposure times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes.cube import equals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube
    from specloom_cubes.processing.options import Average

BLOCK_BYTES = 1 << 25
"""Bytes, as float64, of the part of a reference that is in memory."""

EXPOSURE_FIELDS = ("tint", "integration time", "exposure time", "exposure", "shutter")
"""Fields of headers that state the exposure time, each in a unit of its own."""

BIT_DEPTH = "bit depth"


@dataclass(frozen=True, eq=False)
class Reference:
    """The counts of a reference, averaged over its lines.

    Args:
        counts: float64 (W, C), NaN where no value could be used.
        saturated: How many values were excluded as saturated.
    """

    counts: NDArray[np.float64] = field(repr=False)
    saturated: int = 0


def average_lines(cube: Cube, average: Average, level: NDArray[np.float64] | None) -> Reference:
    """The mean or the median of the lines of a reference, for each column and band.

    Values that are not finite, are the cube's "no data", or are saturated do not count.

    Args:
        cube: The reference, in stored counts.
        average: ``mean`` or ``median``.
        level: The counts from which values are saturated, (C,); None for no such level.
    """
    if average == "median":
        return _medians(cube, level)
    return _means(cube, level)


def _means(cube: Cube, level: NDArray[np.float64] | None) -> Reference:
    height, width, bands = cube.shape
    total = np.zeros((width, bands))
    counted = np.zeros((width, bands))
    saturated = 0
    step = max(1, BLOCK_BYTES // (8 * width * bands))
    for first in range(0, height, step):
        values, excluded = _usable(cube, slice(first, first + step), slice(None), level)
        saturated += excluded
        usable = np.isfinite(values)
        total += np.where(usable, values, 0).sum(0)
        counted += usable.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Reference(total / counted, saturated)


def _medians(cube: Cube, level: NDArray[np.float64] | None) -> Reference:
    height, width, bands = cube.shape
    counts = np.empty((width, bands))
    saturated = 0
    step = max(1, BLOCK_BYTES // (8 * height * bands))
    for first in range(0, width, step):
        columns = slice(first, first + step)
        values, excluded = _usable(cube, slice(None), columns, level)
        saturated += excluded
        counts[columns] = _median_of_finite(values)
    return Reference(counts, saturated)


def _median_of_finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of the finite values along the first axis; NaN where there are none."""
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), axis=0)
    counted = np.isfinite(ordered).sum(0)
    low = np.maximum((counted - 1) // 2, 0)
    high = np.minimum(counted // 2, len(ordered) - 1)
    lower = np.take_along_axis(ordered, low[None], 0)[0]
    upper = np.take_along_axis(ordered, high[None], 0)[0]
    return np.where(counted > 0, (lower + upper) / 2, np.nan)


def _usable(
    cube: Cube, rows: slice, columns: slice, level: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], int]:
    """Counts with NaN where they are not usable, and how many are saturated."""
    values = stored_counts(cube, rows, columns)
    if level is None:
        return values, 0
    too_high = values >= level
    values[too_high] = np.nan
    return values, int(too_high.sum())


def stored_counts(cube: Cube, rows: slice, columns: slice) -> NDArray[np.float64]:
    """The stored values of all bands, float64 (h, w, C), with NaN for "no data"."""
    stored = cube.read(rows, columns)
    values = stored.astype(np.float64)
    if cube.ignore_value is not None:
        values[equals(stored, cube.ignore_value)] = np.nan
    return values


def saturation_level(cube: Cube, stated: Any) -> tuple[NDArray[np.float64] | None, str]:
    """The counts from which values of a cube are saturated, (C,), and what states them.

    Args:
        cube: The cube, whose header or element type states them where the user does not.
        stated: A number, one for each band, or None.

    Raises:
        DataError: There are several numbers, but not one for each band.
    """
    bands = cube.shape[2]
    if stated is not None:
        levels = np.asarray(stated, np.float64)
        if levels.size not in (1, bands):
            raise DataError(
                f"saturation has {levels.size} counts, {cube.path} has {bands} bands",
                fix="write one count for all bands, or one for each",
            )
        return np.broadcast_to(levels, (bands,)), "stated"
    depth = _whole_number(cube.metadata.get(BIT_DEPTH))
    if depth is not None and 1 < depth <= 32:
        return np.full(bands, 2.0**depth - 1), f"{depth} bits of the header"
    if cube.dtype.kind in "iu":
        most = float(np.iinfo(cube.dtype).max)
        return np.full(bands, most), f"the largest {cube.dtype}"
    return None, ""


def _whole_number(text: Any) -> int | None:
    try:
        return int(str(text).strip())
    except ValueError:
        return None


def exposure_of(metadata: Mapping[str, Any]) -> tuple[str, float] | None:
    """The field of a header that states the exposure time, and its value; None for no such field.

    Args:
        metadata: The fields of the header.
    """
    for name in EXPOSURE_FIELDS:
        text = metadata.get(name)
        if text is None:
            continue
        try:
            value = float(str(text).split()[0])
        except (ValueError, IndexError):
            continue
        if np.isfinite(value) and value > 0:
            return name, value
    return None
