"""ENVI: a text header and a raw file, read part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from specloom import DataError
from specloom_cubes.cube import AS_STATED, Cube, Reading, refuse_axes
from specloom_cubes.formats.envi_header import Header, parse
from specloom_cubes.formats.stored import Stored, stamp_of
from specloom_cubes.listings import listing_of
from specloom_cubes.rules import scale
from specloom_cubes.rules.units import zero_flags
from specloom_cubes.rules.wavelengths import (
    BAND_NAMES,
    Vector,
    find_centres,
    find_widths,
    is_centres_name,
    is_widths_name,
    vector_of_texts,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENVI_DATA_TYPES = {
    1: "u1",
    2: "i2",
    3: "i4",
    4: "f4",
    5: "f8",
    12: "u2",
    13: "u4",
    14: "i8",
    15: "u8",
}
COMPLEX = (6, 9)
BYTE_ORDERS: Mapping[int, Literal["<", ">"]] = {0: "<", 1: ">"}
SUFFIXES = ("", ".img", ".raw", ".dat", ".bsq", ".bil", ".bip")
"""The usual endings of data files; a file of another ending is looked for after these."""

OTHER_FILES = frozenset(
    (
        *(".hdr", ".mat", ".npz", ".npy", ".h5", ".hdf5", ".he5", ".hdf", ".nc", ".nc4", ".cu3s"),
        *(".tif", ".tiff", ".png", ".bmp", ".jpg", ".jpeg", ".gif", ".webp", ".jp2", ".svg"),
        *(".txt", ".csv", ".tsv", ".xlsx", ".xml", ".json", ".yaml", ".yml", ".toml", ".ini"),
        *(".md", ".log", ".html", ".pdf", ".py", ".m", ".ipynb", ".cfg", ".conf", ".lst", ".bak"),
        *(".prj", ".kml", ".kmz", ".ovr", ".aux", ".rrd", ".sta", ".evf", ".roi", ".shp", ".dbf"),
        *(".tfw", ".bpw", ".pgw", ".jgw", ".wld", ".zip", ".gz", ".bz2", ".xz", ".tar", ".7z"),
    )
)
"""Endings of files that are never the data of a header beside them."""

OWN_FIELDS = ("wavelength", "wavelengths", "fwhm", "bbl")
UNITS = ("wavelength units", "wavelengths units", "wavelength unit", "wavelength_units")
LIBRARY = "spectral library"
SCALES = (scale.GAINS, scale.OFFSETS, scale.REFLECTANCE)


def header_of(data: Path) -> Path | None:
    """The header beside a data file: ``cube.img.hdr`` or ``cube.hdr``."""
    suffix = data.suffix.lower()
    own = _find_sibling(data, [data.name + ".hdr"])
    if own is not None or suffix in OTHER_FILES:
        return own  # picture.png beside cube.hdr is not that cube
    header = _find_sibling(data, [data.stem + ".hdr"])
    if header is None or suffix in SUFFIXES:
        return header
    found = data_of(header)
    return header if found is not None and found.name == data.name else None


def data_of(header: Path) -> Path | None:
    """The data file beside a header: its name without ``.hdr``, or with another ending.

    Of several files it is one that is as long as the header says; of those with usual endings the
    one whose ending is the interleave, or else the first in the order of ``SUFFIXES``.
    """
    usual = _usual_data_files(header)
    if usual:
        return usual[0]
    others = _unusual_data_files(header)
    if len(others) > 1:
        with suppress(DataError):
            others = _as_long_as_stated(others, parse(header))
    return others[0] if len(others) == 1 else None


def _usual_data_files(header: Path) -> list[Path]:
    """The files that may be the data of a header by their names and lengths, the likeliest first.

    They are looked for by name: a folder of many cubes is not listed for each of them.
    """
    first = _find_sibling(header, [header.stem + suffix for suffix in SUFFIXES])
    if first is None:
        return []
    names = [header.stem + suffix for suffix in SUFFIXES]
    named = [header.with_name(name) for name in names if name != first.name]
    others = [path for path in named if path.is_file() and not path.samefile(first)]
    found = [first, *others]
    if not others:
        return found
    with suppress(DataError):
        fields = parse(header)
        found = _as_long_as_stated(found, fields) or found
        interleave = fields.get("interleave", "").lower()
        found.sort(key=lambda path: path.suffix.lower() != f".{interleave}")
    return found


def _as_long_as_stated(paths: list[Path], header: Header) -> list[Path]:
    """The files that are as long as a header says."""
    needed = _needed(header)
    return [path for path in paths if path.stat().st_size == needed]


def _unusual_data_files(header: Path) -> list[Path]:
    """The files that have a header's name and an ending that is not known."""
    named = listing_of(header.parent).by_stem.get(header.stem.lower(), ())
    return [path for path in named if _may_be_data(path)]


