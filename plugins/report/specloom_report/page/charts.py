"""Line charts and histograms as SVG; their colours are those of the page around them.

They are drawn here and not by matplotlib: a page follows the reader's theme and prints in black
and white only where its style sheet colours the lines, and a chart is a few KB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    Point = tuple[float, float]

WIDTH = 420.0
HEIGHT = 260.0
LEFT = 52.0
RIGHT = 10.0
TOP = 26.0
BOTTOM = 36.0
STYLES = 5
MAX_MARKED = 40  # points of a line that are marked as such

CHART = Markup(
    '<svg class="chart" role="img" viewBox="0 0 {width:.0f} {height:.0f}">'
    "<title>{title}</title>{parts}</svg>"
)
GRID_LINE = Markup(
    '<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}"/>'
    '<text class="y" x="{text_x:.1f}" y="{text_y:.1f}">{text}</text>'
)
TICK = Markup(
    '<path class="axis" d="M{x:.1f} {y:.1f}v4"/>'
    '<text class="x" x="{x:.1f}" y="{text_y:.1f}">{text}</text>'
)
AXIS = Markup('<path class="axis" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
X_LABEL = Markup('<text class="x label" x="{x:.1f}" y="{y:.1f}">{text}</text>')
Y_LABEL = Markup(
    '<text class="x label" transform="translate(11 {y:.1f}) rotate(-90)">{text}</text>'
)
RULE = Markup('<path class="rule" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>')
DOT = Markup('<circle class="s{style} dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
POINT = Markup('<circle class="s{style} point" cx="{x:.1f}" cy="{y:.1f}" r="2"/>')
LINE = Markup('<path class="s{style} line" d="{path}"/>')
BARS = Markup('<path class="s{style} bars" d="{path}"/>')
LEGEND_DOT = Markup('<circle class="{style}" cx="{x:.1f}" cy="10" r="4"/>')
LEGEND_LINE = Markup('<path class="{style}" d="M{x:.1f} 10h18"/>')
LEGEND_TEXT = Markup('<text x="{x:.1f}" y="13.5">{text}</text>')


@dataclass(frozen=True)
class Curve:
    """One line: its points, and its name for the legend.

    Args:
        name: Its name; empty for none in the legend.
        x: Where its points are.
        y: Their values; those that are not finite are excluded.
        style: Which colour and dashes, from 0.
        kind: ``line``, ``bars`` (equal steps from x to the next x) or ``dot``.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: int = 0
    kind: str = "line"

    def finite_points(self) -> list[Point]:
        """Return its points without those that are not finite."""
        points = []
        for x, y in zip(self.x, self.y, strict=False):
            if math.isfinite(x) and math.isfinite(y):
                points.append((x, y))
        return points


@dataclass(frozen=True)
class Rule:
    """A vertical line at ``x`` with its name."""

    x: float
    name: str


