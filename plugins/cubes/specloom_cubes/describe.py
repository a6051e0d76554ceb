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
from specloom_cubes.cube import AS_STATED, Reading
from specloom_cubes.described_masks import describe_masks
from specloom_cubes.paths import expand
from specloom_cubes.sources.common import notes_on
from specloom_cubes.sources.description import scale_factor
from specloom_cubes.statistics import statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube


def describe(
    path: str | Path,
    variable: str | None = None,
    *,
    reading: Reading = AS_STATED,
    pixels: bool = True,
) -> dict[str, Any]:
    """Everything that ``specloom info`` shows, ready for JSON.

    Args:
        path: The file; of an ENVI pair either one.
        variable: The array to take where it holds several.
        reading: How the file is read where it can be read in several ways.
        pixels: Whether to read the pixels, for their statistics.

    Raises:
        DataError: There is no cube in it, or it is damaged.
        UnavailableError: The library that reads such files is not installed.
    """
    cube = formats.open_cube(path, variable, reading)
    return describe_cube(cube, expand(path), pixels=pixels)


def describe_cube(cube: Cube, path: Path, *, pixels: bool = True) -> dict[str, Any]:
    """The same of a cube that was opened from the file ``path``."""
    arrays = []
    reader = formats.named_arrays(path)
    if reader is not None:
        arrays = [str(one) for one in reader.variables(path)]
    figures = None
    if pixels:
        figures = _finite(asdict(statistics(cube)))
    height, width, bands = cube.shape
    masks, notes = describe_masks(cube, path)
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
        "no_data": _no_data(cube.ignore_value),
        "scale": _scale(cube),
        "scaling": _scaling(cube),
        "valid": cube.valid_from or None,
        "assumptions": list(cube.assumptions),
        "masks": masks,
        "georeference": _georeference(cube),
        "remarks": [*notes_on(cube), *notes],  # the key of version 0.1
        "statistics": figures,
    }


def with_option(error: DataError) -> DataError:
    """An error that names the option instead of the parameter of a run file."""
    fix = error.fix.replace("cube_variable", "--variable")
    return DataError(error.what, where=error.where, fix=fix)


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
        "from": cube.wavelengths_from,
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


def _scaling(cube: Cube) -> dict[str, Any] | None:
    """The gains and offsets that the file states, and whether sources apply them."""
    if cube.gains is None and cube.offsets is None:
        return None
    return {
        "factor": scale_factor(cube),
        "gains": _span(cube.gains),
        "offsets": _span(cube.offsets),
        "from": cube.scale_from,
        "applied": cube.is_scaled,
    }


def _span(values: NDArray[np.float64] | None) -> list[float] | None:
    """The least and the greatest of the values."""
    if values is None:
        return None
    return [float(values.min()), float(values.max())]


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
        numbers = [float(part) for part in parts[1:7]]
    except (ValueError, TypeError):
        return None
    if len(numbers) < 6 or not all(map(isfinite, numbers)):
        return None
    col, row, left, top, across, down = numbers
    rest = [part for part in parts[7:10] if part and "=" not in part]
    return {
        "system": " ".join([parts[0], *rest]),
        "pixel": [across, down],
        "upper_left": [left - (col - 1) * across, top + (row - 1) * down],
    }


def _no_data(value: float | None) -> float | str | None:
    """The value for "no data"; infinity, which JSON does not know, as text."""
    if value is None or isfinite(value):
        return value
    return str(value)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """NaN, which JSON does not know, becomes None."""
    finite = dict(values)
    for name, value in values.items():
        if isinstance(value, float) and not isfinite(value):
            finite[name] = None
    return finite
