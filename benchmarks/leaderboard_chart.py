"""The chart of the leaderboard: areas and average precisions by detector, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

LABELS = 250
"""Pixels for the names of the detectors."""
PANEL = 300
"""Pixels of a panel."""
GAP = 40
ROW = 24
TOP = 44
BOTTOM = 34
PANELS = (
    ("ROC-AUC", "area", 0.5),
    ("average precision", "precision", 0.0),
)
"""Title, field of a result, and where the axis starts; both end at 1."""

STYLE = """
text { font: 12px sans-serif; fill: #222; }
.axis { stroke: #ccc; }
.scene { fill: #2b6cb0; fill-opacity: 0.35; }
.mean { fill: #c05621; }
.known { fill: #777; }
"""


def draw(results: Mapping[str, Mapping[str, Any]], detectors: Mapping[str, Any]) -> str:
    """One row for each detector: a dot for each scene, and a bar at their mean.

    Args:
        results: By detector and scene, with the fields of ``PANELS``.
        detectors: By name; those that know their target have grey names.
    """
    width = LABELS + len(PANELS) * (PANEL + GAP)
    height = TOP + ROW * len(results) + BOTTOM
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>ROC-AUC and average precision of each detector on six scenes</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for row, name in enumerate(results):
        kind = ' class="known"' if detectors[name].knows_target else ""
        y = _middle(row) + 4
        lines.append(
            f'<text x="{LABELS - 14}" y="{y}" text-anchor="end"{kind}>{escape(name)}</text>'
        )
    for number, (title, field, least) in enumerate(PANELS):
        left = LABELS + number * (PANEL + GAP)
        lines += _panel(left, height, title, least)
        for row, found in enumerate(results.values()):
            values = [getattr(result, field) for result in found.values()]
            lines += _dots(left, _middle(row), values, least)
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _middle(row: int) -> int:
    return TOP + ROW * row + ROW // 2


def _place(left: int, value: float, least: float) -> str:
    share = (max(value, least) - least) / (1 - least)
    return f"{left + share * PANEL:.1f}"


def _panel(left: int, height: int, title: str, least: float) -> list[str]:
    """Title, grid and numbers of a panel."""
    bottom = height - BOTTOM
    lines = [f'<text x="{left}" y="20" font-weight="bold">{title}</text>']
    for step in range(6):
        value = least + (1 - least) * step / 5
        x = _place(left, value, least)
        lines.append(f'<line class="axis" x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}"/>')
        lines.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{value:.1f}</text>')
    return lines


def _dots(left: int, y: int, values: Sequence[float], least: float) -> list[str]:
    """A dot for each value, and a bar at their mean."""
    lines = []
    for value in values:
        lines.append(f'<circle class="scene" cx="{_place(left, value, least)}" cy="{y}" r="4"/>')
    mean = sum(values) / len(values)
    x = float(_place(left, mean, least)) - 1.5
    lines.append(f'<rect class="mean" x="{x:.1f}" y="{y - 9}" width="3" height="18"/>')
    return lines
