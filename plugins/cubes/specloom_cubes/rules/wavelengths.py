"""Which vector of a file holds the band centres, and in which unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from specloom_cubes.formats.units import to_nm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Vector:
    """Numbers of a file that may be band centres or widths.

    Args:
        name: Its name in the file: an array, an attribute, a field of a header, a column.
        values: The numbers, float64 (n,).
        unit: Their unit as the file writes it; empty where it states none.
    """

    name: str
    values: NDArray[np.float64] = field(repr=False)
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Centres:
    """The band centres of a file.

    Args:
        nm: The centres in nm, float64 (C,).
        source: The name of the vector that holds them.
        notes: What was assumed of them, one sentence each.
    """

    nm: NDArray[np.float64] = field(repr=False)
    source: str
    notes: tuple[str, ...] = ()


def is_centres_name(name: str) -> bool:
    """Whether a vector of that name may hold band centres."""
    return "wavelength" in name.lower()


def find_centres(vectors: Sequence[Vector], bands: int, where: str) -> Centres | None:
    """The band centres among the vectors of a file, or None where none holds them.

    Args:
        vectors: The candidates.
        bands: The number of bands.
        where: The file, for messages.

    Raises:
        DataError: Several vectors may hold them and differ.
    """
    for vector in vectors:
        if not is_centres_name(vector.name) or len(vector.values) != bands:
            continue
        nm = to_nm(vector.values, vector.unit)
        if nm is not None:
            return Centres(nm, vector.name)
    return None


def find_widths(
    vectors: Sequence[Vector], bands: int, centres: Centres | None
) -> NDArray[np.float64] | None:
    """The band widths in nm among the vectors of a file, float64 (C,), or None."""
    for vector in vectors:
        if "fwhm" not in vector.name.lower() or len(vector.values) != bands:
            continue
        like = None if centres is None else centres.nm
        return to_nm(vector.values, vector.unit, like=like)
    return None
