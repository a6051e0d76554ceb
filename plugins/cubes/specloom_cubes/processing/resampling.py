"""Maps from one grid of bands to another: Gaussian bands, measured responses, bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGMA = 2 * np.sqrt(2 * np.log(2))
"""The full width at half maximum of a Gaussian, in its standard deviations."""

NEGLIGIBLE = 1e-20
"""Weights below this share of the largest one are less than the rounding of float64, and are 0."""

COVERED = 0.5
"""The share of a response that must lie within the bands of the source."""

WATER_VAPOUR = ((1340.0, 1450.0), (1790.0, 1960.0))
"""The strong absorptions of water vapour around 1380 and 1870 nm.

Source: B.-C. Gao, A. F. H. Goetz, Journal of Geophysical Research 95(D4), 1990.
"""


class BandMap(NamedTuple):
    """A linear map from the bands of a source to those of a target.

    Args:
        matrix: Weights, float64 (K, C).
        wavelengths: The centres of the target in nm, float64 (K,), or None.
        fwhm: Their widths in nm, float64 (K,), or None.
        notes: What was assumed, one sentence each.
    """

    matrix: NDArray[np.float64]
    wavelengths: NDArray[np.float64] | None
    fwhm: NDArray[np.float64] | None
    notes: tuple[str, ...] = ()


def band_spacing(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean distance of each centre to its neighbours in wavelength, in their order."""
    if len(centres) < 2:
        return np.ones(len(centres))
    order = np.argsort(centres, kind="stable")
    spacing = np.empty(len(centres))
    spacing[order] = np.gradient(centres[order])
    return spacing


def gaussian_map(
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    fwhm: NDArray[np.float64] | None = None,
) -> BandMap:
    """Resampling to Gaussian bands: the weight of a source band is its Gaussian times its spacing.

    The weights of a target band sum to 1. A target band that is narrower than the spacing of the
    source around it is interpolated linearly, which is noted.

    Args:
        source: The centres of the source in nm, in any order, (C,).
        target: The centres of the target in nm, in any order, (K,).
        fwhm: The widths of the target at half maximum in nm, (K,); None for their spacing.

    Raises:
        DataError: A target band lies outside the source by more than half of its width.
    """
    widths = fwhm
    if widths is None:
        widths = band_spacing(target)
    _refuse_outside(source, target, widths)
    spacing = band_spacing(source)
    order = np.argsort(source, kind="stable")
    around = np.interp(target, source[order], spacing[order])
    is_narrow = widths < around
    matrix = np.empty((len(target), len(source)))
    for band, (centre, width) in enumerate(zip(target, widths, strict=True)):
        if is_narrow[band]:
            matrix[band] = _interpolation(source, order, centre)
        else:
            distance = (source - centre) * (SIGMA / width)
            weights = np.exp(-(distance**2) / 2) * spacing
            weights[weights < NEGLIGIBLE * weights.max()] = 0
            matrix[band] = weights / weights.sum()
    notes: tuple[str, ...] = ()
    if is_narrow.any():
        notes = (
            f"{int(is_narrow.sum())} of {len(target)} bands are narrower than the spacing of the "
            "source: they are interpolated linearly",
        )
    return BandMap(matrix, target, widths, notes)


