"""What the splits of a source share, and measured images without a mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

from specloom import DataError
from specloom_cubes.class_lists import MEASURED
from specloom_cubes.sources.description import counted

MOST_NAMES = 3
"""The names that a note lists."""

Splits: TypeAlias = Mapping[str, Mapping[str, Any]]
"""The values of the description of each split."""


def split_notes(splits: Splits) -> Iterator[DataError]:
    """Images that are in two splits, also under two names, and measured ones without a mask."""
    same = _same_images(splits)
    measured = [split for split in MEASURED if split in splits and _has_masks(splits[split])]
    if not set(same).isdisjoint(measured):
        listed = ", ".join(same[:-1])
        what = (
            f"{listed} and {same[-1]} are the same pixels: metrics say how well a fit fits them, "
            "not how it does on other data"
        )
        fix = "divide the scene with cubes.Blocks, or report the metrics as those of a fit"
        yield DataError(what, fix=fix)
    for first, second in combinations(splits, 2):
        is_reported = first in same and second in same
        if second in measured and not is_reported:
            yield from _shared(splits, first, second)
    for split in measured:
        yield from _without_mask(split, splits[split])


def _same_images(splits: Splits) -> list[str]:
    """The splits that consist of the same images as another one, all of them."""
    contents = {split: sorted(contents_of(values)) for split, values in splits.items()}
    known = [split for split, images in contents.items() if images]
    found = []
    for split in known:
        others = [other for other in known if other != split]
        if any(contents[other] == contents[split] for other in others):
            found.append(split)
    return found


def _has_masks(values: Mapping[str, Any]) -> bool:
    """Whether any image of a split has a mask."""
    images: int = values.get("masks", {}).get("images", 0)
    return images > 0


def contents_of(values: Mapping[str, Any]) -> Sequence[str]:
    """What stands for the pixels of each image of a split; empty where it is not known."""
    contents: Sequence[str] = values.get("contents", ())
    return contents


def _shared(splits: Splits, first: str, second: str) -> Iterator[DataError]:
    """The images of a split that another one has too."""
    by_content = dict(zip(contents_of(splits[first]), splits[first]["names"], strict=False))
    pairs = []
    contents = contents_of(splits[second])
    for name, content in zip(splits[second]["names"], contents, strict=False):
        if content in by_content:
            pairs.append(f"{name} as {by_content[content]}")
    if not pairs:
        return
    listed = ", ".join(pairs[:MOST_NAMES])
    if len(pairs) > MOST_NAMES:
        listed = f"{listed}, and {len(pairs) - MOST_NAMES} more"
    shared = counted(len(pairs), "image")
    what = f"{second!r} and {first!r} share {shared}, bit for bit: {listed}"
    yield DataError(what, fix="remove the copies, or name the cubes of each split under split")


def _without_mask(split: str, values: Mapping[str, Any]) -> Iterator[DataError]:
    """That some images of a split that is measured have no mask."""
    names: Sequence[str] = values.get("masks", {}).get("without", ())
    if not names:
        return
    listed = ", ".join(names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        listed = f"{listed}, and {len(names) - MOST_NAMES} more"
    images = counted(values["images"], "image")
    what = f"{split!r} has {images}, {len(names)} without a mask: {listed}"
    fix = "add their masks, of one normal class where they are clean: they are not measured"
    yield DataError(what, fix=fix)
