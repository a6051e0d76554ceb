"""One image of a report: its pictures, objects and spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

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
from specloom_report.colours import common_scale, spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

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


def store_image(
    number: int,
    rank: tuple[float, ...],
    decisions: Pixels,
    targets: Pixels | None,
    scores: Pixels | None,
    valid: Pixels | None,
    cube: HeldCube | None,
    place: int,
    expected: int,
    bands: Sequence[int],
) -> StoredImage:
    """Return what the report stores of one image.

    Args:
        number: Its place in the split.
        rank: How much is wrong in it.
        decisions: True where an anomaly was decided, (H, W).
        targets: True where an anomaly is, or None without a mask.
        scores: Scores, or None.
        valid: True where pixels count, or None for all.
        cube: The cubes of its batch, or None.
        place: Its place in the batch.
        expected: How many images are shown.
        bands: The bands shown as red, green and blue.
    """
    used = np.ones(decisions.shape, bool)
    if valid is not None:
        used = valid.astype(bool)
    if scores is not None:
        used = used & ~np.isnan(scores)
    predicted = decisions & used
    anomalous = None
    foreground = predicted
    if targets is not None:
        anomalous = targets & used
        foreground = anomalous
    objects, count = find_objects(predicted, anomalous, scores)
    colours = None
    spectra = None
    multiple = 1
    if cube is not None and cube.shape[1:3] == decisions.shape:
        multiple = cube.step
    step = thumbnail_step(*decisions.shape, expected, multiple)
    if cube is not None and cube.shape[1:3] == decisions.shape:
        colours = stretch(cube.colours(place, step, bands), COLOUR_LIMITS)
        most = grid_size(expected, cube.shape[-1])
        spectra = read_spectra(cube, place, most, used, foreground, scores, objects)
    none = np.zeros(decisions.shape, bool)
    truth = none
    if anomalous is not None:
        truth = anomalous
    small_scores = None
    if scores is not None:
        small_scores = pool_scores(scores, used, step)
    thumbnail = Thumbnail(step, pool_kinds(predicted, truth, used, step), small_scores, colours)
    shape = (int(decisions.shape[0]), int(decisions.shape[1]))
    return StoredImage(number, rank, shape, thumbnail, objects, count, spectra)


def describe_images(
    by_name: Mapping[str, Sequence[StoredImage]],
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the images by comparing node as plain values, and their arrays.

    That in which most is wrong comes first. All scores have one scale.
    """
    scales = {name: _common_scale(images) for name, images in by_name.items()}
    described = []
    arrays: dict[str, NDArray[Any]] = {}
    for name, images in by_name.items():
        for image in reversed(images):
            key = f"{name}/{image.number}"
            own = image.thumbnail.as_arrays(scales[name])
            own |= _spectra_arrays(image.spectra)
            arrays |= {f"{key}/{part}": values for part, values in own.items()}
            described.append({"judge": name, **_describe_image(image), "has": sorted(own)})
    known = {name: scale.as_json() for name, scale in scales.items() if scale is not None}
    return {"images": described, "scales": known}, arrays


def _common_scale(images: Sequence[StoredImage]) -> Any:
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
    arrays = {"grid": levels, "grid_ends": ends, "grid_places": spectra.places}
    if spectra.scores is not None:
        arrays["grid_scores"] = spectra.scores
    if len(spectra.objects):
        arrays["objects"] = spectra.objects
    return arrays


def _finite_or_none(value: float | None) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.6g}")
