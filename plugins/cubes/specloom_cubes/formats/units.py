"""What a file states of each band, as formats read it that know one vector only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specloom_cubes.rules.units import zero_flags
from specloom_cubes.rules.wavelengths import Centres, Vector, convert, find_widths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["to_nm", "zero_flags"]


def to_nm(
    values: NDArray[np.float64] | None, unit: str, like: NDArray[np.float64] | None = None
) -> NDArray[np.float64] | None:
    """Lengths in nm, or None where the unit is no length (wave numbers, indices).

    Args:
        values: Band centres or widths; None where the file has none.
        unit: The unit as the file writes it.
        like: The band centres, when ``values`` are widths: they decide an unstated unit.
    """
    if values is None:
        return None
    if like is None:
        return convert(Vector("wavelength", values, unit)).nm
    centres: Centres = convert(Vector("wavelength", like, unit))
    return find_widths([Vector("fwhm", values, unit)], len(values), centres)