def response_map(
    source: NDArray[np.float64],
    wavelengths: NDArray[np.float64],
    responses: NDArray[np.float64],
    names: Sequence[str],
) -> BandMap:
    """Resampling with measured responses, interpolated linearly at the centres of the source.

    The weights of a target band are its response times the spacing of the source, and sum to 1.
    Its centre is the mean wavelength of its response.

    Args:
        source: The centres of the source in nm, (C,).
        wavelengths: Where the responses are stated, in nm, (L,).
        responses: The responses, 0 or more, (K, L).
        names: The name of each target band, for messages.

    Raises:
        DataError: A response is negative, not finite or 0 everywhere, or lies outside the source
            by half or more.
    """
    order = np.argsort(wavelengths, kind="stable")
    grid = wavelengths[order]
    steps = band_spacing(grid)
    spacing = band_spacing(source)
    matrix = np.empty((len(responses), len(source)))
    centres = np.empty(len(responses))
    widths = np.empty(len(responses))
    within = (grid >= source.min()) & (grid <= source.max())
    for band, (name, response) in enumerate(zip(names, responses[:, order], strict=True)):
        if not np.isfinite(response).all() or (response < 0).any() or not response.any():
            raise DataError(
                f"the response of band {name!r} is negative, not finite or 0 everywhere",
                fix="correct the table of responses",
            )
        share = (response * steps)[within].sum() / (response * steps).sum()
        weights = np.interp(source, grid, response, left=0.0, right=0.0) * spacing
        if share <= COVERED or not weights.any():
            raise DataError(
                f"the source has {source.min():g} to {source.max():g} nm, which is "
                f"{share:.0%} of the response of band {name!r}",
                fix="remove this band from the table of responses, or use another source",
            )
        matrix[band] = weights / weights.sum()
        centres[band] = (response * steps * grid).sum() / (response * steps).sum()
        high = grid[response >= response.max() / 2]
        widths[band] = high.max() - high.min()
    return BandMap(matrix, centres, widths)


def bin_map(
    count: int,
    size: int,
    wavelengths: NDArray[np.float64] | None = None,
    fwhm: NDArray[np.float64] | None = None,
) -> BandMap:
    """The means of ``size`` neighbouring bands each; the last bin may have fewer bands.

    Args:
        count: C, the bands of the source.
        size: The number of bands in a bin.
        wavelengths: The centres of the source in nm, (C,), or None.
        fwhm: Their widths in nm, (C,), or None.
    """
    starts = range(0, count, size)
    matrix = np.zeros((len(starts), count))
    for row, start in enumerate(starts):
        stop = min(start + size, count)
        matrix[row, start:stop] = 1 / (stop - start)
    if wavelengths is None:
        return BandMap(matrix, None, None)
    centres = matrix @ wavelengths
    if fwhm is None:
        return BandMap(matrix, centres, None)
    widths = np.empty(len(starts))
    for row, start in enumerate(starts):
        part = slice(start, start + size)
        high = (wavelengths[part] + fwhm[part] / 2).max()
        low = (wavelengths[part] - fwhm[part] / 2).min()
        widths[row] = high - low
    return BandMap(matrix, centres, widths)


def water_vapour(wavelengths: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which bands lie in the strong absorptions of water vapour, bool (C,).

    Args:
        wavelengths: Band centres in nm, (C,).
    """
    return bands_within(wavelengths, WATER_VAPOUR)


def bands_within(
    wavelengths: NDArray[np.float64],
    ranges: Sequence[tuple[float, float]],
    exclude: Sequence[tuple[float, float]] = (),
) -> NDArray[np.bool_]:
    """Which bands have their centre in one of ``ranges`` and in none of ``exclude``, bool (C,).

    Args:
        wavelengths: Band centres in nm, (C,).
        ranges: Pairs of nm, limits included; empty for all.
        exclude: Pairs of nm, limits included.
    """
    found = np.full(len(wavelengths), not ranges)
    for low, high in ranges:
        found |= (wavelengths >= low) & (wavelengths <= high)
    for low, high in exclude:
        found &= (wavelengths < low) | (wavelengths > high)
    return found


def _interpolation(
    source: NDArray[np.float64], order: NDArray[np.intp], centre: float
) -> NDArray[np.float64]:
    """The weights of linear interpolation at a centre, (C,)."""
    weights = np.empty(len(source))
    for place, band in enumerate(order):
        unit = np.zeros(len(source))
        unit[place] = 1.0
        weights[band] = np.interp(centre, source[order], unit)
    return weights


def _refuse_outside(
    source: NDArray[np.float64], target: NDArray[np.float64], widths: NDArray[np.float64]
) -> None:
    low = source.min()
    high = source.max()
    outside = (target < low - widths / 2) | (target > high + widths / 2)
    if not outside.any():
        return
    found = target[outside]
    raise DataError(
        f"{len(found)} of {len(target)} bands, {found.min():g} to {found.max():g} nm, lie outside "
        f"the source, which has {low:g} to {high:g} nm",
        fix="remove these bands from the target grid, or use a source that covers them",
    )
