"""Which vector of a file holds the band centres, and in which unit: one rule for all formats.

Band centres are positive, finite, neither constant nor a count 1, 2, 3 …, and lie between 100 nm
and 20 µm. Where that does not hold in the unit that is stated, other units are tried; what is
found then, and what is not understood, is said in a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from specloom_cubes.rules.units import IN_NAMES, TRIED, fits, unit_in_name, unit_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = (
    {"wavelength", "wavelengths"},
    {"wl", "wls", "wvl", "wvls", "wave", "waves", "wavelen", "lambda", "lambdas", "λ", "cw"},
    {"center", "centers", "centre", "centres", "central"},
    {"bands", "nm", "nanometers", "nanometer", "um", "μm", "micrometers", "micrometer"},
)
"""Words of names that band centres have, the surest first."""

OTHERS = {
    *("fwhm", "width", "widths", "bandwidth", "bandwidths", "resolution", "res", "sampling"),
    *("flag", "flags", "good", "bad", "valid", "mask", "bbl", "quality"),
    *("index", "indices", "idx", "number", "numbers", "num", "no", "nr", "id", "ids", "count"),
    *("uncertainty", "uncertainties", "error", "errors", "std", "stdev", "sigma", "accuracy"),
    *("min", "max", "minimum", "maximum", "lower", "upper", "start", "end", "range", "bounds"),
    *("unit", "units", "scale", "gain", "gains", "offset", "offsets", "shift", "response"),
    *("names", "name", "map", "x", "y", "row", "column", "lat", "lon", "latitude", "longitude"),
}
"""Words of names that band centres never have."""

OTHER_COLUMNS = {
    *("band", "channel", "frequency", "frequencies", "freq", "hz", "ghz", "thz", "energy", "ev"),
    *("reflectance", "radiance", "irradiance", "intensity", "absorbance", "transmittance"),
    *("temperature", "time", "counts"),
}
"""Further words of columns that are not band centres where no word for these is in the name."""

BAND_NAMES = "band names"
DESCRIPTIONS = "band descriptions"
TEXTS = (BAND_NAMES, DESCRIPTIONS)
"""The names of vectors whose numbers come from texts; all else counts before them."""

WIDTHS = {"fwhm", "width", "widths", "bandwidth", "bandwidths"}

NUMBER = r"(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
UNITS = "|".join(sorted(IN_NAMES, key=len, reverse=True))
IN_TEXT = (
    re.compile(rf"(?<![\d.]){NUMBER}\s*[\[(]?\s*({UNITS})\b", re.IGNORECASE),
    re.compile(rf"\(\s*{NUMBER}\s*()\)"),
    re.compile(rf"^\s*{NUMBER}()\s*$"),
)
"""Band centres in texts: with a unit, in parentheses, or alone."""

FEW_NM = 3000.0
"""From here on few centres lie, in nm: without a unit it is said that they are taken as nm."""

TOLERANCE_NM = 0.5
"""Centres that differ by less are the same."""


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

    @property
    def stated_unit(self) -> str:
        """The unit that the file writes, or else the one in the name."""
        return self.unit.strip() or unit_in_name(self.name)


@dataclass(frozen=True, eq=False)
class Centres:
    """The band centres of a file.

    Args:
        nm: The centres in nm, float64 (C,); None where the vector was not understood, as a note
            says.
        source: The name of the vector.
        notes: What was assumed of it, or why it was not understood, one sentence each.
        factor: Nanometres in the unit of the vector.
        unit: The unit as the file writes it.
    """

    nm: NDArray[np.float64] | None = field(repr=False)
    source: str
    notes: tuple[str, ...] = ()
    factor: float = 1.0
    unit: str = ""


def is_centres_name(name: str) -> bool:
    """Whether a vector of that name may hold band centres."""
    return rank(name) is not None


def rank(name: str) -> int | None:
    """How sure a name is for band centres, 0 for the surest; None where it is none."""
    if name in TEXTS:
        return len(NAMES) + 2
    words = set(_words(name))
    joined = "".join(_words(name))
    if "wavenumber" in joined:
        return len(NAMES) + 1  # so that a note says why they are not read
    if words & OTHERS or "fwhm" in name.lower():
        return None
    for order, known in enumerate(NAMES):
        if words & known:
            return order
    if "wavelength" in joined or "bandcent" in joined:
        return len(NAMES)
    return None


def is_other_name(name: str) -> bool:
    """Whether a column of that name holds something else than band centres."""
    words = set(_words(name))
    return bool(words & (OTHERS | OTHER_COLUMNS)) or "fwhm" in name.lower()


def differ(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether band centres in nm differ by more than the tolerance."""
    return len(one) != len(other) or bool((np.abs(one - other) > TOLERANCE_NM).any())


