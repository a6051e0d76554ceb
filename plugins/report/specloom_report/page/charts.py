"""Line charts and histograms as SVG; their colours are those of the page around them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 420.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 10.0, 26.0, 36.0
STYLES = 5
MARKED = 40  # points that are drawn as such


@dataclass(frozen=True)
class Curve:
    """One line: its points, and its name for the legend.

    Args:
        name: What it is.
        x: Where its points are.
        y: Their values; those that are not finite are left out.
        style: Which colour and dashes, from 0.
        kind: ``line``, ``bars`` (equal steps from x to the next x) or ``dot``.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: int = 0
    kind: str = "line"


@dataclass(frozen=True)
class Rule:
    """A vertical line at ``x`` with its name."""

    x: float
    name: str


class Scale:
    """From values to places in the picture."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], height: float) -> None:
        self.x_range, self.y_range, self.height = x, y, height

    def x(self, value: float) -> float:
        """Where a value stands from the left."""
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value stands from the top."""
        low, high = self.y_range
        part = (value - low) / (high - low)
        return self.height - BOTTOM - part * (self.height - TOP - BOTTOM)


def chart(
    curves: Sequence[Curve],
    title: str,
    labels: tuple[str, str],
    *,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    rules: Sequence[Rule] = (),
    height: float = HEIGHT,
) -> Markup:
    """A chart with axes and, for several lines, a legend.

    Args:
        curves: The lines.
        title: What it shows, for those who cannot see it.
        labels: Those of the two axes.
        x_range: Both ends of the horizontal axis; None for those of the points.
        y_range: Both ends of the vertical axis; None for those of the points.
        rules: Vertical lines.
        height: Of the picture; it is 420 wide.
    """
    good = [[p for p in zip(c.x, c.y, strict=False) if all(map(math.isfinite, p))] for c in curves]
    points = [point for one in good for point in one]
    across = x_range or _span([*(x for x, _ in points), *(rule.x for rule in rules)])
    scale = Scale(across, y_range or _span([y for _, y in points], padded=True), height)
    parts = [_axes(scale, labels)]
    parts += [_drawn(one, finite, scale) for one, finite in zip(curves, good, strict=True)]
    parts += [
        Markup('<path class="rule" d="M{:.1f} {:.1f}V{:.1f}"/>').format(
            scale.x(rule.x), TOP, height - BOTTOM
        )
        for rule in rules
    ]
    parts.append(_legend(curves, rules))
    return Markup(
        '<svg class="chart" role="img" viewBox="0 0 {:.0f} {:.0f}"><title>{}</title>{}</svg>'
    ).format(WIDTH, height, title, Markup("").join(parts))


def _axes(scale: Scale, labels: tuple[str, str]) -> Markup:
    bottom, right = scale.height - BOTTOM, WIDTH - RIGHT
    across = Markup(
        '<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>'
        '<text class="y" x="{:.1f}" y="{:.1f}">{}</text>'
    )
    down = Markup(
        '<path class="axis" d="M{0:.1f} {1:.1f}v4"/>'
        '<text class="x" x="{0:.1f}" y="{2:.1f}">{3}</text>'
    )
    parts = [
        across.format(LEFT, scale.y(y), right, LEFT - 5, scale.y(y) + 3.5, short(y))
        for y in ticks(*scale.y_range, most=5)
    ]
    marks = ticks(*scale.x_range)
    if labels[0] == "epoch":  # there is no half of one
        marks = [x for x in marks if x.is_integer()]
    parts += [down.format(scale.x(x), bottom, bottom + 15, short(x)) for x in marks]
    middle = (LEFT + right) / 2, (TOP + bottom) / 2
    parts.append(
        Markup(
            '<path class="axis" d="M{:.1f} {:.1f}H{:.1f}"/>'
            '<text class="x label" x="{:.1f}" y="{:.1f}">{}</text>'
            '<text class="x label" transform="translate(11 {:.1f}) rotate(-90)">{}</text>'
        ).format(
            LEFT,
            bottom,
            WIDTH - RIGHT,
            middle[0],
            scale.height - 4,
            labels[0],
            middle[1],
            labels[1],
        )
    )
    return Markup("").join(parts)


def _drawn(curve: Curve, points: Sequence[tuple[float, float]], scale: Scale) -> Markup:
    style = curve.style % STYLES
    if curve.kind == "dot":
        return Markup("").join(
            Markup('<circle class="s{} dot" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(
                style, scale.x(x), scale.y(y)
            )
            for x, y in points
        )
    places = [(scale.x(x), scale.y(y)) for x, y in points]
    if curve.kind == "bars" and len(places) > 1:
        width = places[1][0] - places[0][0]
        floor = scale.y(max(scale.y_range[0], 0.0))
        path = f"M{places[0][0]:.1f} {floor:.1f}"
        path += "".join(f"V{y:.1f}H{x + width:.1f}" for x, y in places) + f"V{floor:.1f}"
        return Markup('<path class="s{} bars" d="{}"/>').format(style, path)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) if places else "M0 0"
    few = Markup("").join(
        Markup('<circle class="s{} point" cx="{:.1f}" cy="{:.1f}" r="2"/>').format(style, x, y)
        for x, y in (places if len(places) <= MARKED else ())
    )
    return Markup('<path class="s{} line" d="{}"/>{}').format(style, path, few)


def _legend(curves: Sequence[Curve], rules: Sequence[Rule]) -> Markup:
    named = [(f"s{c.style % STYLES} {c.kind}", c.name) for c in curves if c.name]
    named += [("rule", rule.name) for rule in rules if rule.name]
    x, parts = LEFT, list[Markup]()
    for style, name in named:
        mark = (
            Markup('<circle class="{}" cx="{:.1f}" cy="10" r="4"/>').format(style, x + 9)
            if style.endswith("dot")
            else Markup('<path class="{}" d="M{:.1f} 10h18"/>').format(style, x)
        )
        text = Markup('<text x="{:.1f}" y="13.5">{}</text>').format(x + 22, name)
        parts += [mark, text]
        x += 22 + 5.8 * len(name) + 12
    return Markup("").join(parts)


def _span(values: Sequence[float], *, padded: bool = False) -> tuple[float, float]:
    """The range of values, never empty; a little more where ``padded``."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        room = 0.5 * (abs(low) or 1.0)
        return low - room, high + room
    room = 0.05 * (high - low) if padded else 0.0
    return low - room, high + room


def short(value: float) -> str:
    """A number in few characters.

    >>> short(0.25), short(0), short(30000), short(1e-7)
    ('0.25', '0', '30000', '1e-07')
    """
    return f"{value:.0f}" if abs(value) >= 1000 and abs(value) < 1e6 else f"{value:.4g}"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two others.

    >>> ticks(0, 1, 5), ticks(430, 910, 5)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [500.0, 600.0, 700.0, 800.0, 900.0])
    """
    span = high - low
    base = 10.0 ** math.floor(math.log10(span / most))
    steps = (base * factor for factor in (1, 2, 2.5, 5, 10, 20))
    step = next(one for one in steps if span / one <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]
