"""Which class numbers the colours of a picture stand for.

The colour of a pixel counts, however the picture is stored: the same picture has the same classes
as grey, palette, RGB or RGBA. The rule, of which the first line that fits holds:

1. Where the user has a table of colours, it has the number of each.
2. Transparent pixels are 0. Where all others are black, those are 1: the shape is the mask.
3. Where all colours are grey, the grey level is the class number; white is 1 where the picture has
   one bit for each pixel.
4. Where all colours are in the table of PASCAL VOC, which labelme and CVAT use, they have the
   numbers of that table.
5. Every colour but black is 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from specloom import ConfigError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_COLOURS = 64
"""A picture of more colours, or grey levels, is a picture: it does not hold class numbers."""

TRANSPARENT = "transparent"
"""The name of transparent pixels in a user's table of colours."""

BLACK = 0
LISTED = 6
"""How many colours a message lists."""


@dataclass(frozen=True, eq=False)
class Colours:
    """The colours of a picture.

    Args:
        rgb: The colour of each pixel as the number 0xRRGGBB, int32 (H, W).
        visible: False for transparent pixels, bool (H, W); None where none is.
        faint: How many pixels are partly transparent.
        is_one_bit: Whether the picture has one bit for each pixel, which is the class number.
        indices: The index of each pixel in the picture's palette, int32 (H, W), or None.
    """

    rgb: NDArray[np.int32]
    visible: NDArray[np.bool_] | None = None
    faint: int = 0
    is_one_bit: bool = False
    indices: NDArray[np.int32] | None = None

    @property
    def shown(self) -> NDArray[np.int32]:
        """The colours of the pixels that are not transparent, (N,)."""
        if self.visible is None:
            return self.rgb.ravel()
        return self.rgb[self.visible]


class Count(NamedTuple):
    """A colour and how many pixels have it."""

    rgb: int
    pixels: int

    def __str__(self) -> str:
        return f"{hexadecimal(self.rgb)} {self.pixels:,} px"


