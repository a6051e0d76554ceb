"""HDF5: the only cube of a file or the named one, its wavelengths, and which axis has the bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import h5py
import numpy as np

from specloom import DataError
from specloom_cubes.cube import AS_STATED, Cube, Reading
from specloom_cubes.formats.units import to_nm, zero_flags
from specloom_cubes.formats.variable import Variable, choose_cube

if TYPE_CHECKING:
    from numpy.typing import NDArray

Vector: TypeAlias = "tuple[NDArray[np.float64], str]"
"""Numbers and their unit as the file writes it."""

IGNORED = ("_fillvalue", "data_ignore_value", "nodata", "missing_value")
"""Attributes that name the value for "no data", in lower case."""

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What damaged files make h5py raise."""

LONGEST_VECTOR = 1_000_000
"""Numbers of a dataset that may be wavelengths."""

LARGEST_EMPTY = 1 << 30
"""Bytes of a dataset that may have no value stored."""

MOST_COMPRESSED = 2000
"""How often larger than what is stored a dataset may be; zeros shrink about a thousand times."""

INTERLEAVES = ("bsq", "bil", "bip")


def variables(path: Path) -> list[Variable]:
    """The datasets of a file in all its groups, without their values.

    Raises:
        DataError: The file is damaged.
    """
    datasets = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            dtype = None
            if item.dtype.kind in "iufb" and item.shape is not None:
                dtype = item.dtype
            datasets.append(Variable(name, item.shape or (), dtype))

    with _opened(path) as file:
        file.visititems(look)
    return datasets


def load(path: Path, name: str) -> NDArray[Any]:
    """One whole dataset, its axes as they are stored.

    Raises:
        DataError: The file is damaged.
    """
    with _opened(path) as file:
        data = file[name]
        check_storage(path, data)
        array: NDArray[Any] = data[()]
    return array


def check_storage(path: Path, data: Any) -> None:
    """Refuse a dataset whose values lie in other files, or that unfolds to far more than it stores.

    Raises:
        DataError: It is one.
    """
    if lies_elsewhere(data):
        raise DataError(
            f"{path}: the values of {data.name} lie in other files",
            fix="save them in the file itself, for example with h5repack",
        )
    size = data.size * data.dtype.itemsize
    stored = data.id.get_storage_size()
    if size > max(LARGEST_EMPTY, MOST_COMPRESSED * stored):
        raise DataError(
            f"{path}: {data.name} has {size:.3g} bytes, of which the file stores {stored}",
            fix="save the cube again, with all of its values",
        )


def lies_elsewhere(data: Any) -> bool:
    """Whether the values of a dataset lie in other files (external storage, virtual datasets)."""
    return bool(data.external) or bool(data.is_virtual)


def open_cube(path: Path, variable: str | None = None, reading: Reading = AS_STATED) -> Cube:
    """Open the only 3-D numeric dataset of a file, or the one at the named path inside it.

    Wavelengths are a vector whose name contains ``wavelength``: an attribute of the dataset or
    of a group above it, or else a dataset; one is taken whose length is that of an axis. That
    axis holds the bands. Without wavelengths the last axis does, and also where the last is among
    several of that length. The two other axes are rows and columns, in their order.

    Raises:
        DataError: There is no cube, or several and no name; or the bands may lie along the
            first axis or the second.
    """
    chosen = choose_cube(path, variables(path), variable)
    assert chosen.dtype is not None, "a cube is a numeric array"
    with _opened(path) as file:
        data = file[chosen.name]
        check_storage(path, data)
        vectors = [vector for _, vector in _vectors(file, data, "wavelength")]
        axis = _band_axis(path, chosen, vectors)
        bands = chosen.shape[axis]
        centres = next((one for one in vectors if len(one[0]) == bands), None)
        widths = _per_band(file, data, "fwhm", bands)
        flags = _per_band(file, data, "bbl", bands)
        ignored = _attribute(data.attrs, IGNORED)
    height, width = (size for at, size in enumerate(chosen.shape) if at != axis)
    bad_bands = None
    if flags is not None:
        bad_bands = zero_flags(flags[0])

    def read(rows: slice, cols: slice) -> NDArray[Any]:
        index = [rows, cols]
        index.insert(axis, slice(None))
        with _opened(path) as file:
            return np.moveaxis(file[chosen.name][tuple(index)], axis, -1)

    return Cube(
        path,
        (height, width, bands),
        chosen.dtype.newbyteorder("="),
        read,
        variable=chosen.name,
        format="HDF5",
        interleave=INTERLEAVES[axis],
        wavelengths=_in_nm(centres, centres),
        fwhm=_in_nm(widths, centres),
        bad_bands=bad_bands,
        ignore_value=ignored,
        reading=reading,
    )


def _in_nm(vector: Vector | None, centres: Vector | None) -> NDArray[np.float64] | None:
    """Band centres or widths in nm; the centres decide an unstated unit."""
    if vector is None:
        return None
    values, unit = vector
    if centres is None:
        return to_nm(values, unit)
    return to_nm(values, unit, like=centres[0])


def _band_axis(path: Path, chosen: Variable, vectors: list[Vector]) -> int:
    lengths = {len(values) for values, _ in vectors}
    axes = [axis for axis, size in enumerate(chosen.shape) if size in lengths]
    if not axes or 2 in axes:
        return axes[0] if len(axes) == 1 else 2
    if len(axes) > 1:
        raise DataError(
            f"{path}: the bands of {chosen} may lie along its first axis or its second: "
            "both are as long as the wavelengths",
            fix="save the cube as rows x columns x bands",
        )
    return axes[0]


def _per_band(file: Any, data: Any, word: str, bands: int) -> Vector | None:
    fitting = (vector for name, vector in _vectors(file, data, word) if len(vector[0]) == bands)
    return next(fitting, None)


def _vectors(file: Any, data: Any, word: str) -> Iterator[tuple[str, Vector]]:
    """Vectors whose name contains ``word``: attributes from the dataset upwards, then datasets."""
    owner = data
    while True:
        for key, value in owner.attrs.items():
            array = np.asarray(value)
            if word in key.lower() and array.ndim == 1 and array.dtype.kind in "iuf":
                yield key, (array.astype(np.float64), _unit(owner.attrs, "wavelength"))
        if owner.name == "/":
            break
        owner = owner.parent
    datasets: list[tuple[str, Any]] = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and word in name.rpartition("/")[2].lower():
            datasets.append((name, item))

    file.visititems(look)
    for name, item in sorted(datasets, key=lambda one: len(one[0].rpartition("/")[2])):
        is_vector = len(item.shape or ()) == 1 and item.dtype.kind in "iuf"
        if is_vector and item.size <= LONGEST_VECTOR and not lies_elsewhere(item):
            yield name, (item[()].astype(np.float64), _unit(item.attrs, ""))


def _unit(attributes: Mapping[str, Any], word: str) -> str:
    for key, value in attributes.items():
        if "unit" in key.lower() and word in key.lower():
            if isinstance(value, bytes):
                return value.decode("utf-8", "replace")
            return str(value)
    return ""


def _attribute(attributes: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    for key, value in attributes.items():
        array = np.asarray(value)
        if key.lower() in names and array.size == 1 and array.dtype.kind in "iuf":
            return float(array.ravel()[0])
    return None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DAMAGE as error:
        raise DataError(
            f"{path} cannot be read as HDF5: {error}", fix="copy or save the file again"
        ) from error
