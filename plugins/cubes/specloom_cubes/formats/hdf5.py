"""HDF5 and netCDF-4: the cube of a file or the named one, its axes, its bands and its place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from specloom import DataError
from specloom_cubes.cube import AS_STATED, Cube, Reading
from specloom_cubes.formats import hdf5_dimensions, hdf5_place
from specloom_cubes.formats.hdf5_vectors import (
    attribute_vector,
    levels_of,
    lies_elsewhere,
    numbers_of,
    stored_vectors,
)
from specloom_cubes.formats.variable import Variable
from specloom_cubes.rules.arrays import choose_cube
from specloom_cubes.rules.axes import (
    ORDERS,
    Arrangement,
    Evidence,
    find_arrangement,
    order_of_names,
)
from specloom_cubes.rules.layouts import Layout, layout_of
from specloom_cubes.rules.scale import Scaling, from_attributes, scaling_of
from specloom_cubes.rules.spectrum import (
    Spectrum,
    centre_lengths,
    find_spectrum,
    find_used_spectrum,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.rules.wavelengths import Vector

IGNORED = ("_fillvalue", "data_ignore_value", "nodata", "missing_value")
"""Attributes that name the value for "no data", in lower case."""

NAMES_OF_AXES = ("dimension_labels", "_array_dimensions", "dimensions_order", "dims")
"""Attributes that name the axes of a dataset, in lower case."""

SCALES = ("scale_factor", "add_offset")
"""Attributes with the scale of the values, in lower case."""

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What damaged files make h5py raise."""

LARGEST_EMPTY = 1 << 30
"""Bytes of a dataset that may have no value stored."""

MOST_COMPRESSED = 2000
"""How often larger than what is stored a dataset may be; zeros shrink about a thousand times."""

OTHER_FORMATS = {
    b"CDF": ("netCDF-3", "convert it to netCDF-4: nccopy -k nc4 OLD NEW"),
    b"\x0e\x03\x13\x01": ("HDF4", "convert it to HDF5: h4toh5 OLD NEW"),
}
"""How files begin that have the ending of HDF5 and are none, and what to do with them."""

MATLAB_COMPLEX = ("real", "imag")
"""The columns of a complex array of MATLAB 7.3."""


def variables(path: Path) -> list[Variable]:
    """The datasets of a file in all its groups, without their values.

    Raises:
        DataError: The file is damaged.
    """
    with _opened(path) as file:
        return _variables(file)


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
        raise _in_other_files(path, data.name)
    size = data.size * data.dtype.itemsize
    stored = data.id.get_storage_size()
    if size > max(LARGEST_EMPTY, MOST_COMPRESSED * stored):
        raise DataError(
            f"{path}: {data.name} has {size:.3g} bytes, of which the file stores {stored}",
            fix="save the cube again, with all of its values",
        )


def _in_other_files(path: Path, name: str) -> DataError:
    """The error that the values of a dataset are not in the file itself."""
    return DataError(
        f"{path}: the values of {name} lie in other files",
        fix="save them in the file itself, for example with h5repack",
    )