def find_centres(vectors: Sequence[Vector], bands: int, where: str) -> Centres | None:
    """The band centres among the vectors of a file, or None where none is named like them.

    The surest name counts, and of several the first vector in the order of ``vectors``.

    Args:
        vectors: The candidates, the closest to the cube first.
        bands: The number of bands.
        where: The file, for notes.
    """
    refused = None
    found = None
    for vector in _by_name(vectors, bands):
        centres = _understood(vector, where)
        if centres.nm is None:
            refused = refused or centres
        elif found is None:
            found = centres
        elif found.nm is not None and differ(found.nm, centres.nm):
            note = (
                f"{where}: {found.source!r} and {centres.source!r} state different band centres; "
                f"{found.source!r} is used; give a table as wavelengths to state them"
            )
            return Centres(found.nm, found.source, (*found.notes, note), found.factor, found.unit)
    return found or refused


def find_widths(
    vectors: Sequence[Vector], bands: int, centres: Centres | None
) -> NDArray[np.float64] | None:
    """The band widths in nm among the vectors of a file, float64 (C,), or None.

    Widths without a unit, or with the unit that the centres state, are in that of the centres;
    where they would be wider than the centres are long, they are in nm.
    """
    for vector in vectors:
        if len(vector.values) != bands or not is_widths_name(vector.name):
            continue
        if not np.isfinite(vector.values).all() or (vector.values < 0).any():
            continue
        factor = _factor_of_widths(vector, centres)
        if factor is None:
            continue
        widths = times(vector.values, factor)
        if centres is None or centres.nm is None or (widths <= centres.nm).all():
            return widths
        if (vector.values <= centres.nm).all():
            return vector.values
    return None


def is_widths_name(name: str) -> bool:
    """Whether a vector of that name may hold band widths."""
    words = _words(name)
    return bool(WIDTHS & set(words)) or "fwhm" in name.lower()


def vector_of_texts(name: str, texts: Sequence[str]) -> Vector | None:
    """The numbers in texts such as ``Band 1 (400.0 Nanometers)``, all with the same unit, or None.

    Args:
        name: The name of the vector.
        texts: One for each band: a number with a unit, a number in parentheses, or a number.
    """
    for pattern in IN_TEXT:
        matches = [pattern.search(text) for text in texts]
        found = [match for match in matches if match is not None]
        if not found or len(found) < len(texts):
            continue
        units = {match[2] or "" for match in found}
        if len(units) == 1:
            values = np.array([float(match[1]) for match in found])
            return Vector(name, values, units.pop())
    return None


def why_no_centres(values: NDArray[np.float64]) -> str:
    """Why numbers cannot be band centres in any unit, or nothing."""
    if not np.isfinite(values).all() or not (values > 0).all():
        return "holds values that are not positive numbers"
    if len(values) > 1 and (values == values[0]).all():
        return f"is {values[0]:g} throughout"
    if counts_from_one(values):
        return f"counts {values[0]:g} to {values[-1]:g}: these are band numbers"
    return ""


