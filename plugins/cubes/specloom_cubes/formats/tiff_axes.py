"""What the pages of a TIFF file are: bands, or rows of a cube that was saved as an array."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from specloom import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from specloom_cubes.cube import Reading

BANDS = "CSE"
"""Letters that tifffile writes for channels, samples and wavelengths (emission)."""

BY_TIFFFILE = "ImageJ=1.11a"
"""How the descriptions of ImageJ stacks begin that tifffile writes, of any version."""

STATE_AXES = "write axes: CHW (pages are bands), HWC (pages are rows) or HCW to state it"


@dataclass(frozen=True)
class PageAxes:
    """The order of the axes of a file of pages.

    Args:
        order: What the pages, the lines of a page and the columns of a page are: ``CHW`` (bands,
            rows, columns), ``HWC`` or ``HCW``.
        notes: What was assumed.
    """

    order: str
    notes: tuple[str, ...] = ()


def page_axes(
    shape: tuple[int, int, int],
    description: str,
    reading: Reading,
    lengths: Collection[int],
    where: str,
) -> PageAxes:
    """What the pages of a file are, from what it says or what the user states.

    Where nothing says it, the pages of an array that was saved by tifffile are assumed to be
    bands or rows by their number: of three axes the one that differs from two equal ones has the
    bands, or else the shortest. All other pages are bands.

    Args:
        shape: The number of pages, their lines and their columns.
        description: The description of the first page.
        reading: What the user states.
        lengths: How long the vectors of band centres are that the file states.
        where: The file, for messages.

    Raises:
        DataError: The description says that the pages are those of several cubes.
    """
    if reading.axes is not None:
        return PageAxes(reading.axes)
    _refuse_several_cubes(description, where)
    stated = _stated_order(shape, description)
    if stated is not None:
        return PageAxes(stated)
    matching = [at for at, size in enumerate(shape) if size in lengths]
    if len(matching) == 1:
        return PageAxes(_order(matching[0]))
    if not _is_plain_array(shape, description):
        return PageAxes("CHW")
    order = _order(_shortest(shape))
    pages, lines, columns = shape
    meaning = "bands" if order == "CHW" else "rows"
    note = (
        f"{where} holds an array of {pages} x {lines} x {columns} and does not say which axis "
        f"has the bands: its pages are taken as {meaning}; {STATE_AXES}"
    )
    return PageAxes(order, (note,))


def _stated_order(shape: tuple[int, int, int], description: str) -> str | None:
    """The order that the description states by letters or numbers of channels, or None."""
    entries = _entries(description)
    letters = _letters(entries)
    if len(letters) == 3:
        found = [at for at, letter in enumerate(letters) if letter in BANDS]
        if len(found) == 1 and "Y" in letters and "X" in letters:
            return _order(found[0])
    pages = str(shape[0])
    channels = re.search(r"^channels=(\d+)\s*$", description, re.MULTILINE)
    by_tifffile = description.startswith(BY_TIFFFILE)  # it calls any first axis channels
    if channels is not None and channels[1] == pages and not by_tifffile:
        return "CHW"
    planes = re.search(r'\bSizeC="(\d+)"', description)
    if planes is not None and planes[1] == pages:
        return "CHW"
    return None


def _refuse_several_cubes(description: str, where: str) -> None:
    """Refuse pages that have more axes than one, such as channels at several times.

    Raises:
        DataError: They have.
    """
    sizes = [size for size in _sizes(description) if size > 1]
    if len(sizes) > 1:
        listed = " x ".join(map(str, sizes))
        raise DataError(
            f"{where} holds {listed} images: these are several cubes",
            fix=f"save one cube in a file, or {STATE_AXES}",
        )


def _sizes(description: str) -> list[int]:
    """How long the axes are that the pages have, as tifffile, ImageJ or OME state it."""
    shape = _entries(description).get("shape")
    if isinstance(shape, list):
        sizes = [size for size in shape if isinstance(size, int) and size != 1]
        if len(sizes) > 3:
            return sizes[:-2]
        return []
    if description.startswith("ImageJ="):
        found = re.findall(r"^(?:channels|slices|frames)=(\d{1,9})\s*$", description, re.MULTILINE)
    else:
        found = re.findall(r'\bSize[CZT]="(\d{1,9})"', description)[:3]
    return [int(size) for size in found]


def _letters(entries: Mapping[str, object]) -> str:
    """A letter for each axis that is longer than 1, as tifffile writes them."""
    axes = entries.get("axes")
    shape = entries.get("shape")
    if not isinstance(axes, str) or not isinstance(shape, list) or len(axes) != len(shape):
        return ""
    return "".join(letter for letter, size in zip(axes.upper(), shape, strict=True) if size != 1)


def _is_plain_array(shape: tuple[int, int, int], description: str) -> bool:
    """Whether tifffile wrote the pages as an array without names of its axes."""
    if description.startswith(BY_TIFFFILE):
        return True
    stated = _entries(description).get("shape")
    return isinstance(stated, list) and [size for size in stated if size != 1] == list(shape)


def _entries(description: str) -> Mapping[str, object]:
    """The entries of a description that is JSON."""
    if not description.startswith("{"):
        return {}
    try:
        entries = json.loads(description)
    except (ValueError, RecursionError):
        return {}
    if isinstance(entries, dict):
        return entries
    return {}


def _shortest(shape: tuple[int, int, int]) -> int:
    """The axis that probably has the bands."""
    for at in range(3):
        others = [size for axis, size in enumerate(shape) if axis != at]
        if others[0] == others[1] != shape[at]:
            return at
    return shape.index(min(shape))


def _order(bands: int) -> str:
    """The order of the axes by the one that has the bands."""
    return ("CHW", "HCW", "HWC")[bands]


def refuse_missing_pages(pages: int, description: str, where: str) -> None:
    """Refuse a stack that lists one page of many, as ImageJ writes those of more than 4 GB.

    Raises:
        DataError: It is one.
    """
    images = re.search(r"^images=(\d+)\s*$", description, re.MULTILINE)
    if images is None or not description.startswith("ImageJ="):
        return
    if pages == 1 < int(images[1]):
        raise DataError(
            f"{where} is an ImageJ stack of {images[1]} images and lists 1 page",
            fix="save it as BigTIFF with a page for each image",
        )
