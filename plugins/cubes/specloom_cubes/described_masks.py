"""What ``specloom info`` shows of the masks of a cube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom import DataError
from specloom_cubes.cube import ALL
from specloom_cubes.cube_files import find_masks
from specloom_cubes.masks import (
    load_mask,
    own_arrays_of,
    valid_pixels,
    validity_arrays_of,
)
from specloom_cubes.rules.coco import class_names
from specloom_cubes.rules.coco_cubes import find_coco_masks
from specloom_cubes.rules.masks import ValidityArrays

if TYPE_CHECKING:
    from specloom_cubes.cube import Cube


def describe_masks(cube: Cube, path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The masks in a cube's file and beside it, and what a user should know of them.

    Args:
        cube: The cube.
        path: The file as the user named it; of an ENVI pair either one.
    """
    masks: list[dict[str, Any]] = []
    notes: list[str] = []
    own = own_arrays_of(cube)
    for one in own.masks:
        mask, flaws = _mask(path, cube, one.name)
        masks.append(mask)
        notes += flaws
    masks += [_no_mask(path, one.name, one.problem) for one in own.rejected]
    masks += _validity(cube, path)
    if cube.format == "ENVI":
        from specloom_cubes.formats import envi

        path = envi.header_of(cube.path) or path
    try:
        findings = list(find_masks([path]).values())
    except DataError as error:
        return masks, [*notes, str(error)]
    for finding in findings:
        if finding.path is not None:
            mask, flaws = _mask(finding.path, cube, finding.variable)
            masks.append(mask)
            notes += flaws
        for other in finding.rejected:
            masks.append(_no_mask(path.parent / other.name, None, other.problem))
    others = {}
    for finding in findings:
        if finding.path is not None:
            others[path] = finding.path
    annotated, problems = _annotated(cube, path, others)
    return [*masks, *annotated], [*notes, *problems]


def _annotated(
    cube: Cube, path: Path, others: dict[Path, Path]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The COCO file beside a cube that annotates it, and what a user should know of it."""
    masks = []
    notes: list[str] = []
    try:
        found = find_coco_masks([path], [path.parent], others)
    except DataError as error:
        return [], [str(error)]
    for file, image in found.values():
        mask, flaws = _mask(file, cube, image)
        names = {str(number): name for number, name in class_names(file).items()}
        masks.append({**mask, "variable": None, "names": names})
        notes += flaws
    return masks, notes


def _mask(path: Path, cube: Cube, variable: str | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A file or an array with the pixels of each class, and what a user should know of it."""
    try:
        read = load_mask(path, cube.shape, variable)
    except DataError as error:
        return _no_mask(path, variable, error.what), ()
    numbers, counts = np.unique(read.numbers, return_counts=True)
    pixels = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    classes = {str(number): count for number, count in pixels.items()}
    mask = {"file": str(path), "variable": variable, "classes": classes}
    return mask, (*read.notes, *_note_on_majority(variable or path.name, pixels))


def _note_on_majority(name: str, pixels: Mapping[int, int]) -> list[str]:
    """That the one class of a mask has most of its pixels, as that of a mask of valid pixels has.

    Args:
        name: The mask.
        pixels: The number of pixels of each class.
    """
    marked = sorted(number for number in pixels if number > 0)
    if len(marked) != 1:
        return []
    found = pixels[marked[0]]
    total = found + pixels.get(0, 0)
    if 2 * found <= total:
        return []
    what = (
        f"the mask {name} has {found:,} of {total:,} pixels in class {marked[0]}: it may be "
        "inverted, or a mask of valid pixels"
    )
    return [str(DataError(what, fix="if it says which pixels are valid, name it as valid"))]


def _no_mask(path: Path, variable: str | None, problem: str) -> dict[str, Any]:
    return {"file": str(path), "variable": variable, "classes": None, "problem": problem}


def _validity(cube: Cube, path: Path) -> list[dict[str, Any]]:
    """The arrays of the cube's own file that say which pixels are valid."""
    arrays = validity_arrays_of(cube)
    parts = [ValidityArrays(valid=(name,)) for name in arrays.valid]
    parts += [ValidityArrays(invalid=(name,)) for name in arrays.invalid]
    found = []
    for part in parts:
        valid = valid_pixels(replace(cube, valid=None), part)
        assert valid is not None, "each part has an array"
        pixels = valid(ALL, ALL)
        excluded = int((~pixels).sum())
        problem = f"it excludes {excluded:,} of {pixels.size:,} pixels, which are not valid"
        found.append(_no_mask(path, part.names[0], problem))
    return found
