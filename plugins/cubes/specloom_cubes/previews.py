"""Whether a file that has a cube's name is a preview of it, rather than its mask."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes import formats
from specloom_cubes.rules.colours import Colours, problem_of
from specloom_cubes.rules.masks import LOSSY, MOST_CLASSES, NOT_READ, PICTURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube


def problem_of_file(path: Path) -> str:
    """Why a file of a cube's name, which nothing else names as a mask, is none; empty where it is.

    A file that cannot be read may be the mask: what is wrong with it is said when it is read.
    """
    suffix = path.suffix.lower()
    if suffix in (*LOSSY, *NOT_READ):
        return f"a {suffix.removeprefix('.').upper()} picture, which cannot hold class numbers"
    if suffix in formats.NAMED:
        return ""
    with suppress(DataError):
        return _problem_of_values(_values_of(path))
    return ""


def is_in_colour(cube: Cube) -> bool:
    """Whether the cube of a TIFF may be a picture of red, green and blue."""
    is_tiff = "TIFF" in cube.format
    in_bytes = cube.dtype == np.uint8 and cube.shape[2] in (3, 4)
    return is_tiff and in_bytes and cube.wavelengths is None


def _values_of(path: Path) -> Colours | NDArray[Any]:
    """What a file of one array or one picture holds."""
    from specloom_cubes.formats import picture

    if path.suffix.lower() in PICTURES:
        return picture.read_picture(path)
    if path.suffix.lower() == ".npy":
        from specloom_cubes.formats import npy

        return npy.open_array(path)
    cube = formats.open_cube(path)
    if is_in_colour(cube):
        return picture.colours_of(cube.array)
    return cube.array


def _problem_of_values(values: Colours | NDArray[Any]) -> str:
    if isinstance(values, Colours):
        return problem_of(values)
    distinct = len(np.unique(values))
    if distinct > MOST_CLASSES:
        return f"an array of {distinct:,} distinct values"
    return ""
