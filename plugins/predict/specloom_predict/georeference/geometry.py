"""The geometry that a cube's file states, in the form that the writers need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from specloom_predict.georeference.map_info import Transform, numbers_of, transform_of
from specloom_predict.georeference.systems import UNITS, from_map_info, parsed, to_map_info, unit_of

if TYPE_CHECKING:
    from specloom_cubes import Cube

SYSTEM = "coordinate system string"
ELSEWISE = ("geo points", "rpc info")
KEPT = ("map info", "projection info", SYSTEM, *ELSEWISE, "x start", "y start")
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

    def at(self, row: Any, column: Any) -> tuple[Any, Any] | None:
        """The map's x and y of a place in the image; (0.5, 0.5) is the first pixel's centre."""
        if self.transform is None:
            return None
        a, b, c, d, e, f = self.transform
        return a * column + b * row + c, d * column + e * row + f

    @property
    def pixel_area(self) -> float | None:
        """The area of a pixel in squares of ``unit``; None where that is no length."""
        if self.transform is None or self.unit in ("", "degree"):
            return None
        a, b, _, d, e, _ = self.transform
        return abs(a * e - b * d)


def geometry_of(cube: Cube) -> Geometry:
    """The geometry that the file of a cube states; empty where it states none."""
    said = cube.metadata
    if cube.format != "ENVI":
        crs = str(said.get("crs", ""))
        return Geometry(said.get("transform"), crs, unit_of(parsed(crs)))
    header = {key: _text(said[key]) for key in KEPT if key in said}
    parts: Sequence[str] = said.get("map info", ())
    transform, notes = transform_of(parts), list[str]()
    crs = header.get(SYSTEM, "") or (from_map_info(parts) if transform else "")
    if parts and transform is None:
        notes.append(f"'map info' is {header['map info']!r}, which makes no grid")
    if transform is None and (others := [key for key in ELSEWISE if key in said]):
        notes.append(f"{' and '.join(map(repr, others))} go into ENVI headers only")
    if transform is not None and not crs and parts[0].lower() != "arbitrary":
        notes.append(f"'map info' names the coordinate system {parts[0]!r} without enough about it")
    told = next((text[6:].strip() for text in parts if text.lower().startswith("units=")), "")
    unit = unit_of(parsed(crs)) or UNITS.get(told.lower(), "")
    return Geometry(transform, crs, unit, header, tuple(notes))


def envi_fields(geometry: Geometry) -> tuple[dict[str, str], list[str]]:
    """What an ENVI header says of a geometry, and notes on what it cannot say.

    What an ENVI header said stays as it was.
    """
    if geometry.header:
        return dict(geometry.header), []
    known, fields, notes = parsed(geometry.crs), dict[str, str](), list[str]()
    if known is not None:
        fields[SYSTEM] = known.to_wkt(version="WKT1_ESRI")
    elif geometry.crs:
        notes.append("the coordinate system is not understood, so ENVI headers name none")
    if geometry.transform is not None:
        name, rest = to_map_info(known)
        if (found := numbers_of(geometry.transform)) is None:
            notes.append("the grid is sheared or mirrored, which ENVI's 'map info' cannot say")
        else:
            numbers, rotation = found
            fields["map info"] = ", ".join([name, *numbers, *rest, *rotation])
    return fields, notes


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