def _may_be_data(path: Path) -> bool:
    return path.suffix.lower() not in OTHER_FILES and path.is_file()


def _needed(header: Header) -> int:
    """The length of the data file in bytes, from its header."""
    sizes = [header.size(key) for key in ("lines", "samples", "bands")]
    return offset_of(header) + prod(sizes) * dtype_of(header).itemsize


def _find_sibling(path: Path, names: list[str]) -> Path | None:
    # Names in capitals are common: they too are found without a look at the whole folder.
    capitals = [f"{Path(name).stem}{Path(name).suffix.upper()}" for name in names]
    for name in [*names, *capitals]:
        sibling = path.with_name(name)
        if name != path.name and sibling.is_file():
            return sibling
    others = listing_of(path.parent).by_name
    for name in names:
        found = others.get(name.lower())
        if found is not None and found != path and found.is_file():
            return found
    return None


def open_cube(path: Path, reading: Reading = AS_STATED) -> Cube:
    """Open an ENVI pair by either of its files.

    Raises:
        DataError: A file of the pair is absent, the header cannot be used, or promises more than
            the data file holds.
    """
    header_path, data = pair(path)
    header = parse(header_path)
    _refuse_library(header)
    height, width, bands = (header.size(key) for key in ("lines", "samples", "bands"))
    dtype = dtype_of(header)
    offset = offset_of(header)
    _refuse_unreadable(header)
    refuse_axes(reading, str(header_path), "its header states")
    interleave = header.get("interleave", "bsq").lower()
    shape, axes = _layout(header, interleave, height, width, bands)
    stored = Stored(data, dtype, offset, shape, _stamp(data))
    holds = max(stored.stamp[0] - offset, 0)
    promise = (
        f"{height} x {width} x {bands} {dtype.name} = {stored.needed} bytes after offset {offset}"
    )
    if holds < stored.needed:
        raise DataError(
            f"the header promises {promise}, {data.name} holds {holds}",
            where=str(header_path),
            fix="copy the data file again, or correct the header",
        )

    def load(rows: slice, cols: slice) -> NDArray[Any]:
        by_axis = (rows, cols, slice(None))
        parts = [by_axis[axes.index(axis)] for axis in range(3)]
        return stored.read(*parts).transpose(axes)

    stated = band_metadata(header, bands)
    notes = list(stated.notes)
    if holds > stored.needed:
        notes.append(
            f"{header_path} promises {promise}, {data.name} is longer: it holds {holds}; "
            "correct data type, bands, lines, samples or header offset if these are wrong"
        )
    notes += _assumed(header, bands, dtype)
    if path == header_path:
        notes += _note_on_others(header_path, data)
    return Cube(
        data,
        (height, width, bands),
        dtype.newbyteorder("="),
        load,
        format="ENVI",
        interleave=interleave,
        wavelengths=stated.wavelengths,
        fwhm=stated.fwhm,
        bad_bands=stated.bad_bands,
        ignore_value=_float(header, "data ignore value"),
        metadata=_metadata(header),
        wavelengths_from=stated.wavelengths_from,
        assumptions=tuple(notes),
        gains=stated.gains,
        offsets=stated.offsets,
        scale_from=stated.scale_from,
        reading=reading,
    )


class BandMetadata(NamedTuple):
    """What a header states of each band; see ``Cube``."""

    wavelengths: NDArray[np.float64] | None = None
    wavelengths_from: str = ""
    fwhm: NDArray[np.float64] | None = None
    bad_bands: NDArray[np.bool_] | None = None
    gains: NDArray[np.float64] | None = None
    offsets: NDArray[np.float64] | None = None
    scale_from: str = ""
    notes: tuple[str, ...] = ()


