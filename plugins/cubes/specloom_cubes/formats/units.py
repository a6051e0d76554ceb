"""What a file states of each band: wavelengths in nanometres whatever its unit, and bad bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specloom_cubes.wavelengths import LEAST_NM

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
    values: NDArray[np.float64] | None, unit: str, like: NDArray[np.float64] | None = None
) -> NDArray[np.float64] | None:
    """Lengths in nm, or None where the unit is no length (wave numbers, indices).

    Where no unit is stated, band centres below 100 can only be micrometres.

    Args:
        values: Band centres or widths; None where the file has none.
        unit: The unit as the file writes it.
        like: The band centres, when ``values`` are widths: they decide an unstated unit.
    """
    if values is None:
        return None
    unit = unit.strip().lower()
    if unit in UNSTATED:
        centres = values
        if like is not None:
            centres = like
        if centres.size > 0 and centres.max() < LEAST_NM:
            return values * 1e3
        return values
    factor = TO_NM.get(unit)
    if factor is None:
        return None
    return values * factor


def zero_flags(flags: NDArray[np.float64] | None) -> NDArray[np.bool_] | None:
    """The bad bands, bool (C,), of a list of flags (0: bad), or None where a file has none."""
    if flags is None:
        return None
    bad: NDArray[np.bool_] = flags == 0
    return bad
