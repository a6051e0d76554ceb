"""Where a cube lies on the map: transform and coordinate system from what files state."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import cos, isfinite, radians, sin
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Transform: TypeAlias = tuple[float, float, float, float, float, float]
"""``(a, b, c, d, e, f)`` as rasterio orders them: the upper left corner of the pixel in row r and
column k lies at x = a k + b r + c, y = d k + e r + f."""

MOST_UNEVEN = 1e-3
"""How much the steps of coordinates may differ from their mean, as a share of it."""


def from_geotransform(values: Any) -> Transform | None:
    """GDAL's six numbers (x, a, b, y, d, e), as numbers or text; None where they are none."""
    if isinstance(values, bytes):
        values = values.decode("utf-8", "replace")
    if isinstance(values, str):
        values = values.replace(",", " ").split()
    try:
        x, a, b, y, d, e = (float(value) for value in values)
    except (TypeError, ValueError):
        return None
    return _usable((a, b, x, d, e, y))


def from_map_info(text: str) -> Transform | None:
    """ENVI's ``map info``: the place of a reference pixel, the size of pixels, maybe a rotation."""
    parts = [part.strip() for part in text.strip("{} \n").split(",")]
    turns = [part.partition("=")[2] for part in parts if part.lower().startswith("rotation")]
    try:
        column, row, x, y, across, down = (float(part) for part in parts[1:7])
        angle = radians(float((turns or ["0"])[0]))
    except ValueError:
        return None
    a = across * cos(angle)
    b = across * sin(angle)
    d = down * sin(angle)
    e = -down * cos(angle)
    back = column - 1  # the upper left corner of the image is (1, 1)
    up = row - 1
    return _usable((a, b, x - a * back - b * up, d, e, y - d * back - e * up))


def from_corners(
    upper_left: Sequence[float], lower_right: Sequence[float], rows: int, columns: int
) -> Transform | None:
    """The grid between the outer corners of an image."""
    across = (lower_right[0] - upper_left[0]) / columns
    down = (lower_right[1] - upper_left[1]) / rows
    return _usable((across, 0.0, upper_left[0], 0.0, down, upper_left[1]))


def from_coordinates(x: NDArray[np.float64], y: NDArray[np.float64]) -> Transform | None:
    """The grid of the centres of columns and rows; None where their steps are not even."""
    across = _step(x)
    down = _step(y)
    if across is None or down is None:
        return None
    left = float(x[0]) - across / 2
    top = float(y[0]) - down / 2
    return _usable((across, 0.0, left, 0.0, down, top))


def from_struct_metadata(text: str, rows: int, columns: int) -> tuple[Transform | None, str]:
    """Grid and coordinate system of the HDF-EOS grid that has the size of the image.

    Args:
        text: The text of ``StructMetadata.0``.
        rows: The rows of the image.
        columns: The columns of the image.
    """
    for grid in re.split(r"\bGROUP=GRID_\d+", text)[1:]:
        fields = dict(re.findall(r"(\w+)=([^\n]+)", grid))
        if fields.get("XDim", "") != str(columns) or fields.get("YDim", "") != str(rows):
            continue
        corners = [
            [float(one) for one in re.findall(r"-?\d+\.?\d*(?:[eE][-+]?\d+)?", fields.get(key, ""))]
            for key in ("UpperLeftPointMtrs", "LowerRightMtrs")
        ]
        if any(len(corner) != 2 for corner in corners):
            continue
        return from_corners(corners[0], corners[1], rows, columns), _zone(fields)
    return None, ""


def crs_text(*statements: Any) -> str:
    """The first statement of a coordinate system that is understood, as WKT; empty for none.

    Args:
        statements: WKT, ``EPSG:<code>``, a code alone, or nothing, by preference.
    """
    for statement in statements:
        text = _text(statement)
        if re.fullmatch(r"\d+", text):
            text = f"EPSG:{text}"
        if not text:
            continue
        wkt = _wkt(text)
        if wkt:
            return wkt
    return ""


def metadata_of(transform: Transform | None, crs: str) -> Mapping[str, Any]:
    """The metadata of a cube: ``transform`` and ``crs``; nothing where there is no transform."""
    if transform is None:
        return {}
    if not crs:
        return {"transform": transform}
    return {"transform": transform, "crs": crs}


def _zone(fields: Mapping[str, str]) -> str:
    """The coordinate system of an HDF-EOS grid in UTM; south of the equator zones are negative."""
    try:
        zone = int(fields.get("ZoneCode", ""))
    except ValueError:
        return ""
    if "UTM" not in fields.get("Projection", "") or not 1 <= abs(zone) <= 60:
        return ""
    base = 32600 if zone > 0 else 32700
    return f"EPSG:{base + abs(zone)}"


def _step(values: NDArray[np.float64]) -> float | None:
    """The step of evenly spaced values, or None."""
    if len(values) < 2:
        return None
    steps = values[1:] - values[:-1]
    mean = float(steps.mean())
    if not isfinite(mean) or mean == 0 or abs(steps - mean).max() > MOST_UNEVEN * abs(mean):
        return None
    return mean


def _usable(transform: Transform) -> Transform | None:
    """A transform of finite numbers whose pixels have an area; None for any other."""
    a, b, _, d, e, _ = transform
    if not all(map(isfinite, transform)) or a * e == b * d:
        return None
    return transform


def _text(statement: Any) -> str:
    if statement is None:
        return ""
    if isinstance(statement, bytes):
        return statement.decode("utf-8", "replace").strip()
    return str(statement).strip()


def _wkt(text: str) -> str:
    try:
        from rasterio.crs import CRS
        from rasterio.errors import CRSError
    except ImportError:
        return text
    try:
        return str(CRS.from_user_input(text).to_wkt())
    except CRSError:
        return ""
