"""GeoTIFF, through rasterio."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import UnavailableError
from specloom_predict.georeference.systems import parse_crs
from specloom_predict.writers.layout import UNJUDGED, row_blocks

if TYPE_CHECKING:
    from specloom_predict.georeference import Geometry
    from specloom_predict.writers.layout import Map

TILE = 256

OVERVIEW_SIDE = 512
"""Files with a longer side than this have overviews, down to one that is no longer."""

DECISION_COLOURS = {0: (235, 235, 235), 1: (255, 194, 10), UNJUDGED: (128, 128, 128)}
"""Not decided, decided, and what could not be assessed."""


def import_rasterio() -> Any:
    """The module rasterio.

    Raises:
        UnavailableError: It cannot be imported.
    """
    try:
        import rasterio
    except ImportError as error:
        raise UnavailableError(
            f"writing GeoTIFF needs the package rasterio, which cannot be imported ({error})",
            fix="pip install rasterio, or leave geotiff out of --format",
        ) from error
    return rasterio


def write(path: Path, one: Map, geometry: Geometry, source: str) -> list[str]:
    """Write a map with its transform and coordinate system.

    "No data" is NaN in scores and 255 in decisions.

    Decisions have a table of colours. Files with a side of more than 512 pixels have overviews, in
    which each pixel is the maximum of those it covers, so that no object vanishes.

    Args:
        path: The file.
        one: The map; decisions are written as 0 and 1, and 255 where unjudged.
        geometry: Where it lies.
        source: Where the map comes from, for the tag of the image's description.

    Returns:
        What could not be said of the geometry.

    Raises:
        UnavailableError: rasterio is not installed.
    """
    rasterio = import_rasterio()
    height, width = one.size
    dtype = one.file_dtype
    bands = one.bands
    crs = parse_crs(geometry.crs)
    notes = []
    if geometry.crs and crs is None:
        notes.append("GeoTIFF files have no coordinate system: it is not understood")
    options: dict[str, Any] = {"compress": "deflate", "bigtiff": "if_safer", "interleave": "band"}
    if min(height, width) > TILE:
        options |= {"tiled": True, "blockxsize": TILE, "blockysize": TILE}
    if one.nodata is not None:
        options["nodata"] = one.nodata
    if geometry.transform is not None:
        options["transform"] = rasterio.Affine(*geometry.transform)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=height,
            width=width,
            count=bands.shape[2],
            dtype=dtype.name,
            crs=crs,
            **options,
        ) as file:
            file.update_tags(TIFFTAG_IMAGEDESCRIPTION=source)
            if one.decides and bands.shape[2] == 1:
                file.write_colormap(1, DECISION_COLOURS)
            for band, name in enumerate(one.band_names):
                file.set_band_description(band + 1, name)
                for rows in row_blocks(height, width * dtype.itemsize, TILE):
                    part = one.file_part(rows, band)
                    file.write(part, band + 1, window=((rows.start, rows.stop), (0, width)))
        _write_overviews(path, one)
    return notes


def _write_overviews(path: Path, one: Map) -> None:
    """Add overviews at half the size, a quarter and so on, of maxima."""
    rasterio = import_rasterio()
    factors = []
    factor = 2
    while max(one.size) > OVERVIEW_SIDE * factor // 2:
        factors.append(factor)
        factor *= 2
    if not factors:
        return
    with rasterio.open(path, "r+") as file:
        file.build_overviews(factors, rasterio.enums.Resampling.nearest)
    for level, factor in enumerate(factors):
        with rasterio.open(path, "r+", overview_level=level) as file:
            _write_maxima(file, one, factor)


def _write_maxima(file: Any, one: Map, factor: int) -> None:
    """Fill an open overview with the maxima of squares of ``factor`` x ``factor`` pixels."""
    height, width = one.size
    columns = np.arange(0, width, factor)
    row_bytes = width * one.file_dtype.itemsize
    for band in range(one.bands.shape[2]):
        for rows in row_blocks(height, row_bytes, TILE * factor):
            part = one.file_part(rows, band)
            if one.decides:
                part = part.astype(np.int16)
                part[part == UNJUDGED] = -1  # any decision counts for more
            tops = np.arange(0, len(part), factor)
            maxima = np.fmax.reduceat(np.fmax.reduceat(part, tops, axis=0), columns, axis=1)
            if one.decides:
                maxima[maxima == -1] = UNJUDGED
            first = rows.start // factor
            window = ((first, first + len(maxima)), (0, len(columns)))
            file.write(np.ascontiguousarray(maxima, one.file_dtype), band + 1, window=window)
