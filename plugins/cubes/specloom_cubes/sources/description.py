"""What a split holds: images, masks, wavelengths, scale, and what was assumed of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_cubes.rules.class_numbers import UNLABELLED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube

MOST_PIXELS = 16 * 2**20
"""The pixels of masks that are read to describe a source; masks beyond are counted when a run
reads them."""

LEAST_COST = 2**16
"""A mask costs as much as one of so many pixels at least, for opening its file."""

MOST_CLASSES = 12
"""The classes that are listed in one line."""

MOST_NAMES = 20
"""The names of images that are listed in one line."""


@dataclass(frozen=True)
class CubeSummary:
    """What the header of a cube says that matters for the cubes of a split together.

    Args:
        path: The file.
        wavelengths: The first and the last band centre of the good bands, in nm, or None.
        wavelengths_from: Where in the file they are.
        scale: What the values are, such as ``stored counts``.
        scale_from: Where in the file a scale is stated; empty where there is none.
        factor: The scale that the file states, in words; empty where there is none.
        bands: The number of good bands.
        bad_bands: The number of bad bands.
        ignore_value: The value that stands for "no data", or None.
        valid_from: Where in the file a mask of valid pixels is; empty where there is none.
        assumptions: What the reader assumed, one sentence each.
    """

    path: Path
    wavelengths: tuple[float, float] | None
    wavelengths_from: str
    scale: str
    scale_from: str
    factor: str
    bands: int
    bad_bands: int
    ignore_value: float | None
    valid_from: str
    assumptions: tuple[str, ...]


def summarise(cube: Cube) -> CubeSummary:
    """What the header of a cube says."""
    bands = len(cube.good_bands)
    return CubeSummary(
        path=cube.path,
        wavelengths=wavelength_range(cube.good_wavelengths),
        wavelengths_from=cube.wavelengths_from,
        scale=scale_of(cube),
        scale_from=cube.scale_from,
        factor=scale_factor(cube),
        bands=bands,
        bad_bands=cube.shape[2] - bands,
        ignore_value=cube.ignore_value,
        valid_from=cube.valid_from,
        assumptions=cube.assumptions,
    )


def scale_of(cube: Cube) -> str:
    """What the values are that a cube gives."""
    if cube.is_scaled:
        return "physical values"
    if cube.dtype.kind in "iu":
        return "stored counts"
    return "stored values"


def scale_factor(cube: Cube) -> str:
    """The scale that a file states, in words; empty where it states none."""
    parts = []
    if cube.gains is not None:
        parts.append(f"times {_span(cube.gains)}")
    if cube.offsets is not None and cube.offsets.any():
        parts.append(f"plus {_span(cube.offsets)}")
    return " ".join(parts)


def _span(values: NDArray[np.float64]) -> str:
    """The values of all bands: one number where they are equal, else the least and greatest."""
    least = values.min()
    greatest = values.max()
    if least == greatest:
        return f"{least:g}"
    return f"{least:g} to {greatest:g} by band"


def wavelength_range(centres: NDArray[np.float64] | None) -> tuple[float, float] | None:
    """The least and the greatest band centre, or None."""
    if centres is None or len(centres) == 0:
        return None
    return float(centres.min()), float(centres.max())


@dataclass(frozen=True)
class MaskDescription:
    """The masks of a split.

    Args:
        source: Where they come from, such as ``*.png``; empty where there is none.
        images: The number of images that have one.
        counted: The number of those whose pixels are counted.
        classes: The number of pixels by class, over the counted masks.
        unmasked_pixels: The pixels of images without a mask, where others have one.
        names: The names of classes, where masks have them.
        without: The images without a mask, where others have one.
    """

    source: str = ""
    images: int = 0
    counted: int = 0
    classes: Mapping[int, int] = field(default_factory=dict)
    unmasked_pixels: int = 0
    names: Mapping[int, str] = field(default_factory=dict)
    without: Sequence[str] = ()

    def line(self, images: int) -> str:
        """The masks in a few words, for a split of so many images."""
        if self.images == 0:
            return "no masks"
        text = "masks"
        if self.images < images:
            text = f"masks of {self.images}"
        text = f"{text} from {self.source}"
        if self.counted == 0:
            return text
        counts = class_counts(self.classes, self.names)
        if self.counted < self.images:
            counts = f"of the first {self.counted}: {counts}"
        return f"{text} ({counts})"

    def values(self) -> dict[str, Any]:
        """The description as plain values."""
        return {
            "source": self.source,
            "images": self.images,
            "counted": self.counted,
            "classes": {str(number): count for number, count in self.classes.items()},
            "names": {str(number): name for number, name in self.names.items()},
            "without": list(self.without),
        }


def class_counts(classes: Mapping[int, int], names: Mapping[int, str] | None = None) -> str:
    """Pixels by class, of the first classes where there are many.

    >>> class_counts({-1: 5, 0: 118000, 1: 312})
    'unlabelled: 5, 0: 118,000, 1: 312 pixels'
    >>> class_counts({0: 118000, 1: 312}, {1: "stone"})
    '0: 118,000, 1 stone: 312 pixels'
    """
    texts = []
    for number, count in classes.items():
        label = "unlabelled" if number == UNLABELLED else str(number)
        if names is not None and number in names:
            label = f"{number} {names[number]}"
        texts.append(f"{label}: {count:,}")
    shown = ", ".join(texts[:MOST_CLASSES])
    rest = len(texts) - MOST_CLASSES
    if rest > 0:
        return f"{shown} pixels, and {rest} more classes"
    return f"{shown} pixels"


@dataclass(frozen=True)
class Excluded:
    """Pixels that do not count.

    Args:
        why: The reason.
        pixels: How many there are; None where only the cubes' pixels say it.
    """

    why: str
    pixels: int | None = None

    def line(self) -> str:
        """The reason, with the number where it is known."""
        if self.pixels is None:
            return self.why
        return f"{self.why}: {self.pixels:,} pixels"


@dataclass(frozen=True)
class SplitDescription:
    """What a split holds.

    Args:
        noun: What the images are called, such as ``cube``.
        names: The images, by name or file.
        masks: Their masks.
        wavelengths: The first and the last band centre in nm, or None.
        wavelengths_from: Where they come from.
        scale: What the values are, such as ``stored counts``.
        scale_from: Where a scale is stated; empty where there is none.
        bands: The number of bands.
        bad_bands: The number of bands that are excluded because a header marks them bad.
        excluded: The pixels that do not count.
        assumptions: What the readers assumed, one sentence each.
        contents: What stands for the pixels of each image, equal for equal ones; empty where it is
            not known.
    """

    noun: str
    names: Sequence[str]
    masks: MaskDescription = field(default_factory=MaskDescription)
    wavelengths: tuple[float, float] | None = None
    wavelengths_from: str = ""
    scale: str = ""
    scale_from: str = ""
    bands: int = 0
    bad_bands: int = 0
    excluded: Sequence[Excluded] = ()
    assumptions: Sequence[str] = ()
    contents: Sequence[str] = ()

    def line(self) -> str:
        """The description in one line without the name of the split.

        >>> SplitDescription("cube", ["a", "b"], scale="stored counts").line()
        '2 cubes, no masks, no wavelengths, stored counts'
        """
        count = len(self.names)
        parts = [
            counted(count, self.noun),
            self.masks.line(count),
            self._wavelengths(),
            self._scale(),
        ]
        if self.assumptions:
            parts.append(f"{counted(len(self.assumptions), 'assumption')} (shown by -v)")
        return ", ".join(part for part in parts if part)

    def details(self) -> list[str]:
        """Everything else, one line each."""
        names = ", ".join(self.names[:MOST_NAMES])
        if len(self.names) > MOST_NAMES:
            names = f"{names}, and {len(self.names) - MOST_NAMES} more"
        lines = [f"{self.noun}s: {names}"]
        if self.wavelengths_from:
            lines.append(f"wavelengths: from {self.wavelengths_from}")
        if self.scale_from:
            lines.append(f"scale: from {self.scale_from}")
        if self.bad_bands:
            lines.append(f"bands: {self.bands}, and {self.bad_bands} bad ones are excluded")
        lines += [f"excluded: {one.line()}" for one in self.excluded]
        lines += [f"assumed: {one}" for one in self.assumptions]
        return lines

    def values(self) -> dict[str, Any]:
        """The whole description as plain values."""
        wavelengths = None
        if self.wavelengths is not None:
            least, greatest = self.wavelengths
            wavelengths = {"least": least, "greatest": greatest, "from": self.wavelengths_from}
        excluded = [{"why": one.why, "pixels": one.pixels} for one in self.excluded]
        return {
            "line": self.line(),
            "images": len(self.names),
            "names": list(self.names),
            "masks": self.masks.values(),
            "wavelengths": wavelengths,
            "scale": {"values": self.scale, "from": self.scale_from},
            "bands": {"used": self.bands, "bad": self.bad_bands},
            "excluded": excluded,
            "assumptions": list(self.assumptions),
            "contents": list(self.contents),
        }

    def _wavelengths(self) -> str:
        if self.wavelengths is None:
            return "no wavelengths"
        least, greatest = self.wavelengths
        text = f"{least:.6g} to {greatest:.6g} nm"
        if self.wavelengths_from:
            text = f"{text} from {_whole(self.wavelengths_from)}"
        return text

    def _scale(self) -> str:
        if self.scale_from:
            return f"{self.scale} (scale from {_whole(self.scale_from)})"
        return self.scale


def _whole(place: str) -> str:
    """What a place is in.

    >>> _whole("the field 'wavelength' of the header")
    'the header'
    """
    _part, _of, whole = place.rpartition(" of ")
    return whole


def counted(count: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "cube"), counted(12, "cube")
    ('1 cube', '12 cubes')
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}s"


def describe_cubes(
    noun: str,
    names: Sequence[str],
    cubes: Sequence[CubeSummary],
    masks: MaskDescription,
    *,
    table: str | None = None,
    table_range: tuple[float, float] | None = None,
    excluded: Iterable[Excluded] = (),
) -> SplitDescription:
    """The description of a split of cubes.

    Args:
        noun: What the images are called.
        names: The images.
        cubes: What the header of each cube says.
        masks: Their masks.
        table: The table of wavelengths that is used instead of those in the files.
        table_range: The first and the last band centre in it.
        excluded: Pixels that do not count for another reason than the headers'.
    """
    wavelengths = table_range
    wavelengths_from = table or ""
    if table is None:
        stated = [one for one in cubes if one.wavelengths is not None]
        if stated:
            wavelengths = stated[0].wavelengths
            wavelengths_from = _joined(one.wavelengths_from for one in stated)
    return SplitDescription(
        noun=noun,
        names=names,
        masks=masks,
        wavelengths=wavelengths,
        wavelengths_from=wavelengths_from,
        scale=_joined(one.scale for one in cubes),
        scale_from=_joined(one.scale_from for one in cubes),
        bands=cubes[0].bands,
        bad_bands=cubes[0].bad_bands,
        excluded=[*_excluded_by_headers(cubes), *_unlabelled(masks), *excluded],
        assumptions=joined_assumptions(cubes),
    )


def joined_assumptions(cubes: Iterable[CubeSummary]) -> list[str]:
    """What was assumed of the cubes; what differs in the names of files alone is said once."""
    by_pattern: dict[str, list[str]] = {}
    for cube in cubes:
        for text in cube.assumptions:
            pattern = text.replace(str(cube.path.with_suffix("")), "*")
            pattern = pattern.replace(cube.path.stem, "*")
            by_pattern.setdefault(pattern, []).append(text)
    joined = []
    for texts in by_pattern.values():
        text = texts[0]
        if len(texts) > 1:
            text = f"{text} (and so for {len(texts) - 1} more)"
        joined.append(text)
    return joined


def _joined(texts: Iterable[str]) -> str:
    """Different texts, each once."""
    different = dict.fromkeys(text for text in texts if text)
    return " and ".join(different)


def _excluded_by_headers(cubes: Iterable[CubeSummary]) -> list[Excluded]:
    """The reasons that headers state, each once."""
    reasons: list[str] = []
    for one in cubes:
        if one.ignore_value is not None:
            reasons.append(f"no data, which is the value {one.ignore_value:.10g}")
        if one.valid_from:
            reasons.append(f"not valid by {one.valid_from}")
    return [Excluded(why) for why in dict.fromkeys(reasons)]


def _unlabelled(masks: MaskDescription) -> list[Excluded]:
    """The pixels without a class, where there are masks."""
    pixels = masks.classes.get(UNLABELLED, 0)
    found = []
    if pixels:
        found.append(Excluded("unlabelled in the masks, so not measured", pixels))
    if masks.unmasked_pixels:
        why = "in images without a mask, so not measured"
        found.append(Excluded(why, masks.unmasked_pixels))
    return found


class ClassCounts:
    """The pixels of each class by mask, each mask counted once.

    Args:
        pixels: The pixels that may be read to count masks before a run reads them.
    """

    def __init__(self, pixels: int = MOST_PIXELS) -> None:
        self._left = pixels
        self._counts: dict[Hashable, Counter[int]] = {}

    def add(self, key: Hashable, labels: NDArray[Any]) -> None:
        """Count a mask (H, W) that was read."""
        if key not in self._counts:
            self._counts[key] = count_classes(labels)

    def count(self, key: Hashable, size: tuple[int, int], read: Callable[[], Any]) -> None:
        """Count a mask of a size (H, W), as long as the pixels that may be read suffice.

        Raises:
            DataError: It cannot be read.
        """
        if key in self._counts or self._left <= 0:
            return
        cost = max(size[0] * size[1], LEAST_COST)
        if cost > self._left:
            self._left = 0
            return
        self._left -= cost
        self.add(key, read())

    def describe(
        self, source: str, keys: Sequence[Hashable], names: Mapping[int, str] | None = None
    ) -> MaskDescription:
        """The masks with these keys together."""
        total = Counter[int]()
        counted_masks = [self._counts[key] for key in keys if key in self._counts]
        for counts in counted_masks:
            total.update(counts)
        classes = dict(sorted(total.items()))
        return MaskDescription(source, len(keys), len(counted_masks), classes, names=names or {})


def count_classes(labels: NDArray[Any]) -> Counter[int]:
    """The number of pixels by class.

    >>> count_classes(np.array([[0, 0], [1, -1]]))
    Counter({0: 2, -1: 1, 1: 1})
    """
    if labels.size == 0:
        return Counter()
    least = int(labels.min())
    span = int(labels.max()) - least + 1
    if span > max(labels.size, LEAST_COST):
        numbers, counts = np.unique(labels, return_counts=True)
        return Counter(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
    counts = np.bincount((labels - least).ravel(), minlength=span)
    found = Counter[int]()
    for at in np.flatnonzero(counts).tolist():
        found[at + least] = int(counts[at])
    return found


def mask_pattern(mask: Path, cube_name: str, folder: Path | None) -> str:
    """The name of a mask with a star for the name of its cube.

    >>> mask_pattern(Path("d/belt_00_gt.png"), "belt_00", None)
    '*_gt.png'
    >>> mask_pattern(Path("labels/belt_00.png"), "belt_00", Path("labels"))
    'labels/*.png'
    """
    pattern = f"*{mask.suffix}"
    if mask.name.lower().startswith(cube_name.lower()):
        pattern = f"*{mask.name[len(cube_name) :]}"
    if folder is None:
        return pattern
    return f"{folder.name}/{pattern}"
