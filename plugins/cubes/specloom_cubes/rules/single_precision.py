"""Whether float32 can hold the differences between the values of a cube."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 1000
"""A band whose values span fewer of float32's steps than this loses its differences."""

EXACT = 1e-12
"""A band whose values differ by less than this share is constant."""


def refuse_lost_differences(pixels: NDArray[np.float64], where: str) -> None:
    """Accept pixels whose differences remain in float32, in most of the bands that vary.

    Args:
        pixels: Some pixels, float64 (N, C); NaN and infinity do not count.
        where: The file, for the message.

    Raises:
        DataError: More than half of the bands that vary lose their differences.
    """
    finite = np.isfinite(pixels)
    low = np.min(pixels, axis=0, where=finite, initial=np.inf)
    high = np.max(pixels, axis=0, where=finite, initial=-np.inf)
    some = finite.any(axis=0)
    low = low[some]
    high = high[some]
    with np.errstate(over="ignore"):
        span = high - low
    size = np.maximum(np.abs(low), np.abs(high))
    step = size * np.finfo(np.float32).eps / 2
    varies = span > EXACT * size
    lost = varies & (span < STEPS * step)
    if 2 * lost.sum() <= varies.sum():
        return
    at = int(np.argmax(lost))
    offset = float(f"{low[at]:.2g}")
    raise DataError(
        f"{where} holds values of {low[at]:.10g} to {high[at]:.10g}, of which float32, in which "
        f"they are used, loses differences below {2 * step[at]:.2g}",
        fix=f"subtract {offset:.10g} from all values and save them again, or state the offset "
        f"{-offset:.10g} in the file (ENVI: data offset values)",
    )


def needs_check(dtype: np.dtype[Any], has_offsets: bool) -> bool:
    """Whether values of a type, or with an offset, may lose their differences in float32."""
    return has_offsets or (dtype.kind in "iu" and dtype.itemsize >= 4) or dtype == np.float64
