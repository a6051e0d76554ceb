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

NOT_NUMERIC = ("char", "cell", "struct", "function_handle", "string")

MAGIC = b"MATLAB"
"""How files begin that MATLAB wrote."""

CLASS = "MATLAB_class"
"""The attribute with the class of a variable."""

OBJECT = "object of a MATLAB class"


def is_matlab(path: Path) -> bool:
    """Whether an HDF5 file was written by MATLAB, or as MATLAB writes it: with axes reversed."""
    try:
        with path.open("rb") as start:
            if start.read(len(MAGIC)) == MAGIC:
                return True
        with h5py.File(path, "r") as file:
            return any(CLASS in file[name].attrs for name in _own(file))
    except DAMAGE as error:
        raise _damaged(path, error) from error


def variables(path: Path) -> list[Variable]:
    """The variables of a file, shaped as MATLAB shows them, without their values.

    Fields of structs follow their struct, as ``hcube/DataCube``.

    Raises:
        DataError: The file is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            return _variables(file, "", set())
    except DAMAGE as error:
        raise _damaged(path, error) from error


def load(path: Path, name: str) -> NDArray[Any]:
    """One whole variable as MATLAB shows it.

    Raises:
        DataError: The file is damaged.
    """
    return read_part(path, name, ())


def read_part(path: Path, name: str, parts: tuple[slice, ...]) -> NDArray[Any]:
    """A part of a variable as MATLAB shows it: its axes are stored in reverse.

    Args:
        path: The file.
        name: The name of the variable, or the path of a field.
        parts: What to take of each axis; nothing for all of it.

    Raises:
        DataError: The file is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            data = file[name]
            check_storage(path, data)
            part: NDArray[Any] = data[parts[::-1]]
    except DAMAGE as error:
        raise _damaged(path, error) from error
    return part.T


def _own(group: Any) -> list[str]:
    """The members of a group that lie in this file and are not MATLAB's own folders."""
    names = []
    for name in group:
        # A soft or external link may lead to another file.
        is_own = isinstance(group.get(name, getlink=True), h5py.HardLink)
        if is_own and not name.startswith("#"):
            names.append(name)
    return names


def _variables(group: Any, prefix: str, seen: set[int]) -> list[Variable]:
    """The variables of a file or the fields of a struct.

    Args:
        group: The file or the struct.
        prefix: What comes before their names.
        seen: The addresses of structs that were listed: links may make circles.
    """
    own = set(_own(group))
    arrays = []
    for name in group:
        if name.startswith("#"):
            continue
        path = prefix + name
        if name not in own:
            arrays.append(Variable(path, (), None, "link"))
            continue
        item = group[name]
        if isinstance(item, h5py.Dataset):
            arrays.append(_variable(path, item))
            continue
        arrays.append(Variable(path, (1, 1), None, "struct"))
        address = h5py.h5o.get_info(item.id).addr
        if address not in seen:
            seen.add(address)
            arrays.extend(_variables(item, f"{path}/", seen))
    return arrays


def _variable(name: str, item: Any) -> Variable:
    kind = _class(item)
    shape = (item.shape or ())[::-1]
    if kind == "logical" and item.dtype.kind in "iub":
        return Variable(name, shape, np.dtype(bool))
    if item.dtype.names is not None or item.dtype.kind == "c":
        return Variable(name, shape, None, "complex")
    if kind in NOT_NUMERIC:
        return Variable(name, shape, None, kind)
    if "MATLAB_object_decode" in item.attrs and kind not in ("", "char", "cell", "struct"):
        return Variable(name, shape, None, OBJECT)
    if "MATLAB_empty" in item.attrs:
        return Variable(name, shape, None, "empty")
    if item.dtype.kind not in "iufb":
        return Variable(name, shape, None)
    return Variable(name, shape, item.dtype)


def _class(item: Any) -> str:
    """The class of a dataset in MATLAB; empty where it states none."""
    value = item.attrs.get(CLASS, b"")
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value)


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read as a MATLAB 7.3 file: {error}", fix="copy or save the file again"
    )
