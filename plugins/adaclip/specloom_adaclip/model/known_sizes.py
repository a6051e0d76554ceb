"""The sizes of backbones with a name: what does not fit is found before weights are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from specloom import ConfigError
from specloom_adaclip.weights.catalogue import NEW, TINY, checkpoints

PUBLIC_BACKBONE = "ViT-L-14-336"
"""The backbone that the public adapters were trained on."""
PUBLIC_DEPTH = 4
PUBLIC_LENGTH = 5
"""The layers that their prompts precede, and the prompts before each."""


class Sizes(NamedTuple):
    """The sizes of a CLIP model.

    Args:
        layers: The blocks of the shallower tower, which prompts can precede.
        width: The width of the visual tower.
        features: The dimension that both towers project to.
    """

    layers: int
    width: int
    features: int


SIZES = {
    "ViT-B-16": Sizes(12, 768, 512),
    "ViT-B-32": Sizes(12, 768, 512),
    "ViT-L-14": Sizes(12, 1024, 768),
    "ViT-L-14-336": Sizes(12, 1024, 768),
    TINY: Sizes(2, 96, 48),
}


def problems(
    backbone: str, weight_name: str, depth: int, length: int, label: str
) -> Iterator[ConfigError]:
    """What does not fit a backbone with a name.

    Args:
        backbone: The name; of others nothing is known.
        weight_name: The name of the adapters.
        depth: The number of prompted layers.
        length: The number of prompts in a layer.
        label: What messages call the node.
    """
    sizes = SIZES.get(backbone)
    if sizes is None or backbone == TINY:
        return
    if depth > sizes.layers:
        what = f"{label}: prompting_depth is {depth}, and {backbone} has {sizes.layers} layers"
        yield ConfigError(what, fix=f"set prompting_depth to {sizes.layers} or less")
        return
    checkpoint = checkpoints().get(weight_name)
    if checkpoint is None or checkpoint.kind != "adapter":
        return
    public = SIZES[PUBLIC_BACKBONE]
    if (sizes.width, sizes.features) != (public.width, public.features):
        what = (
            f"{label}: the adapters {weight_name!r} are for towers of {public.width} and "
            f"{public.features} features, {backbone} has {sizes.width} and {sizes.features}"
        )
        fix = f"use {PUBLIC_BACKBONE} or ViT-L-14, or weight_name: {NEW} and train them"
        yield ConfigError(what, fix=fix)
    elif (depth, length) != (PUBLIC_DEPTH, PUBLIC_LENGTH):
        what = (
            f"{label}: the adapters {weight_name!r} have prompting_depth {PUBLIC_DEPTH} and "
            f"prompting_length {PUBLIC_LENGTH}, here they are {depth} and {length}"
        )
        yield ConfigError(what, fix=f"set these values, or weight_name: {NEW} and train them")
