"""Whether the classes in masks fit the lists of normal and anomalous classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from specloom import DataError

MEASURED = ("val", "test")
"""The splits in which anomalies are looked for."""

MOST_ANOMALOUS = 0.5
"""A greater share of anomalous pixels is probably a mistake in the lists."""

OFTEN_UNLABELLED = (0, 255, 65535)
"""Class numbers that often stand for pixels without a label."""

Splits: TypeAlias = Mapping[str, Mapping[str, Any]]
"""The values of the description of each split."""

Classes: TypeAlias = Mapping[str, Counter[int]]
"""The pixels by class in each split."""


def class_list_notes(
    splits: Splits, normal: Sequence[int], anomalous: Sequence[int] | None
) -> Iterator[DataError]:
    """What in the masks does not fit the lists, as far as their pixels are counted.

    Args:
        splits: The values of the description of each split.
        normal: The classes that are normal.
        anomalous: The classes that are anomalous; None for all others.
    """
    classes = {split: classes_of(values) for split, values in splits.items()}
    classes = {split: counts for split, counts in classes.items() if counts}
    if not classes:
        return
    total = _total(splits)
    if anomalous is not None:
        yield from _in_no_list(total, {*normal, *anomalous})
    absent = list(_not_in_masks(splits, classes, normal))
    yield from absent
    yield from _without_anomaly(splits, classes, normal, anomalous)
    if not absent:
        if anomalous is None:
            yield from _not_named(total, normal)
        yield from _mostly_anomalous(total, normal, anomalous)


def classes_of(values: Mapping[str, Any]) -> Counter[int]:
    """The pixels by class in the masks of a split, of those with a class."""
    classes = values.get("masks", {}).get("classes", {})
    return Counter({int(number): count for number, count in classes.items() if int(number) >= 0})


def _in_no_list(total: Mapping[int, int], listed: Collection[int]) -> Iterator[DataError]:
    """Classes that are in neither list, so that their pixels are excluded."""
    pixels = {number: count for number, count in total.items() if number not in listed}
    if not pixels:
        return
    parts = [f"{number} ({count:,} pixels)" for number, count in sorted(pixels.items())]
    what = f"these classes of the masks are in neither list, and excluded: {', '.join(parts)}"
    yield DataError(what, fix="add each to normal_class_ids or anomaly_class_ids if it counts")


def _not_named(total: Mapping[int, int], normal: Sequence[int]) -> Iterator[DataError]:
    """Numbers that usually mean "no label", that no list names, and that count as anomalies.

    A mask of 0 and 255 alone has its anomalies at 255.
    """
    not_named = [number for number in total if number not in normal]
    suspect = [number for number in sorted(not_named) if number in OFTEN_UNLABELLED]
    if not suspect or (len(not_named) == 1 and suspect != [0]):
        return
    parts = [f"{number} ({total[number]:,} pixels)" for number in suspect]
    what = (
        f"no list names these classes of the masks, which often mean 'no label', and they count as "
        f"anomalies: {', '.join(parts)}"
    )
    fix = "name the anomalies in anomaly_class_ids, so that other classes are excluded"
    yield DataError(what, fix=fix)


def _not_in_masks(splits: Splits, classes: Classes, normal: Sequence[int]) -> Iterator[DataError]:
    """That no mask holds any of the normal classes."""
    present = {number for counts in classes.values() for number in counts}
    all_counted = all(is_counted(values) for values in splits.values())
    if not normal or not all_counted or present.intersection(normal):
        return
    held = ", ".join(str(number) for number in sorted(present))
    what = (
        f"no mask holds a normal class: normal_class_ids is {list(normal)}, the masks hold {held}"
    )
    yield DataError(what, fix="name the classes of the background in normal_class_ids")


def _without_anomaly(
    splits: Splits,
    classes: Classes,
    normal: Sequence[int],
    anomalous: Sequence[int] | None,
) -> Iterator[DataError]:
    """That no pixel of a split that is measured is anomalous."""
    without = []
    for split in MEASURED:
        if split not in classes or not is_counted(splits[split]):
            continue
        if not _anomalous_pixels(classes[split], normal, anomalous):
            without.append(repr(split))
    if not without:
        return
    noun = "split" if len(without) == 1 else "splits"
    what = f"no pixel of the {noun} {' and '.join(without)} is anomalous: nothing can be measured"
    yield DataError(what, fix="assign images with anomalies to it, or check the lists of classes")


def _mostly_anomalous(
    pixels: Counter[int], normal: Sequence[int], anomalous: Sequence[int] | None
) -> Iterator[DataError]:
    """That most pixels of the masks are anomalous."""
    found = _anomalous_pixels(pixels, normal, anomalous)
    if found > MOST_ANOMALOUS * pixels.total():
        what = f"{found:,} of {pixels.total():,} pixels with a class are anomalous"
        yield DataError(what, fix="check the masks, and normal_class_ids: all others are anomalies")


def _anomalous_pixels(
    counts: Mapping[int, int], normal: Sequence[int], anomalous: Sequence[int] | None
) -> int:
    """The number of anomalous pixels."""
    found = 0
    for number, count in counts.items():
        if anomalous is None:
            is_anomalous = number not in normal
        else:
            is_anomalous = number in anomalous
        if is_anomalous:
            found += count
    return found


def _total(splits: Splits) -> Counter[int]:
    """The pixels by class over all splits, once where splits are the same images."""
    total = Counter[int]()
    seen: list[Mapping[str, Any]] = []
    for values in splits.values():
        if values not in seen:
            seen.append(values)
            total.update(classes_of(values))
    return total


def is_counted(values: Mapping[str, Any]) -> bool:
    """Whether the pixels of all masks of a split are counted."""
    masks = values.get("masks", {})
    counted: int = masks.get("counted", 0)
    images: int = masks.get("images", 0)
    return counted == images
