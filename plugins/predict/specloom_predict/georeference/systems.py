"""Coordinate systems: WKT for GeoTIFF, names for ENVI. Only rasterio understands WKT."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

UTM = {
    **dict.fromkeys(("wgs-84", "wgs 84", "wgs84"), (32600, 32700)),
    "north america 1983": (26900, 0),
    "north america 1927": (26700, 0),
}
"""EPSG codes of the zones north and south, less the zone's number, by ENVI's name of the datum."""

NAMES = {
    32600: ("North", "WGS-84"),
    32700: ("South", "WGS-84"),
    26900: ("North", "North America 1983"),
    26700: ("North", "North America 1927"),
}
"""ENVI's names of hemisphere and datum, by the EPSG code of the zones less the zone's number."""

MIN_CONFIDENCE = 90
"""The confidence of PROJ, in percent, from which a system is taken as that of an EPSG code."""

UNITS = {"meters": "metre", "degrees": "degree", "feet": "foot"}
"""ENVI's names of units, and those used here."""


def parse_crs(text: str) -> Any:
    """The coordinate system behind WKT or ``EPSG:<code>``, as rasterio has it, or None."""
    if not text:
        return None
    try:
        from rasterio.crs import CRS
        from rasterio.errors import CRSError
    except ImportError:
        return None
    try:
        crs = CRS.from_user_input(text)
        # ENVI's WKT names no code; with one, others see that it is the system they know.
        code = crs.to_epsg(confidence_threshold=MIN_CONFIDENCE)
        return crs if code is None else CRS.from_epsg(code)
    except CRSError:
        return None


def unit_of(crs: Any) -> str:
    """The unit of a coordinate system: ``metre``, ``degree``, …; empty where it states none."""
    if crs is None:
        return ""
    return "degree" if crs.is_geographic else str(crs.linear_units or "")


def from_map_info(parts: Sequence[str]) -> str:
    """The coordinate system that ENVI's ``map info`` names, as ``EPSG:<code>``, or nothing."""
    lower = [text.lower() for text in parts]
    datum = next((text for text in lower if text in UTM), "")
    if lower[:1] == ["geographic lat/lon"] and datum.startswith("wgs"):
        return "EPSG:4326"
    if lower[:1] != ["utm"] or not datum or not lower[7].isdigit():
        return ""
    north, south = UTM[datum]
    base = south if lower[8:9] == ["south"] else north
    zone = int(lower[7])
    return f"EPSG:{base + zone}" if base and 1 <= zone <= 60 else ""


def to_map_info(crs: Any) -> tuple[str, list[str]]:
    """ENVI's name of a coordinate system, and what ``map info`` says behind the numbers."""
    if crs is None:
        return "Arbitrary", []
    code = crs.to_epsg() or 0
    for base, names in NAMES.items():
        if 1 <= code - base <= 60:
            return "UTM", [str(code - base), *names, "units=Meters"]
    if crs.is_geographic:
        datum = ["WGS-84"] if code == 4326 else []
        return "Geographic Lat/Lon", [*datum, "units=Degrees"]
    match = re.search(r'"([^"]+)"', crs.to_wkt(version="WKT1_ESRI"))
    name = re.sub(r"[^\w. -]", " ", match[1]) if match else "Projected"
    return name, ["units=Meters"] if unit_of(crs) == "metre" else []
