"""What an output pixel may depend on: not on its batch, its tile or its neighbours' NaN."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from specloom.testing.comparing import CLOSE, Array, Values, agree, as_numpy, hold
from specloom.testing.driving import quiet, run
from specloom.testing.making import batch_for, cut, fitted, float_images, part_of
from specloom.torch import TorchRuntime

NAN_PIXEL = (0, 1, 2)
"""Image, row and column of the pixel that becomes NaN."""


def batch_of_two_equals_two_of_one(cls: Any) -> None:
    """An image gives the same outputs, bit for bit, whatever else is in its batch."""
    node = fitted(cls)
    batch = batch_for(node)
    both = copy.deepcopy(run(node, batch))
    for image in range(2):
        part = slice(image, image + 1)
        alone = run(node, cut(node, batch, "B", part))
        for name in _by_image(node, alone, both):
            want = part_of(node.outputs[name], both[name], "B", part)
            when = f"in {name!r} where image {image} is alone in its batch"
            agree(alone[name], want, node, when)


def locality_is_true(cls: Any) -> None:
    """A tile gives the outputs of the whole image there, up to rounding (inside the halo)."""
    node = fitted(cls)
    halo = 0
    if node.locality == "halo":
        halo = node.halo
    side = 2 * halo + 3
    batch = batch_for(node, {"H": side + 3, "W": side + 4})
    whole = run(node, batch)
    rows = cut(node, batch, "H", slice(1, 1 + side))
    tile = cut(node, rows, "W", slice(2, 2 + side))
    inner = slice(halo, side - halo)
    for name, value in image_outputs(node, run(node, tile)).items():
        got = as_numpy(value)[:, inner, inner]
        want = as_numpy(whole[name])[:, 1:, 2:]
        want = want[:, inner, inner]
        agree(got, want, node, f"in {name!r} where only a tile of the image is given", CLOSE)


def strips_equal_the_image(cls: Any) -> None:
    """Strips of rows that come twice give the outputs of the whole image, bit for bit."""
    node = fitted(cls)
    batch = batch_for(node, {"B": 1, "H": 9, "W": 7}, optional=True)
    whole = run(node, batch)
    for rows in (1, 2, 4, 9):
        starts = range(0, 9, rows)
        strips = [cut(node, batch, "H", slice(start, start + rows)) for start in starts]
        parts = _by_strips(node, copy.deepcopy(strips))
        for name, value in image_outputs(node, whole).items():
            got = np.concatenate([as_numpy(part[name]) for part in parts], axis=1)
            agree(got, as_numpy(value), node, f"in {name!r} in strips of {rows} rows")


def _by_strips(node: Any, strips: list[Values]) -> list[Values]:
    """The outputs of each strip."""
    passes = node.strip_passes()
    with quiet(), TorchRuntime("cpu").evaluation([node]):
        for strip in strips:
            passes.scan(**strip)
        passes.join()
        return [dict(passes.apply(**strip)) for strip in strips]


def nan_is_contained(cls: Any) -> None:
    """A NaN pixel gives NaN or False itself, and changes no pixel that does not depend on it.

    Pixel nodes leave all other pixels as they were; other nodes leave other images as they were,
    and make no other pixel NaN.
    """
    node = fitted(cls)
    for name in float_images(node):
        batch = batch_for(node)
        clean = copy.deepcopy(image_outputs(node, run(node, batch)))
        batch[name][NAN_PIXEL] = math.nan
        shown = []
        for output, value in image_outputs(node, run(node, batch)).items():
            got = as_numpy(value).copy()
            want = as_numpy(clean[output]).copy()
            shown.append(_shows_nan(got[NAN_PIXEL]))
            got[NAN_PIXEL] = want[NAN_PIXEL]
            others = f"in {output!r} at other pixels, for one NaN pixel in {name!r}"
            if node.locality == "pixel":
                agree(got, want, node, others)
            else:
                _check_other_pixels(node, got, want, others)
        hold(any(shown) or not shown, node, f"a NaN pixel in {name!r} shows in no output")


def image_outputs(node: Any, made: Values) -> Values:
    """Those of the outputs that have axes ``B H W ...``."""
    found = {}
    for name, value in made.items():
        port = node.outputs.get(name)
        if port is not None and port.names[:3] == ("B", "H", "W"):
            found[name] = value
    return found


def _by_image(node: Any, alone: Values, both: Values) -> Iterator[str]:
    """The outputs that hold something for each image; ``outputs_are_honest`` reports lost ones."""
    for name, port in node.outputs.items():
        if port.dtype in ("scalars", "object") or port.axes == "":
            continue
        if name in alone and name in both:
            yield name


def _shows_nan(pixel: Array) -> bool:
    """Whether a pixel of an output is undecided, or NaN throughout."""
    if pixel.dtype == bool:
        return not pixel.any()
    return bool(np.isnan(pixel.astype(float)).all())


def _check_other_pixels(node: Any, got: Array, want: Array, others: str) -> None:
    """Other images are as before, and no other pixel is NaN."""
    agree(got[1:], want[1:], node, f"{others} of another image")
    was_finite = np.isfinite(want.astype(float))
    lost = was_finite & ~np.isfinite(got.astype(float))
    hold(not lost.any(), node, f"{int(lost.sum())} values are NaN in {others}")
    if got.dtype == bool and want[0].any():
        hold(got[0].any(), node, f"every decision is False in {others}")
