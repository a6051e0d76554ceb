"""Vectors of an HDF5 file that say something of each band: attributes, datasets, columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from specloom_cubes.rules.spectrum import LONGEST, by_nearness, is_spectral
from specloom_cubes.rules.wavelengths import Vector, vector_of_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_VALUES = b"This is a netCDF dimension but not a netCDF variable"
"""How the NAME begins of a netCDF dimension that has a length alone."""


def lies_elsewhere(data: Any) -> bool:
    """Whether the values of a dataset lie in other files (external storage, virtual datasets)."""
    return bool(data.external) or bool(data.is_virtual)


def stored_vectors(file: Any) -> list[Vector]:
    """The datasets of a file, and the columns of its tables, that may say something of bands."""
    vectors: list[Vector] = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and _is_readable(item):
            vectors.extend(_vectors_of(name, item))

    file.visititems(look)
    return vectors


def levels_of(data: Any, stored: Iterable[Vector]) -> list[list[Vector]]:
    """The vectors of a file, nearest to a dataset first: its attributes, those above, datasets."""
    levels = []
    owner = data
    while True:
        levels.append(attribute_vectors(owner))
        if owner.name == "/":
            break
        owner = owner.parent
    return levels + by_nearness(data.name.strip("/"), stored)


def attribute_vectors(owner: Any) -> list[Vector]:
    """The attributes of a dataset or group that may say something of each band."""
    vectors = []
    for key in owner.attrs:
        if is_spectral(key):
            vector = attribute_vector(owner, key)
            if vector is not None:
                vectors.append(vector)
    return vectors


def attribute_vector(owner: Any, key: str) -> Vector | None:
    """An attribute as a vector, or None where it holds no numbers."""
    return _vector(key, owner.attrs[key], _unit(owner.attrs, key))


def _vector(name: str, value: Any, unit: str) -> Vector | None:
    """Numbers, or texts such as ``400 nm``, as a vector; None for anything else."""
    values = numbers_of(value)
    if values is not None:
        return Vector(name, values, unit)
    array = np.asarray(value)
    if (
        array.dtype.kind not in "SUO"
        or array.size > LONGEST
        or array.size != max(array.shape, default=0)
    ):
        return None
    vector = vector_of_texts(name, [_text(one) for one in array.ravel()])
    if vector is None or vector.unit:
        return vector
    return Vector(name, vector.values, unit)


def numbers_of(value: Any) -> NDArray[np.float64] | None:
    """Numbers along one axis, or texts of numbers; None for anything else."""
    array = np.asarray(value)
    if array.size != max(array.shape, default=1) or array.size > LONGEST:
        return None
    if array.dtype.kind in "iuf":
        return array.astype(np.float64).ravel()
    if array.dtype.kind not in "SUO":
        return None
    texts = [_text(one) for one in array.ravel()]
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return None


def _is_readable(item: Any) -> bool:
    """Whether a dataset is a vector with values in the file itself."""
    shape = item.shape
    is_vector = bool(shape) and 0 < item.size <= LONGEST and item.size == max(shape)
    if not is_vector or lies_elsewhere(item):
        return False
    name = item.attrs.get("NAME", b"")
    return not (isinstance(name, bytes) and name.startswith(NO_VALUES))


def _vectors_of(name: str, item: Any) -> list[Vector]:
    """The vectors in a dataset with one axis."""
    if item.dtype.names is None:
        if not is_spectral(name):
            return []
        vector = _vector(name, item[()], _unit(item.attrs, ""))
        return [] if vector is None else [vector]
    vectors = []
    for field in item.dtype.names:
        if is_spectral(field):
            vector = _vector(f"{name}/{field}", item[field], "")
            if vector is not None:
                vectors.append(vector)
    return vectors


def _unit(attributes: Mapping[str, Any], key: str) -> str:
    """The unit that attributes state: of an attribute ``key``, or of the dataset itself."""
    for name in attributes:
        lower = name.lower()
        if "unit" in lower and (key == "" or _is_unit_of(lower, key.lower())):
            return _text(attributes[name])
    return ""


def _is_unit_of(name: str, key: str) -> bool:
    """Whether an attribute that names a unit names that of another attribute."""
    return "wavelength" in name or key in name


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
