"""Pictures as PNG within a page, and what their colours mean."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of the palette of Okabe and Ito (2008, "Color Universal Design"): apart with each kind of colour
# vision, and, as lightness rises from false alarm to hit to miss, in black and white.
FALSE_ALARM, MISS, HIT, OUT = (213, 94, 0), (240, 228, 66), (86, 180, 233), (70, 80, 105)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
ERRORS = (BLACK, FALSE_ALARM, MISS, HIT, OUT)  # by decided + 2 * anomalous; 4 where left out
DECISIONS = (BLACK, WHITE, BLACK, WHITE, OUT)
TRUTH = (BLACK, BLACK, WHITE, WHITE, OUT)

# Nine colours of viridis (S. van der Walt and N. Smith, 2015), from the lowest to the highest;
# their lightness rises evenly, so that a grey print keeps the order.
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


def heat() -> NDArray[np.uint8]:
    """256 colours from dark blue to yellow."""
    at = np.linspace(0, 255, len(VIRIDIS))
    bands = [np.interp(np.arange(256), at, [one[i] for one in VIRIDIS]) for i in range(3)]
    return np.stack(bands, -1).round().astype(np.uint8)


def picture(levels: NDArray[Any], palette: Any = None, alt: str = "") -> Markup:
    """An <img> of (H, W, 3), or of (H, W) numbers of a palette's colours."""
    from PIL import Image

    image = Image.fromarray(levels)
    if palette is not None:
        image.putpalette(np.asarray(palette, np.uint8).tobytes())
    png = io.BytesIO()
    image.save(png, "PNG", optimize=True)
    data = base64.b64encode(png.getvalue()).decode()
    height, width = levels.shape[:2]
    return Markup('<img src="data:image/png;base64,{}" width="{}" height="{}" alt="{}">').format(
        data, width, height, alt
    )
