"""NumPy's own files, read part by part."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

from numpy.lib import format as npy_format

from specloom import DataError
from specloom_cubes.cube import AS_STATED, Cube, Reading
from specloom_cubes.formats.stored import Stamp, Stored, stamp_of
from specloom_cubes.formats.variable import Variable
from specloom_cubes.rules.arrays import SHAPE_FIX, is_matrix
from specloom_cubes.rules.axes import Evidence, cube_axes, find_arrangement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DAMAGE = (
    ValueError,
    TypeError,
    IndexError,
    OSError,
    EOFError,
    SyntaxError,
    TokenError,
    RecursionError,
    MemoryError,
)
"""What damaged headers make NumPy raise."""

ARCHIVE = b"PK"


@dataclass(frozen=True)
class NpyArray:
    """An array as NumPy shows it, read part by part.

    Args:
        stored: The array as it lies in the file, in C order.
        is_reversed: Whether its axes lie there in reverse (Fortran order).
    """

    stored: Stored
    is_reversed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape as NumPy shows it."""
        if self.is_reversed:
            return self.stored.shape[::-1]
        return self.stored.shape

    def read(self, parts: tuple[slice, ...] = ()) -> NDArray[Any]:
        """A part of the array; of axes that are not named everything."""
        if not self.is_reversed:
            return self.stored.read(*parts)
        rest = (slice(None),) * (len(self.shape) - len(parts))
        return self.stored.read(*(*parts, *rest)[::-1]).transpose()


def open_array(path: Path) -> NDArray[Any]:
    """Read the array of a ``.npy`` file.

    Raises:
        DataError: The file is damaged, shorter than it says, or holds Python objects.
    """
    return opened(path).read()


def open_cube(path: Path, reading: Reading = AS_STATED) -> Cube:
    """Open the cube of a ``.npy`` file; its axes are (H, W, C) where ``reading`` does not say else.

    Raises:
        DataError: The file is damaged, or holds no real numbers along three axes.
    """
    array = opened(path)
    dtype = array.stored.dtype
    only = Variable("", array.shape, dtype)
    if reading.shape is None and cube_axes(only) is None:
        fix = "save a real numeric array of shape (rows, columns, bands)"
        if is_matrix(only):
            fix = f"{fix}; {SHAPE_FIX}"
        raise DataError(f"{path} holds {dtype} of shape {array.shape}, not a cube", fix=fix)
    if reading.shape is not None and not is_matrix(only):
        raise DataError(
            f"{path} holds {dtype} of shape {array.shape}, not a matrix of pixels",
            fix="remove shape",
        )
    arrangement = find_arrangement(path, only, Evidence(), reading)
    return Cube(
        path,
        arrangement.size,
        dtype.newbyteorder("="),
        lambda rows, cols: arrangement.read(array.read, rows, cols),
        format="NPY",
        interleave=arrangement.interleave,
        assumptions=arrangement.assumptions,
        reading=reading,
    )


def array_at(
    path: Path,
    dtype: np.dtype[Any],
    offset: int,
    shape: tuple[int, ...],
    is_reversed: bool,
    stamp: Stamp,
) -> NpyArray:
    """An array with a header that was read already.

    Args:
        path: The file.
        dtype: The element type as stored.
        offset: The byte at which the values begin.
        shape: The shape as NumPy shows it.
        is_reversed: Whether the axes lie in the file in reverse.
        stamp: The file's size and time when the header was read.
    """
    if is_reversed:
        shape = shape[::-1]
    return NpyArray(Stored(path, dtype, offset, shape, stamp), is_reversed)


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether the axes are stored in reverse (Fortran order), and the element type."""
    version = npy_format.read_magic(file)
    read = npy_format.read_array_header_2_0
    if version == (1, 0):
        read = npy_format.read_array_header_1_0
    shape, reversed_axes, dtype = read(file)
    longest = prod(size for size in shape if size) * dtype.itemsize
    if any(size < 0 for size in shape) or longest > sys.maxsize:
        raise ValueError(f"its shape is {shape}")
    return tuple(shape), reversed_axes, dtype


def opened(path: Path) -> NpyArray:
    """The array of a file, its values not yet read.

    Raises:
        DataError: The file is damaged, shorter than it says, or holds Python objects.
    """
    try:
        with path.open("rb", buffering=0) as file:
            start = file.read(len(ARCHIVE))
            file.seek(0)
            if start == ARCHIVE:
                raise DataError(
                    f"{path} is an archive of several arrays", fix="save the one array as .npy"
                )
            shape, is_reversed, dtype = read_header(file)
            array = array_at(path, dtype, file.tell(), shape, is_reversed, stamp_of(file))
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which are not read")
        holds = array.stored.stamp[0] - array.stored.offset
        if holds < array.stored.needed:
            raise ValueError(f"it promises {array.stored.needed} bytes, it holds {holds}")
    except DAMAGE as error:
        raise DataError(
            f"{path} cannot be read as .npy: {error}", fix="write the file again"
        ) from error
    return array
