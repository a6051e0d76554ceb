"""A table of the objects of an image: where they are, how large, how anomalous, of what spectrum.

The image is read a few rows at a time, so it may be larger than memory; how many rows these are
changes no bit of the result.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from specloom import write_file
from specloom_objects.regions import Connectivity, Regions
from specloom_objects.surroundings import Surroundings

STRIP_PIXELS = 1 << 18
"""Pixels that are in memory together, unless these are fewer rows than surroundings need."""

DISTANCE = 3
"""Pixels around an object that its contrast is taken against."""

MAX_SPECTRA = 10_000
"""Objects that have a spectrum: the largest ones, where there are more."""

Transform: TypeAlias = tuple[float, float, float, float, float, float]
"""``(a, b, c, d, e, f)``: the upper left corner of the pixel in row r and column k lies at
x = a k + b r + c, y = d k + e r + f."""

ReadRows: TypeAlias = Callable[[slice], NDArray[Any]]
"""Rows of a cube to their pixels, (h, W, C)."""


def _no_spectra() -> NDArray[np.float64]:
    return np.zeros((0, 0))


@dataclass(frozen=True)
class ObjectTable:
    """The objects of one image.

    Args:
        columns: The values of each column, one for each object; None where it is not known.
            ``row`` and ``column`` are the centroid's, where 0 is the centre of the first pixel,
            ``x`` and ``y`` that place on the map. ``top``, ``left``, ``bottom`` and ``right`` are
            the first and last rows and columns. ``area`` is in squares of ``unit``.
            ``surround_score`` is the mean score of the surroundings, ``contrast`` the difference
            of ``mean_score`` from it in standard deviations of the surroundings' scores.
        spectra: Mean spectra, float64 (S, C); (0, 0) where no cube was read.
        spectra_of: The labels of the objects that have one, (S,).
        bands: What each band is called.
    """

    columns: Mapping[str, list[Any]]
    spectra: NDArray[np.float64] = field(default_factory=_no_spectra, repr=False)
    spectra_of: Sequence[int] = ()
    bands: Sequence[str] = ()

    def __len__(self) -> int:
        """The number of objects."""
        return len(self.columns["label"])

    def rows(self) -> list[dict[str, Any]]:
        """The objects, each as a mapping of columns to values."""
        objects = zip(*self.columns.values(), strict=True)
        return [dict(zip(self.columns, values, strict=True)) for values in objects]

    def write(self, path: Path) -> None:
        """Write the objects as CSV, with empty fields for what is not known."""
        _write_csv(path, list(self.columns), zip(*self.columns.values(), strict=True))

    def write_spectra(self, path: Path) -> None:
        """Write the mean spectra as CSV: a row for each object, a column for each band."""
        pairs = zip(self.spectra_of, self.spectra.tolist(), strict=True)
        rows = ([label, *values] for label, values in pairs)
        _write_csv(path, ["label", *self.bands], rows)


def measure_objects(
    decisions: NDArray[np.bool_],
    scores: NDArray[Any] | None = None,
    read_rows: ReadRows | None = None,
    wavelengths: Iterable[float] | None = None,
    transform: Transform | None = None,
    unit: str = "",
    connectivity: Connectivity = 8,
    distance: int = DISTANCE,
) -> ObjectTable:
    """Measure the connected regions of ``decisions``, in the order of their first pixels.

    The surroundings of an object are the pixels within ``distance`` rows and columns of it that
    belong to no object and whose score is finite. ``contrast`` is (mean score of the object -
    mean of the surroundings) / standard deviation of the surroundings, with N - 1. It is not
    known where there are fewer than two such pixels, or all have the same score.

    Args:
        decisions: bool (H, W).
        scores: (H, W); without them objects have no scores and no contrast. NaN does not count.
        read_rows: What reads the cube for mean spectra; None for no spectra. NaN does not count.
        wavelengths: The band centres in nm, for the names of the bands.
        transform: From columns and rows to the map, or None.
        unit: The unit of the map; areas in ``degree`` or in no unit are not known.
        connectivity: 8 where pixels that touch at a corner belong together, 4 where only those
            that touch at a side do.
        distance: How far the surroundings reach, in pixels.
    """
    height, width = decisions.shape
    rows = max(1, distance, STRIP_PIXELS // max(width, 1))
    strips = [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
    regions = Regions(connectivity)
    for strip in strips:
        regions.scan(np.asarray(decisions[strip], bool))
    regions.join()
    shapes = _Shapes(regions)
    intensities = None if scores is None else _Intensities(regions.count, distance)
    spectra = None if read_rows is None else _Spectra(regions.areas, read_rows)
    for strip, labels, first in _with_margins(regions, decisions, strips, distance):
        own = labels[first : first + strip.stop - strip.start]
        shapes.add(own, strip.start)
        if intensities is not None and scores is not None:
            intensities.add(labels, np.asarray(scores[strip]), first)
        if spectra is not None:
            spectra.add(own, strip.start)
    columns = shapes.columns(transform, unit)
    columns |= intensities.columns() if intensities is not None else _no_intensities(regions.count)
    if spectra is None:
        return ObjectTable(columns)
    means = spectra.means()
    bands = _band_names(means.shape[1], wavelengths)
    return ObjectTable(columns, means, spectra.labels.tolist(), bands)


def _with_margins(
    regions: Regions, decisions: NDArray[np.bool_], strips: Sequence[slice], margin: int
) -> Iterator[tuple[slice, NDArray[np.int64], int]]:
    """Each strip, its labels with some rows above and below, and where its own rows begin."""
    above = np.zeros((0, decisions.shape[1]), np.int64)
    following: NDArray[np.int64] | None = None
    for at, strip in enumerate(strips):
        if following is None:
            following = regions.apply(np.asarray(decisions[strip], bool))
        labels = following
        following = None
        below = above[:0]
        if at + 1 < len(strips):
            following = regions.apply(np.asarray(decisions[strips[at + 1]], bool))
            below = following[:margin]
        yield strip, np.concatenate([above, labels, below]), len(above)
        above = np.concatenate([above, labels])
        above = above[max(0, len(above) - margin) :]


class _Shapes:
    """Areas, boxes and centroids; all sums are whole numbers, and so are exact in any order."""

    def __init__(self, regions: Regions) -> None:
        size = regions.count + 1
        self._pixels = regions.areas
        self._row_sums = np.zeros(size, np.int64)
        self._column_sums = np.zeros(size, np.int64)
        largest = np.iinfo(np.int64).max
        self._top = np.full(size, largest)
        self._left = np.full(size, largest)
        self._bottom = np.full(size, -1)
        self._right = np.full(size, -1)

    def add(self, labels: NDArray[np.int64], top: int) -> None:
        """Take in the next rows, the first of which is row ``top`` of the image."""
        rows, columns = np.nonzero(labels)
        numbers = labels[rows, columns]
        rows = rows + top
        np.add.at(self._row_sums, numbers, rows)
        np.add.at(self._column_sums, numbers, columns)
        np.minimum.at(self._top, numbers, rows)
        np.minimum.at(self._left, numbers, columns)
        np.maximum.at(self._bottom, numbers, rows)
        np.maximum.at(self._right, numbers, columns)

    def columns(self, transform: Transform | None, unit: str) -> dict[str, list[Any]]:
        """The columns of the table, as far as shapes give them."""
        pixels = self._pixels[1:]
        count = len(pixels)
        row = self._row_sums[1:] / pixels
        column = self._column_sums[1:] / pixels
        unknown: list[Any] = [None] * count
        area = unknown
        x = unknown
        y = unknown
        if transform is not None:
            a, b, c, d, e, f = transform
            x = (a * (column + 0.5) + b * (row + 0.5) + c).tolist()
            y = (d * (column + 0.5) + e * (row + 0.5) + f).tolist()
            if unit not in ("", "degree"):
                area = (pixels.astype(np.float64) * abs(a * e - b * d)).tolist()
        return {
            "label": list(range(1, count + 1)),
            "pixels": pixels.tolist(),
            "area": area,
            "unit": [unit or None] * count,
            "row": row.tolist(),
            "column": column.tolist(),
            "x": x,
            "y": y,
            "top": self._top[1:].tolist(),
            "left": self._left[1:].tolist(),
            "bottom": self._bottom[1:].tolist(),
            "right": self._right[1:].tolist(),
        }


class _Intensities:
    """Scores of objects and of their surroundings; float64, added in the order of the pixels."""

    def __init__(self, count: int, distance: int) -> None:
        self._pixels = np.zeros(count + 1, np.int64)
        self._sums = np.zeros(count + 1)
        self._highest = np.full(count + 1, np.nan)
        self._around = Surroundings(count, distance)

    def add(self, labels: NDArray[np.int64], scores: NDArray[Any], first: int) -> None:
        """Take in the next rows; as ``Surroundings.add``."""
        own = labels[first : first + len(scores)]
        used = (own > 0) & ~np.isnan(scores)
        numbers = own[used]
        values = scores[used].astype(np.float64)
        np.add.at(self._pixels, numbers, 1)
        np.add.at(self._sums, numbers, values)
        np.fmax.at(self._highest, numbers, values)
        self._around.add(labels, scores, first)

    def columns(self) -> dict[str, list[Any]]:
        """The columns of the table, as far as scores give them."""
        around = self._around.means()
        deviations = self._around.deviations()
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self._sums[1:] / self._pixels[1:]
            contrast = np.where(deviations > 0, (means - around) / deviations, np.nan)
        found = {
            "mean_score": means,
            "max_score": self._highest[1:],
            "surround_score": around,
            "contrast": contrast,
        }
        return {name: _without_nan(values) for name, values in found.items()}


def _no_intensities(count: int) -> dict[str, list[Any]]:
    names = ("mean_score", "max_score", "surround_score", "contrast")
    return {name: [None] * count for name in names}


def _without_nan(values: NDArray[np.float64]) -> list[float | None]:
    """The values, None for NaN."""
    found = values.astype(object)
    found[np.isnan(values)] = None
    listed: list[float | None] = found.tolist()
    return listed


class _Spectra:
    """Mean spectra of the largest objects; float64, added in the order of the pixels."""

    def __init__(self, areas: NDArray[np.int64], read_rows: ReadRows) -> None:
        largest_first = np.argsort(-areas[1:], kind="stable")[:MAX_SPECTRA] + 1
        self.labels = np.sort(largest_first)
        self._read_rows = read_rows
        self._places = np.full(areas.size, -1)
        self._places[self.labels] = np.arange(len(self.labels))
        bands = read_rows(slice(0, 1)).shape[2]
        self._sums = np.zeros((len(self.labels), bands))
        self._counts = np.zeros((len(self.labels), bands), np.int64)

    def add(self, labels: NDArray[np.int64], top: int) -> None:
        """Take in the next rows, the first of which is row ``top`` of the image."""
        places = self._places[labels]
        rows, columns = np.nonzero(places >= 0)
        if rows.size == 0:
            return
        first = int(rows[0])
        pixels = self._read_rows(slice(top + first, top + int(rows[-1]) + 1))
        spectra = pixels[rows - first, columns].astype(np.float64)
        finite = np.isfinite(spectra)
        numbers = places[rows, columns]
        np.add.at(self._sums, numbers, np.where(finite, spectra, 0))
        np.add.at(self._counts, numbers, finite)

    def means(self) -> NDArray[np.float64]:
        """The mean of each object and band, (S, C); NaN where no pixel of it is finite."""
        means = np.full(self._sums.shape, np.nan)
        np.divide(self._sums, self._counts, out=means, where=self._counts > 0)
        return means


def _band_names(bands: int, wavelengths: Iterable[float] | None) -> list[str]:
    if wavelengths is None:
        return [f"band {band}" for band in range(bands)]
    return [f"{float(wavelength):.10g} nm" for wavelength in wavelengths]


def _write_csv(path: Path, header: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(header)
    table.writerows(rows)
    write_file(path, text.getvalue().encode("utf-8"))
