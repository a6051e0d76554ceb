"""Images within a page, in bounded size."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from specloom_report.page.packing import packed_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from specloom_report.colours import Colour

COLOUR_BYTES = 900_000
SCORE_BYTES = 800_000
KIND_BYTES = 300_000
"""Bytes of false colours, scores and classes of all images together, before base64."""

LOSSLESS_PIXELS = 1 << 16
"""Larger false colours are JPEG."""

QUALITY = 88

IMAGE = Markup(
    '<img src="data:image/{kind};base64,{data}" width="{width}" height="{height}" alt="{alt}">'
)


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
    return _tag(_encode(image, "png"), "png", levels.shape, alt)


def colour_tag(levels: NDArray[Any], most: int, alt: str) -> Markup:
    """Return an <img> of false colours (H, W, 3) in at most so many bytes.

    Small ones are PNG where that is small enough, others JPEG, with every second, third, ...
    pixel where they must be.
    """
    from PIL import Image

    if levels.shape[0] * levels.shape[1] <= LOSSLESS_PIXELS:
        png = _encode(Image.fromarray(levels), "png")
        if len(png) <= most:
            return _tag(png, "png", levels.shape, alt)
    step = 1
    while True:
        small = np.ascontiguousarray(levels[::step, ::step])
        jpeg = _encode(Image.fromarray(small), "jpeg")
        if len(jpeg) <= most or min(small.shape[:2]) <= 8:
            return _tag(jpeg, "jpeg", small.shape, alt)
        step += 1


def fit_scores(levels: NDArray[Any], most: int) -> NDArray[Any]:
    """Return levels of scores (H, W) small enough, each cell the highest of its pixels."""
    small = levels
    step = 1
    while packed_size(small) > most and min(small.shape) > 8:
        step += 1
        small = _reduce(levels, step, np.maximum)
    return small


def fit_kinds(kinds: NDArray[Any], most: int) -> NDArray[Any]:
    """Return classes (H, W) small enough, each cell with all errors of its pixels.

    A cell is excluded where all of its pixels are.
    """
    small = kinds
    step = 1
    used = kinds < 4
    while packed_size(small) > most and min(small.shape) > 8:
        step += 1
        bits = _reduce(np.where(used, kinds, 0).astype(np.uint8), step, np.bitwise_or)
        small = np.where(_reduce(used, step, np.logical_or), bits, 4).astype(np.uint8)
    return small


def _reduce(values: NDArray[Any], step: int, reduce: Any) -> NDArray[Any]:
    rows = reduce.reduceat(values, np.arange(0, values.shape[0], step), axis=0)
    reduced: NDArray[Any] = reduce.reduceat(rows, np.arange(0, values.shape[1], step), axis=1)
    return reduced


def _encode(image: Any, kind: str) -> bytes:
    data = io.BytesIO()
    if kind == "png":
        image.save(data, "PNG", optimize=True)
    else:
        image.save(data, "JPEG", quality=QUALITY)
    return data.getvalue()


def _tag(encoded: bytes, kind: str, shape: Sequence[int], alt: str) -> Markup:
    data = base64.b64encode(encoded).decode()
    return IMAGE.format(kind=kind, data=data, width=shape[1], height=shape[0], alt=alt)
