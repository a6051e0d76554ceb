"""ENVI: a text header and a raw file, read part by part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes.cube import AS_STATED, Cube, Reading
from specloom_cubes.formats.envi_header import Header, parse
from specloom_cubes.formats.stored import Stored, stamp_of
from specloom_cubes.formats.units import to_nm, zero_flags

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
SUFFIXES = ("", ".img", ".raw", ".dat", ".bsq", ".bil", ".bip")
OWN_FIELDS = ("wavelength", "fwhm", "bbl")


def header_of(data: Path) -> Path | None:
    """The header beside a data file: ``cube.img.hdr`` or ``cube.hdr``."""
    names = [data.name + ".hdr", data.stem + ".hdr"]
    if data.suffix.lower() not in SUFFIXES:
        names.pop()  # picture.png beside cube.hdr is not that cube
    return _find_sibling(data, names)


def data_of(header: Path) -> Path | None:
    """The data file beside a header: its name without ``.hdr``, or with another ending."""
    return _find_sibling(header, [header.stem + suffix for suffix in SUFFIXES])


def _find_sibling(path: Path, names: list[str]) -> Path | None:
    # Names in capitals are common: they too are found without a look at the whole folder.
    capitals = [f"{Path(name).stem}{Path(name).suffix.upper()}" for name in names]
    for name in [*names, *capitals]:
        sibling = path.with_name(name)
        if name != path.name and sibling.is_file():
            return sibling
    if not path.parent.is_dir():
        return None
    siblings = {}
    for file in sorted(path.parent.iterdir()):
        if file.is_file() and file != path:
            siblings[file.name.lower()] = file
    for name in names:
        if name.lower() in siblings:
            return siblings[name.lower()]
    return None


def open_cube(path: Path, reading: Reading = AS_STATED) -> Cube:
    """Open an ENVI pair by either of its files.

    Raises:
        DataError: A file of the pair is absent, the header cannot be used, or promises more than
            the data file holds.
    """
    header_path, data = _pair(path)
    header = parse(header_path)
    height, width, bands = (_positive(header, key) for key in ("lines", "samples", "bands"))
    dtype = _dtype(header)
    offset = _offset(header)
    _refuse_unreadable(header)
    interleave = header.get("interleave", "bsq").lower()
    shape, axes = _layout(header, interleave, height, width, bands)
    stored = Stored(data, dtype, offset, shape, _stamp(data))
    holds = stored.stamp[0] - offset
    if holds < stored.needed:
        raise DataError(
            f"the header promises {height} x {width} x {bands} {dtype.name} = "
            f"{stored.needed} bytes after offset {offset}, {data.name} holds {max(holds, 0)}",
            where=str(header_path),
            fix="copy the data file again, or correct the header",
        )

    def load(rows: slice, cols: slice) -> NDArray[Any]:
        by_axis = (rows, cols, slice(None))
        parts = [by_axis[axes.index(axis)] for axis in range(3)]
        return stored.read(*parts).transpose(axes)

    unit = header.get("wavelength units", "")
    centres = header.per_band("wavelength", bands)
    widths = header.per_band("fwhm", bands)
    flags = header.per_band("bbl", bands)
    return Cube(
        data,
        (height, width, bands),
        dtype.newbyteorder("="),
        load,
        format="ENVI",
        interleave=interleave,
        wavelengths=to_nm(centres, unit),
        fwhm=to_nm(widths, unit, like=centres),
        bad_bands=zero_flags(flags),
        ignore_value=_float(header, "data ignore value"),
        metadata=_metadata(header),
        reading=reading,
    )


def _pair(path: Path) -> tuple[Path, Path]:
    """The header and the data file of a pair, either of which is ``path``."""
    if path.suffix.lower() == ".hdr":
        data = data_of(path)
        if data is None:
            tried = ", ".join(path.stem + suffix for suffix in SUFFIXES)
            raise DataError(
                f"{path} has no data file beside it (tried {tried})",
                fix="put the data file beside the header, under the same name",
            )
        return path, data
    header = header_of(path)
    if header is None:
        raise DataError(f"{path} has no header beside it", fix=f"put {path.stem}.hdr beside it")
    return header, path


def _stamp(data: Path) -> tuple[int, int]:
    try:
        with data.open("rb", buffering=0) as file:
            return stamp_of(file)
    except OSError as error:
        raise DataError(
            f"{data} cannot be read: {error.strerror or error}", fix="check its permissions"
        ) from error


def _positive(header: Header, key: str) -> int:
    value = header.number(key)
    if value < 1:
        raise DataError(
            f"{key!r} is {value}", where=str(header.path), fix=f"write the number of {key}"
        )
    return value


def _offset(header: Header) -> int:
    offset = header.number("header offset", 0)
    if offset < 0:
        raise DataError(
            f"'header offset' is {offset}",
            where=str(header.path),
            fix="write the number of bytes before the first pixel, 0 or more",
        )
    return offset


def _dtype(header: Header) -> np.dtype[Any]:
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
    if header.number("byte order", 0) == 1:
        return dtype.newbyteorder(">")
    return dtype.newbyteorder("<")


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
    try:
        return float(text) if text else None
    except ValueError:
        raise DataError(
            f"{key!r} is {text!r}", where=str(header.path), fix=f"write {key} = <number>"
        ) from None


def _metadata(header: Header) -> dict[str, Any]:
    metadata: dict[str, Any] = {key: text for key, text in header.items() if key not in OWN_FIELDS}
    if "map info" in metadata:
        metadata["map info"] = [part.strip() for part in metadata["map info"].split(",")]
    scale = _float(header, "reflectance scale factor")
    if scale is not None:
        metadata["reflectance scale factor"] = scale
    return metadata
