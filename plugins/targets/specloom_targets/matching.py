"""Spectra on the bands of a scene: by linear interpolation, or with the responses of its bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes import Spectra

TOLERANCE_NM = 0.5
"""Band centres that differ by less are the same."""

FINER = 2.0
"""A library is finer than a band where it has this many samples within the band's width."""

SIGMA = 2 * np.sqrt(2 * np.log(2))
"""The full width at half maximum of a Gaussian, in its standard deviations."""

REACH = 3.0
"""Standard deviations at which the response of a band ends."""


def match_wavelengths(
    spectra: Spectra,
    wavelengths: NDArray[np.float64] | None,
    fwhm: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The spectra on the bands of a scene, float64 (T, C).

    Spectra on the same grid stay as they are. A band of the scene in whose width the library has
    two samples or more is their mean, weighted by a Gaussian of that width times the spacing of
    the samples; the others are interpolated linearly. Without band centres on either side, the
    number of bands must be the same.

    Args:
        spectra: The spectra.
        wavelengths: The band centres of the scene in nm, in any order, (C,); None if not known.
        fwhm: Its band widths in nm, (C,); None for the distance between neighbouring centres.

    Raises:
        DataError: A band of the scene lies outside the library, or the numbers of bands differ
            where centres are not known.
    """
    library = spectra.wavelengths
    if wavelengths is None or library is None:
        what, fix = _unknown_grid(spectra, wavelengths)
        raise DataError(what, fix=fix)
    if _is_same_grid(library, wavelengths):
        return spectra.values
    _refuse_extrapolation(spectra, library, wavelengths)
    order = np.argsort(library, kind="stable")
    grid, first = np.unique(library[order], return_index=True)
    values = spectra.values[:, order[first]]
    widths = band_spacing(wavelengths) if fwhm is None else fwhm
    spacing = band_spacing(grid)
    matched = np.empty((len(values), len(wavelengths)))
    for band, (centre, width) in enumerate(zip(wavelengths, widths, strict=True)):
        weights = _response(grid, spacing, centre, width)
        if weights is None:
            matched[:, band] = [np.interp(centre, grid, spectrum) for spectrum in values]
        else:
            matched[:, band] = values @ weights
    return matched


def has_same_bands(spectra: Spectra, wavelengths: NDArray[np.float64] | None, bands: int) -> bool:
    """Whether spectra fit by their number of bands alone, as centres are not known on both sides.

    Raises:
        DataError: Centres are not known and the numbers differ.
    """
    if wavelengths is not None and spectra.wavelengths is not None:
        return False
    if spectra.values.shape[1] != bands:
        what, fix = _unknown_grid(spectra, wavelengths)
        raise DataError(f"{what}; the scene has {bands} bands", fix=fix)
    return True


def band_spacing(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean distance of each centre to its neighbours in wavelength, in their order."""
    if len(centres) < 2:
        return np.zeros(len(centres))
    order = np.argsort(centres, kind="stable")
    spacing = np.empty(len(centres))
    spacing[order] = np.gradient(centres[order])
    return spacing


def _unknown_grid(spectra: Spectra, wavelengths: NDArray[np.float64] | None) -> tuple[str, str]:
    bands = spectra.values.shape[1]
    if spectra.wavelengths is None:
        what = f"{spectra.source} has {bands} bands and states no wavelengths"
        return what, "write band centres into the file of spectra"
    what = f"{spectra.source} has {bands} bands, and the wavelengths of the scene are not known"
    return what, "connect wavelengths, and give the data a table of wavelengths"


def _is_same_grid(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return len(one) == len(other) and bool((np.abs(one - other) <= TOLERANCE_NM).all())


def _refuse_extrapolation(
    spectra: Spectra, library: NDArray[np.float64], wavelengths: NDArray[np.float64]
) -> None:
    low = library.min()
    high = library.max()
    outside = (wavelengths < low - TOLERANCE_NM) | (wavelengths > high + TOLERANCE_NM)
    if not outside.any():
        return
    found = wavelengths[outside]
    raise DataError(
        f"{len(found)} of {len(wavelengths)} bands of the scene, {found.min():g} to "
        f"{found.max():g} nm, lie outside {spectra.source}, which has {low:g} to {high:g} nm",
        fix="use spectra that cover all bands, or exclude these bands of the scene",
    )


def _response(
    grid: NDArray[np.float64], spacing: NDArray[np.float64], centre: float, width: float
) -> NDArray[np.float64] | None:
    """The weights of the samples of ``grid`` in a band; None where the library is not finer."""
    within = np.abs(grid - centre) <= width / 2
    if width <= 0 or within.sum() < FINER:
        return None
    distance = (grid - centre) / (width / SIGMA)
    weights = np.where(np.abs(distance) <= REACH, np.exp(-(distance**2) / 2) * spacing, 0.0)
    scaled: NDArray[np.float64] = weights / weights.sum()
    return scaled
