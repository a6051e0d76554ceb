"""MATLAB 7.3 files: HDF5 with the axes reversed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from specloom import DataError
from specloom_cubes.formats.hdf5 import DAMAGE, check_storage
from specloom_cubes.formats.variable import Variable

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_NUMERIC = (b"char", b"cell", b"struct", b"function_handle", b"string")


def variables(path: Path) -> list[Variable]:
    """The variables of a file, shaped as MATLAB shows them, without their values.

    Raises:
        DataError: The file is damaged.
    """
    arrays = []
    try:
        with h5py.File(path, "r") as file:
            for name in file:
                if name.startswith("#"):  # MATLAB's own folders
                    continue
                # A link may lead to another file.
                is_link = not isinstance(file.get(name, getlink=True), h5py.HardLink)
                if is_link or not isinstance(file[name], h5py.Dataset):
                    arrays.append(Variable(name, (), None))
                    continue
                item = file[name]
                arrays.append(Variable(name, item.shape[::-1], _dtype(item)))
    except DAMAGE as error:
        raise _damaged(path, error) from error
    return arrays


def _dtype(item: Any) -> np.dtype[Any] | None:
    """The element type of a dataset; None where it is no real numeric array."""
    kind = bytes(item.attrs.get("MATLAB_class", b""))
    if kind == b"logical":
        return np.dtype(bool)
    if kind in NOT_NUMERIC or "MATLAB_empty" in item.attrs or item.dtype.kind not in "iufb":
        return None
    dtype: np.dtype[Any] = item.dtype
    return dtype


def load(path: Path, name: str, rows: slice, cols: slice) -> NDArray[Any]:
    """Rows and columns of one variable as MATLAB shows it, (H, W, C); stored is (C, W, H).

    Raises:
        DataError: The file is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            data = file[name]
            check_storage(path, data)
            index: tuple[Any, ...] = ()
            if data.ndim > 1:
                index = (..., cols, rows)
            part: NDArray[Any] = data[index]
    except DAMAGE as error:
        raise _damaged(path, error) from error
    return part.T


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read as a MATLAB 7.3 file: {error}", fix="copy or save the file again"
    )
