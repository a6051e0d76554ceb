"""ENVI spectral libraries: a header, and one row of numbers for each spectrum."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes.formats import envi
from specloom_cubes.formats.envi_header import Header, parse
from specloom_cubes.spectra import Spectra

if TYPE_CHECKING:
    from numpy.typing import NDArray

TITLES = "z plot titles"
"""The field with the names of the axes; the second one is the unit of the values."""

NO_UNITS = ("", "value", "values", "data", "data value", "dn", "unknown")


def read_library(path: Path) -> Spectra:
    """The spectra of an ENVI library, by its header or its data file.

    Bands that ``bbl`` marks as bad are excluded; scales that the header states are applied.

    Raises:
        DataError: A file of the pair is absent, the header is that of an image, or promises more
            than the data file holds.
    """
    header_path, data = envi.pair(path)
    header = parse(header_path)
    if envi.LIBRARY not in header.get("file type", "").lower():
        raise DataError(
            f"{header_path} is no spectral library: its file type is "
            f"{header.get('file type', 'not stated')!r}",
            fix="give the header of a spectral library, or state pixels of the image",
        )
    count = header.size("lines")
    bands = header.size("samples")
    stored = _stored(header, data, count, bands)
    metadata = envi.band_metadata(header, bands)
    values = stored.astype(np.float64)
    if metadata.gains is not None:
        values = values * metadata.gains
    if metadata.offsets is not None:
        values = values + metadata.offsets
    good = np.ones(bands, bool)
    if metadata.bad_bands is not None:
        good = ~metadata.bad_bands
    return Spectra(
        _names(header, count),
        values[:, good],
        _of_good_bands(metadata.wavelengths, good),
        _of_good_bands(metadata.fwhm, good),
        _unit(header),
        str(path),
        metadata.notes,
    )


def _stored(header: Header, data: Path, count: int, bands: int) -> NDArray[Any]:
    """The numbers of the data file, (T, C), as stored.

    Raises:
        DataError: There are fewer than the header promises, or it cannot be read.
    """
    dtype = envi.dtype_of(header)
    offset = envi.offset_of(header)
    needed = count * bands * dtype.itemsize
    try:
        raw = data.read_bytes()[offset:]
    except OSError as error:
        raise DataError(
            f"{data} cannot be read: {error.strerror or error}", fix="check its permissions"
        ) from error
    if len(raw) < needed:
        raise DataError(
            f"the header promises {count} spectra of {bands} bands = {needed} bytes after offset "
            f"{offset}, {data.name} holds {len(raw)}",
            where=str(header.path),
            fix="copy the data file again, or correct the header",
        )
    return np.frombuffer(raw[:needed], dtype).reshape(count, bands)


def _names(header: Header, count: int) -> tuple[str, ...]:
    names = header.parts("spectra names")
    if len(names) == count:
        return tuple(names)
    return tuple(f"spectrum {number}" for number in range(1, count + 1))


def _unit(header: Header) -> str:
    titles = header.parts(TITLES)
    if len(titles) < 2 or titles[1].lower() in NO_UNITS:
        return ""
    return titles[1]


def _of_good_bands(
    values: NDArray[np.float64] | None, good: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    if values is None:
        return None
    return values[good]
