"""What the vectors of a file say of each band: centre, width, and whether it is bad."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from specloom_cubes.rules.wavelengths import (
    Centres,
    Vector,
    find_centres,
    find_widths,
    is_centres_name,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLAGS = ("bbl", "good_wavelengths", "good_bands", "good_bands_list")
"""Names of vectors that are 0 for bad bands."""

WIDTHS = ("fwhm", "bandwidth", "band_width")
"""Words in the names of vectors of band widths."""

LONGEST = 1_000_000
"""Numbers of a vector that may be read."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What a file says of the bands of a cube.

    Args:
        centres: Band centres in nm, float64 (C,), or None.
        widths: Band widths in nm, float64 (C,), or None.
        bad_bands: True for bad bands, bool (C,), or None.
        source: Where the centres were read.
        notes: What was assumed, or was seen and not used, one sentence each.
    """

    centres: NDArray[np.float64] | None = field(default=None, repr=False)
    widths: NDArray[np.float64] | None = field(default=None, repr=False)
    bad_bands: NDArray[np.bool_] | None = field(default=None, repr=False)
    source: str = ""
    notes: tuple[str, ...] = ()


def leaf_of(name: str) -> str:
    """The last part of the name of a vector, without groups."""
    return name.rpartition("/")[2]


def is_spectral(name: str) -> bool:
    """Whether a vector of that name may say something of each band."""
    leaf = leaf_of(name).lower()
    return is_centres_name(leaf) or leaf in FLAGS or any(word in leaf for word in WIDTHS)


def is_flags(name: str) -> bool:
    """Whether a vector of that name is 0 for bad bands."""
    return leaf_of(name).lower() in FLAGS


def by_nearness(name: str, vectors: Iterable[Vector]) -> list[list[Vector]]:
    """Vectors with paths for names, in levels: first those that share most groups with an array."""
    levels: dict[int, list[Vector]] = {}
    for vector in vectors:
        levels.setdefault(shared_groups(name, vector.name), []).append(vector)
    ordered = []
    for depth in sorted(levels, reverse=True):
        ordered.append(sorted(levels[depth], key=lambda one: len(leaf_of(one.name))))
    return ordered


def shared_groups(name: str, other: str) -> int:
    """How many groups two paths in a file have in common."""
    count = 0
    for group, other_group in zip(name.split("/")[:-1], other.split("/")[:-1], strict=False):
        if group != other_group:
            break
        count += 1
    return count


def centre_lengths(levels: Iterable[Sequence[Vector]]) -> dict[str, int]:
    """How many values each vector has that may hold band centres, by its name."""
    lengths = {}
    for level in levels:
        for vector in level:
            if is_centres_name(leaf_of(vector.name)) and not is_flags(vector.name):
                lengths[vector.name] = len(vector.values)
    return lengths


def find_spectrum(levels: Sequence[Sequence[Vector]], bands: int, where: str) -> Spectrum:
    """Centres, widths and flags from the first level of vectors that has each of them.

    Args:
        levels: The vectors of the file, nearest to the cube first.
        bands: The number of bands.
        where: The file, for notes.
    """
    candidates = [[one for one in level if not is_flags(one.name)] for level in levels]
    centres, notes = _first_centres(candidates, bands, where)
    widths = None
    for level in candidates:
        widths = find_widths(level, bands, centres)
        if widths is not None:
            break
    bad_bands = _bad_bands(levels, bands)
    if centres is None:
        notes = (*notes, *_not_used(levels, bands))
        return Spectrum(None, widths, bad_bands, notes=notes)
    return Spectrum(centres.nm, widths, bad_bands, centres.source, notes)


def find_used_spectrum(
    centres: Vector, widths: Vector | None, bands: int, where: str
) -> Spectrum | None:
    """What a product says that states 0 as the centre of bands that are not used.

    These bands are bad, and their centres and widths NaN.

    Args:
        centres: The vector of centres of the product.
        widths: The vector of widths, or None.
        bands: The number of bands.
        where: The file, for notes.

    Returns:
        The spectrum, or None where the centres do not fit the bands.
    """
    used = centres.values > 0
    if len(used) != bands or not used.any():
        return None
    vectors = [Vector(centres.name, centres.values[used], centres.unit)]
    if widths is not None and len(widths.values) == bands:
        vectors.append(Vector(widths.name, widths.values[used], widths.unit))
    found = find_spectrum([vectors], int(used.sum()), where)
    bad_bands = None
    if not used.all():
        bad_bands = ~used
    return Spectrum(
        _scattered(found.centres, used),
        _scattered(found.widths, used),
        bad_bands,
        found.source,
        found.notes,
    )


def _scattered(
    values: NDArray[np.float64] | None, used: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """Values of the bands that are used among all bands, NaN for the others."""
    if values is None:
        return None
    scattered = np.full(len(used), np.nan)
    scattered[used] = values
    return scattered


def _first_centres(
    levels: Iterable[Sequence[Vector]], bands: int, where: str
) -> tuple[Centres | None, tuple[str, ...]]:
    """The centres of the first level that has some, and what was said on the way to them."""
    notes: tuple[str, ...] = ()
    for level in levels:
        centres = find_centres(level, bands, where)
        if centres is None:
            continue
        notes = (*notes, *centres.notes)
        if centres.nm is not None:
            return centres, notes
    return None, notes


def _bad_bands(levels: Iterable[Sequence[Vector]], bands: int) -> NDArray[np.bool_] | None:
    for level in levels:
        for vector in level:
            if is_flags(vector.name) and len(vector.values) == bands:
                bad: NDArray[np.bool_] = vector.values == 0
                return bad
    return None


def _not_used(levels: Iterable[Sequence[Vector]], bands: int) -> tuple[str, ...]:
    """What is said of vectors that look like band centres and are not as many as the bands."""
    seen = []
    for name, length in centre_lengths(levels).items():
        if length != bands:
            seen.append(f"{name} ({length} values)")
    if not seen:
        return ()
    verb = "are"
    if len(seen) == 1:
        verb = "is"
    return (
        f"{', '.join(seen)} may hold band centres and {verb} not used: the cube has {bands} "
        "bands; give a table as wavelengths",
    )