def _check_links(path: Path, file: Any, arrays: Sequence[Variable]) -> None:
    """Refuse a file without arrays that has links to those of other files.

    Raises:
        DataError: It is one.
    """
    if arrays:
        return
    links: list[str] = []

    def look(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            links.append(name)

    file.visititems_links(look)
    if links:
        raise _in_other_files(path, links[0])


def open_cube(path: Path, variable: str | None = None, reading: Reading = AS_STATED) -> Cube:
    """Open the cube of a file, or the dataset at the named path inside it.

    ``rules.arrays`` says which dataset is the cube, ``rules.axes`` which axis has the bands, and
    ``rules.wavelengths`` which vector has the band centres. Vectors are attributes of the dataset
    and of the groups above it, datasets, and columns of tables; the nearest count first.

    Raises:
        DataError: There is no cube, or several and no name; or the bands may lie along the
            first axis or the second.
    """
    with _opened(path) as file:
        arrays = _variables(file)
        _check_links(path, file, arrays)
        stored = stored_vectors(file)
        chosen = _choose(path, file, arrays, stored, variable, reading)
        assert chosen.dtype is not None, "a cube is a numeric array"
        data = file[chosen.name]
        check_storage(path, data)
        layout = layout_of(chosen.name, tuple(file.attrs), arrays)
        levels = _levels(file, data, stored, layout)
        order = _stated_order(data)
        if layout is not None:
            order = layout.order
        evidence = Evidence(arrays, centre_lengths(levels), order)
        arrangement = find_arrangement(path, chosen, evidence, reading)
        bands = arrangement.size[2]
        spectrum = _spectrum(file, levels, layout, bands, str(path))
        scaling = _scaling(file, data, layout, bands, str(path))
        ignored, ignored_notes = _no_data(data)
        place = hdf5_place.of(file, data, arrangement, arrays)
    scale = scaling or Scaling(None, None, "")
    assumptions = (
        *arrangement.assumptions,
        *spectrum.notes,
        *scale.notes,
        *ignored_notes,
        *place.notes,
    )
    return Cube(
        path,
        arrangement.size,
        chosen.dtype.newbyteorder("="),
        _loader(path, chosen.name, arrangement),
        variable=chosen.name,
        format="HDF5",
        interleave=arrangement.interleave,
        wavelengths=spectrum.centres,
        fwhm=spectrum.widths,
        bad_bands=spectrum.bad_bands,
        ignore_value=ignored,
        metadata=place.metadata,
        wavelengths_from=spectrum.source,
        assumptions=assumptions,
        gains=scale.gains,
        offsets=scale.offsets,
        scale_from=scale.source,
        reading=reading,
    )


def _loader(path: Path, name: str, arrangement: Arrangement) -> Any:
    """What reads a part of the cube: the file is open while it is read, and no longer."""

    def load_part(rows: slice, cols: slice) -> NDArray[Any]:
        with _opened(path) as file:
            return arrangement.read(file[name].__getitem__, rows, cols)

    return load_part


def _variables(file: Any) -> list[Variable]:
    datasets = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            datasets.append(_variable(name, item))

    file.visititems(look)
    return datasets


def _variable(name: str, item: Any) -> Variable:
    """A dataset, with the names of its axes where it may be a cube."""
    shape = item.shape or ()
    dtype = item.dtype
    if item.shape is None or dtype.kind not in "iufb":
        return Variable(name, shape, None, _kind(item))
    labels: tuple[str, ...] = ()
    if len(shape) >= 3:
        labels = hdf5_dimensions.labels(item)
    return Variable(name, shape, dtype, labels=labels)


def _kind(item: Any) -> str:
    """What a dataset is that holds no real numbers."""
    if item.shape is None:
        return "empty"
    dtype = item.dtype
    if dtype.names == MATLAB_COMPLEX or dtype.kind == "c":
        return "complex"
    if dtype.names is not None:
        return f"table of {', '.join(dtype.names)}"
    if h5py.check_ref_dtype(dtype) is not None:
        return "references"
    if h5py.check_string_dtype(dtype) is not None:
        return "text"
    return "not numeric"


def _stated_order(data: Any) -> str:
    """The order of a dataset's axes by its own attributes; empty where they do not say it."""
    for key in data.attrs:
        if key.lower() == "interleave":
            return ORDERS.get(_text(data.attrs[key]).lower(), "")
        if key.lower() in NAMES_OF_AXES:
            names = _text(data.attrs[key]).split(",")
            return order_of_names([name.strip() for name in names])
    return ""


def _choose(
    path: Path,
    file: Any,
    arrays: Sequence[Variable],
    stored: Sequence[Vector],
    variable: str | None,
    reading: Reading,
) -> Variable:
    """The dataset that is the cube; ``stored`` are the vectors of the file."""
    attributes = tuple(file.attrs)
    known = {one.name for one in arrays if layout_of(one.name, attributes, arrays)}

    def lengths(one: Variable) -> set[int]:
        return set(centre_lengths(levels_of(file[one.name], stored)).values())

    return choose_cube(path, arrays, variable, shape=reading.shape, lengths=lengths, known=known)


def _levels(
    file: Any, data: Any, stored: Sequence[Vector], layout: Layout | None
) -> list[list[Vector]]:
    """The vectors of a file, nearest to the cube first; of a product with names, those alone."""
    if layout is None or not layout.centres:
        return levels_of(data, stored)
    named = []
    for key in (layout.centres, layout.widths):
        if key in file.attrs:
            vector = attribute_vector(file, key)
            if vector is not None:
                named.append(vector)
    return [named]


def _spectrum(
    file: Any, levels: list[list[Vector]], layout: Layout | None, bands: int, where: str
) -> Spectrum:
    if layout is None or not layout.zeros_unused:
        return find_spectrum(levels, bands, where)
    by_name = {vector.name: vector for level in levels for vector in level}
    spectrum = None
    if layout.centres in by_name:
        centres = by_name[layout.centres]
        widths = by_name.get(layout.widths)
        spectrum = find_used_spectrum(centres, widths, bands, where)
    if spectrum is None:
        return find_spectrum(levels, bands, where)
    return spectrum


def _scaling(file: Any, data: Any, layout: Layout | None, bands: int, where: str) -> Scaling | None:
    """The scale that a product or the attributes of a dataset state."""
    if layout is not None and layout.limits is not None and data.dtype.kind == "u":
        least, greatest = (_number(file, key) for key in layout.limits)
        if least is not None and greatest is not None:
            gain = (greatest - least) / np.iinfo(data.dtype).max
            source = " and ".join(f"the attribute {key!r}" for key in layout.limits)
            return scaling_of(gain, least, bands, source, where)
    return from_attributes(_chosen(data, SCALES), bands, where)


def _number(owner: Any, key: str) -> float | None:
    """An attribute that is one number; None for any other, or where there is none."""
    if key not in owner.attrs:
        return None
    values = numbers_of(owner.attrs[key])
    if values is None or len(values) != 1:
        return None
    return float(values[0])


def _no_data(data: Any) -> tuple[float | None, tuple[str, ...]]:
    """The first value for "no data" that a dataset states and that is a number, with notes."""
    found: dict[str, float] = {}
    for key, value in _chosen(data, IGNORED).items():
        values = numbers_of(value)
        if values is not None and len(values) == 1 and not np.isnan(values[0]):
            found[key] = float(values[0])
    if not found:
        return None, ()
    first, *others = found
    different = [key for key in others if found[key] != found[first]]
    if not different:
        return found[first], ()
    stated = ", ".join(f"{key!r} {found[key]:.10g}" for key in (first, *different))
    note = f'{data.name} states several values for "no data" ({stated}): {first!r} is used'
    return found[first], (note,)


def _chosen(data: Any, names: Collection[str]) -> dict[str, Any]:
    """The attributes of a dataset with these names, in lower case; no other is read."""
    return {key: data.attrs[key] for key in data.attrs if key.lower() in names}


def _text(value: Any) -> str:
    """An attribute as text; the texts of a list with commas between them."""
    array = np.asarray(value)
    if array.dtype.kind not in "SUO":
        return ""
    texts = []
    for one in array.ravel():
        texts.append(one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one))
    return ",".join(texts)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DAMAGE as error:
        what = f"{path} cannot be read as HDF5: {error}"
        fix = "copy or save the file again"
        other = _other_format(path)
        if other is not None:
            name, fix = other
            what = f"{path} is {name}, which is not read"
        raise DataError(what, fix=fix) from error


def _other_format(path: Path) -> tuple[str, str] | None:
    """The name of the format of a file that is no HDF5, and what to do with it."""
    try:
        with path.open("rb") as file:
            begin = file.read(4)
    except OSError:
        return None
    for magic, other in OTHER_FORMATS.items():
        if begin.startswith(magic):
            return other
    return None