def counts_from_one(values: NDArray[np.float64]) -> bool:
    """Whether numbers are 1, 2, 3 …, or 0, 1, 2 …"""
    return len(values) > 0 and values[0] in (0, 1) and counts(values)


def counts(values: NDArray[np.float64]) -> bool:
    """Whether numbers are whole and grow by one."""
    return bool((values == np.floor(values)).all() and (np.diff(values) == 1).all())


def convert(vector: Vector) -> Centres:
    """The numbers of a vector in nm, in the unit that is stated or else the first that fits."""
    values = vector.values
    stated = vector.stated_unit
    unit = unit_of(stated)
    source = vector.name
    called = _called(source)
    if unit.kind:
        note = f"{called} is in {stated!r}, which are {unit.kind} and no lengths: not read"
        if unit.kind == "wave numbers":
            note = f"{note}; write the centres in nm (1e7 divided by the wave number in cm-1)"
        return Centres(None, source, (note,))
    if unit.factor is not None:
        nm = times(values, unit.factor)
        if fits(nm):
            return Centres(nm, source, (), unit.factor, stated)
    span = f"{values.min():g} to {values.max():g}"
    for name, factor in TRIED.items():
        nm = times(values, factor)
        if not fits(nm):
            continue
        notes = []
        if stated and unit.known and unit.factor is None:
            stated = ""
        if stated:
            notes.append(f"{called} states {span} in {stated!r}: taken as {name}")
        elif factor != 1 or values.min() >= FEW_NM or _may_be_wave_numbers(values):
            notes.append(f"{called} states no unit: {span} is taken as {name}")
        return Centres(nm, source, tuple(notes), factor, stated)
    in_unit = f" {stated}" if stated else ""
    note = f"{called} is {span}{in_unit}, not between 100 nm and 20 µm in any unit: not read"
    return Centres(None, source, (note,))


def _may_be_wave_numbers(values: NDArray[np.float64]) -> bool:
    """Whether numbers without a unit fall, as wave numbers in cm-1 do, from where few nm lie."""
    return bool(values[0] >= FEW_NM and values[-1] < values[0])


def _called(name: str) -> str:
    """What messages call a vector."""
    if not name:
        return "the column without a name"
    return repr(name)


def times(values: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Numbers times a factor; infinite, without a warning, where that is too large."""
    with np.errstate(over="ignore"):
        return values * factor


def _understood(vector: Vector, where: str) -> Centres:
    """The centres of a vector; the file is named in its notes."""
    reason = why_no_centres(vector.values)
    if reason:
        return Centres(None, vector.name, (f"{where}: {vector.name!r} {reason}: not read",))
    centres = convert(vector)
    notes = tuple(f"{where}: {note}" for note in centres.notes)
    return Centres(centres.nm, centres.source, notes, centres.factor, centres.unit)


def _by_name(vectors: Iterable[Vector], bands: int) -> list[Vector]:
    """The vectors of the surest name that have one value for each band, in their order."""
    ranked: list[tuple[int, Vector]] = []
    for vector in vectors:
        order = rank(vector.name)
        if order is not None and len(vector.values) == bands:
            ranked.append((order, vector))
    ranked.sort(key=lambda pair: pair[0])
    return [vector for _, vector in ranked]


def _factor_of_widths(vector: Vector, centres: Centres | None) -> float | None:
    """Nanometres in the unit of widths; None where that is no length."""
    stated = vector.stated_unit
    unit = unit_of(stated)
    if unit.kind:
        return None
    if centres is not None and (unit.factor is None or stated == centres.unit):
        return centres.factor
    return unit.factor or 1.0


def _words(name: str) -> list[str]:
    """The words of the last part of a name, in lower case: ``List_CwVnir`` is list, cw, vnir."""
    last = name.strip("/").rpartition("/")[2]
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", last)
    return re.findall(r"[^\W\d_]+", spaced.casefold().replace("µ", "μ"))
