"""Masks from COCO files: their images, and which class each pixel of an image has.

Pixels of an image that no annotation covers are class 0, those that one covers are its category.
Where annotations overlap, the later one in the file wins. The outlines of one annotation are
united; a hole is made by run lengths, by an outline that enters it, or by a later annotation.
Crowds (``iscrowd``) are areas of their category like others. An annotation without an area, such as
a box, is excluded and reported.

What a hostile file can cost is bounded before anything of that size is made: the file and the
values in it, its annotations, the steps of outlines and the pixels that are painted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from specloom import DataError, did_you_mean
from specloom_cubes.paths import advice, expand
from specloom_cubes.rules.coco_runs import (
    MAX_VALUES,
    Runs,
    counts_of_list,
    counts_of_string,
    pixels_of,
    runs_of_counts,
    runs_of_outline,
    steps_of_outline,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIX = ".json"
KEYS = ("images", "annotations", "categories")

MAX_FILE = 256 * 2**20
"""The largest file in bytes."""

MAX_PARSED = 700 * 2**20
"""What the values of a file may take in memory, estimated from above before they are made."""

MAX_ANNOTATIONS = 50_000
"""The most annotations of one image."""

MAX_STEPS = 100_000_000
"""The most steps of all outlines of an image, 5 in a pixel."""

MAX_PAINTED = 500_000_000
"""So many pixels may be painted in any image, in addition to 8 times its size."""

MAX_SUGGESTED = 1000
"""Among so many names the nearest one is looked for."""

MAX_NAME = 60
"""Longer names of categories are cut."""

MAX_CLASS = 2**31 - 1
BACKGROUND = 0
NAMES_OF_BACKGROUND = frozenset(
    (
        *("background", "bg", "ground", "belt", "normal", "none", "nothing", "empty"),
        *("unlabeled", "unlabelled", "undefined", "unknown", "ignore", "void", "good", "ok"),
    )
)
"""Words of categories that may have the number of pixels without annotation."""

Size: TypeAlias = tuple[int, int]
"""Rows and columns."""


@dataclass(frozen=True)
class Image:
    """An image that a COCO file annotates.

    Args:
        number: Its ``id``.
        name: Its ``file_name``; empty where there is none.
        size: Rows and columns, where they are stated.
        annotations: What is annotated in it, each with its place in the file, in that order.
    """

    number: int
    name: str
    size: Size | None
    annotations: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)


@dataclass(frozen=True)
class CocoFile:
    """The images and categories of a COCO file.

    Args:
        path: The file.
        images: The images by their ``id``, in the order of the file.
        categories: The names of the categories by their ``id``.
    """

    path: Path
    images: Mapping[int, Image]
    categories: Mapping[int, str]

    def image(self, name: str | None) -> Image:
        """The image of a file name or an id (``#ID`` is no file name); by default the only one.

        Raises:
            DataError: There is no such image, or several may be meant.
        """
        if name is None:
            if len(self.images) == 1:
                return next(iter(self.images.values()))
            raise DataError(
                f"{self.path} annotates {len(self.images)} images: {listed(self.names())}",
                fix="name one as mask_variable, by its file_name or id",
            )
        fitting = [image for image in self.images.values() if name in _names_of(image)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            numbers = ", ".join(str(image.number) for image in fitting)
            raise DataError(
                f"{self.path} has several images {name!r}, with the ids {numbers}",
                fix=f"name one by its id, as in #{fitting[0].number}",
            )
        names = self.names()[:MAX_SUGGESTED]
        raise DataError(
            f"{self.path} annotates no image {name!r}",
            fix=did_you_mean(name, names, otherwise="check file_name and id of its images"),
        )

    def names(self) -> list[str]:
        """The file names of the images, or their ids."""
        return [image.name or str(image.number) for image in self.images.values()]


@dataclass(frozen=True)
class Labels:
    """The mask of an image, and what a user should know of it.

    Args:
        classes: Class numbers (H, W).
        names: The names of the categories, by class number.
        overlapping: Pixels that annotations of several categories cover.
        notes: What a user should know of it.
    """

    classes: NDArray[np.int32]
    names: Mapping[int, str]
    overlapping: int
    notes: tuple[str, ...]


_LAST: dict[tuple[str, int, int], CocoFile] = {}
"""The file that was read last: the images of one file are read one after the other."""


def is_json(path: Path) -> bool:
    """Whether the name of a file says that it may be a COCO file."""
    return path.suffix.lower() == SUFFIX and path.is_file()


def is_coco(path: Path) -> bool:
    """Whether a file has the keys of COCO; its contents are checked when it is read."""
    if not is_json(path):
        return False
    if path.stat().st_size > MAX_FILE:
        return False
    data = path.read_bytes()
    return all(f'"{key}"'.encode() in data for key in KEYS[:2])


def read_coco(path: str | Path) -> CocoFile:
    """The images, annotations and categories of a file; outlines are not yet looked at.

    Raises:
        DataError: The file is absent, damaged, too large, or of another form.
    """
    path = expand(path)
    if not path.is_file():
        raise DataError(f"there is no COCO file {path}", fix=advice(path))
    state = path.stat()
    key = (str(path.absolute()), state.st_mtime_ns, state.st_size)
    if key not in _LAST:
        _LAST.clear()
        _LAST[key] = _checked(path, _parse(path))
    return _LAST[key]


def read_labels(path: str | Path, size: Size, image: str | None = None) -> Labels:
    """The mask of one image of a COCO file.

    Args:
        path: The file.
        size: Rows and columns of the cube.
        image: The ``file_name`` or ``id`` of the image; needed where there are several.

    Raises:
        DataError: The file cannot be read, has no such image or one of another size, or an
            annotation of it is damaged.
    """
    coco = read_coco(path)
    chosen = coco.image(image)
    _check_size(coco, chosen, size)
    if len(chosen.annotations) > MAX_ANNOTATIONS:
        raise DataError(
            f"{coco.path}: image {_label(chosen)} has {len(chosen.annotations)} annotations, "
            f"more than {MAX_ANNOTATIONS}",
            fix="save the mask as a PNG of class numbers",
        )
    canvas = _Canvas(size)
    without_area = 0
    for place, annotation in chosen.annotations:
        try:
            areas = _areas(annotation, size, canvas)
            for runs in areas:
                canvas.paint(runs, annotation["category_id"])
        except ValueError as error:
            what = f"{coco.path}: annotations[{place}]: {error}"
            raise DataError(what, fix="correct the annotation, or export the file again") from error
        if not areas:
            without_area += 1
    names = {number: coco.categories.get(number, "") for number in canvas.disputed}
    notes = _notes(coco.path, chosen, without_area, canvas.overlapping, names)
    notes = (*notes, *_notes_on_zero(coco, chosen))
    return Labels(canvas.classes(), coco.categories, canvas.overlapping, notes)


def class_names(path: str | Path) -> Mapping[int, str]:
    """The names of the classes of a COCO mask, by class number; none for a mask of another kind.

    Raises:
        DataError: The file is damaged.
    """
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        return {}
    return read_coco(path).categories


def names_of_classes(masks: Iterable[str | Path]) -> dict[int, str]:
    """The names of the classes of several masks, as far as these have the same names.

    Raises:
        DataError: A file is damaged.
    """
    names: dict[int, set[str]] = {}
    for mask in dict.fromkeys(masks):
        for number, name in class_names(mask).items():
            names.setdefault(number, set()).add(name)
    return {number: found.pop() for number, found in names.items() if len(found) == 1}


def images_of_measurements(coco: CocoFile, count: int, session: str) -> dict[int, str]:
    """The id of the image of each measurement of a session that a file annotates.

    The id is the number of the measurement, from 0. A session of one measurement may have one
    image with any id.

    Raises:
        DataError: An id is the number of no measurement.
    """
    if count == 1 and len(coco.images) == 1:
        return {0: reference(coco.image(None))}
    beyond = [number for number in coco.images if not 0 <= number < count]
    if beyond:
        raise DataError(
            f"{coco.path} annotates an image with the id {beyond[0]}, and {session} has the "
            f"measurements 0 to {count - 1}",
            fix="give each image the number of its measurement, from 0, as its id",
        )
    return {number: reference(image) for number, image in coco.images.items()}


class _Canvas:
    """Class numbers that annotations are painted on, down the columns of an image."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.pixels = size[0] * size[1]
        self.overlapping = 0
        self.disputed: set[int] = set()
        self._left = MAX_PAINTED + 8 * self.pixels
        self._steps = MAX_STEPS
        self._painted = np.full(self.pixels, -1, np.int32)

    def count_steps(self, steps: int) -> None:
        """Note the length of an outline before it is drawn.

        Raises:
            ValueError: The outlines of the image are too long in all.
        """
        self._steps -= steps
        if self._steps < 0:
            raise ValueError(
                f"the outlines of its image are longer than {MAX_STEPS // 5} pixels in all"
            )

    def paint(self, runs: Runs, category: int) -> None:
        """Set the pixels of runs.

        Raises:
            ValueError: Too many pixels were painted in all.
        """
        self._left -= runs.area()
        if self._left < 0:
            raise ValueError(f"the annotations of its image overlap over {MAX_PAINTED} pixels")
        for pixels in pixels_of(runs):
            before = self._painted[pixels]
            others = before[(before >= 0) & (before != category)]
            self._painted[pixels] = category
            if len(others):
                self.overlapping += len(others)
                self.disputed |= {category, *np.unique(others).tolist()}

    def classes(self) -> NDArray[np.int32]:
        """Class numbers (H, W)."""
        height, width = self.size
        classes = np.maximum(self._painted, BACKGROUND)
        return np.ascontiguousarray(classes.reshape(width, height).T)


def _areas(annotation: Mapping[str, Any], size: Size, canvas: _Canvas) -> list[Runs]:
    """The areas of an annotation; none where it is a box, a point or a line.

    Raises:
        ValueError: It is damaged.
    """
    shape = annotation.get("segmentation")
    mask = annotation.get("mask")
    if not shape and mask:
        shape = mask  # as in the files of cuvis-ai, which state columns first
    if not shape:
        return []
    if isinstance(shape, dict):
        return [_runs_of_mask(shape, size, columns_first=shape is mask)]
    if not isinstance(shape, list):
        raise ValueError(f"its segmentation is {_shown(shape)}, not outlines or run lengths")
    if isinstance(shape[0], int | float):
        shape = [shape]  # one outline that is not in a list
    areas = []
    for outline in shape:
        points = _points(outline, size)
        if len(points) >= 3:
            canvas.count_steps(steps_of_outline(points))
            areas.append(runs_of_outline(points, *size))
    return areas


def _runs_of_mask(mask: Mapping[str, Any], size: Size, *, columns_first: bool) -> Runs:
    stated = mask.get("size")
    allowed = [list(size)]
    if columns_first:
        allowed.append([size[1], size[0]])
    if stated not in allowed:
        raise ValueError(
            f"its run lengths are of size {_shown(stated)}, the cube is {size[0]} x {size[1]}"
        )
    counts = mask.get("counts")
    if isinstance(counts, str):
        return runs_of_counts(counts_of_string(counts), size[0] * size[1])
    if isinstance(counts, list):
        return runs_of_counts(counts_of_list(counts), size[0] * size[1])
    raise ValueError(f"its run lengths are {_shown(counts)}, neither a list nor a string")


def _points(outline: Any, size: Size) -> NDArray[np.float64]:
    """The points (points, 2) of an outline.

    Raises:
        ValueError: They are no pairs of numbers, or far outside of the image.
    """
    if not isinstance(outline, list):
        raise ValueError(f"{_shown(outline)} is no outline")
    if len(outline) % 2 == 1:
        raise ValueError(f"an outline has {len(outline)} numbers, not two a point")
    if len(outline) > MAX_VALUES:
        raise ValueError(f"an outline has {len(outline)} numbers, more than {MAX_VALUES}")
    longest = max(size)
    for value in outline:
        if type(value) not in (int, float):
            raise ValueError(f"{_shown(value)} in an outline is no number")
        if not -longest <= value <= 2 * longest:
            raise ValueError(
                f"an outline has a point at {_shown(value)}, far outside of an image of "
                f"{size[0]} x {size[1]} pixels"
            )
    return np.array(outline, np.float64).reshape(-1, 2)


def _parse(path: Path) -> Any:
    """The values of a JSON file.

    Raises:
        DataError: It is too large, or damaged.
    """
    if path.stat().st_size > MAX_FILE:
        what = f"{path} has {path.stat().st_size / 2**20:.0f} MiB, more than {MAX_FILE // 2**20}"
        raise DataError(what, fix="split it, so that there is a file for each cube")
    data = path.read_bytes()
    needed = _parsed_bytes(data)
    if needed > MAX_PARSED:
        what = f"{path} would take {needed / 2**20:.0f} MiB of memory, more than "
        what += f"{MAX_PARSED // 2**20}"
        raise DataError(what, fix="split it, so that there is a file for each cube")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        text = str(error)[:120]
        what = f"{path} cannot be read as JSON: {text}"
        raise DataError(what, fix="export the annotations again") from error


def _parsed_bytes(data: bytes) -> int:
    """What the values of JSON take in memory at most, by the characters that each of them needs."""
    text = len(data)
    if not data.isascii():
        text = 4 * len(data)
    values = data.count(b",") + data.count(b":")
    return 2 * text + 72 * values + 100 * data.count(b"[") + 300 * data.count(b"{")


def _checked(path: Path, values: Any) -> CocoFile:
    try:
        if not isinstance(values, dict):
            raise ValueError(f"it holds {_shown(values)}, not an object")
        categories = _categories(_objects(values, "categories", required=False))
        images = _images(_objects(values, "images"))
        for place, annotation in enumerate(_objects(values, "annotations")):
            _add_annotation(place, annotation, images, categories)
    except ValueError as error:
        what = f"{path} is no COCO file that can be used: {error}"
        raise DataError(what, fix="export the annotations again, as COCO") from error
    return CocoFile(path, images, categories)


def _objects(values: Mapping[str, Any], key: str, *, required: bool = True) -> list[Any]:
    if key not in values and not required:
        return []
    if key not in values:
        raise ValueError(f"it has no {key}")
    objects = values[key]
    if not isinstance(objects, list):
        raise ValueError(f"{key} is {_shown(objects)}, not a list")
    for place, one in enumerate(objects):
        if not isinstance(one, dict):
            raise ValueError(f"{key}[{place}] is {_shown(one)}, not an object")
    return objects


def _categories(objects: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for place, one in enumerate(objects):
        number = _whole(one, "id", f"categories[{place}]")
        if not 0 <= number <= MAX_CLASS:
            raise ValueError(f"categories[{place}].id is {number}: class numbers are 0 or more")
        name = one.get("name")
        if not isinstance(name, str):
            raise ValueError(f"categories[{place}].name is {_shown(name)}, not a text")
        if number in names:
            raise ValueError(f"the categories {names[number]!r} and {name!r} have the id {number}")
        names[number] = _class_name(name)
    return names


def _class_name(text: str) -> str:
    """The name of a category as it can be printed: in one line, without control characters."""
    name = "".join(letter if letter.isprintable() else "?" for letter in text[: MAX_NAME + 1])
    if len(name) > MAX_NAME:
        return f"{name[:MAX_NAME]}…"
    return name


def _images(objects: Sequence[Mapping[str, Any]]) -> dict[int, Image]:
    images: dict[int, Image] = {}
    for place, one in enumerate(objects):
        label = f"images[{place}]"
        number = _whole(one, "id", label)
        if number in images:
            raise ValueError(f"two images have the id {number}")
        name = one.get("file_name") or ""
        if not isinstance(name, str):
            raise ValueError(f"{label}.file_name is {_shown(name)}, not a text")
        size = None
        if one.get("height") is not None or one.get("width") is not None:
            size = (_whole(one, "height", label), _whole(one, "width", label))
        images[number] = Image(number, name, size)
    return images


def _add_annotation(
    place: int,
    annotation: Mapping[str, Any],
    images: Mapping[int, Image],
    categories: Mapping[int, str],
) -> None:
    label = f"annotations[{place}]"
    image = _whole(annotation, "image_id", label)
    if image not in images:
        raise ValueError(f"{label}.image_id is {image}, which no image has")
    category = _whole(annotation, "category_id", label)
    if not 0 <= category <= MAX_CLASS:
        raise ValueError(f"{label}.category_id is {category}: class numbers are 0 or more")
    if categories and category not in categories:
        raise ValueError(f"{label}.category_id is {category}, which no category has")
    images[image].annotations.append((place, annotation))


def _whole(one: Mapping[str, Any], key: str, label: str) -> int:
    value = one.get(key)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise ValueError(f"{label}.{key} is {_shown(value)}, not a whole number")
    return value


def _notes(
    path: Path, image: Image, without_area: int, overlapping: int, names: Mapping[int, str]
) -> tuple[str, ...]:
    notes = []
    if without_area:
        notes.append(
            f"{path}: {without_area} of {len(image.annotations)} annotations of image "
            f"{_label(image)} have no area (a box alone, a point or a line): they are excluded"
        )
    if overlapping:
        categories = [f"{number} {names[number]}".rstrip() for number in sorted(names)]
        notes.append(
            f"{path}: annotations of several categories ({listed(categories)}) cover {overlapping} "
            f"pixels of image {_label(image)}: the later one in the file counts"
        )
    return tuple(notes)


def _notes_on_zero(coco: CocoFile, image: Image) -> Iterator[str]:
    """That a category has the number of the pixels without annotation, and is no background."""
    count = sum(1 for _, one in image.annotations if one["category_id"] == BACKGROUND)
    name = coco.categories.get(BACKGROUND, "")
    if count == 0 or set(re.findall("[a-z]+", name.lower())) & NAMES_OF_BACKGROUND:
        return
    category = f"{BACKGROUND} {name}".rstrip()
    what = (
        f"{coco.path}: {count} annotations of image {_label(image)} have category {category}, "
        "whose number is that of pixels without annotation"
    )
    yield str(DataError(what, fix="number the categories from 1 on"))


def _check_size(coco: CocoFile, image: Image, size: Size) -> None:
    if image.size is None or image.size == size:
        return
    stated = f"{_shown(image.size[0])} x {_shown(image.size[1])}"
    what = f"{coco.path}: image {_label(image)} is {stated}, the cube is {size[0]} x {size[1]}"
    if image.size == (size[1], size[0]):
        raise DataError(f"{what}: transposed, it would fit", fix="annotate the cube as it is read")
    raise DataError(what, fix="annotate a picture of the cube's own size")


def _names_of(image: Image) -> tuple[str, ...]:
    return image.name, str(image.number), reference(image)


def reference(image: Image) -> str:
    """What names an image where its file name, or a number, may be that of another one."""
    return f"#{image.number}"


def _label(image: Image) -> str:
    if image.name:
        return repr(image.name)
    return str(image.number)


def listed(names: Sequence[str]) -> str:
    """The first of some names, in one line."""
    shown = ", ".join(names[:8])
    if len(names) > 8:
        shown += ", …"
    return shown


def _shown(value: object) -> str:
    """A value of a file, cut where it is long."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**15:
        return "a number of more than 15 digits"
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > 40:
        text = f"{text[:37]}..."
    return text
