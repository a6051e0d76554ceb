"""ENVI's ``map info``: a reference pixel, its place, the size of a pixel, maybe a rotation.

Read here and not by GDAL (3.10.3, through rasterio 1.4.4): of a rotated grid whose reference pixel
is not the first it gives the reference pixel a place 17 m from the one that the header states (grid
of 30 m by 20 m, rotation 12.5 degrees), and it reads the datum ETRS-89 as WGS 84.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, cos, degrees, hypot, isclose, isfinite, radians, sin
from typing import TypeAlias

Transform: TypeAlias = tuple[float, float, float, float, float, float]
"""``(a, b, c, d, e, f)`` as rasterio orders them: the upper left corner of the pixel in row r and
column k lies at x = a k + b r + c, y = d k + e r + f."""


def transform_of(parts: Sequence[str]) -> Transform | None:
    """The transform behind the parts of a ``map info``; None where they make none."""
    turns = [text.partition("=")[2] for text in parts if text.lower().startswith("rotation")]
    try:
        column, row, x, y, across, down = (float(text) for text in parts[1:7])
        angle = float(turns[0]) if turns else 0.0
    except ValueError:
        return None
    if not all(map(isfinite, (column, row, x, y, across, down, angle))):
        return None
    if across <= 0 or down <= 0:
        return None
    a, b, d, e = _turned(across, down, angle)
    back = column - 1  # the upper left corner of the image is (1, 1)
    up = row - 1
    return a, b, x - a * back - b * up, d, e, y - d * back - e * up


def numbers_of(transform: Transform) -> tuple[list[str], list[str]] | None:
    """The six numbers of a ``map info`` and its rotation, or None where it cannot say the grid.

    It can say grids that lie north up or are turned, as GDAL reads them, and those whose first
    row lies south, which GDAL writes as a rotation by 180 degrees.
    """
    a, b, x, d, e, y = transform
    south_up = b == d == 0 and a > 0 and e > 0
    angle = 180.0 if south_up else degrees(atan2(b, a))
    numbers = [repr(float(one)) for one in (1, 1, x, y, hypot(a, b), hypot(d, e))]
    rotation = [f"rotation={angle!r}"] if angle else []
    again = transform_of(["", *numbers, *rotation])
    tolerance = 1e-9 * max(hypot(a, b), hypot(d, e))
    if again is None or not _close(again, transform, tolerance):
        return None
    return numbers, rotation


def _close(one: Transform, other: Transform, tolerance: float) -> bool:
    pairs = zip(one, other, strict=True)
    return all(isclose(a, b, rel_tol=1e-12, abs_tol=tolerance) for a, b in pairs)


def _turned(across: float, down: float, angle: float) -> tuple[float, float, float, float]:
    if angle == 0:
        return across, 0.0, 0.0, -down
    if abs(angle) == 180:
        return across, 0.0, 0.0, down
    turn = radians(angle)
    return across * cos(turn), across * sin(turn), down * sin(turn), -down * cos(turn)
