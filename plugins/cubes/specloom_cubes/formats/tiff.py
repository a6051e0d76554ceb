"""TIFF and GeoTIFF: bands of one image, or pages of one band each; tags and georeference."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import rasterio.errors

from specloom import DataError
from specloom_cubes.cube import AS_STATED, Cube, Reading
from specloom_cubes.formats import tiff_pages
from specloom_cubes.formats.units import to_nm, zero_flags

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGERY = {"wavelength": "CENTRAL_WAVELENGTH_UM", "fwhm": "FWHM_UM"}
"""GDAL's own names, in the metadata domain IMAGERY."""


def open_cube(path: Path, reading: Reading = AS_STATED) -> Cube:
    """Open a TIFF file, whose bands are either in one image or on one page each.

    Each band's tags ``wavelength``, ``wavelength_units``, ``fwhm`` and ``bbl`` are read, or GDAL's
    own in the domain IMAGERY; wavelengths count where every band has one.

    Raises:
        DataError: The file is damaged or shorter than it says, complex, or its pages differ.
    """
    try:
        pages = tiff_pages.pages(path)
        if not pages:
            raise ValueError("it holds no image")
    except (OSError, ValueError, struct.error) as error:
        raise _damaged(path, error) from error
    with _opened(path) as file:
        bands = len(pages)
        if len(pages) == 1:
            bands = file.count
        _check(path, pages, file)
        metadata = _metadata(file)
        tags = []
        if len(pages) == 1:
            tags = [_tags(file, band) for band in file.indexes]
        interleave = "bsq"
        if file.interleaving.value == "PIXEL" and bands > 1:
            interleave = "bip"
        kind = "TIFF"
        if "transform" in metadata:
            kind = "GeoTIFF"
        if len(pages) > 1:
            kind = f"{kind} of {len(pages)} pages"
        dtype = np.dtype(file.dtypes[0])
        no_data = _no_data(file)
    shape = (pages[0].height, pages[0].width, bands)

    def load(rows: slice, cols: slice) -> NDArray[Any]:
        return _read(path, pages, shape, rows, cols).astype(dtype, copy=False)

    centres = _per_band(tags, "wavelength")
    widths = _per_band(tags, "fwhm")
    flags = _per_band(tags, "bbl")
    units = [tag["wavelength_units"] for tag in tags if tag.get("wavelength_units")]
    unit = next(iter(units), "")
    return Cube(
        path,
        shape,
        dtype,
        load,
        format=kind,
        interleave=interleave,
        wavelengths=to_nm(centres, unit),
        fwhm=to_nm(widths, unit, like=centres),
        bad_bands=zero_flags(flags),
        ignore_value=no_data,
        metadata=metadata,
        reading=reading,
    )


def _no_data(file: Any) -> float | None:
    if file.nodata is None or np.isnan(file.nodata):
        return None
    return float(file.nodata)


def _read(
    path: Path,
    pages: Sequence[tiff_pages.Page],
    shape: tuple[int, int, int],
    rows: slice,
    cols: slice,
) -> NDArray[Any]:
    down = rows.indices(shape[0])
    across = cols.indices(shape[1])
    window = ((down[0], max(down[:2])), (across[0], max(across[:2])))
    if min(stop - start for start, stop in window) == 0:
        return np.zeros((len(range(*down)), len(range(*across)), shape[2]))
    if len(pages) == 1:
        with _opened(path) as file:
            read = file.read(window=window)
    else:
        parts = []
        for page in pages:
            with _opened(path, page.number) as file:
                parts.append(file.read(1, window=window))
        read = np.stack(parts)
    part: NDArray[Any] = read.transpose(1, 2, 0)[:: down[2], :: across[2]]
    return part


def _check(path: Path, pages: Sequence[tiff_pages.Page], file: Any) -> None:
    sizes = {(page.height, page.width) for page in pages}
    if len(sizes) > 1:
        listed = ", ".join(f"{height} x {width}" for height, width in sorted(sizes))
        raise DataError(
            f"{path} holds {len(pages)} pages of different sizes ({listed})",
            fix="save one page for each band, all of one size",
        )
    if len(pages) > 1 and file.count > 1:
        raise DataError(
            f"{path} holds {len(pages)} pages of {file.count} bands",
            fix="save all bands in one image, or one page for each band",
        )
    if np.dtype(file.dtypes[0]).kind not in "iuf":
        raise DataError(
            f"{path} holds {file.dtypes[0]}; specloom works on real values",
            fix="save the magnitude or the real part",
        )


def _tags(file: Any, band: int) -> dict[str, str]:
    tags = {key.lower(): text for key, text in file.tags(band).items()}
    own = file.tags(band, ns="IMAGERY")
    for name, key in IMAGERY.items():
        if name not in tags and key in own:
            tags |= {name: own[key], "wavelength_units": "um"}
    return tags


def _per_band(tags: Sequence[Mapping[str, str]], name: str) -> NDArray[np.float64] | None:
    try:
        return np.array([float(tag[name]) for tag in tags]) if tags else None
    except (KeyError, ValueError):
        return None


def _metadata(file: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = dict(file.tags())
    if not file.transform.is_identity:
        metadata["transform"] = tuple(file.transform)[:6]
    if file.crs:
        metadata["crs"] = file.crs.to_wkt()
    if any(scale != 1 for scale in file.scales) or any(file.offsets):
        metadata["scales"] = file.scales
        metadata["offsets"] = file.offsets
    return metadata


@contextmanager
def _opened(path: Path, page: int | None = None) -> Iterator[Any]:
    name = str(path) if page is None else f"GTIFF_DIR:{page}:{path}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            # No other driver: a text file that names other files is no cube.
            with rasterio.open(name, driver="GTiff") as file:
                yield file
    except rasterio.errors.RasterioError as error:
        raise _damaged(path, error.__cause__ or error) from error


def _damaged(path: Path, error: BaseException) -> DataError:
    return DataError(f"{path} cannot be read as TIFF: {error}", fix="copy or save the file again")
