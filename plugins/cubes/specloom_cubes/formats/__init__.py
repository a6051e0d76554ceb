"""One function that opens any cube; one module for each format behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from specloom import DataError

if TYPE_CHECKING:
    from specloom_cubes.cube import Cube

__all__ = ["is_cube", "open_cube"]

KNOWN = "ENVI (.hdr with its data file), MATLAB (.mat), NumPy (.npy)"


def is_cube(path: str | Path) -> bool:
    """Whether the name of a file says that it may hold a cube, or an ENVI header lies beside it."""
    return _format(Path(path)) != ""


def open_cube(path: str | Path, variable: str | None = None) -> Cube:
    """Open a cube without reading its pixels.

    Args:
        path: The file; of an ENVI pair either one.
        variable: The array to take where the file holds several (MATLAB).

    Raises:
        DataError: The file is absent, of an unknown kind, damaged, or holds no single cube.
    """
    path = Path(path)
    kind = _format(path)
    if not path.exists():
        raise DataError(
            f"there is no file {path}", fix="check the path; it is relative to where you run"
        )
    if kind == "mat":
        from specloom_cubes.formats import mat

        return mat.open_cube(path, variable)
    if variable is not None:
        raise DataError(
            f"{path} has no named variables", fix="remove the variable: only .mat has them"
        )
    if kind == "envi":
        from specloom_cubes.formats import envi

        return envi.open_cube(path)
    if kind == "npy":
        from specloom_cubes.formats import npy

        return npy.open_cube(path)
    raise DataError(f"no reader knows {path}", fix=f"use one of: {KNOWN}")


def _format(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in (".mat", ".npy"):
        return suffix[1:]
    if suffix == ".hdr":
        return "envi"
    if path.is_file():
        from specloom_cubes.formats import envi

        return "envi" if envi.header_of(path) else ""
    return ""
