"""NumPy's own files, read part by part."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

from numpy.lib import format as npy_format

from specloom import DataError
from specloom_cubes.cube import AS_STATED, Cube, Reading
from specloom_cubes.formats.stored import Stored, stamp_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DAMAGE = (
    ValueError,
    TypeError,
    OSError,
    EOFError,
    SyntaxError,
    TokenError,
    RecursionError,
    MemoryError,
)
"""What damaged headers make NumPy raise."""

ARCHIVE = b"PK"


def open_array(path: Path) -> NDArray[Any]:
    """Read the array of a ``.npy`` file.

    Raises:
        DataError: The file is damaged, shorter than it says, or holds Python objects.
    """
    stored, reversed_axes = _opened(path)
    array = stored.read()
    return array.transpose() if reversed_axes else array


def open_cube(path: Path, reading: Reading = AS_STATED) -> Cube:
    """Open a ``.npy`` file of shape (H, W, C)."""
    stored, reversed_axes = _opened(path)
    shape = stored.shape[::-1] if reversed_axes else stored.shape
    if len(shape) != 3 or stored.dtype.kind not in "iuf" or 0 in shape:
        raise DataError(
            f"{path} holds {stored.dtype} of shape {shape}, not a cube",
            fix="save a real numeric array of shape (rows, columns, bands)",
        )
    height, width, bands = shape

    def load(rows: slice, cols: slice) -> NDArray[Any]:
        if reversed_axes:
            return stored.read(slice(None), cols, rows).transpose()
        return stored.read(rows, cols)

    return Cube(
        path,
        (height, width, bands),
        stored.dtype.newbyteorder("="),
        load,
        format="NPY",
        interleave="bip",
        reading=reading,
    )


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether the axes are stored in reverse (Fortran order), and the element type."""
    version = npy_format.read_magic(file)
    read = npy_format.read_array_header_2_0
    if version == (1, 0):
        read = npy_format.read_array_header_1_0
    shape, reversed_axes, dtype = read(file)
    if any(size < 0 for size in shape):
        raise ValueError(f"its shape is {shape}")
    return tuple(shape), reversed_axes, dtype


def _opened(path: Path) -> tuple[Stored, bool]:
    """The array of a file, and whether its axes are stored in reverse."""
    try:
        with path.open("rb", buffering=0) as file:
            start = file.read(len(ARCHIVE))
            file.seek(0)
            if start == ARCHIVE:
                raise DataError(
                    f"{path} is an archive of several arrays", fix="save the one array as .npy"
                )
            shape, reversed_axes, dtype = read_header(file)
            if reversed_axes:
                shape = shape[::-1]
            stored = Stored(path, dtype, file.tell(), shape, stamp_of(file))
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which are not read")
        holds = stored.stamp[0] - stored.offset
        if holds < stored.needed:
            raise ValueError(f"it promises {stored.needed} bytes, it holds {holds}")
    except DAMAGE as error:
        raise DataError(
            f"{path} cannot be read as .npy: {error}", fix="write the file again"
        ) from error
    return stored, reversed_axes
