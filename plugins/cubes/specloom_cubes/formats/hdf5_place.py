"""Where the cube of an HDF5 or netCDF file lies on the map."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_cubes.formats import hdf5_dimensions
from specloom_cubes.formats.hdf5_vectors import lies_elsewhere
from specloom_cubes.formats.variable import size_text
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

GRIDS = "/HDFEOS/GRIDS/"
STRUCTURE = "HDFEOS INFORMATION/StructMetadata.0"
"""Where HDF-EOS has its grids, and what it says of them."""

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
    names = {one.name for one in arrays}
    transform, crs = _by_grid_mapping(file, data, arrangement, names)
    if transform is None:
        transform, crs = _by_map_info(file, data, names)
    if transform is not None:
        return Place(georeference.metadata_of(transform, crs))
    transform, crs = _by_attributes(file, data)
    if transform is not None:
        table = _lookup_table(arrays)
        if table is None or table.shape == (rows, columns):
            return Place(georeference.metadata_of(transform, crs))
        note = (
            f"the geotransform of the file is that of its lookup table {table.name} "
            f"({size_text(table.shape)}), not of the cube ({rows} x {columns}), which is not "
            "georeferenced; use an orthorectified file for maps"
        )
        return Place(notes=(note,))
    if data.name.startswith(GRIDS) and STRUCTURE in names:
        text = _text_of(file, STRUCTURE)
        transform, zone = georeference.from_struct_metadata(text, rows, columns)
        grid = file["/".join(data.name.split("/")[:4])]
        crs = georeference.crs_text(_attribute(grid, "epsg_code"), zone)
        return Place(georeference.metadata_of(transform, crs))
    return Place()


def _by_grid_mapping(
    file: Any, data: Any, arrangement: Arrangement, names: Collection[str]
) -> tuple[Transform | None, str]:
    """The grid mapping of the CF conventions, and its transform or that of the coordinates."""
    mapping = _grid_mapping(file, data, names)
    crs = ""
    transform = None
    if mapping is not None:
        crs = georeference.crs_text(*_systems(mapping))
        transform = _geotransform(mapping)
    if transform is None:
        transform = _of_coordinates(data, arrangement)
    return transform, crs


def _grid_mapping(file: Any, data: Any, names: Collection[str]) -> Any:
    """The dataset that a dataset names as its grid mapping, from its group upwards, or None."""
    stated = _attribute(data, "grid_mapping")
    if not isinstance(stated, str):
        return None
    name = stated.partition(":")[0].strip().strip("/")
    groups = data.name.strip("/").split("/")[:-1]
    for depth in range(len(groups), -1, -1):
        path = "/".join([*groups[:depth], name])
        if path in names:
            return file[path]
    return None


def _of_coordinates(data: Any, arrangement: Arrangement) -> Transform | None:
    """The transform of the coordinates of rows and columns that are a dataset's dimensions."""
    if not isinstance(arrangement, Axes):
        return None
    vectors = []
    for axis in (arrangement.columns, arrangement.rows):
        scale = hdf5_dimensions.coordinates(data, axis)
        if scale is None:
            return None
        is_usable = scale.shape == (data.shape[axis],) and scale.dtype.kind in "iuf"
        if not is_usable or "units" not in scale.attrs:
            return None
        if scale.size > LONGEST_AXIS or lies_elsewhere(scale):
            return None
        vectors.append(scale[()].astype(np.float64))
    x, y = vectors
    return georeference.from_coordinates(x, y)


def _by_map_info(file: Any, data: Any, names: Collection[str]) -> tuple[Transform | None, str]:
    """ENVI's map info in the group Coordinate_System nearest to a dataset, as NEON writes it."""
    found = [name for name in names if name.rpartition("/")[2].lower() == "map_info"]
    if not found:
        return None, ""
    own = data.name.strip("/")
    nearest = max(sorted(found), key=lambda name: shared_groups(own, name))
    group = nearest.rpartition("/")[0]
    transform = georeference.from_map_info(_text_of(file, nearest))
    statements = []
    for key in ("EPSG Code", "Coordinate_System_String"):
        path = f"{group}/{key}".lstrip("/")
        if path in names:
            statements.append(_text_of(file, path))
    return transform, georeference.crs_text(*statements)


def _by_attributes(file: Any, data: Any) -> tuple[Transform | None, str]:
    """A geotransform among the attributes of a dataset, of the groups above it, or of the root."""
    owner = data
    while True:
        transform = _geotransform(owner)
        if transform is not None:
            return transform, georeference.crs_text(*_systems(owner), *_systems(file))
        if owner.name == "/":
            return None, ""
        owner = owner.parent


def _lookup_table(arrays: Sequence[Variable]) -> Variable | None:
    for one in arrays:
        if one.leaf in LOOKUP_TABLES:
            return one
    return None


def _geotransform(owner: Any) -> Transform | None:
    for key in GEOTRANSFORM:
        if key in owner.attrs:
            return georeference.from_geotransform(_attribute(owner, key))
    return None


def _systems(owner: Any) -> list[Any]:
    """The statements of a coordinate system among the attributes of a dataset or group."""
    return [_attribute(owner, key) for key in SYSTEM]


def _text_of(file: Any, name: str) -> str:
    """The text or number in a dataset of one element; empty for anything else."""
    item = file[name]
    if item.size != 1 or lies_elsewhere(item) or item.dtype.itemsize > LONGEST_TEXT:
        return ""
    return str(_plain(item[()]))


def _attribute(owner: Any, key: str) -> Any:
    """An attribute, with one element as that element, bytes as text; None where there is none."""
    if key not in owner.attrs:
        return None
    return _plain(owner.attrs[key])


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value
