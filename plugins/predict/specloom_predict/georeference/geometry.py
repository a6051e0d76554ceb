"""The geometry that a cube's file states, in the form that the writers need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from specloom_predict.georeference.map_info import Transform, numbers_of, transform_of
from specloom_predict.georeference.systems import (
    UNITS,
    from_map_info,
    parse_crs,
    to_map_info,
    unit_of,
)

if TYPE_CHECKING:
    from specloom_cubes import Cube

SYSTEM = "coordinate system string"
WITHOUT_GRID = ("geo points", "rpc info")
"""Fields that place an image on the map otherwise than by a grid."""

GEOMETRY_FIELDS = ("map info", "projection info", SYSTEM, *WITHOUT_GRID, "x start", "y start")
"""The fields of an ENVI header that say where the image lies."""


@dataclass(frozen=True)
class Geometry:
    """The place of an image on the map, as far as its file says.

    Args:
        transform: From columns and rows to the map, in rasterio's order, or None.
        crs: The coordinate system as WKT or ``EPSG:<code>``; empty where it is not known.
        unit: The unit of the map, such as ``metre``; empty where it is not known.
        header: What an ENVI header said about it, as it was written there.
        notes: What could not be understood, for the user.
    """

    transform: Transform | None = None
    crs: str = ""
    unit: str = ""
    header: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def geometry_of(cube: Cube) -> Geometry:
    """The geometry that the file of a cube states; empty where it states none."""
    metadata = cube.metadata
    if cube.format != "ENVI":
        crs = str(metadata.get("crs", ""))
        return Geometry(metadata.get("transform"), crs, unit_of(parse_crs(crs)))
    header = {key: _text(metadata[key]) for key in GEOMETRY_FIELDS if key in metadata}
    parts: Sequence[str] = metadata.get("map info", ())
    transform = transform_of(parts)
    crs = header.get(SYSTEM, "")
    if not crs and transform is not None:
        crs = from_map_info(parts)
    unit = unit_of(parse_crs(crs)) or _unit_of_map_info(parts)
    return Geometry(transform, crs, unit, header, tuple(_notes(header, parts, transform, crs)))


def _notes(
    header: Mapping[str, str], parts: Sequence[str], transform: Transform | None, crs: str
) -> list[str]:
    """What could not be understood of the geometry in an ENVI header."""
    notes = []
    if transform is None:
        if parts:
            notes.append(f"'map info' is {header['map info']!r}, which does not define a grid")
        others = [repr(key) for key in WITHOUT_GRID if key in header]
        if others:
            notes.append(f"{' and '.join(others)} are written to ENVI headers only")
    elif not crs and parts[0].lower() != "arbitrary":
        notes.append(f"the coordinate system {parts[0]!r} of 'map info' is unknown or incomplete")
    return notes


def _unit_of_map_info(parts: Sequence[str]) -> str:
    """The unit that ``map info`` names; empty where it names none that is known."""
    for text in parts:
        if text.lower().startswith("units="):
            return UNITS.get(text[6:].strip().lower(), "")
    return ""


def envi_fields(geometry: Geometry) -> tuple[dict[str, str], list[str]]:
    """What an ENVI header says of a geometry, and notes on what it cannot say.

    What an ENVI header said stays as it was.
    """
    if geometry.header:
        return dict(geometry.header), []
    crs = parse_crs(geometry.crs)
    fields: dict[str, str] = {}
    notes: list[str] = []
    if crs is not None:
        fields[SYSTEM] = crs.to_wkt(version="WKT1_ESRI")
    elif geometry.crs:
        notes.append("ENVI headers have no coordinate system: it is not understood")
    if geometry.transform is not None:
        grid = numbers_of(geometry.transform)
        if grid is None:
            notes.append("the grid is sheared or mirrored, which ENVI's 'map info' cannot say")
        else:
            name, rest = to_map_info(crs)
            numbers, rotation = grid
            fields["map info"] = ", ".join([name, *numbers, *rest, *rotation])
    return fields, notes


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