def band_metadata(header: Header, bands: int) -> BandMetadata:
    """What a header states of each band.

    Raises:
        DataError: A field has more or fewer values than there are bands, or no numbers.
    """
    where = str(header.path)
    vectors = _vectors(header, bands)
    centres = find_centres(vectors, bands, where)
    found = BandMetadata(
        fwhm=find_widths(vectors, bands, centres),
        bad_bands=zero_flags(header.per_band("bbl", bands)),
    )
    if centres is not None:
        found = found._replace(wavelengths=centres.nm, notes=centres.notes)
        if centres.nm is not None:
            found = found._replace(wavelengths_from=f"the field {centres.source!r} of the header")
    scaling = scale.from_envi(_scale_fields(header), bands, where)
    if scaling is not None:
        found = found._replace(
            gains=scaling.gains,
            offsets=scaling.offsets,
            scale_from=f"{scaling.source} of the header",
            notes=(*found.notes, *(f"{where}: {note}" for note in scaling.notes)),
        )
    return found


def _vectors(header: Header, bands: int) -> list[Vector]:
    """The fields that may hold band centres or widths, band names last.

    Raises:
        DataError: A field of the format has more or fewer values than bands, or no numbers.
    """
    unit = next((header[key] for key in UNITS if header.get(key)), "")
    vectors = []
    for key in header:
        if not is_centres_name(key) and not is_widths_name(key):
            continue
        vector = vector_of_texts(key, header.parts(key))
        if vector is not None:
            vectors.append(Vector(key, vector.values, vector.unit or unit))
        elif key in OWN_FIELDS:
            header.per_band(key, bands)  # raises where a value is no number
        if key in OWN_FIELDS:
            header.check_count(key, bands)
    in_names = vector_of_texts(BAND_NAMES, header.parts(BAND_NAMES))
    if in_names is not None:
        vectors.append(Vector(BAND_NAMES, in_names.values, in_names.unit or unit))
    return vectors


def _scale_fields(header: Header) -> dict[str, NDArray[np.float64]]:
    fields = {}
    for key in SCALES:
        values = header.numbers(key)
        if values is not None:
            fields[key] = values
    return fields


def _assumed(header: Header, bands: int, dtype: np.dtype[Any]) -> Iterator[str]:
    """What is assumed where a header lacks a field."""
    if bands > 1 and "interleave" not in header:
        yield f"{header.path} has no 'interleave': bsq is assumed; write it in the header"
    if dtype.itemsize > 1 and "byte order" not in header:
        yield f"{header.path} has no 'byte order': 0 is assumed; write it in the header"

    for key in header.repeated:
        yield (
            f"{header.path} states {key!r} more than once, with different values: the last is "
            "read; remove the others"
        )


def _note_on_others(header: Path, data: Path) -> Iterator[str]:
    """That other files may be the data of a header as well."""
    others = [path.name for path in _usual_data_files(header) if path.name != data.name]
    if others:
        yield (
            f"{header} has several data files beside it: {data.name} is read, and not "
            f"{', '.join(others)}; name the data file, or move the others"
        )


def _refuse_library(header: Header) -> None:
    """Refuse the header of a spectral library.

    Raises:
        DataError: It is one.
    """
    if LIBRARY in header.get("file type", "").lower():
        raise DataError(
            f"{header.path} is an ENVI spectral library of {header.get('lines', '?')} spectra, "
            "not an image",
            fix="give the header of an image; a library has no rows and columns",
        )


def pair(path: Path) -> tuple[Path, Path]:
    """The header and the data file of a pair, either of which is ``path``.

    Raises:
        DataError: The other one is not there.
    """
    if path.suffix.lower() == ".hdr":
        data = data_of(path)
        if data is None:
            raise _no_data_file(path)
        return path, data
    header = header_of(path)
    if header is None:
        raise no_header(path)
    return header, path


