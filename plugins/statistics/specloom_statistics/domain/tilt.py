"""How far the light over the bands is tilted against that of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

GROUPS = 32
"""Bands are added up in at most so many groups of neighbours: a tilt changes slowly over them."""

SPECTRA = 256
"""So many spectra of a cube are compared."""

NEAREST_SHARE = 0.25
"""The share of the spectra that counts: those that are like spectra of the fit at most."""

STEP = 0.15
"""The first search takes tilts in such steps, the second one thirds of it around the best."""

STEPS = 8
"""The first search takes so many steps to each side."""

EXACT = 1e-6
"""Spectra that are nearer, as 1 - cosine in float32, are equal."""


def grouped_directions(spectra: Floats) -> Floats32:
    """Spectra (n, C) with neighbouring bands added up, divided by their norm, (n, groups)."""
    bands = spectra.shape[1]
    groups = min(bands, GROUPS)
    first = np.arange(groups) * bands // groups
    sums = np.add.reduceat(spectra, first, axis=1)
    return _directions(sums.astype(np.float32))


def spectral_tilt(known: Floats32, spectra: Floats) -> float:
    """The tilt of the light that makes spectra most like known ones.

    It is the rise of ln(light) from the first band to the last one. It is found by taking tilts out
    of the spectra: the one counts for which a quarter of them come nearest to known ones.

    Args:
        known: The spectra of the fit, by ``grouped_directions``, (m, groups).
        spectra: Spectra of a cube, (n, C).
    """
    directions = grouped_directions(spectra[:SPECTRA])
    coarse = _nearest(known, directions, np.arange(-STEPS, STEPS + 1) * STEP)
    return _nearest(known, directions, coarse + np.arange(-2, 3) * STEP / 3)


def _nearest(known: Floats32, directions: Floats32, tilts: NDArray[Any]) -> float:
    """The tilt without which spectra are nearest to known ones, of equal ones the smallest."""
    by_size = tilts[np.argsort(np.abs(tilts), kind="stable")]
    distances = [_distance(known, directions, tilt) for tilt in by_size]
    return float(by_size[int(np.argmin(distances))])


def _distance(known: Floats32, directions: Floats32, tilt: float) -> float:
    """How far the nearest quarter of spectra without a tilt is from known ones, as 1 - cosine."""
    position = np.linspace(-0.5, 0.5, directions.shape[1])
    light = np.exp(tilt * position).astype(np.float32)
    cosines = (_directions(directions / light) @ known.T).max(axis=1)
    return max(float(np.quantile(1 - cosines, NEAREST_SHARE)), EXACT)


def _directions(spectra: Floats32) -> Floats32:
    """Spectra divided by their norm; those without one stay as they are."""
    norm = np.linalg.norm(spectra, axis=1, keepdims=True)
    directions: Floats32 = np.divide(spectra, norm, out=spectra.copy(), where=norm > 0)
    return directions
