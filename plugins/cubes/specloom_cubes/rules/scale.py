"""Gains and offsets that a file states: physical value = stored value * gain + offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FACTOR = "scale_factor"
OFFSET = "add_offset"
"""The attributes of the CF conventions, in lower case: physical = stored * factor + offset."""

DIVISOR = "Scale_Factor"
"""The attribute of NEON's products, in exactly this spelling: physical = stored / divisor."""

GAINS = "data gain values"
OFFSETS = "data offset values"
REFLECTANCE = "reflectance scale factor"
"""Fields of ENVI headers; the last is what reflectance was multiplied with."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """The scale of a cube's bands.

    Args:
        gains: float64 (C,), or None where all are 1.
        offsets: float64 (C,), or None where all are 0.
        source: Where in the file they are stated.
        notes: What was assumed, one sentence each.
    """

    gains: NDArray[np.float64] | None = field(repr=False)
    offsets: NDArray[np.float64] | None = field(repr=False)
    source: str
    notes: tuple[str, ...] = ()


def scaling_of(
    gains: Any, offsets: Any, bands: int, source: str, where: str, notes: Sequence[str] = ()
) -> Scaling | None:
    """Gains and offsets as a file has them, or None where they change nothing.

    Args:
        gains: One number for all bands or one for each; None where the file states none.
        offsets: Likewise.
        bands: The number of bands.
        source: Where in the file they are stated.
        where: The file, for messages.
        notes: What was assumed.

    Raises:
        DataError: They are not as many as there are bands, not finite, or a gain is 0.
    """
    all_gains = _per_band(gains, bands, 1.0, source, where)
    all_offsets = _per_band(offsets, bands, 0.0, source, where)
    if (all_gains == 0).any():
        raise DataError(
            f"{source}: a gain is 0", where=where, fix="correct the gains, or remove them"
        )
    changed_gains = all_gains if (all_gains != 1).any() else None
    changed_offsets = all_offsets if all_offsets.any() else None
    if changed_gains is None and changed_offsets is None:
        return None
    return Scaling(changed_gains, changed_offsets, source, tuple(notes))


def from_attributes(attributes: Mapping[str, Any], bands: int, where: str) -> Scaling | None:
    """The scale that the attributes of an array state (HDF5, netCDF), or None.

    Args:
        attributes: ``scale_factor`` and ``add_offset`` of the CF conventions, or NEON's
            ``Scale_Factor``, which divides.
        bands: The number of bands.
        where: The file, for messages.

    Raises:
        DataError: They are not finite, or not as many as there are bands.
    """
    names = {}
    for name in attributes:
        names[str(name).lower()] = name
    factor = attributes.get(names.get(FACTOR, ""))
    offset = attributes.get(names.get(OFFSET, ""))
    if factor is None and offset is None:
        return None
    stated = [names[key] for key in (FACTOR, OFFSET) if key in names]
    source = " and ".join(f"the attribute {name!r}" for name in stated)
    if DIVISOR in attributes and factor is attributes[DIVISOR]:
        divisor = _per_band(factor, bands, 1.0, source, where)
        _refuse_divisor(divisor, DIVISOR, where)
        factor = _inverse(divisor)
    return scaling_of(factor, offset, bands, source, where)


def from_envi(fields: Mapping[str, NDArray[np.float64]], bands: int, where: str) -> Scaling | None:
    """The scale that an ENVI header states, or None.

    Gains and offsets give physical = stored * gain + offset, as GDAL reads them; the reflectance
    scale factor is what reflectance was multiplied with: physical = stored / factor. Where a
    header has both, gains and offsets count, and a note says so.

    Args:
        fields: The numbers of the fields, by name in lower case; one or one for each band.
        bands: The number of bands.
        where: The header, for messages.

    Raises:
        DataError: They are not finite, or not as many as there are bands.
    """
    factor = fields.get(REFLECTANCE)
    if factor is not None:
        _refuse_divisor(factor, REFLECTANCE, where)
    stated = [name for name in (GAINS, OFFSETS) if name in fields]
    if stated:
        source = " and ".join(f"the field {name!r}" for name in stated)
        notes = []
        if factor is not None and (factor != 1).any():
            notes.append(
                f"{source} of the header are applied, its {REFLECTANCE!r} is not; "
                "remove the one that does not hold"
            )
        return scaling_of(fields.get(GAINS), fields.get(OFFSETS), bands, source, where, notes)
    if factor is None:
        return None
    return scaling_of(_inverse(factor), None, bands, f"the field {REFLECTANCE!r}", where)


def from_geotiff(scales: Sequence[float], offsets: Sequence[float], where: str) -> Scaling | None:
    """The scale that GDAL reads from a TIFF file, one pair for each band, or None."""
    return scaling_of(scales, offsets, len(scales), "the scales and offsets of the bands", where)


def _per_band(
    values: Any, bands: int, default: float, source: str, where: str
) -> NDArray[np.float64]:
    """One number for each band, from one for all or one for each."""
    if values is None:
        return np.full(bands, default)
    try:
        numbers = _real(values)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{source}: {values!r} is no number", where=where, fix="write numbers, or remove it"
        ) from error
    if numbers.size not in (1, bands):
        raise DataError(
            f"{source}: {numbers.size} values for {bands} bands",
            where=where,
            fix="write one for all bands, or one for each",
        )
    if not np.isfinite(numbers).all():
        raise DataError(
            f"{source}: a value is not finite", where=where, fix="correct it, or remove it"
        )
    if numbers.size == bands:
        return numbers
    return np.full(bands, numbers[0])


def _real(values: Any) -> NDArray[np.float64]:
    """Values as real numbers along one axis.

    Raises:
        TypeError: They are complex or no numbers.
        ValueError: They are texts of no numbers.
    """
    if np.asarray(values).dtype.kind == "c":
        raise TypeError("complex")
    return np.asarray(values, np.float64).ravel()


def _inverse(divisor: NDArray[np.float64]) -> NDArray[np.float64]:
    """One through a divisor; infinite, without a warning, where that is too large."""
    with np.errstate(over="ignore"):
        return 1 / divisor


def _refuse_divisor(divisor: NDArray[np.float64], name: str, where: str) -> None:
    """Refuse a divisor that is not positive and finite.

    Raises:
        DataError: It is not.
    """
    if not (np.isfinite(divisor) & (divisor > 0)).all():
        raise DataError(
            f"{name!r} is {divisor.min():g}",
            where=where,
            fix="write what the values were multiplied with, or remove it",
        )
