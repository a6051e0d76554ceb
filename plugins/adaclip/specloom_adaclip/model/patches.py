"""The patches of backbones, which must divide the side of an image."""

from __future__ import annotations

import re

from specloom import ConfigError
from specloom_adaclip.weights.catalogue import TINY

TINY_PATCH = 8
"""The side of a patch of the tiny backbone."""

NAME = re.compile(r"ViT-[A-Za-z]+-(\d+)(?:-|$)")
"""The name of a plain vision transformer in open_clip, which has the side of its patches."""


def named_patch(backbone: str) -> int | None:
    """Return the side of the patches of a backbone by its name alone; None where it says nothing.

    >>> named_patch("ViT-L-14-336"), named_patch("ViT-B-16"), named_patch("RN50")
    (14, 16, None)
    """
    if backbone == TINY:
        return TINY_PATCH
    found = NAME.match(backbone)
    if found is None:
        return None
    return int(found[1])


def patch_grid(image_size: int, patch: int) -> int:
    """Return the number of patches along a side.

    Raises:
        ConfigError: The image size is no multiple of the patch size.
    """
    grid, rest = divmod(image_size, patch)
    if grid and not rest:
        return grid
    what = f"image_size is {image_size}, no multiple of the backbone's patches of {patch}"
    fix = f"use {patch}"
    if grid:
        fix = f"use {grid * patch} or {(grid + 1) * patch}"
    raise ConfigError(what, fix=fix)
