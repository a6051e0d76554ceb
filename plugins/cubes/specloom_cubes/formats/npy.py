"""NumPy's own files, memory-mapped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes.cube import Cube

if TYPE_CHECKING:
    from numpy.typing import NDArray


def open_array(path: Path) -> NDArray[Any]:
    """Map the array of a ``.npy`` file.

    Raises:
        DataError: The file is damaged, shorter than it says, or holds Python objects.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        raise DataError(
            f"{path} cannot be read as .npy: {error}", fix="write the file again"
        ) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an archive of several arrays", fix="save the one array as .npy")
    return array


def open_cube(path: Path) -> Cube:
    """Open a ``.npy`` file of shape (H, W, C)."""
    array = open_array(path)
    if array.ndim != 3 or array.dtype.kind not in "iuf" or 0 in array.shape:
        raise DataError(
            f"{path} holds {array.dtype} of shape {array.shape}, not a cube",
            fix="save a real numeric array of shape (rows, columns, bands)",
        )
    height, width, bands = array.shape
    dtype = array.dtype.newbyteorder("=")
    return Cube(
        path,
        (height, width, bands),
        dtype,
        lambda rows, cols: array[rows, cols],
        format="NPY",
        interleave="bip",
    )
