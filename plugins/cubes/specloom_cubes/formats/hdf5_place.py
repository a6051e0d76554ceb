"""Where the cube of an HDF5 or netCDF file lies on the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from specloom_cubes.formats.hdf5_vectors import lies_elsewhere
from specloom_cubes.rules import georeference
from specloom_cubes.rules.axes import Arrangement, Axes
from specloom_cubes.rules.spectrum import shared_groups

if TYPE_CHECKING:
    from specloom_cubes.formats.variable import Variable
    from specloom_cubes.rules.georeference import Transform

GEOTRANSFORM = ("geotransform", "GeoTransform")
SYSTEM = ("spatial_ref", "crs_wkt", "projection_wkt")
"""Attributes with GDAL's six numbers, and with a coordinate system."""

LOOKUP_TABLES = ("glt_x", "glt_y")
"""Tables (rows, columns of the map) of EMIT, which lead from the map to the image."""

STRUCTURE = "HDFEOS INFORMATION/StructMetadata.0"

LONGEST_AXIS = 10_000_000
"""Numbers of coordinates that are read."""

LONGEST_TEXT = 1 << 20
"""Bytes of a text that is read."""


@dataclass(frozen=True)
class Place:
    """Where a cube lies on the map.

    Args:
        metadata: ``transform`` and ``crs``, or nothing.
        notes: What was seen and not used, one sentence each.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def of(file: Any, data: Any, arrangement: Arrangement, arrays: Sequence[Variable]) -> Place:
    """The place that a file states for a dataset: of the CF conventions, EMIT, NEON, HDF-EOS."""
    rows, columns, _ = arrangement.size
    transform, crs = _by_grid_mapping(file, data, arrangement)
    if transform is None:
        transform, crs = _by_map_info(file, data, arrays)
    if transform is not None:
        return Place(georeference.metadata_of(transform, crs))
    transform, crs = _by_root(file, data)
    if transform is not None:
        table = _lookup_table(arrays)
        if table is None or table.shape == (rows, columns):
            return Place(georeference.metadata_of(transform, crs))
        size = " x ".join(map(str, table.shape))
        note = (
            f"the geotransform of the file is that of its lookup table {table.name} ({size}), not "
            f"of the cube ({rows} x {columns}), which is not georeferenced; use an orthorectified "
            "file for maps"
        )
        return Place(notes=(note,))
    if data.name.startswith("/HDFEOS/GRIDS/") and STRUCTURE in file:
        text = _text_of(file, STRUCTURE)
        transform, zone = georeference.from_struct_metadata(text, rows, columns)
        grid = file["/".join(data.name.split("/")[:4])]
        crs = georeference.crs_text(_plain(grid.attrs.get("epsg_code")), zone)
        return Place(georeference.metadata_of(transform, crs))
    return Place()


def _by_grid_mapping(
    file: Any, data: Any, arrangement: Arrangement
) -> tuple[Transform | None, str]:
    """The grid mapping of the CF conventions, and its transform or that of the coordinates."""
    mapping = _grid_mapping(file, data)
    attributes: Mapping[str, Any] = {}
    if mapping is not None:
        attributes = mapping.attrs
    crs = georeference.crs_text(*(_plain(attributes.get(key)) for key in SYSTEM))
    transform = _geotransform(attributes)
    if transform is None:
        transform = _of_coordinates(data, arrangement)
    return transform, crs


def _grid_mapping(file: Any, data: Any) -> Any:
    """The dataset or group that a dataset names as its grid mapping, from its group upwards."""
    name = _plain(data.attrs.get("grid_mapping"))
    if not isinstance(name, str):
        return None
    name = name.partition(":")[0].strip()
    owner = data.parent
    while name:
        if isinstance(owner.get(name, getlink=True), h5py.HardLink):
            return owner[name]
        if owner.name == "/":
            break
        owner = owner.parent
    return None


def _of_coordinates(data: Any, arrangement: Arrangement) -> Transform | None:
    """The transform of the coordinates of rows and columns that are a dataset's dimensions."""
    if not isinstance(arrangement, Axes):
        return None
    vectors = []
    for axis in (arrangement.columns, arrangement.rows):
        scales = data.dims[axis]
        if len(scales) == 0:
            return None
        scale = scales[0]
        is_usable = scale.shape == (data.shape[axis],) and scale.dtype.kind in "iuf"
        if not is_usable or "units" not in scale.attrs:
            return None
        if scale.size > LONGEST_AXIS or lies_elsewhere(scale):
            return None
        vectors.append(scale[()].astype(np.float64))
    x, y = vectors
    return georeference.from_coordinates(x, y)


def _by_map_info(file: Any, data: Any, arrays: Sequence[Variable]) -> tuple[Transform | None, str]:
    """ENVI's map info in the group Coordinate_System nearest to a dataset, as NEON writes it."""
    found = [one.name for one in arrays if one.leaf.lower() == "map_info"]
    if not found:
        return None, ""
    own = data.name.strip("/")
    nearest = max(found, key=lambda name: shared_groups(own, name))
    group = nearest.rpartition("/")[0]
    transform = georeference.from_map_info(_text_of(file, nearest))
    statements = []
    for key in ("EPSG Code", "Coordinate_System_String"):
        if f"{group}/{key}" in file:
            statements.append(_text_of(file, f"{group}/{key}"))
    return transform, georeference.crs_text(*statements)


def _by_root(file: Any, data: Any) -> tuple[Transform | None, str]:
    """A geotransform among the attributes of a dataset, of the groups above it, or of the root."""
    owner = data
    while True:
        transform = _geotransform(owner.attrs)
        if transform is not None:
            statements = [_plain(owner.attrs.get(key)) for key in SYSTEM]
            statements += [_plain(file.attrs.get(key)) for key in SYSTEM]
            return transform, georeference.crs_text(*statements)
        if owner.name == "/":
            return None, ""
        owner = owner.parent


def _lookup_table(arrays: Sequence[Variable]) -> Variable | None:
    for one in arrays:
        if one.leaf in LOOKUP_TABLES:
            return one
    return None


def _geotransform(attributes: Mapping[str, Any]) -> Transform | None:
    for key in GEOTRANSFORM:
        if key in attributes:
            return georeference.from_geotransform(_plain(attributes[key]))
    return None


def _text_of(file: Any, name: str) -> str:
    """The text or number in a dataset of one element; empty for anything else."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return ""
    item = file[name]
    if not isinstance(item, h5py.Dataset) or item.size != 1 or lies_elsewhere(item):
        return ""
    if item.dtype.itemsize > LONGEST_TEXT:
        return ""
    return str(_plain(item[()]))


def _plain(value: Any) -> Any:
    """An attribute with one element as that element, bytes as text."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value
