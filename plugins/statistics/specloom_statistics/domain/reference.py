"""What is usual among the pixels that a pipeline was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from specloom.torch import one_thread
from specloom_statistics.domain.tilt import Floats32, grouped_directions, spectral_tilt

Floats = NDArray[np.float64]

LEAST_BANDS = 3
"""With fewer bands spectra have no shape, and brightness is compared with all pixels."""

LEVEL_NEIGHBOURS = 5
"""The sampled pixels of the nearest shape whose median level is the expected one."""

BAND_REACH = 2
"""A band is predicted from so many bands on each side."""

LEAST_ERROR = 1e-3
"""The smallest error of a band's prediction that counts as usual, as a share of the band."""

LEAST_SHARE = 0.1
"""The smallest error that counts as usual, as a share of the median error of all bands."""

TINY = 1e-9
"""Pixels with a smaller norm, as a share of the median norm, have no spectrum: they are dark."""


class Spectra(NamedTuple):
    """Pixels as their length and their direction.

    Args:
        level: The Euclidean norm of each pixel that is not dark, (n,).
        shape: These pixels divided by their norm, (n, C).
        lit: Which of all pixels they are, bool (N,).
    """

    level: Floats
    shape: Floats
    lit: NDArray[np.bool_]


class Nearest(NamedTuple):
    """For each of some spectra, what is nearest to it among the sampled ones.

    Args:
        distance: Between the directions, (n,).
        shape: The nearest direction, (n, C).
        level: The median norm of the nearest few, (n,).
    """

    distance: Floats
    shape: Floats
    level: Floats


class DomainReference:
    """The pixels that a pipeline was fitted on, ready for comparisons.

    Args:
        record: What ``DomainSample.record`` returned.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.pixels: Floats = np.asarray(record["pixels"], np.float64)
        pixels, looked_at, unusable = np.asarray(record["counts"]).tolist()
        self.excluded = unusable / looked_at
        """The share of pixels that were excluded from the fit."""
        self.images_pixels: int = pixels
        """How many pixels the images of the fit had."""
        self.darkness = TINY * float(np.median(np.linalg.norm(self.pixels, axis=1)))
        self.spectra = split(self.pixels, self.darkness)
        self.dark = float(np.mean(~self.spectra.lit))
        self.saturated = share_at_top(self.pixels)
        self.constant = is_constant(self.pixels)
        with one_thread():
            self.distance = self._usual_distance()
            self._weights, self._offsets = self._fit_bands()
            self.errors = self._usual_errors()

    @property
    def bands(self) -> int:
        """C."""
        return int(self.pixels.shape[1])

    def nearest(self, spectra: Spectra) -> Nearest:
        """What is nearest to each spectrum, by the angle between directions."""
        cosines = spectra.shape @ self.spectra.shape.T
        few = min(LEVEL_NEIGHBOURS, cosines.shape[1])
        if self.bands < LEAST_BANDS:
            few = cosines.shape[1]  # all have nearly one direction, so that none is nearer
        nearest_few = np.argpartition(-cosines, few - 1, axis=1)[:, :few]
        level = np.median(self.spectra.level[nearest_few], axis=1)
        nearest = cosines.argmax(1)
        distance = chord(cosines.max(1))
        return Nearest(distance, self.spectra.shape[nearest], level)

    def band_errors(self, shape: Floats) -> Floats:
        """The median error of each band's prediction from its neighbours, (C,)."""
        errors = np.abs(shape - shape @ self._weights - self._offsets)
        median: Floats = np.median(errors, axis=0)
        return median

    def tilt(self, shape: Floats) -> float:
        """The tilt of the light over the bands that makes spectra (n, C) most like these."""
        return spectral_tilt(self._groups, shape)

    @cached_property
    def _groups(self) -> Floats32:
        return grouped_directions(self.spectra.shape)

    def _usual_distance(self) -> float:
        """The median distance of a sampled spectrum to the nearest other one."""
        shape = self.spectra.shape
        if len(shape) < 2:
            return 1.0
        cosines = shape @ shape.T
        np.fill_diagonal(cosines, -1)
        distance = float(np.median(chord(cosines.max(1))))
        return max(distance, TINY)

    def _fit_bands(self) -> tuple[Floats, Floats]:
        """What predicts each band from its neighbours, by least squares: weights and offsets.

        Column b of the weights, (C, C), is not 0 at the neighbours of band b; offsets are (C,).
        """
        shape = self.spectra.shape
        weights = np.zeros((self.bands, self.bands))
        offsets = np.zeros(self.bands)
        ones = np.ones((len(shape), 1))
        for band in range(self.bands):
            near = range(max(band - BAND_REACH, 0), min(band + BAND_REACH + 1, self.bands))
            neighbours = [one for one in near if one != band]
            design = np.hstack([shape[:, neighbours], ones])
            found, *_ = np.linalg.lstsq(design, shape[:, band], rcond=1e-6)
            weights[neighbours, band] = found[:-1]
            offsets[band] = found[-1]
        return weights, offsets

    def _usual_errors(self) -> Floats:
        shape = self.spectra.shape
        if not len(shape):
            return np.ones(self.bands)
        errors = self.band_errors(shape)
        errors = np.maximum(errors, LEAST_ERROR * np.median(np.abs(shape), axis=0))
        return np.maximum(errors, max(LEAST_SHARE * float(np.median(errors)), TINY))


def split(pixels: Floats, darkness: float) -> Spectra:
    """The norm and direction of pixels (N, C) whose norm is larger than ``darkness``."""
    norm = np.linalg.norm(pixels, axis=1)
    lit = norm > darkness
    level = norm[lit]
    return Spectra(level, pixels[lit] / level[:, None], lit)


def chord(cosines: Floats) -> Floats:
    """The distance of two directions on the unit sphere, from the cosine between them."""
    distance: Floats = np.sqrt(np.maximum(2 - 2 * cosines, 0))
    return distance


def share_at_top(pixels: Floats) -> float:
    """The share of pixels in which a band has the largest of all values."""
    if not pixels.size:
        return 0.0
    return float(np.mean((pixels == pixels.max()).any(axis=1)))


def is_constant(pixels: Floats) -> NDArray[np.bool_]:
    """Which bands have one value in all pixels, bool (C,)."""
    constant: NDArray[np.bool_] = pixels.max(axis=0) == pixels.min(axis=0)
    return constant
