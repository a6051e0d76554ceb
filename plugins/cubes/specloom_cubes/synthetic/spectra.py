"""Smooth reflectance spectra of made-up materials. They imitate; nothing here was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Spectrum = NDArray[np.float64]


def bump(nm: Spectrum, centre: float, width: float) -> Spectrum:
    """A Gaussian of height 1."""
    return np.exp(-0.5 * ((nm - centre) / width) ** 2)


def rise(nm: Spectrum, centre: float, width: float) -> Spectrum:
    """A step from 0 to 1, smooth over ``width``."""
    return 1 / (1 + np.exp((centre - nm) / width))


def belt(nm: Spectrum) -> Spectrum:
    """Dark, bluish rubber."""
    return 0.08 + 0.03 * bump(nm, 460, 50) + 0.02 * rise(nm, 700, 90)


LENTILS: dict[str, Callable[[Spectrum], Spectrum]] = {
    "brown": lambda nm: 0.07 + 0.36 * rise(nm, 650, 55) - 0.02 * bump(nm, 675, 18),
    "green": lambda nm: (
        0.07 + 0.09 * bump(nm, 555, 40) + 0.40 * rise(nm, 712, 24) - 0.03 * bump(nm, 672, 20)
    ),
    "red": lambda nm: 0.08 + 0.34 * rise(nm, 580, 20) + 0.09 * rise(nm, 770, 60),
    "black": lambda nm: 0.05 + 0.24 * rise(nm, 755, 45),
}

FOREIGN: dict[str, Callable[[Spectrum], Spectrum]] = {
    "stone": lambda nm: 0.17 + 0.16 * rise(nm, 590, 75) - 0.06 * bump(nm, 880, 70),
    "plastic": lambda nm: (
        0.13 + 0.15 * bump(nm, 500, 55) + 0.27 * rise(nm, 735, 35) - 0.05 * bump(nm, 890, 18)
    ),
    "wood": lambda nm: 0.12 + 0.42 * rise(nm, 600, 90) - 0.04 * bump(nm, 840, 30),
    # A brown lentil in all bands but those of two lines: few bands tell it apart.
    "lacquer": lambda nm: LENTILS["brown"](nm) - 0.03 * bump(nm, 550, 6) - 0.03 * bump(nm, 782, 6),
}

COLOURLESS = ("lacquer",)
"""Foreign materials of which all bodies have the same spectrum."""

VARIATION: tuple[Callable[[Spectrum], Spectrum], ...] = (
    lambda nm: 0.25 * (nm - nm.mean()) / 500,  # tilt: colour of the single lentil
    lambda nm: -0.12 * bump(nm, 675, 22),  # more or less pigment
    lambda nm: -0.10 * bump(nm, 780, 60),  # more or less water
)
"""How one lentil differs from another of its variety."""

COLOUR = 10
"""Foreign bodies differ in colour far more than lentils: so many bumps over the whole range."""


def stain(nm: Spectrum) -> Spectrum:
    """What a spot of mould adds: rare, and no anomaly."""
    return -0.10 * bump(nm, 610, 70) - 0.05


def endmembers(nm: Spectrum, varieties: Sequence[str], foreign: Sequence[str]) -> Spectrum:
    """Rows (M, C): belt, varieties, foreign materials, colours, variations, stain, gloss."""
    functions = [belt, *(LENTILS[name] for name in varieties), *(FOREIGN[name] for name in foreign)]
    first = nm.min()
    last = nm.max()
    width = (last - first) / COLOUR + 1e-9
    colours = [bump(nm, centre, 0.6 * width) for centre in np.linspace(first, last, COLOUR)]
    gloss = np.ones_like(nm)  # light that never entered the lentil
    rest = [f(nm) for f in (*VARIATION, stain)]
    return np.stack([*(f(nm) for f in functions), *colours, *rest, gloss])