def classes_of(
    colours: Colours, path: Path, table: Mapping[str, int] | None = None
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Class numbers (H, W) of a picture, and what a user should know of them.

    Args:
        colours: The colours of the picture.
        path: The picture, for messages.
        table: The class numbers by colour, as the user wrote them.

    Raises:
        DataError: It has too many colours, none of them is the background, or one is not listed.
    """
    if table is not None:
        return _by_table(colours, path, table), ()
    found = counts_of(colours)
    if is_grey(found):
        return _by_grey(colours, found, path)
    if len(found) > MOST_COLOURS:
        raise DataError(
            f"{path} has {len(found):,} colours: it is a picture, not a mask",
            fix="save one colour for each class, without smooth edges, as PNG",
        )
    notes = _notes_on_transparency(colours, path)
    if {count.rgb for count in found} <= voc().keys():
        return _numbers(colours, voc()), notes
    return _by_black(colours, found, path), (*notes, *_notes_on_many(colours, found, path))


def counts_of(colours: Colours) -> list[Count]:
    """The colours that are not transparent with their pixels, the most frequent first."""
    numbers, counts = np.unique(colours.shown, return_counts=True)
    found = [Count(*pair) for pair in zip(numbers.tolist(), counts.tolist(), strict=True)]
    return sorted(found, key=lambda count: (-count.pixels, count.rgb))


def is_grey(found: list[Count]) -> bool:
    """Whether no colour has a hue."""
    return all(count.rgb == (count.rgb & 0xFF) * 0x010101 for count in found)


def problem_of(colours: Colours) -> str:
    """Why a picture beside a cube, which nothing names as a mask, is none; empty where it is."""
    found = counts_of(colours)
    if len(found) <= MOST_COLOURS:
        return ""
    kind = "grey levels" if is_grey(found) else "colours"
    return f"a picture of {len(found):,} {kind}"


def hexadecimal(rgb: int) -> str:
    """A colour as ``#rrggbb``."""
    return f"#{rgb:06x}"


def checked_table(table: Mapping[str, int], label: str) -> dict[int | None, int]:
    """A user's class numbers by colour; None stands for transparent pixels.

    Raises:
        ConfigError: A colour is written in a way that is not known, or written twice.
    """
    from PIL import ImageColor

    numbers: dict[int | None, int] = {}
    for text, number in table.items():
        colour: int | None = None
        if text != TRANSPARENT:
            try:
                red, green, blue = ImageColor.getrgb(text)[:3]
            except ValueError as error:
                raise ConfigError(
                    f"{label}: {text!r} in colors is not a colour",
                    fix=f"write it as '#ff0000', in quotes, or {TRANSPARENT!r}",
                ) from error
            colour = (red << 16) | (green << 8) | blue
        if colour in numbers:
            raise ConfigError(f"{label}: colors has {text!r} twice", fix="remove one of them")
        numbers[colour] = number
    return numbers


@cache
def voc() -> dict[int, int]:
    """The class numbers of PASCAL VOC by colour.

    The bits of a number are dealt out to the high bits of red, green and blue in turn (Everingham
    et al. 2010, The PASCAL Visual Object Classes Challenge, its development kit).
    """
    numbers = {}
    for number in range(256):
        rgb = 0
        for bit in range(8):
            channel = bit % 3
            place = 7 - bit // 3
            value = number >> bit & 1
            rgb |= value << place << (16 - 8 * channel)
        numbers[rgb] = number
    return numbers


def _by_table(colours: Colours, path: Path, table: Mapping[str, int]) -> NDArray[np.int32]:
    numbers = checked_table(table, "masks")
    transparent = numbers.pop(None, 0)
    known = {rgb: number for rgb, number in numbers.items() if rgb is not None}
    for count in counts_of(colours):
        if count.rgb not in known:
            here = colours.rgb == count.rgb
            if colours.visible is not None:
                here &= colours.visible
            row, column = np.argwhere(here)[0].tolist()
            what = f"the colour {hexadecimal(count.rgb)} of {path} is not in colors"
            raise DataError(
                f"{what}: {count.pixels:,} px, first at row {row}, column {column}",
                fix=f"add {hexadecimal(count.rgb)!r} with its class number to colors",
            )
    return _numbers(colours, known, transparent)


def _by_grey(
    colours: Colours, found: list[Count], path: Path
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Grey levels as class numbers; the shape where everything that is not transparent is black."""
    notes = _notes_on_transparency(colours, path)
    if colours.visible is not None and [count.rgb for count in found] == [BLACK]:
        note = f"{path} is black and transparent: the {found[0].pixels:,} black px are class 1"
        return colours.visible.astype(np.int32), (*notes, note)
    labels = colours.rgb & 0xFF
    if colours.is_one_bit:
        labels = np.minimum(labels, 1)
    if colours.visible is not None:
        labels = np.where(colours.visible, labels, 0)
    return labels.astype(np.int32), (*notes, *_notes_on_indices(colours, found, path))


def _by_black(colours: Colours, found: list[Count], path: Path) -> NDArray[np.int32]:
    has_black = any(count.rgb == BLACK for count in found)
    if not has_black and colours.visible is None and len(found) > 1:
        raise DataError(
            f"{path} has the colours {_listed(found)}, and none is black: which one is the "
            "background is not known",
            fix=_suggestion(colours, found),
        )
    labels: NDArray[np.bool_] = colours.rgb != BLACK
    if colours.visible is not None:
        labels &= colours.visible
    return labels.astype(np.int32)


def _numbers(
    colours: Colours, numbers: Mapping[int, int], transparent: int = 0
) -> NDArray[np.int32]:
    """The number of each pixel's colour, all of which are known."""
    present, places = np.unique(colours.rgb, return_inverse=True)
    by_place = [numbers.get(rgb, 0) for rgb in present.tolist()]
    labels: NDArray[np.int32] = np.array(by_place, np.int32)[places].reshape(colours.rgb.shape)
    if colours.visible is not None:
        labels[~colours.visible] = transparent
    return labels


def _notes_on_many(colours: Colours, found: list[Count], path: Path) -> tuple[str, ...]:
    others = [count for count in found if count.rgb != BLACK]
    if len(others) < 2:
        return ()
    what = f"{path} has {len(others)} colours besides black ({_listed(others)}): all are class 1"
    return (str(DataError(what, fix=_suggestion(colours, found))),)


def _notes_on_indices(colours: Colours, found: list[Count], path: Path) -> tuple[str, ...]:
    """Several indices of a palette that have one colour are one class, which may be a mistake."""
    if colours.indices is None:
        return ()
    used = np.unique(colours.indices)
    if len(used) <= len(found) or colours.visible is not None:
        return ()
    what = f"{path} uses {len(used)} entries of its palette, which have {len(found)} colours"
    fix = "save the mask as grey PNG if the entries are the classes"
    return (str(DataError(what, fix=fix)),)


def _notes_on_transparency(colours: Colours, path: Path) -> tuple[str, ...]:
    if not colours.faint:
        return ()
    what = f"{colours.faint:,} px of {path} are partly transparent: they count as their colour"
    return (str(DataError(what, fix="save the mask without smooth edges")),)


def _listed(found: list[Count]) -> str:
    texts = [str(count) for count in found[:LISTED]]
    if len(found) > LISTED:
        texts.append(f"and {len(found) - LISTED} more")
    return ", ".join(texts)


def _suggestion(colours: Colours, found: list[Count]) -> str:
    """A table of colours to copy: the indices of a palette, else by how frequent they are."""
    entries = []
    for place, count in enumerate(found):
        number = place
        if colours.indices is not None:
            number = int(colours.indices[colours.rgb == count.rgb][0])
        entries.append(f"'{hexadecimal(count.rgb)}': {number}")
    return f"write masks: {{colors: {{{', '.join(entries)}}}}}, with the numbers that they have"
