"""Which axis of an array has the bands, and which have the rows and the columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from specloom import DataError
from specloom_cubes.formats.variable import Variable, size_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Reading

Take: TypeAlias = "Callable[[tuple[slice, ...]], NDArray[Any]]"
"""Slices of the axes of an array in a file, to that part of it."""

ROWS = "H"
COLUMNS = "W"
BANDS = "C"

WORDS = {
    **dict.fromkeys(("y", "row", "rows", "line", "lines", "height", "h"), ROWS),
    **dict.fromkeys(("lat", "latitude", "northing", "downtrack", "along"), ROWS),
    **dict.fromkeys(("alongtrack", "scan", "scans"), ROWS),
    **dict.fromkeys(("x", "column", "columns", "col", "cols", "width", "w"), COLUMNS),
    **dict.fromkeys(("lon", "longitude", "easting", "crosstrack", "cross"), COLUMNS),
    **dict.fromkeys(("across", "acrosstrack", "sample", "samples"), COLUMNS),
    **dict.fromkeys(("band", "bands", "wavelength", "wavelengths", "wl", "wvl"), BANDS),
    **dict.fromkeys(("lambda", "channel", "channels", "spectral", "wave", "c"), BANDS),
}
"""Words in the names of axes, and what such an axis is."""

BAND_VECTORS = ("fwhm", "bbl", "good_wavelengths", "good_bands", "band_names")
"""Names of vectors with one value for each band, apart from those of band centres."""

TIME = ("time", "times", "date", "t")
"""Words in the names of axes along which a cube was taken once."""

ORDERS = {"bip": "HWC", "bil": "HCW", "bsq": "CHW"}
"""The order of the axes behind ENVI's names of interleaves."""

INTERLEAVES = ("bsq", "bil", "bip")
"""The interleave of a cube whose bands lie along its first, second or third axis."""

ORDINALS = ("first", "second", "last")

NOT_THE_IMAGE = re.compile("dark|white|flat|gain|offset|coef|calib|noise|smile|centre|center|ref")
"""Planes that may have columns x bands: references and calibration of a line camera."""

NOTHING_SAYS = "as nothing in the file says which"
"""The part of an assumption that says that the axis of the bands is only assumed."""

MOST_ELONGATED = 2
"""Where the last axis is more times as long, as in a small cut of many bands, it has the bands."""

LEAST_IMAGE = 32
"""Images have so many rows and columns at least, or whoever made them knows what they are."""

FIX = "write axes: HWC, CHW or HCW (H rows, W columns, C bands)"


@dataclass(frozen=True)
class Axes:
    """The axes of a cube in an array with three axes, or with more of which others have length 1.

    Args:
        shape: The shape of the array.
        rows: The number of the axis with the rows.
        columns: The number of the axis with the columns.
        bands: The number of the axis with the bands.
        assumptions: What was assumed, one sentence each, with the way to state it.
    """

    shape: tuple[int, ...]
    rows: int
    columns: int
    bands: int
    assumptions: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int, int]:
        """Rows, columns and bands."""
        return self.shape[self.rows], self.shape[self.columns], self.shape[self.bands]

    @property
    def interleave(self) -> str:
        """ENVI's name of the order in which the values lie."""
        return INTERLEAVES[sorted((self.rows, self.columns, self.bands)).index(self.bands)]

    def read(self, take: Take, rows: slice, cols: slice) -> NDArray[Any]:
        """Pixels (h, w, C) of an array."""
        parts = [slice(None)] * len(self.shape)
        parts[self.rows] = rows
        parts[self.columns] = cols
        part = take(tuple(parts))
        used = (self.rows, self.columns, self.bands)
        rest = [axis for axis in range(part.ndim) if axis not in used]
        ordered = part.transpose(*used, *rest)
        return ordered.reshape(ordered.shape[:3])


