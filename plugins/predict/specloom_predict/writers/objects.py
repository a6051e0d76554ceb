"""A table of objects: the connected regions of a map of decisions."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy import ndimage

from specloom_predict.georeference import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row: TypeAlias = dict[str, Any]

COLUMNS = [
    "label",
    "pixels",
    "area",
    "unit",
    "row",
    "column",
    "x",
    "y",
    "top",
    "left",
    "bottom",
    "right",
    "mean_score",
    "max_score",
]


def objects(
    decisions: NDArray[np.bool_],
    scores: NDArray[Any] | None = None,
    geometry: Geometry | None = None,
) -> list[Row]:
    """The connected regions of ``decisions``, in the order of their first pixels.

    Pixels that touch at a side or a corner belong together. ``row`` and ``column`` are the
    centroid's, where 0 is the centre of the first pixel; ``x`` and ``y`` are that place on the
    map. ``top``, ``left``, ``bottom`` and ``right`` are the first and last rows and columns.
    ``area`` is in squares of ``unit``. What is not known is None.

    Args:
        decisions: bool (H, W).
        scores: (H, W); without them objects have no mean and maximum.
        geometry: Where the image lies.
    """
    geometry = geometry or Geometry()
    labels, count = ndimage.label(decisions, np.ones((3, 3)))
    numbers = np.arange(1, count + 1)
    boxes = ndimage.find_objects(labels)
    pixels = ndimage.sum_labels(decisions, labels, numbers)
    centres = np.reshape(ndimage.center_of_mass(decisions, labels, numbers), (count, 2))
    means = [None] * count
    highest = [None] * count
    if scores is not None and count > 0:
        means = ndimage.mean(scores, labels, numbers)
        highest = ndimage.maximum(scores, labels, numbers)
    x: Any = [None] * count
    y: Any = [None] * count
    places = geometry.at(centres[:, 0] + 0.5, centres[:, 1] + 0.5)
    if places is not None:
        x, y = places
    pixel = geometry.pixel_area
    return [
        {
            "label": at + 1,
            "pixels": int(pixels[at]),
            "area": None if pixel is None else float(pixels[at]) * pixel,
            "unit": geometry.unit or None,
            "row": float(centres[at, 0]),
            "column": float(centres[at, 1]),
            "x": _number(x[at]),
            "y": _number(y[at]),
            "top": rows.start,
            "left": columns.start,
            "bottom": rows.stop - 1,
            "right": columns.stop - 1,
            "mean_score": _number(means[at]),
            "max_score": _number(highest[at]),
        }
        for at, (rows, columns) in enumerate(boxes)
    ]


def write(path: Path, rows: list[Row]) -> None:
    """Write objects as CSV, with empty fields for what is not known."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
