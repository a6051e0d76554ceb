"""Coordinate systems: WKT for GeoTIFF, names for ENVI. Only rasterio understands WKT."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

WGS84 = ("wgs-84", "wgs 84", "wgs84")
NAD83 = ("north america 1983", "nad83", "nad-83")
NAD27 = ("north america 1927", "nad27", "nad-27")
ETRS89 = ("etrs89", "etrs-89", "etrs 89", "etrs 1989", "etrs-1989")
ETRS89_IN_FULL = (
    "european terrestrial reference system 1989",
    "european terrestrial ref. sys. 1989",
)
"""Names of datums in ``map info``, in lower case."""

UTM = {
    **dict.fromkeys(WGS84, (32600, 32700)),
    **dict.fromkeys(NAD83, (26900, 0)),
    **dict.fromkeys(NAD27, (26700, 0)),
    **dict.fromkeys((*ETRS89, *ETRS89_IN_FULL), (25800, 0)),
}
"""EPSG codes of the zones north and south, less the zone's number, by the name of the datum."""

ETRS89_ZONES = range(28, 39)
"""The zones of ETRS89, which is for Europe."""

GEOGRAPHIC = {
    **dict.fromkeys(WGS84, 4326),
    **dict.fromkeys(NAD83, 4269),
    **dict.fromkeys(NAD27, 4267),
    **dict.fromkeys((*ETRS89, *ETRS89_IN_FULL), 4258),
}
"""EPSG codes of latitude and longitude, by the name of the datum."""

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
    lower = [text.strip().lower() for text in parts]
    datum = next((text for text in lower if text in UTM), "")
    if not datum:
        return ""
    if lower[0].startswith("geographic"):
        return f"EPSG:{GEOGRAPHIC[datum]}"
    if lower[0] != "utm" or len(lower) < 8 or not lower[7].isdigit():
        return ""
    north, south = UTM[datum]
    base = north
    if lower[8:9] == ["south"]:
        base = south
    zone = int(lower[7])
    zones = range(1, 61)
    if datum in (*ETRS89, *ETRS89_IN_FULL):
        zones = ETRS89_ZONES
    if base == 0 or zone not in zones:
        return ""
    return f"EPSG:{base + zone}"


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
