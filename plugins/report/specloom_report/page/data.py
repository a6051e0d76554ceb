"""What the splits of the data hold, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specloom_report.page.tables import Cell, Table


def data_table(splits: Sequence[Mapping[str, Any]]) -> Table:
    """Return what each split holds, one row each."""
    rows = []
    for split in splits:
        masks = split.get("masks") or {}
        rows.append(
            [
                Cell(", ".join(split["splits"])),
                Cell(str(split.get("images", ""))),
                Cell(_masks_text(masks, split.get("images", 0))),
                Cell(_classes_text(masks)),
                Cell(_wavelengths_text(split.get("wavelengths"))),
                Cell(_scale_text(split.get("scale") or {})),
                Cell("; ".join(_excluded_texts(split))),
            ]
        )
    columns = ["split", "images", "masks", "pixels by class", "wavelengths", "values", "excluded"]
    return Table(columns, rows)


def data_details(splits: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return the names of the images of each split, and what was assumed of their files."""
    details = []
    for split in splits:
        names = ", ".join(split["splits"])
        details.append((f"images of {names}", ", ".join(split.get("names") or ())))
        for text in split.get("assumptions") or ():
            details.append((f"assumed in {names}", text))
    return details


def _masks_text(masks: Mapping[str, Any], images: int) -> str:
    """Return where masks come from, and how many images have one if not all have.

    >>> _masks_text({"images": 3, "source": "*.png"}, 12)
    '3 from *.png'
    """
    if not masks.get("images"):
        return "none"
    if masks["images"] < images:
        return f"{masks['images']} from {masks['source']}"
    return str(masks["source"])


def _classes_text(masks: Mapping[str, Any]) -> str:
    """Return the pixels of each class.

    >>> _classes_text({"classes": {"-1": 5, "0": 118000}, "counted": 2, "images": 3})
    'unlabelled: 5, 0: 118,000 (of 2 masks)'
    >>> masks = {"classes": {"1": 7}, "names": {"1": "stone"}, "counted": 2, "images": 2}
    >>> _classes_text(masks)
    '1 stone: 7'
    """
    names = masks.get("names") or {}
    texts = []
    for number, count in (masks.get("classes") or {}).items():
        label = "unlabelled" if number == "-1" else number
        if number in names:
            label = f"{number} {names[number]}"
        texts.append(f"{label}: {count:,}")
    text = ", ".join(texts)
    if text and masks["counted"] < masks["images"]:
        return f"{text} (of {masks['counted']} masks)"
    return text


def _wavelengths_text(wavelengths: Mapping[str, Any] | None) -> str:
    if wavelengths is None:
        return "not stated"
    text = f"{wavelengths['least']:.6g} to {wavelengths['greatest']:.6g} nm"
    if wavelengths["from"]:
        return f"{text} from {wavelengths['from']}"
    return text


def _scale_text(scale: Mapping[str, Any]) -> str:
    if scale.get("from"):
        return f"{scale['values']}, scale from {scale['from']}"
    return str(scale.get("values", ""))


def _excluded_texts(split: Mapping[str, Any]) -> list[str]:
    """Return why pixels and bands are excluded, with their numbers where they are known."""
    texts = []
    for one in split.get("excluded") or ():
        text = one["why"]
        if one["pixels"] is not None:
            text = f"{text}: {one['pixels']:,} pixels"
        texts.append(text)
    bad = (split.get("bands") or {}).get("bad", 0)
    if bad:
        texts.append(f"{bad} bad bands")
    return texts