@dataclass(frozen=True)
class PixelMatrix:
    """A matrix with one axis for all pixels and one for the bands.

    Args:
        shape: The shape of the matrix.
        pixels: The number of the axis with the pixels.
        rows: How many rows the image has.
        columns: How many columns the image has.
        by_columns: Whether the pixels follow each other column by column.
        assumptions: What was assumed, one sentence each, with the way to state it.
    """

    shape: tuple[int, int]
    pixels: int
    rows: int
    columns: int
    by_columns: bool
    assumptions: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int, int]:
        """Rows, columns and bands."""
        return self.rows, self.columns, self.shape[1 - self.pixels]

    @property
    def interleave(self) -> str:
        """ENVI's name of the order in which the values lie."""
        return "bip" if self.pixels == 0 else "bsq"

    def read(self, take: Take, rows: slice, cols: slice) -> NDArray[Any]:
        """Pixels (h, w, C) of the matrix: whole rows, or whole columns, are read."""
        if self.by_columns:
            part = self._lines(take, range(*cols.indices(self.columns)), self.rows)
            return part[:, rows].transpose(1, 0, 2)
        part = self._lines(take, range(*rows.indices(self.rows)), self.columns)
        return part[:, cols]

    def _lines(self, take: Take, lines: range, length: int) -> NDArray[Any]:
        """Whole lines of the image, (lines, length, C)."""
        first = min(lines, default=0)
        stop = max(lines, default=-1) + 1
        span = slice(first * length, stop * length)
        if self.pixels == 0:
            part = take((span, slice(None)))
        else:
            part = take((slice(None), span)).T
        whole = part.reshape(stop - first, length, self.size[2])
        return whole[[line - first for line in lines]]


Arrangement: TypeAlias = Axes | PixelMatrix
"""Where rows, columns and bands lie in an array."""


@dataclass(frozen=True)
class Evidence:
    """What a file says of the axes of an array.

    Args:
        arrays: All arrays of the file.
        centres: How many values each vector has that may hold the array's band centres, by name.
        order: The order of the axes that the file states or that its product has, such as ``HCW``.
        matlab: Whether matrices hold the pixels column by column, as MATLAB makes them.
    """

    arrays: Sequence[Variable] = ()
    centres: Mapping[str, int] | None = None
    order: str = ""
    matlab: bool = False

    @property
    def lengths(self) -> set[int]:
        """The numbers of values of the vectors that may hold band centres."""
        return set((self.centres or {}).values())


def cube_axes(variable: Variable) -> tuple[int, ...] | None:
    """The three axes of an array that may be a cube, or None where it has not three.

    Of an array with more, axes of length 1 are dropped: that of the time, or else the first.
    """
    excess = len(variable.shape) - 3
    if excess < 0 or not variable.is_real:
        return None
    single = [axis for axis, size in enumerate(variable.shape) if size == 1]
    labels = variable.labels or ("",) * len(variable.shape)
    single.sort(key=lambda axis: not _words(labels[axis]) & set(TIME))
    if len(single) < excess:
        return None
    left_out = single[:excess]
    return tuple(axis for axis in range(len(variable.shape)) if axis not in left_out)


def find_arrangement(
    path: Path, variable: Variable, evidence: Evidence, reading: Reading
) -> Arrangement:
    """Where rows, columns and bands lie in an array with three axes, or in a matrix of pixels.

    Raises:
        DataError: The axes of the array cannot be known, or do not fit what the user states.
    """
    if reading.shape is not None:
        return find_matrix(path, variable, reading.shape, evidence, reading.axes)
    return find_axes(path, variable, evidence, reading.axes)


def find_axes(
    path: Path, variable: Variable, evidence: Evidence, axes: str | None = None
) -> Arrangement:
    """The axes of a cube in an array.

    What decides, in this order: the user, the product or the file's own statement of the
    order, the names of the axes, the length of the band centres, other vectors and planes of
    the file. Where nothing does, the last axis is taken, and the assumption is said.

    Args:
        path: The file, for messages.
        variable: The array.
        evidence: What the file says of it.
        axes: The order of its axes by the user, such as ``CHW``.

    Raises:
        DataError: The bands may lie along the first axis or the second.
    """
    three = cube_axes(variable)
    assert three is not None, "the array was chosen as the cube"
    notes = _left_out(variable, three)
    order = axes or _stated_order(variable, three, evidence)
    if order:
        return _ordered(variable, three, order, notes)
    sizes = [variable.shape[axis] for axis in three]
    bands = _band_axis(sizes, evidence)
    if bands is None:
        bands = _assumed(path, variable, sizes, evidence)
        notes = (*notes, _assumption(variable, sizes, bands))
    elif bands != 2 and not _is_certain(sizes, bands, evidence):
        notes = (*notes, _inference(variable, sizes, bands))
    letters = [ROWS, COLUMNS]
    letters.insert(bands, BANDS)
    return _ordered(variable, three, "".join(letters), notes)


