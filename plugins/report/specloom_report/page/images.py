"""Images as PNG within a page, and what their colours mean."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Colour = tuple[int, int, int]

# Of the palette of Okabe and Ito (2008, "Color Universal Design"): apart with each kind of colour
# vision, and, as lightness rises from false to true positive to false negative, in black and white.
FALSE_POSITIVE = (213, 94, 0)
FALSE_NEGATIVE = (240, 228, 66)
TRUE_POSITIVE = (86, 180, 233)
EXCLUDED = (70, 80, 105)
BLACK = (0, 0, 0)
WHITE = (255, 255, 255)
# Palettes by predicted + 2 * anomalous; the last colour is that of excluded pixels.
ERRORS = (BLACK, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE, EXCLUDED)
DECISIONS = (BLACK, WHITE, BLACK, WHITE, EXCLUDED)
GROUND_TRUTH = (BLACK, BLACK, WHITE, WHITE, EXCLUDED)

# Nine colours of viridis (S. van der Walt and N. Smith, 2015), from the lowest to the highest;
# their lightness rises evenly, so that a grey print shows the order.
VIRIDIS = (
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
)

IMAGE = Markup(
    '<img src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="{alt}">'
)


def viridis() -> NDArray[np.uint8]:
    """Return 256 colours (256, 3) from dark blue to yellow."""
    anchors = np.linspace(0, 255, len(VIRIDIS))
    colours = np.array(VIRIDIS)
    levels = np.arange(256)
    channels = [np.interp(levels, anchors, colours[:, channel]) for channel in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def image_tag(
    levels: NDArray[Any],
    palette: Sequence[Colour] | NDArray[np.uint8] | None = None,
    alt: str = "",
) -> Markup:
    """Return an <img> of uint8 (H, W, 3), or of (H, W) with the colours of a palette."""
    from PIL import Image

    image = Image.fromarray(levels)
    if palette is not None:
        image.putpalette(np.asarray(palette, np.uint8).tobytes())
    png = io.BytesIO()
    image.save(png, "PNG", optimize=True)
    data = base64.b64encode(png.getvalue()).decode()
    height, width = levels.shape[:2]
    return IMAGE.format(data=data, width=width, height=height, alt=alt)
