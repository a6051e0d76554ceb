"""The chart of docs/past-one-machine.md: the cost of a cube over the number of cubes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

FIELDS: Mapping[str, str] = {
    "wall_ms": "wall",
    "all_cpu_ms": "all_cpu",
    "client_and_scheduler_cpu_ms": "cpu",
}
"""The costs of a row, each with the field of a measurement that it is about."""

LINES: Mapping[str, tuple[str, str]] = {
    "wall_ms": ("wall time", "wall"),
    "all_cpu_ms": ("CPU of all processes", "all"),
    "client_and_scheduler_cpu_ms": ("CPU of client and scheduler", "client"),
}
"""The lines of the chart: label and class."""

WIDTH = 560
HEIGHT = 260
LEFT = 60
RIGHT = 190
TOP = 20
BOTTOM = 48
STEPS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)
"""Distances between two numbers of the vertical axis, in ms."""

STYLE = """
text { font: 12px sans-serif; fill: #222; }
.axis { stroke: #ccc; }
polyline { fill: none; stroke-width: 2; }
.wall { stroke: #2b6cb0; fill: #2b6cb0; }
.all { stroke: #777; fill: #777; }
.client { stroke: #c05621; fill: #c05621; }
"""


def draw(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for each cost, over the number of cubes on a logarithmic axis.

    Args:
        rows: For each number of cubes ``cubes`` and the fields of ``LINES``, in milliseconds.
    """
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>The cost of a cube over the number of cubes</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    most = max(row[name] for row in rows for name in LINES)
    step = next((one for one in STEPS if 6 * one >= most), STEPS[-1])
    top = step * math.ceil(most / step)
    counts = [row["cubes"] for row in rows]
    lines += _grid(counts, step, top)
    for name, (_, kind) in LINES.items():
        points = [(_x(row["cubes"], counts), _y(row[name], top)) for row in rows]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        lines.append(f'<polyline class="{kind}" style="fill:none" points="{joined}"/>')
        for x, y in points:
            lines.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
    lines += _legend()
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _x(count: int, counts: Sequence[int]) -> float:
    """The place of a number of cubes."""
    least, most = math.log10(min(counts)), math.log10(max(counts))
    share = (math.log10(count) - least) / max(most - least, 1e-9)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(value: float, top: float) -> float:
    """The place of milliseconds."""
    return HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - TOP)


def _grid(counts: Sequence[int], step: float, top: float) -> list[str]:
    """Lines, numbers and names of the axes."""
    right = WIDTH - RIGHT
    lines = []
    for number in range(round(top / step) + 1):
        y = _y(number * step, top)
        lines.append(f'<line class="axis" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        label = f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{number * step:g}</text>'
        lines.append(label)
    for count in counts:
        x = _x(count, counts)
        y = HEIGHT - BOTTOM + 18
        lines.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{count:,}</text>')
    middle = (LEFT + right) / 2
    lines.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">cubes</text>')
    place = f'x="14" y="{(HEIGHT - BOTTOM + TOP) / 2}"'
    turned = f'transform="rotate(-90 14 {(HEIGHT - BOTTOM + TOP) / 2})"'
    lines.append(f'<text {place} text-anchor="middle" {turned}>ms a cube</text>')
    return lines


def _legend() -> list[str]:
    lines = []
    x = WIDTH - RIGHT + 14
    for number, (label, kind) in enumerate(LINES.values()):
        y = TOP + 10 + 20 * number
        lines.append(f'<circle class="{kind}" cx="{x}" cy="{y - 4}" r="3.5"/>')
        lines.append(f'<text x="{x + 10}" y="{y}">{label}</text>')
    return lines