@dataclass(frozen=True)
class Scale:
    """From values to places in the picture.

    Args:
        x_range: The values at both ends of the horizontal axis.
        y_range: The values at both ends of the vertical axis.
        height: The height of the picture.
    """

    x_range: Point
    y_range: Point
    height: float

    @property
    def bottom(self) -> float:
        """The place of the horizontal axis."""
        return self.height - BOTTOM

    def x(self, value: float) -> float:
        """Return the place of a value from the left."""
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return the place of a value from the top."""
        low, high = self.y_range
        relative = (value - low) / (high - low)
        return self.height - BOTTOM - relative * (self.height - TOP - BOTTOM)


def chart(
    curves: Sequence[Curve],
    title: str,
    labels: tuple[str, str],
    *,
    x_range: Point | None = None,
    y_range: Point | None = None,
    rules: Sequence[Rule] = (),
    height: float = HEIGHT,
) -> Markup:
    """Return a chart with axes and a legend of the lines that have a name.

    Args:
        curves: The lines.
        title: What it shows, for those who cannot see it.
        labels: Those of the two axes.
        x_range: Both ends of the horizontal axis; None for those of the points.
        y_range: Both ends of the vertical axis; None for those of the points.
        rules: Vertical lines.
        height: The height of the picture; it is 420 wide.
    """
    points = []
    for curve in curves:
        points.extend(curve.finite_points())
    if x_range is None:
        x_range = _range([*(x for x, _ in points), *(rule.x for rule in rules)])
    if y_range is None:
        y_range = _padded_range([y for _, y in points])
    scale = Scale(x_range, y_range, height)
    parts = [*_axes(scale, labels)]
    for curve in curves:
        parts += _draw_curve(curve, scale)
    for rule in rules:
        parts.append(RULE.format(x=scale.x(rule.x), top=TOP, bottom=scale.bottom))
    parts += _legend(curves, rules)
    return CHART.format(width=WIDTH, height=height, title=title, parts=Markup("").join(parts))


def _axes(scale: Scale, labels: tuple[str, str]) -> list[Markup]:
    right = WIDTH - RIGHT
    bottom = scale.bottom
    parts = []
    for value in ticks(*scale.y_range, most=5):
        y = scale.y(value)
        line = GRID_LINE.format(
            left=LEFT, right=right, y=y, text_x=LEFT - 5, text_y=y + 3.5, text=short(value)
        )
        parts.append(line)
    for value in ticks(*scale.x_range):
        if labels[0] == "epoch" and not value.is_integer():
            continue
        x = scale.x(value)
        parts.append(TICK.format(x=x, y=bottom, text_y=bottom + 15, text=short(value)))
    parts.append(AXIS.format(left=LEFT, right=right, y=bottom))
    parts.append(X_LABEL.format(x=(LEFT + right) / 2, y=scale.height - 4, text=labels[0]))
    parts.append(Y_LABEL.format(y=(TOP + bottom) / 2, text=labels[1]))
    return parts


def _draw_curve(curve: Curve, scale: Scale) -> list[Markup]:
    style = curve.style % STYLES
    places = [(scale.x(x), scale.y(y)) for x, y in curve.finite_points()]
    if curve.kind == "dot":
        return [DOT.format(style=style, x=x, y=y) for x, y in places]
    if curve.kind == "bars" and len(places) > 1:
        return [BARS.format(style=style, path=_bars_path(places, scale))]
    parts = [LINE.format(style=style, path=_line_path(places))]
    if len(places) <= MAX_MARKED:
        for x, y in places:
            parts.append(POINT.format(style=style, x=x, y=y))
    return parts


def _bars_path(places: Sequence[Point], scale: Scale) -> str:
    width = places[1][0] - places[0][0]
    floor = scale.y(max(scale.y_range[0], 0.0))
    path = f"M{places[0][0]:.1f} {floor:.1f}"
    for x, y in places:
        path += f"V{y:.1f}H{x + width:.1f}"
    return f"{path}V{floor:.1f}"


def _line_path(places: Sequence[Point]) -> str:
    if not places:
        return "M0 0"
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _legend(curves: Sequence[Curve], rules: Sequence[Rule]) -> list[Markup]:
    entries = [(f"s{curve.style % STYLES} {curve.kind}", curve.name) for curve in curves]
    entries += [("rule", rule.name) for rule in rules]
    parts = []
    x = LEFT
    for style, name in entries:
        if not name:
            continue
        if style.endswith("dot"):
            parts.append(LEGEND_DOT.format(style=style, x=x + 9))
        else:
            parts.append(LEGEND_LINE.format(style=style, x=x))
        parts.append(LEGEND_TEXT.format(x=x + 22, text=name))
        x += 22 + 5.8 * len(name) + 12
    return parts


def _range(values: Sequence[float]) -> Point:
    """Return the lowest and the highest value; a range of some width if they are equal."""
    if not values:
        return 0.0, 1.0
    low = min(values)
    high = max(values)
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    margin = 0.5 * (abs(low) or 1.0)
    return low - margin, high + margin


def _padded_range(values: Sequence[float]) -> Point:
    """Return the range of values and a little more; equal values have room already."""
    low, high = _range(values)
    if values and low < min(values):
        return low, high
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def short(value: float) -> str:
    """Return a number in few characters.

    >>> short(0.25), short(0), short(30000), short(1e-7)
    ('0.25', '0', '30000', '1e-07')
    """
    if 1000 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.4g}"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between two others, about ``most`` of them.

    >>> ticks(0, 1, 5), ticks(430, 910, 5)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [500.0, 600.0, 700.0, 800.0, 900.0])
    """
    step = _round_step(high - low, most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _round_step(span: float, most: int) -> float:
    """Return the smallest round number that divides ``span`` into at most ``most`` steps."""
    magnitude = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 2.5, 5, 10):
        step = magnitude * factor
        if span / step <= most:
            return step
    return magnitude * 20
