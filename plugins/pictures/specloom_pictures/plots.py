"""Plots, drawn by matplotlib's Agg without pyplot, so that nothing global is touched."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_pictures.palette import EXCLUDED, FALSE_NEGATIVE, FALSE_POSITIVE, TRUE_POSITIVE

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from specloom_pictures.paint import Picture

# Red, green and blue of the false-colour image; colour-blind readers can distinguish vermilion,
# bluish green and blue, and the legend says which is which.
SHOWN_AS = {"red": "#D55E00", "green": "#009E73", "blue": "#0072B2"}
OTHERS = "#B0B0B0"

_DRAWING = Lock()  # matplotlib's fonts are for one thread at a time


def render(figure: Figure) -> Picture:
    """Return the pixels of a figure, uint8 (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with _DRAWING:
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def weight_figure(
    weights: NDArray[Any], wavelengths: NDArray[Any] | None, shown: NDArray[Any]
) -> Figure:
    """Return a bar for the weight of each band, over the wavelengths.

    Args:
        weights: One for each band, (C,).
        wavelengths: In nm, (C,); None to draw over the bands' numbers.
        shown: The bands shown as red, green and blue, (3,).
    """
    from matplotlib.figure import Figure

    places: NDArray[Any] = np.arange(len(weights))
    unit = ""
    x_label = "band"
    if wavelengths is not None:
        places = wavelengths
        unit = " nm"
        x_label = "wavelength (nm)"
    width = _bar_width(places)
    figure = Figure(figsize=(8.0, 3.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.bar(places, weights, width, color=OTHERS)
    for (name, colour), band in zip(SHOWN_AS.items(), shown, strict=True):
        label = f"{name}: {places[band]:g}{unit}"
        axes.bar(places[band], weights[band], width, color=colour, label=label)
    axes.set_xlabel(x_label)
    axes.set_ylabel("weight")
    figure.legend(title="shown as", loc="outside right upper", frameon=False)
    return figure


def _bar_width(places: NDArray[Any]) -> float:
    """Return 0.8 of the smallest step between bars."""
    steps = np.diff(np.unique(places))
    if not steps.size:
        return 0.8
    return 0.8 * float(steps.min())


@cache
def legend() -> Picture:
    """Return the legend of an anomaly picture."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    meanings = {
        "anomaly, decided (hit)": TRUE_POSITIVE,
        "no anomaly, decided (false alarm)": FALSE_POSITIVE,
        "anomaly, not decided (miss)": FALSE_NEGATIVE,
        "excluded (NaN or not valid)": EXCLUDED,
    }
    patches = [
        Patch(color=f"#{bytes(colour).hex()}", label=label) for label, colour in meanings.items()
    ]
    figure = Figure(figsize=(2.9, 1.1), dpi=100)
    figure.legend(handles=patches, loc="center", frameon=False)
    return render(figure)
