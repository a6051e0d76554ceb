"""What a cube's file holds, as plain values."""

from __future__ import annotations

import re
from dataclasses import asdict
from math import isfinite, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes import formats
from specloom_cubes.cube_files import find_masks
from specloom_cubes.masks import read_mask
from specloom_cubes.paths import expand
from specloom_cubes.sources.common import notes_on
from specloom_cubes.statistics import statistics

if TYPE_CHECKING:
    from specloom_cubes.cube import Cube


def describe(
    path: str | Path, variable: str | None = None, *, pixels: bool = True
) -> dict[str, Any]:
    """Everything that ``specloom info`` shows, ready for JSON.

    Args:
        path: The file; of an ENVI pair either one.
        variable: The array to take where it holds several.
        pixels: Whether to read the pixels, for their statistics.

    Raises:
        DataError: There is no cube in it, or it is damaged.
        UnavailableError: The library that reads such files is not installed.
    """
    cube = formats.open_cube(path, variable)
    path = expand(path)
    arrays = []
    reader = formats.named_arrays(path)
    if reader is not None:
        arrays = [str(one) for one in reader.variables(path)]
    figures = None
    if pixels:
        figures = _finite(asdict(statistics(cube)))
    height, width, bands = cube.shape
    return {
        "file": str(path),
        "format": cube.format,
        "variable": cube.variable or None,
        "arrays": arrays,
        "rows": height,
        "columns": width,
        "bands": bands,
        "dtype": cube.dtype.name,
        "interleave": cube.interleave,
        "bytes": prod(cube.shape) * cube.dtype.itemsize,
        "wavelengths": _wavelengths(cube),
        "bad_bands": sorted({*range(bands)} - {*cube.good_bands.tolist()}),
        "no_data": cube.ignore_value,
        "scale": _scale(cube),
        "masks": _masks(cube, path),
        "georeference": _georeference(cube),
        "remarks": notes_on(cube),  # the key of version 0.1
        "statistics": figures,
    }


def _wavelengths(cube: Cube) -> dict[str, Any] | None:
    centres = cube.wavelengths
    if centres is None:
        return None
    stated = np.flatnonzero(np.isfinite(centres))  # PRISMA states none for bands not in use
    steps = np.diff(centres[stated])
    widths = None
    if cube.fwhm is not None:
        widths = [float(np.nanmin(cube.fwhm)), float(np.nanmax(cube.fwhm))]
    return {
        "count": len(centres),
        "least": float(np.nanmin(centres)),
        "greatest": float(np.nanmax(centres)),
        "ascending": bool((steps > 0).all()),
        "not_ascending_at": stated[1:][steps <= 0].tolist(),
        "widths": widths,
    }


def _scale(cube: Cube) -> float | None:
    """What reflectance was multiplied with, where the file says so."""
    factor = cube.metadata.get("reflectance scale factor")
    if factor is not None:
        return float(factor)
    scales = {float(scale) for scale in cube.metadata.get("scales", ())} - {0.0}
    if len(scales) != 1 or any(cube.metadata["offsets"]):
        return None
    return 1 / scales.pop()


def _masks(cube: Cube, path: Path) -> list[dict[str, Any]]:
    """The arrays of the cube's size in its file, and the file beside it, that hold classes."""
    arrays: list[tuple[Path, str | None]] = []
    size = cube.shape[:2]
    reader = formats.named_arrays(path)
    if reader is not None:
        planes = [one for one in reader.variables(path) if one.is_plane and one.shape == size]
        arrays += [(path, one.name) for one in planes]
    if cube.format == "ENVI":
        from specloom_cubes.formats import envi

        path = envi.header_of(cube.path) or path
    arrays += [(mask, None) for mask in find_masks([path]).values()]
    masks = []
    for file, name in arrays:
        masks.append({"file": str(file), "variable": name, **_classes(file, size, name)})
    return masks


def _classes(path: Path, size: tuple[int, int], variable: str | None) -> dict[str, Any]:
    try:
        labels = read_mask(path, size, variable)
    except DataError as error:
        return {"classes": None, "problem": error.what}
    numbers, counts = np.unique(labels, return_counts=True)
    return {"classes": dict(zip(map(str, numbers.tolist()), counts.tolist(), strict=True))}


def _georeference(cube: Cube) -> dict[str, Any] | None:
    """The coordinate system's name, the size of a pixel and the upper left corner."""
    if "transform" in cube.metadata:
        across, _, left, _, down, top = cube.metadata["transform"]
        system = None
        named = re.search(r'"([^"]+)"', cube.metadata.get("crs", ""))
        if named is not None:
            system = named[1]
        return {
            "system": system,
            "pixel": [abs(across), abs(down)],
            "upper_left": [left, top],
        }
    parts = cube.metadata.get("map info", [])
    try:
        col, row, left, top, across, down = (float(part) for part in parts[1:7])
    except (ValueError, TypeError):
        return None
    rest = [part for part in parts[7:10] if part and "=" not in part]
    return {
        "system": " ".join([parts[0], *rest]),
        "pixel": [across, down],
        "upper_left": [left - (col - 1) * across, top + (row - 1) * down],
    }


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """NaN, which JSON does not know, becomes None."""
    finite = dict(values)
    for name, value in values.items():
        if isinstance(value, float) and not isfinite(value):
            finite[name] = None
    return finite
