"""Spectra of one image: a grid of pixels, its anomalous pixels, and its objects."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from specloom_report.collecting.held_cube import HeldCube
    from specloom_report.collecting.objects import FoundObject

MAX_GRID = 1000
"""Pixels of one image whose spectra can be looked at."""

MAX_VALUES = 1_000_000
"""Values of the grids of all images together, each of one byte on the page."""

MAX_SAMPLE = 500
"""Anomalous pixels of one image from which the mean of their class is made."""

MAX_CLASSES = 16
"""Classes whose mean spectra are shown, those with the most pixels."""

UNLABELLED = -1
PERCENTILES = (5.0, 95.0)
MISSING = 255
TOP = 254


class ClassSpectrum(NamedTuple):
    """The spectra of one class in one image.

    Args:
        pixels: How many pixels of it are used.
        anomalous: How many of them are anomalous.
        sampled: From how many the mean is made.
        mean: The mean of these, (C,).
    """

    pixels: int
    anomalous: int
    sampled: int
    mean: NDArray[np.float64]


class ImageSpectra(NamedTuple):
    """What is stored of one image.

    Args:
        places: Rows and columns of the grid's pixels, (n, 2).
        grid: Their spectra, (n, C).
        scores: Their scores, (n,); None without scores.
        background: Which of them are of the background: normal and used, or, without a mask, not
            decided; (n,).
        foreground: Spectra of anomalous (without a mask: decided) pixels, (m, C).
        objects: The mean spectrum of each object, (k, C); NaN where none of its pixels is held.
        classes: The spectra of each class of the mask, by its number.
    """

    places: NDArray[np.int32]
    grid: NDArray[Any]
    scores: NDArray[Any] | None
    background: NDArray[np.bool_]
    foreground: NDArray[Any]
    objects: NDArray[Any]
    classes: Mapping[int, ClassSpectrum] = MappingProxyType({})


def grid_size(images: int, bands: int) -> int:
    """Return how many pixels the grid of each image may have.

    >>> grid_size(1, 200), grid_size(20, 61), grid_size(20, 5000)
    (1000, 819, 10)
    """
    return max(4, min(MAX_GRID, MAX_VALUES // (max(images, 1) * max(bands, 1))))


def grid_places(height: int, width: int, most: int, step: int = 1) -> NDArray[np.int32]:
    """Return rows and columns (n, 2) of an even grid of at most ``most`` pixels.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        most: The most pixels.
        step: Rows and columns are multiples of it.
    """
    rows = math.ceil(height / step)
    columns = math.ceil(width / step)
    along_rows = min(rows, max(1, int(math.sqrt(most * rows / columns))), most)
    along_columns = min(columns, max(1, most // along_rows))
    row_places = _evenly(rows, along_rows) * step
    column_places = _evenly(columns, along_columns) * step
    grid = np.meshgrid(row_places, column_places, indexing="ij")
    return np.stack([places.ravel() for places in grid], 1).astype(np.int32)


def _evenly(length: int, count: int) -> NDArray[np.intp]:
    """Return the middles of ``count`` equal parts of a length."""
    return ((np.arange(count) + 0.5) * length / count).astype(np.intp)


def read_spectra(
    cube: HeldCube,
    image: int,
    most: int,
    used: NDArray[np.bool_],
    foreground: NDArray[np.bool_],
    scores: NDArray[Any] | None,
    objects: Sequence[FoundObject],
    classes: NDArray[Any] | None = None,
) -> ImageSpectra:
    """Return the spectra of one image.

    Args:
        cube: The cubes of its batch.
        image: Its number in the batch.
        most: The most pixels of the grid.
        used: True where pixels count, (H, W).
        foreground: True where an anomaly is, or without a mask, is decided, (H, W).
        scores: Scores (H, W), or None.
        objects: Its objects.
        classes: Class numbers of its mask (H, W), or None.
    """
    height, width = used.shape
    places = grid_places(height, width, most, cube.step)
    rows = places[:, 0].astype(np.intp)
    columns = places[:, 1].astype(np.intp)
    grid_scores = None
    if scores is not None:
        grid_scores = scores[rows, columns].astype(np.float32)
    wanted = np.stack(np.nonzero(foreground & used))
    every = max(1, -(-wanted.shape[1] // MAX_SAMPLE))
    return ImageSpectra(
        places=places,
        grid=cube.gather(image, rows, columns),
        scores=grid_scores,
        background=(used & ~foreground)[rows, columns],
        foreground=cube.gather(image, wanted[0, ::every], wanted[1, ::every]),
        objects=_object_spectra(cube, image, objects),
        classes=_class_spectra(cube, image, used, foreground, classes),
    )


def _class_spectra(
    cube: HeldCube,
    image: int,
    used: NDArray[np.bool_],
    anomalous: NDArray[np.bool_],
    classes: NDArray[Any] | None,
) -> dict[int, ClassSpectrum]:
    """Return the spectra of each class of one image, by its number."""
    found: dict[int, ClassSpectrum] = {}
    if classes is None:
        return found
    for number in np.unique(classes[used].astype(np.int64)).tolist():
        of_class = used & (classes == number)
        places = np.stack(np.nonzero(of_class))
        every = max(1, -(-places.shape[1] // MAX_SAMPLE))
        spectra = _finite_rows(cube.gather(image, places[0, ::every], places[1, ::every]))
        if number == UNLABELLED or not len(spectra):
            continue
        found[number] = ClassSpectrum(
            pixels=places.shape[1],
            anomalous=int((of_class & anomalous).sum()),
            sampled=len(spectra),
            mean=spectra.mean(0, dtype=np.float64),
        )
    return found


def _object_spectra(
    cube: HeldCube, image: int, objects: Sequence[FoundObject]
) -> NDArray[np.float32]:
    means = np.full((len(objects), cube.shape[-1]), np.nan, np.float32)
    for number, one in enumerate(objects):
        pixels = _finite_rows(cube.gather(image, one.places[0], one.places[1]))
        if len(pixels):
            means[number] = pixels.mean(0, dtype=np.float64)
    return means


def _finite_rows(spectra: NDArray[Any]) -> NDArray[Any]:
    finite: NDArray[Any] = spectra[np.isfinite(spectra).all(1)]
    return finite


def pooled_spectra(images: Sequence[ImageSpectra]) -> dict[str, Any]:
    """Return the mean spectra of both classes over images, and percentiles of the background.

    A class without any finite spectrum has none. Where masks have classes, each has its mean over
    images, weighted by its pixels.
    """
    pooled: dict[str, Any] = {}
    background = _finite_rows(np.concatenate([one.grid[one.background] for one in images]))
    foreground = _finite_rows(np.concatenate([one.foreground for one in images]))
    if len(background):
        low, high = np.percentile(background, PERCENTILES, axis=0)
        pooled["background"] = {
            "pixels": len(background),
            "mean": _plain(background.mean(0, dtype=np.float64)),
            "low": _plain(low),
            "high": _plain(high),
        }
    if len(foreground):
        mean = _plain(foreground.mean(0, dtype=np.float64))
        pooled["foreground"] = {"pixels": len(foreground), "mean": mean}
    classes = _pooled_classes(images)
    if classes:
        pooled["classes"] = classes
    return pooled


def _pooled_classes(images: Sequence[ImageSpectra]) -> list[dict[str, Any]]:
    """Return the classes with the most pixels, each with its mean spectrum, by number."""
    by_class: dict[int, list[ClassSpectrum]] = {}
    for image in images:
        for number, spectrum in image.classes.items():
            by_class.setdefault(number, []).append(spectrum)
    pooled: list[dict[str, Any]] = []
    for number, spectra in by_class.items():
        pixels = [one.pixels for one in spectra]
        mean = np.average([one.mean for one in spectra], axis=0, weights=pixels)
        pooled.append(
            {
                "class": number,
                "pixels": sum(pixels),
                "anomalous": sum(one.anomalous for one in spectra) > sum(pixels) / 2,
                "mean": _plain(mean),
            }
        )
    largest = sorted(pooled, key=lambda one: one["pixels"], reverse=True)[:MAX_CLASSES]
    return sorted(largest, key=lambda one: one["class"])


def _plain(values: NDArray[Any]) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]


def as_bytes(spectra: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return spectra (n, C) as bytes, 255 where not finite, and each band's ends as (2, C).

    The error is at most a 508th of the range of the band.
    """
    finite = np.isfinite(spectra)
    low = np.where(finite, spectra, np.inf).min(0)
    high = np.where(finite, spectra, -np.inf).max(0)
    empty = ~finite.any(0)
    low = np.where(empty, 0, low)
    high = np.where(empty, 0, high)
    span = np.where(high > low, high - low, 1)
    relative = (np.where(finite, spectra, low) - low) / span
    levels = np.where(finite, np.rint(relative * TOP), MISSING).astype(np.uint8)
    return levels, np.stack([low, high]).astype(np.float32)
