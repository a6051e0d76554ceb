"""Wavelengths in nanometres, whatever unit a file gives them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TO_NM = {
    **dict.fromkeys(("nanometers", "nanometer", "nanometres", "nm"), 1.0),
    **dict.fromkeys(("micrometers", "micrometer", "micrometres", "microns", "um", "µm", "μm"), 1e3),
    **dict.fromkeys(("angstroms", "angstrom"), 0.1),
    **dict.fromkeys(("millimeters", "mm"), 1e6),
    **dict.fromkeys(("centimeters", "cm"), 1e7),
    **dict.fromkeys(("meters", "m"), 1e9),
}
UNSTATED = ("", "unknown")


def to_nm(
    values: NDArray[np.float64], unit: str, like: NDArray[np.float64] | None = None
) -> NDArray[np.float64] | None:
    """Lengths in nm, or None where the unit is no length (wave numbers, indices).

    Where no unit is stated, band centres below 100 can only be micrometres.

    Args:
        values: Band centres or widths.
        unit: The unit as the file writes it.
        like: The band centres, when ``values`` are widths: they decide an unstated unit.
    """
    unit = unit.strip().lower()
    if unit in UNSTATED:
        centres = values if like is None else like
        micrometres = bool(centres.size) and centres.max() < 100
        return values * (1e3 if micrometres else 1.0)
    factor = TO_NM.get(unit)
    return None if factor is None else values * factor
