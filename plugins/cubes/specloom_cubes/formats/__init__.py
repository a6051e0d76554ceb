"""One function that opens any cube; one module for each format behind it."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from specloom import DataError, UnavailableError
from specloom_cubes.cube import AS_STATED, Reading
from specloom_cubes.paths import COPY, RELATIVE, expand, files_of_pattern, is_address, there

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube
    from specloom_cubes.formats.variable import Variable

__all__ = ["SUFFIXES", "Named", "is_cube", "named_arrays", "open_cube"]

HDF5 = (".h5", ".hdf5", ".he5", ".hdf", ".nc", ".nc4")
"""Endings of HDF5 and netCDF-4, which is HDF5; older files with these endings are refused."""

NAMED = {".mat": "mat", ".npz": "npz", **dict.fromkeys(HDF5, "hdf5")}
"""Formats that hold several arrays by name, and their modules."""

SUFFIXES = {**NAMED, ".npy": "npy", ".hdr": "envi", **dict.fromkeys((".tif", ".tiff"), "tiff")}
"""The module of each ending; an ENVI data file may have any other ending, or none."""

MATLAB = b"MATLAB 7.3"
"""How files of MATLAB 7.3 begin, whatever their ending."""

PICTURES = (".png", ".bmp", ".jpg", ".jpeg", ".gif")
"""Endings of files that can never hold a cube."""

READABLE = (
    "ENVI (.hdr with its data file), MATLAB (.mat), HDF5 (.h5, .hdf5, .he5, .hdf), "
    "netCDF-4 (.nc, .nc4), "
    "NumPy (.npy, .npz), TIFF (.tif, .tiff)"
)


class Named(Protocol):
    """A module that reads files with several arrays."""

    def variables(self, path: Path) -> list[Variable]:
        """What the file holds, from its headers."""

    def load(self, path: Path, name: str) -> NDArray[Any]:
        """One whole array."""


def is_cube(path: str | Path) -> bool:
    """Whether the name of a file says that it may hold a cube, or an ENVI header lies beside it."""
    return _format(expand(path)) != ""


def open_cube(path: str | Path, variable: str | None = None, reading: Reading = AS_STATED) -> Cube:
    """Open a cube without reading its pixels.

    Args:
        path: The file; of an ENVI pair either one; of a band stack the pattern of its files.
        variable: The array to take where the file holds several (MATLAB, HDF5, NPZ).
        reading: The order of its axes and the like, where the user states them.

    Raises:
        DataError: The file is absent, of an unknown kind, damaged, or holds no single cube.
        UnavailableError: The library that reads such files is not installed.
    """
    if is_address(path) and not there(path):
        raise DataError(f"nothing opens the address {path}", fix=COPY)
    path = expand(path)
    if not there(path):
        raise _absent(path)
    _check_file(path)
    kind = _kind(path)
    named = kind in NAMED.values()
    if variable is not None and not named:
        raise DataError(
            f"{path} has no named variables",
            fix=f"remove the variable: only {', '.join(NAMED)} have them",
        )
    reader = _module(kind, path)
    arguments = [path, variable] if named else [path]
    cube: Cube = reader.open_cube(*arguments, reading=reading)
    if 0 in cube.shape:
        height, width, bands = cube.shape
        raise DataError(
            f"{path} has no pixels: its cube is {height} x {width} x {bands}",
            fix="save the cube again, with all of its values",
        )
    if cube.dtype.itemsize > 8:
        raise DataError(f"{path} holds {cube.dtype}", fix="save it as float64 or float32")
    if not len(cube.good_bands):
        raise DataError(
            f"{path} marks all of its {cube.shape[2]} bands as bad (bbl)",
            fix="write 1 in bbl for each good band, or remove it",
        )
    return cube


def _absent(path: Path) -> DataError:
    """The error for a file that is not there; its data file may be there without it."""
    if path.suffix.lower() == ".hdr":
        from specloom_cubes.formats import envi

        with suppress(OSError):  # a name that no system can have
            data = envi.data_of(path)
            if data is not None:
                return envi.no_header(data)
    return DataError(f"there is no file {path}", fix=RELATIVE)


def _check_file(path: Path) -> None:
    """Accept a file that a reader knows by its name."""
    if path.is_dir():
        fix = "give one of its files, or name the folder as the path of cubes.Folder"
        raise DataError(f"{path} is a folder, not a cube", fix=fix)
    if files_of_pattern(path):
        return
    if not path.is_file():
        raise DataError(f"{path} is not a regular file", fix="save the cube as a file")
    if path.suffix.lower() in PICTURES:
        fix = f"give the cube's own file: {READABLE}; a picture may be its mask"
        raise DataError(f"{path} is a picture: it holds colours, not spectra", fix=fix)
    if not _format(path):
        raise _unknown_format(path)


def _unknown_format(path: Path) -> DataError:
    """The error for a file of no known ending; it may be the data of a header that is missing."""
    from specloom_cubes.formats import envi

    what = f"the format of {path} is unknown"
    fix = f"use one of: {READABLE}"
    if path.suffix.lower() in envi.OTHER_FILES:
        return DataError(what, fix=fix)
    missing = envi.no_header(path)
    if path.suffix.lower() in envi.SUFFIXES[1:]:
        return missing
    return DataError(
        f"{what}, or its ENVI header is missing: {envi.names_of_header(path)}",
        fix=f"{missing.fix}, or {fix}",
    )


def named_arrays(path: Path) -> Named | None:
    """What reads the arrays of a file that has several by name; None for other formats."""
    if path.suffix.lower() not in NAMED or files_of_pattern(path):
        return None
    reader: Named = _module(_kind(path), path)
    return reader


def _kind(path: Path) -> str:
    """The module that reads a file, by its name and its beginning."""
    kind = _format(path)
    if kind == "hdf5" and _begins_with(path, MATLAB):
        return "mat"
    return kind


def _begins_with(path: Path, begin: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(begin)) == begin
    except OSError:
        return False


def _format(path: Path) -> str:
    """The module that reads a file, by its name; empty where none does."""
    if files_of_pattern(path):
        return "stack"
    by_suffix = SUFFIXES.get(path.suffix.lower())
    if by_suffix is not None:
        return by_suffix
    if path.is_file():
        from specloom_cubes.formats import envi

        return "envi" if envi.header_of(path) else ""
    return ""


def _module(kind: str, path: Path) -> Any:
    """The module of a format; its library is imported with it, and not before."""
    try:
        return importlib.import_module(f"specloom_cubes.formats.{kind}")
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "specloom", "specloom_cubes"):
            raise
        raise UnavailableError(
            f"reading {path} needs the package {package}, which cannot be imported ({error})",
            fix=f"pip install {package}",
        ) from error
