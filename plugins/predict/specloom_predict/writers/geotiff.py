"""GeoTIFF, through rasterio."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specloom import UnavailableError
from specloom_predict.georeference.systems import parse_crs
from specloom_predict.writers.layout import row_blocks

if TYPE_CHECKING:
    from specloom_predict.georeference import Geometry
    from specloom_predict.writers.layout import Map

TILE = 256


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
            for band, name in enumerate(one.band_names):
                file.set_band_description(band + 1, name)
                for rows in row_blocks(height, width * dtype.itemsize, TILE):
                    part = one.file_part(rows, band)
                    file.write(part, band + 1, window=((rows.start, rows.stop), (0, width)))
    return notes
