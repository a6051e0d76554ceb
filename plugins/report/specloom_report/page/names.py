"""The names of images, where the data have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Names = Mapping[str, Sequence[str]]


def split_names(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names of the images of each split, in their order."""
    names: dict[str, list[str]] = {}
    for described in report.get("splits") or ():
        for split in described["splits"]:
            names[split] = list(described.get("names") or ())
    return names


def name_image(names: Names, stage: str, number: int, images: int, masked: bool = True) -> str:
    """Return the name of an image of a stage.

    A stage whose images are not as many as those of the split, or come in another order, as in
    training, has numbers only. Without masks they are the first ones of the split.

    Args:
        names: Those of each split.
        stage: The stage.
        number: The place of the image in the stage, from 0.
        images: How many images the stage had.
        masked: Whether they have masks.
    """
    known = names.get(stage, ())
    is_ordered = stage != "train" and len(known) == images
    if not masked:
        is_ordered = images <= len(known)
    if not is_ordered or number >= len(known):
        return f"image {number}"
    name = str(known[number])
    if name.isdigit():
        return f"image {name}"
    return name
