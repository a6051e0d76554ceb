"""Plots of what was detected in one cube, with matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import UnavailableError
from specloom_pictures import DECIDED, false_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

OUTLINE = "#{:02x}{:02x}{:02x}".format(*DECIDED)
"""Light orange, the colour of decisions in every picture."""

LINES = (("#000000", 3.4), (OUTLINE, 1.6))
"""The colours and widths of outlines: with black behind, they are seen on every picture."""


@dataclass(frozen=True)
class Shown:
    """What a plot shows.

    Args:
        title: The title.
        values: The cube, (H, W, C).
        wavelengths: Its band centres in nm, if they are known.
        scores: (H, W).
        decisions: bool (H, W).
        threshold: The threshold.
    """

    title: str
    values: NDArray[Any]
    wavelengths: NDArray[Any] | None
    scores: NDArray[Any]
    decisions: NDArray[Any]
    threshold: float


def plot_detection(shown: Shown) -> Figure:
    """The cube, its scores with outlines of the objects, and the histogram of the scores.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        what = "plots need matplotlib, which is not installed"
        raise UnavailableError(what, fix="run: pip install 'specloom-detect[plot]'") from error
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    figure.suptitle(shown.title)
    axes[0].imshow(false_colour(shown.values, shown.wavelengths))
    axes[0].set_title("false colour, with objects")
    limits = np.nanpercentile(shown.scores, [1, 99.8])
    image = axes[1].imshow(shown.scores, vmin=limits[0], vmax=limits[1], cmap="cividis")
    axes[1].set_title("scores")
    figure.colorbar(image, ax=axes[1])
    for one in axes[:2]:
        _outline(one, shown.decisions)
        one.set_xlabel("column")
        one.set_ylabel("row")
    _plot_histogram(axes[2], shown.scores, shown.threshold)
    return figure


def _outline(axes: Axes, decisions: Any) -> None:
    if decisions.any() and min(decisions.shape) > 1:
        for colour, width in LINES:
            axes.contour(decisions, levels=[0.5], colors=[colour], linewidths=width)


def _plot_histogram(axes: Axes, scores: Any, threshold: float) -> None:
    finite = scores[np.isfinite(scores)]
    axes.hist(finite, bins=100, log=True, color="#5a6b7b")
    axes.axvline(threshold, color="#c4441c", label=f"threshold {threshold:.4g}")
    axes.set_title("histogram of the scores")
    axes.set_xlabel("score")
    axes.set_ylabel("pixels")
    axes.legend()
