"""Named spectra, as files hold them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Spectra:
    """Named spectra on one grid of bands.

    Args:
        names: The name of each spectrum, (T,).
        values: The spectra, float64 (T, C); NaN where a file has no number.
        wavelengths: Band centres in nm, float64 (C,), or None where they are not stated.
        fwhm: Band widths in nm, float64 (C,), or None.
        unit: The unit of the values as the file states it; empty where it states none.
        source: The file, for messages.
        notes: What was assumed of the file, one sentence each.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64] = field(repr=False)
    wavelengths: NDArray[np.float64] | None = field(default=None, repr=False)
    fwhm: NDArray[np.float64] | None = field(default=None, repr=False)
    unit: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()