def find_matrix(
    path: Path,
    variable: Variable,
    shape: tuple[int, int],
    evidence: Evidence,
    axes: str | None = None,
) -> Arrangement:
    """The axes of a cube in a matrix of pixels.

    Args:
        path: The file, for messages.
        variable: The matrix.
        shape: Rows and columns of the image.
        evidence: What the file says of it.
        axes: ``HWC`` or ``CHW`` where the pixels follow each other row by row, ``WHC`` or ``CWH``
            where they do so column by column.

    Raises:
        DataError: The matrix has another number of pixels, or both of its axes have that length.
    """
    rows, columns = shape
    fitting = [axis for axis in (0, 1) if variable.shape[axis] == rows * columns]
    if not fitting:
        raise DataError(
            f"{path}: {variable} has no axis of {rows} x {columns} = {rows * columns} pixels",
            fix="write the rows and columns of the image: shape: [rows, columns]",
        )
    by_columns = evidence.matlab
    notes: tuple[str, ...] = ()
    if axes is not None:
        by_columns = axes.index(COLUMNS) < axes.index(ROWS)
        pixels = 1 if axes[0] == BANDS else 0
        if axes[1] == BANDS or pixels not in fitting:
            raise DataError(
                f"{path}: axes {axes} does not fit {variable} with {rows} x {columns} pixels",
                fix="use HWC for a matrix of pixels x bands, CHW for one of bands x pixels",
            )
    elif len(fitting) == 2:
        raise DataError(
            f"{path}: the pixels of {variable} may lie along either axis",
            fix="write axes: HWC for a matrix of pixels x bands, CHW for one of bands x pixels",
        )
    else:
        pixels = fitting[0]
        notes = (_unfolding(variable, pixels, by_columns),)
    matrix = (variable.shape[0], variable.shape[1])
    return PixelMatrix(matrix, pixels, rows, columns, by_columns, notes)


def kind_of_axis(name: str) -> str:
    """What an axis of that name is: H, W or C, or nothing where the name says none or several."""
    kinds = {WORDS[word] for word in _words(name) if word in WORDS}
    return kinds.pop() if len(kinds) == 1 else ""


def order_of_names(names: Sequence[str]) -> str:
    """The order of three axes by their names, such as ``CHW``; empty where they do not say it."""
    kinds = [kind_of_axis(name) for name in names]
    known = [kind for kind in kinds if kind]
    if len(names) != 3 or len(set(known)) != len(known):
        return ""
    missing = [kind for kind in (ROWS, COLUMNS, BANDS) if kind not in known]
    if len(missing) > 1 and BANDS in missing:
        return ""
    return "".join(kind or missing.pop(0) for kind in kinds)


def _words(name: str) -> set[str]:
    return set(re.findall("[a-z]+", name.rpartition("/")[2].lower()))


def _left_out(variable: Variable, three: tuple[int, ...]) -> tuple[str, ...]:
    """What is said of an array with more than three axes."""
    if len(three) == len(variable.shape):
        return ()
    left_out = [axis for axis in range(len(variable.shape)) if axis not in three]
    numbers = " and ".join(str(axis + 1) for axis in left_out)
    what = f"{_name(variable)} {size_text(variable.shape)} {variable.dtype}"
    noun = "axes"
    verb = "are"
    if len(left_out) == 1:
        noun = "axis"
        verb = "is"
    return (
        f"{what} has {len(variable.shape)} axes, of which {noun} {numbers} of length 1 "
        f"{verb} dropped; save the cube with three axes",
    )


def _stated_order(variable: Variable, three: tuple[int, ...], evidence: Evidence) -> str:
    """The order of the three axes by the product, the file's own statement or their names."""
    if evidence.order and _agrees(evidence.order, variable, three, evidence):
        return evidence.order
    if variable.labels:
        return order_of_names([variable.labels[axis] for axis in three])
    return ""


def _agrees(order: str, variable: Variable, three: tuple[int, ...], evidence: Evidence) -> bool:
    """Whether the bands of that order are as many as the band centres, where these fit at all."""
    sizes = [variable.shape[axis] for axis in three]
    fitting = evidence.lengths & set(sizes)
    return not fitting or sizes[order.index(BANDS)] in fitting


def _ordered(
    variable: Variable, three: tuple[int, ...], order: str, notes: tuple[str, ...]
) -> Axes:
    by_kind = dict(zip(order, three, strict=True))
    return Axes(variable.shape, by_kind[ROWS], by_kind[COLUMNS], by_kind[BANDS], notes)


def _band_axis(sizes: Sequence[int], evidence: Evidence) -> int | None:
    """Which of three axes has the bands by what else is in the file; None where it is not clear."""
    candidates = {axis for axis in range(3) if sizes[axis] in evidence.lengths}
    clues = (
        {axis for axis in range(3) if sizes[axis] in _per_band(evidence.arrays)},
        _by_planes(sizes, evidence.arrays),
        _by_coordinates(sizes, evidence.arrays),
    )
    for clue in clues:
        if len(candidates) == 1:
            break
        narrowed = clue
        if candidates:
            narrowed = candidates & clue
        if narrowed:
            candidates = narrowed
    return candidates.pop() if len(candidates) == 1 else None


