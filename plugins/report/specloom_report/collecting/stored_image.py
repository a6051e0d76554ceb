"""One image of a report: its pictures, objects and spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from specloom_pictures import common_scale, spread
from specloom_report.collecting.image_spectra import (
    ImageSpectra,
    as_bytes,
    grid_size,
    read_spectra,
)
from specloom_report.collecting.objects import FoundObject, find_objects
from specloom_report.collecting.thumbnails import (
    Thumbnail,
    pool_kinds,
    pool_scores,
    stretch,
    thumbnail_step,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from specloom_pictures import ColourScale
    from specloom_report.collecting.held_cube import HeldCube

    Pixels = NDArray[Any]

COLOUR_LIMITS = (1, 99)
"""Percentiles of a band of an image between which its colours are stretched."""


class StoredImage(NamedTuple):
    """One image.

    Args:
        number: Its place in the split, from 0.
        rank: How much is wrong in it; the higher, the earlier it is shown.
        shape: Its rows and columns.
        thumbnail: Its pictures.
        objects: Its objects that matter most.
        object_count: How many there are.
        spectra: Its spectra; None where its cube is not known.
    """

    number: int
    rank: tuple[float, ...]
    shape: tuple[int, int]
    thumbnail: Thumbnail
    objects: Sequence[FoundObject]
    object_count: int
    spectra: ImageSpectra | None


class Planes(NamedTuple):
    """What is known of the pixels of one image, each (H, W).

    Args:
        predicted: True where an anomaly was decided, among used pixels.
        anomalous: True where an anomaly is, among used pixels; None without a mask.
        scores: Scores, or None.
        used: True where pixels count.
        classes: Class numbers of the mask, or None.
    """

    predicted: NDArray[np.bool_]
    anomalous: NDArray[np.bool_] | None
    scores: Pixels | None
    used: NDArray[np.bool_]
    classes: Pixels | None = None

    def foreground(self) -> NDArray[np.bool_]:
        """Return the anomalous pixels, or, without a mask, the decided ones."""
        if self.anomalous is None:
            return self.predicted
        return self.anomalous


class Place(NamedTuple):
    """Where the cube of an image is: the cubes of its batch, and its number among them."""

    cubes: HeldCube
    number: int


def used_planes(
    decisions: Pixels,
    targets: Pixels | None,
    scores: Pixels | None,
    valid: Pixels | None,
    classes: Pixels | None = None,
) -> Planes:
    """Return the planes of one image; pixels that are not valid, or of score NaN, are not used."""
    used = np.ones(decisions.shape, bool)
    if valid is not None:
        used = valid.astype(bool)
    if scores is not None:
        used = used & ~np.isnan(scores)
    anomalous = None
    if targets is not None:
        anomalous = targets & used
    return Planes(decisions & used, anomalous, scores, used, classes)


def store_image(
    number: int,
    rank: tuple[float, ...],
    planes: Planes,
    place: Place | None,
    expected: int,
    bands: Sequence[int],
) -> StoredImage:
    """Return what the report stores of one image.

    Args:
        number: Its place in the split.
        rank: How much is wrong in it.
        planes: Its pixels.
        place: Where its cube is; None where it is not known.
        expected: How many images are shown.
        bands: The bands shown as red, green and blue.
    """
    shape = (int(planes.used.shape[0]), int(planes.used.shape[1]))
    objects, count = find_objects(planes.predicted, planes.anomalous, planes.scores)
    if place is None or place.cubes.shape[1:3] != shape:
        step = thumbnail_step(*shape, expected)
        thumbnail = _thumbnail(planes, step, None)
        return StoredImage(number, rank, shape, thumbnail, objects, count, None)
    step = thumbnail_step(*shape, expected, place.cubes.step)
    values = place.cubes.colours(place.number, step, bands)
    thumbnail = _thumbnail(planes, step, stretch(values, COLOUR_LIMITS))
    spectra = read_spectra(
        place.cubes,
        place.number,
        grid_size(expected, place.cubes.shape[-1]),
        planes.used,
        planes.foreground(),
        planes.scores,
        objects,
        planes.classes,
    )
    return StoredImage(number, rank, shape, thumbnail, objects, count, spectra)


def _thumbnail(planes: Planes, step: int, colours: Pixels | None) -> Thumbnail:
    anomalous = planes.anomalous
    if anomalous is None:
        anomalous = np.zeros_like(planes.predicted)
    scores = None
    if planes.scores is not None:
        scores = pool_scores(planes.scores, planes.used, step)
    kinds = pool_kinds(planes.predicted, anomalous, planes.used, step)
    return Thumbnail(step, kinds, scores, colours)


def describe_images(
    by_name: Mapping[str, Sequence[StoredImage]],
    scales: Mapping[str, ColourScale | None] | None = None,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the images by comparing node as plain values, and their arrays.

    That in which most is wrong comes first.

    Args:
        by_name: The images, that in which most is wrong last.
        scales: The scale of all scores of a node; by default the common one.
    """
    if scales is None:
        scales = {name: _common_scale(images) for name, images in by_name.items()}
    described = []
    arrays: dict[str, NDArray[Any]] = {}
    for name, images in by_name.items():
        for image in reversed(images):
            key = f"{name}/{image.number}"
            own: dict[str, NDArray[Any]] = dict(image.thumbnail.as_arrays(scales[name]))
            own |= _spectra_arrays(image.spectra)
            arrays |= {f"{key}/{part}": values for part, values in own.items()}
            described.append({"judge": name, **_describe_image(image), "has": sorted(own)})
    known = {name: scale.as_json() for name, scale in scales.items() if scale is not None}
    return {"images": described, "scales": known}, arrays


def _common_scale(images: Sequence[StoredImage]) -> ColourScale | None:
    spreads = []
    for image in images:
        if image.thumbnail.scores is not None:
            spreads.append(spread(image.thumbnail.scores))
    return common_scale(spreads)


def _describe_image(image: StoredImage) -> dict[str, Any]:
    objects = []
    for one in image.objects:
        objects.append(
            {
                "kind": one.kind,
                "row": one.row,
                "column": one.column,
                "pixels": one.pixels,
                "score": _finite_or_none(one.score),
            }
        )
    return {
        "number": image.number,
        "size": list(image.shape),
        "step": image.thumbnail.step,
        "objects": objects,
        "object_count": image.object_count,
    }


def _spectra_arrays(spectra: ImageSpectra | None) -> dict[str, NDArray[Any]]:
    if spectra is None or not len(spectra.grid):
        return {}
    levels, ends = as_bytes(spectra.grid)
    arrays: dict[str, NDArray[Any]] = {
        "grid": levels,
        "grid_ends": ends,
        "grid_places": spectra.places,
    }
    if spectra.scores is not None:
        arrays["grid_scores"] = spectra.scores
    if len(spectra.objects):
        arrays["objects"] = spectra.objects
    return arrays


def _finite_or_none(value: float | None) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.6g}")
