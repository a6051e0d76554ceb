"""Plots, drawn by matplotlib's Agg without pyplot, so that nothing global is touched."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_pictures.paint import FALSE_ALARM, HIT, LEFT_OUT, MISS, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

# Red, green and blue of the false-colour image; vermilion, bluish green and blue are told apart
# by colour-blind readers, and the legend says which is which.
SHOWN_AS = {"red": "#D55E00", "green": "#009E73", "blue": "#0072B2"}
OTHERS = "#B0B0B0"


def render(figure: Figure) -> Picture:
    """The pixels of a figure, uint8 (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def weight_figure(
    weights: NDArray[Any], wavelengths: NDArray[Any] | None, shown: NDArray[Any]
) -> Figure:
    """A bar for the weight of each band, over the wavelengths.

    Args:
        weights: One for each band, (C,).
        wavelengths: In nm, (C,); None to draw over the bands' numbers.
        shown: The bands shown as red, green and blue, (3,).
    """
    from matplotlib.figure import Figure

    places = np.arange(len(weights)) if wavelengths is None else wavelengths
    steps = np.diff(np.unique(places))
    width = 0.8 * float(steps.min()) if steps.size else 0.8
    figure = Figure(figsize=(8.0, 3.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.bar(places, weights, width, color=OTHERS)
    unit = "" if wavelengths is None else " nm"
    for (name, colour), band in zip(SHOWN_AS.items(), shown, strict=True):
        label = f"{name}: {places[band]:g}{unit}"
        axes.bar(places[band], weights[band], width, color=colour, label=label)
    axes.set_xlabel("band" if wavelengths is None else "wavelength (nm)")
    axes.set_ylabel("weight")
    figure.legend(title="shown as", loc="outside right upper", frameon=False)
    return figure


@cache
def legend() -> Picture:
    """What the colours of an anomaly picture mean."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    meanings = {
        "anomaly, decided (hit)": HIT,
        "no anomaly, decided (false alarm)": FALSE_ALARM,
        "anomaly, not decided (miss)": MISS,
        "left out (NaN or not valid)": LEFT_OUT,
    }
    patches = [
        Patch(color=f"#{bytes(colour).hex()}", label=label) for label, colour in meanings.items()
    ]
    figure = Figure(figsize=(2.9, 1.1), dpi=100)
    figure.legend(handles=patches, loc="center", frameon=False)
    return render(figure)