def _no_data_file(header: Path) -> DataError:
    others = _unusual_data_files(header)
    if others:
        names = ", ".join(path.name for path in others)
        return DataError(
            f"{header} has several files beside it, none of which is as long as it says: {names}",
            fix="leave the data file beside the header and move the others",
        )
    tried = ", ".join(header.stem + suffix for suffix in SUFFIXES)
    return DataError(
        f"{header} has no data file beside it (tried {tried})",
        fix="put the data file beside the header, under the same name",
    )


def names_of_header(data: Path) -> str:
    """What is missing where a data file has no header."""
    if data.suffix:
        return f"there is neither {data.name}.hdr nor {data.stem}.hdr"
    return f"there is no {data.name}.hdr"


def no_header(data: Path) -> DataError:
    """The error that a data file has no header."""
    return DataError(
        f"{data} has no ENVI header: {names_of_header(data)}",
        fix=f"put {data.stem}.hdr beside it",
    )


def _stamp(data: Path) -> tuple[int, int]:
    try:
        with data.open("rb", buffering=0) as file:
            return stamp_of(file)
    except OSError as error:
        raise DataError(
            f"{data} cannot be read: {error.strerror or error}", fix="check its permissions"
        ) from error


def offset_of(header: Header) -> int:
    """The number of bytes before the first value.

    Raises:
        DataError: It is negative.
    """
    offset = header.number("header offset", 0)
    if offset < 0:
        raise DataError(
            f"'header offset' is {offset}",
            where=str(header.path),
            fix="write the number of bytes before the first pixel, 0 or more",
        )
    return offset


def dtype_of(header: Header) -> np.dtype[Any]:
    """The element type of the data file, with its byte order.

    Raises:
        DataError: It is complex or unknown, or its byte order is neither 0 nor 1.
    """
    code = header.number("data type")
    if code in COMPLEX:
        raise DataError(
            f"data type {code} is complex; specloom works on real values",
            where=str(header.path),
            fix="save the magnitude or the real part",
        )
    if code not in ENVI_DATA_TYPES:
        raise DataError(
            f"data type {code} is unknown",
            where=str(header.path),
            fix=f"use one of: {', '.join(map(str, ENVI_DATA_TYPES))}",
        )
    # A header without a byte order comes from a little-endian machine: all that write one today.
    dtype = np.dtype(ENVI_DATA_TYPES[code])
    order = header.number("byte order", 0)
    if order not in BYTE_ORDERS:
        raise DataError(
            f"'byte order' is {order}",
            where=str(header.path),
            fix="write 0 (the least byte first, as PCs do) or 1 (the greatest first)",
        )
    return dtype.newbyteorder(BYTE_ORDERS[order])


def _refuse_unreadable(header: Header) -> None:
    if header.number("file compression", 0):
        raise DataError(
            "the data file is compressed", where=str(header.path), fix="save it uncompressed"
        )
    for key in ("major frame offsets", "minor frame offsets"):
        if any(part.strip() not in ("", "0") for part in header.get(key, "").split(",")):
            raise DataError(
                f"{key!r} is {header[key]!r}, which is not supported",
                where=str(header.path),
                fix="save the cube without frame offsets",
            )


def _layout(
    header: Header, interleave: str, height: int, width: int, bands: int
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    if interleave == "bsq":
        return (bands, height, width), (1, 2, 0)
    if interleave == "bil":
        return (height, bands, width), (0, 2, 1)
    if interleave == "bip":
        return (height, width, bands), (0, 1, 2)
    raise DataError(
        f"interleave {interleave!r} is unknown",
        where=str(header.path),
        fix="use one of: bsq, bil, bip",
    )


def _float(header: Header, key: str) -> float | None:
    text = header.get(key, "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise DataError(
            f"{key!r} is {text!r}", where=str(header.path), fix=f"write {key} = <number>"
        ) from None
    if np.isnan(number):  # such pixels are NaN in any case
        return None
    return number


def _metadata(header: Header) -> dict[str, Any]:
    metadata: dict[str, Any] = {key: text for key, text in header.items() if key not in OWN_FIELDS}
    if "map info" in metadata:
        metadata["map info"] = [part.strip() for part in metadata["map info"].split(",")]
    factors = header.numbers(scale.REFLECTANCE)
    metadata.pop(scale.REFLECTANCE, None)
    if factors is not None and len(factors) == 1:
        metadata[scale.REFLECTANCE] = float(factors[0])
    return metadata
