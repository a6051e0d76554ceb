"""Charts as plain values, which the script of the page draws with uPlot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Range = tuple[float, float]
    Numbers = NDArray[np.float64]
    Axis = Sequence[float] | NDArray[Any]

LINE = "line"
STEPS = "steps"
DOTS = "dots"
BARS = "bars"
NUDGE = 1e-9
"""Of the length of the axis: the end of a vertical part of a curve stands so far to the right."""


@dataclass(frozen=True)
class Series:
    """One curve.

    Args:
        name: Its name in the legend; empty for a curve that the legend does not have.
        x: Where its points are, rising.
        y: Their values; None and NaN are gaps.
        style: Which colour and dashes, from 0.
        kind: ``line``, ``steps`` (each value until the next x), ``dots`` or ``bars``.
        right: Whether the right axis is its own.
        width: The width of the line in pixels.
    """

    name: str
    x: Axis
    y: Sequence[float | None] | NDArray[Any]
    style: int = 0
    kind: str = LINE
    right: bool = False
    width: float = 1.8

    def points(self, continuous: bool) -> tuple[Numbers, Numbers]:
        """Return places and values; of a continuous line at places that rise strictly."""
        places = np.asarray(self.x, np.float64)
        values = np.array([_number(value) for value in self.y], np.float64)
        if continuous and self.kind == LINE:
            return _rising(places, values)
        return places, values


@dataclass(frozen=True)
class Rule:
    """A vertical line at ``x`` with its name, which may be empty."""

    x: float
    name: str


@dataclass(frozen=True)
class Chart:
    """A chart with a title.

    Args:
        title: What it shows.
        x_label: What the horizontal axis is.
        y_label: What the vertical axis is.
        series: The curves.
        note: A sentence under the title.
        rules: Vertical lines.
        bands: Pairs of curves between which the area is filled, by their numbers.
        x_range: Both ends of the horizontal axis; None for those of the points.
        y_range: Both ends of the vertical axis; None for those of the points.
        x_log: Whether the horizontal axis is logarithmic.
        right_label: What the right axis is; empty where there is none.
        continuous: Whether curves are read between their points, as ROC curves are.
        height: Its height in pixels.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    note: str = ""
    rules: Sequence[Rule] = ()
    bands: Sequence[tuple[int, int]] = ()
    x_range: Range | None = None
    y_range: Range | None = None
    x_log: bool = False
    right_label: str = ""
    continuous: bool = False
    height: int = 280

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain values, all curves over the same x."""
        axis = self._common_axis()
        columns = [_values_at(axis, one, self.continuous) for one in self.series]
        series = []
        for one in self.series:
            series.append(
                {
                    "name": one.name,
                    "style": one.style,
                    "kind": one.kind,
                    "right": one.right,
                    "width": one.width,
                }
            )
        return {
            "title": self.title,
            "x": self.x_label,
            "y": self.y_label,
            "right": self.right_label,
            "xLog": self.x_log,
            "xRange": self.x_range,
            "yRange": self.y_range,
            "rules": [{"x": rule.x, "name": rule.name} for rule in self.rules],
            "bands": [list(pair) for pair in self.bands],
            "series": series,
            "data": [_plain(axis), *columns],
            "height": self.height,
        }

    def summary(self) -> str:
        """Return what the chart shows in one line, for readers who do not see it."""
        names = [one.name for one in self.series if one.name]
        rules = [rule.name for rule in self.rules if rule.name]
        axes = f"{self.y_label} over {self.x_label}".removeprefix(" over ")
        return ": ".join([self.title, axes, ", ".join([*names, *rules])])

    def _common_axis(self) -> NDArray[np.float64]:
        places = [one.points(self.continuous)[0] for one in self.series]
        if not places:
            return np.zeros(0)
        return np.unique(np.concatenate(places))


def _rising(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[Numbers, Numbers]:
    """Return a curve at places that rise strictly.

    Of equal places the first and the last one stay, and the last one is moved by a little.
    """
    if not len(x):
        return x, y
    is_first = np.append(True, x[1:] != x[:-1])
    is_last = np.append(x[1:] != x[:-1], True)
    moved = x + np.where(is_last & ~is_first, NUDGE * max(float(x[-1] - x[0]), 1e-3), 0.0)
    stays = is_first | is_last
    return moved[stays], y[stays]


def _values_at(axis: NDArray[np.float64], series: Series, continuous: bool) -> list[float | None]:
    """Return the values of a curve at each place of the common axis; None where it has none."""
    places, values = series.points(continuous)
    if continuous and series.kind == LINE and len(places):
        return _plain(np.interp(axis, places, values, left=np.nan, right=np.nan))
    column = np.full(len(axis), np.nan)
    column[np.searchsorted(axis, places)] = values
    return _plain(column)


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    return float(value)


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    """Return numbers in few digits; None for what is not finite."""
    plain: list[float | None] = []
    for value in values.tolist():
        if math.isfinite(value):
            plain.append(float(f"{value:.10g}"))
        else:
            plain.append(None)
    return plain


def as_json(charts: Mapping[str, Chart]) -> dict[str, Any]:
    """Return charts by their places on the page."""
    return {place: chart.as_json() for place, chart in charts.items()}