def _is_certain(sizes: Sequence[int], bands: int, evidence: Evidence) -> bool:
    """Whether vectors of bands, or of rows and columns, say alone that an axis has the bands."""
    lengths = evidence.lengths | _per_band(evidence.arrays)
    by_vectors = {axis for axis in range(3) if sizes[axis] in lengths}
    return {bands} in (by_vectors, _by_coordinates(sizes, evidence.arrays))


def _per_band(arrays: Iterable[Variable]) -> set[int]:
    """The lengths of vectors whose names say that they have one value for each band."""
    lengths = set()
    for one in arrays:
        is_named = one.leaf.lower() in BAND_VECTORS or kind_of_axis(one.leaf) == BANDS
        if one.is_vector and is_named:
            lengths.add(one.length)
    return lengths


def _by_planes(sizes: Sequence[int], arrays: Iterable[Variable]) -> set[int]:
    """The axes, first or last, without which a plane of the file has the size of the image.

    Bands between rows and columns are too rare for that: a plane of rows x bands is likelier.
    """
    planes = set()
    for one in arrays:
        if one.is_plane and not NOT_THE_IMAGE.search(one.leaf.lower()):
            planes.add(one.shape)
    found = set()
    if tuple(sizes[1:]) in planes:
        found.add(0)
    if tuple(sizes[:2]) in planes:
        found.add(2)
    return found


def _by_coordinates(sizes: Sequence[int], arrays: Iterable[Variable]) -> set[int]:
    """The axis that is left where vectors of coordinates are as long as the two others."""
    lengths: dict[str, set[int]] = {ROWS: set(), COLUMNS: set()}
    for one in arrays:
        kind = kind_of_axis(one.leaf)
        if one.is_vector and kind in lengths:
            lengths[kind].add(one.length)
    fitting = set()
    for axis in range(3):
        first, second = (size for at, size in enumerate(sizes) if at != axis)
        if first in lengths[ROWS] and second in lengths[COLUMNS]:
            fitting.add(axis)
    return fitting


def _assumed(path: Path, variable: Variable, sizes: Sequence[int], evidence: Evidence) -> int:
    """The axis that is taken where several are as long as the band centres, or none is."""
    fitting = [axis for axis in range(3) if sizes[axis] in evidence.lengths]
    if fitting and 2 not in fitting:
        raise DataError(
            f"{path}: the bands of {variable} may lie along its first axis or its second: "
            "both are as long as the wavelengths",
            fix=FIX,
        )
    return 2


def _assumption(variable: Variable, sizes: Sequence[int], bands: int) -> str:
    return (
        f"the bands of {_name(variable)} ({size_text(sizes)}) are assumed to lie along its "
        f"{ORDINALS[bands]} axis, {NOTHING_SAYS}; {FIX}"
    )


def assumes_bands_last(assumptions: Sequence[str]) -> bool:
    """Whether one of some assumptions is that the bands lie along the last axis."""
    return any(NOTHING_SAYS in text for text in assumptions)


def may_be_bands_first(size: tuple[int, int, int]) -> bool:
    """Whether bands that are assumed to lie along the last axis may lie along the first.

    They may where the first axis is shorter than the two others, and these are about as long as
    rows and columns of an image are.

    Args:
        size: Rows, columns and bands as they are assumed.
    """
    first, *others = size
    is_image = min(others) >= LEAST_IMAGE and max(others) <= MOST_ELONGATED * min(others)
    return is_image and first < min(others)


def _inference(variable: Variable, sizes: Sequence[int], bands: int) -> str:
    return (
        f"the bands of {_name(variable)} ({size_text(sizes)}) are assumed to lie along its "
        f"{ORDINALS[bands]} axis, as other arrays of the file have the size of the rest; {FIX}"
    )


def _unfolding(variable: Variable, pixels: int, by_columns: bool) -> str:
    order = "row by row"
    if by_columns:
        order = "column by column"
    stated = ("CHW", "CWH")
    if pixels == 0:
        stated = ("HWC", "WHC")
    return (
        f"the pixels of {_name(variable)} ({size_text(variable.shape)}) are assumed to follow "
        f"each other {order}; write axes: {stated[0]} for row by row, {stated[1]} for column by "
        "column"
    )


def _name(variable: Variable) -> str:
    return variable.name or "the array"
