"""The arithmetic of a calibration with white and dark references."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.processing.options import DarkKind

MOST_COLUMNS = 5
"""The columns that a note lists."""


class Exposures(NamedTuple):
    """Exposure times in one unit; None where one is not known.

    Args:
        raw: Of the cube.
        white: Of the white reference.
        dark: Of the dark reference.
    """

    raw: float | None = None
    white: float | None = None
    dark: float | None = None


class Coefficients(NamedTuple):
    """reflectance = (raw - dark) * gain, by column and band.

    Args:
        dark: The dark at the exposure of the cube, float64 (W, C), or (1, C) for all columns.
        gain: panel / (white - dark of the white) * t_white / t_raw, of the same shape; NaN where
            the difference is not above the least one.
        unusable: How many bands of each column are NaN, (W,).
    """

    dark: NDArray[np.float64]
    gain: NDArray[np.float64]
    unusable: NDArray[np.intp]


def coefficients(
    white: NDArray[np.float64],
    dark: NDArray[np.float64],
    panel: NDArray[np.float64] | float = 1.0,
    *,
    white_dark: NDArray[np.float64] | None = None,
    exposures: Exposures | None = None,
    dark_kind: DarkKind = "offset",
    least: float = 0.0,
) -> Coefficients:
    """The coefficients of a calibration.

    Args:
        white: The mean counts of the white reference, (W, C).
        dark: Those of the dark reference, (W, C).
        panel: The reflectance of the white panel, a number or (C,).
        white_dark: The dark at the exposure of the white reference, (W, C); None for ``dark``.
        exposures: Exposure times; those that are not known, or all, are taken as equal.
        dark_kind: ``offset``: ``dark`` is used as it is; ``current``: it is proportional to the
            exposure.
        least: Differences of white and dark that are not above it are not usable.
    """
    if exposures is None:
        exposures = Exposures()
    raw_dark = dark
    dark_of_white = dark if white_dark is None else white_dark
    if dark_kind == "current" and exposures.dark is not None:
        if exposures.raw is not None:
            raw_dark = dark * (exposures.raw / exposures.dark)
        if exposures.white is not None and white_dark is None:
            dark_of_white = dark * (exposures.white / exposures.dark)
    difference = white - dark_of_white
    usable = np.isfinite(difference) & (difference > least) & np.isfinite(raw_dark)
    ratio = 1.0
    if exposures.raw is not None and exposures.white is not None:
        ratio = exposures.white / exposures.raw
    gain = np.full(difference.shape, np.nan)
    np.divide(panel * np.ones_like(difference) * ratio, difference, out=gain, where=usable)
    return Coefficients(raw_dark, gain, (~usable).sum(1))


def reflectance(
    raw: NDArray[np.float64],
    dark: NDArray[np.float64],
    gain: NDArray[np.float64],
    clip: float | None = None,
) -> NDArray[np.float32]:
    """(raw - dark) * gain of (h, w, C) counts, computed in float64.

    Args:
        raw: The counts.
        dark: (w, C) or (1, C), as ``gain``.
        gain: The factor.
        clip: Limit the result to [0, clip]; NaN stays NaN.
    """
    values = (raw - dark) * gain
    if clip is not None:
        np.clip(values, 0, clip, out=values)
    return values.astype(np.float32)


def unusable_note(unusable: NDArray[np.intp], bands: int) -> str:
    """How many elements of the sensor have no reflectance, by column; empty for none."""
    columns = np.flatnonzero(unusable)
    if not len(columns):
        return ""
    shown = ", ".join(f"{column} ({unusable[column]} bands)" for column in columns[:MOST_COLUMNS])
    rest = len(columns) - MOST_COLUMNS
    more = f" and {rest} more" if rest > 0 else ""
    return (
        f"{int(unusable.sum())} of {len(unusable)} x {bands} elements of the sensor have no white "
        f"reference above the dark and are NaN: columns {shown}{more}"
    )
