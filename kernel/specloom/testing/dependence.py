"""What an output pixel may depend on: not on its batch, its tile or its neighbours' NaN."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from specloom.testing.comparing import CLOSE, agree, as_numpy, hold
from specloom.testing.driving import run
from specloom.testing.making import batch_for, cut, fitted, float_images, on_arrays


def batch_of_two_equals_two_of_one(cls: Any) -> None:
    """An image gives the same outputs, bit for bit, whatever else is in its batch."""
    node = fitted(cls)
    batch = batch_for(node)
    both = copy.deepcopy(run(node, batch))
    for image in range(2):
        part = slice(image, image + 1)
        alone = run(node, cut(node, batch, "B", part))
        for name, port in node.outputs.items():
            if name not in alone or name not in both:
                continue  # outputs_are_honest tells of missing ones
            if port.dtype not in ("scalars", "object") and port.axes != "":
                want = on_arrays(port, both[name], lambda array, index: array[index], "B", part)
                agree(
                    alone[name],
                    want,
                    node,
                    f"in {name!r} where image {image} is alone in its batch",
                )


def locality_is_true(cls: Any) -> None:
    """A tile gives the outputs of the whole image there, up to rounding (inside the halo)."""
    node = fitted(cls)
    halo = node.halo if node.locality == "halo" else 0
    side = 2 * halo + 3
    batch = batch_for(node, {"H": side + 3, "W": side + 4})
    whole = run(node, batch)
    tile = cut(node, cut(node, batch, "H", slice(1, 1 + side)), "W", slice(2, 2 + side))
    inner = slice(halo, side - halo)
    for name, value in image_outputs(node, run(node, tile)).items():
        got = as_numpy(value)[:, inner, inner]
        want = as_numpy(whole[name])[:, 1 + halo : 4 + halo, 2 + halo : 5 + halo]
        agree(got, want, node, f"in {name!r} where only a tile of the image is given", CLOSE)


def nan_is_contained(cls: Any) -> None:
    """A NaN pixel gives NaN or False itself, and changes no pixel that does not depend on it.

    Pixel nodes leave all other pixels as they were; other nodes leave other images as they were,
    and make no other pixel NaN.
    """
    node = fitted(cls)
    for name in float_images(node):
        batch = batch_for(node)
        clean = copy.deepcopy(image_outputs(node, run(node, batch)))
        batch[name][0, 1, 2] = math.nan
        told = []
        for output, value in image_outputs(node, run(node, batch)).items():
            got, want = as_numpy(value).copy(), as_numpy(clean[output]).copy()
            here = got[0, 1, 2]
            told.append(not here.any() if got.dtype == bool else np.isnan(here.astype(float)).all())
            others = f"in {output!r} at other pixels, for one NaN pixel in {name!r}"
            if node.locality == "pixel":
                got[0, 1, 2] = want[0, 1, 2]
                agree(got, want, node, others)
            else:
                agree(got[1:], want[1:], node, f"{others} of another image")
                got[0, 1, 2] = want[0, 1, 2]
                lost = ~np.isfinite(got.astype(float)) & np.isfinite(want.astype(float))
                hold(not lost.any(), node, f"{int(lost.sum())} values are NaN in {others}")
                silent = got.dtype == bool and want[0].any() and not got[0].any()
                hold(not silent, node, f"every decision is False in {others}")
        hold(any(told) or not told, node, f"a NaN pixel in {name!r} shows in no output")


def image_outputs(node: Any, made: dict[str, Any]) -> dict[str, Any]:
    """Those of the outputs that have axes ``B H W ...``."""
    axes = {name: port.names[:3] for name, port in node.outputs.items()}
    return {name: value for name, value in made.items() if axes.get(name) == ("B", "H", "W")}
