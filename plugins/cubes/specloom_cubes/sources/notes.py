"""What names and headers of a folder's cubes say that a user should know before a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from specloom import DataError
from specloom_cubes.cube_files import cube_name, masks_without_cube, owners
from specloom_cubes.rules.masks import PICTURES, is_noise, is_reference

if TYPE_CHECKING:
    from specloom_cubes.sources.description import CubeSummary

MOST_NAMES = 3
"""The names that a note lists."""


def capture_notes(cubes: Iterable[Path]) -> list[str]:
    """That cubes are raw: the reference frames of a capture lie in their folder."""
    captures = {}
    for folder in dict.fromkeys(path.parent for path in cubes):
        references = [path.name for path in sorted(folder.iterdir()) if is_reference(path.stem)]
        if references:
            captures[folder] = references
    if not captures:
        return []
    first, references = next(iter(captures.items()))
    what = f"{first} is a folder of a capture, with the reference frames {_listed(references)}"
    if len(captures) > 1:
        what += f", and so are {len(captures) - 1} more"
    what += ": these cubes are raw counts of the sensor"
    fix = "write calibration: capture, or ignore this where counts will do"
    return [str(DataError(what, fix=fix))]


def mask_notes(
    cubes: Sequence[Path], masks: Collection[Path], folder: Path | None = None
) -> list[str]:
    """That cubes have no mask while others have one, and that masks belong to no cube.

    Args:
        cubes: The cubes.
        masks: Those of them that have a mask.
        folder: Where the masks are; by default beside each cube.
    """
    without = [path for path in cubes if path not in masks]
    if not masks:
        return _pictures_without_cube(cubes)
    notes = _masks_without_cube(cubes, folder)
    if without:
        what = (
            f"of {len(cubes)} cubes {len(masks)} have masks, and these have none: "
            f"{_listed_files(without)}; their pixels are unlabelled"
        )
        fix = "add the masks, named like the cubes, or leave it where that is as it should be"
        notes.append(str(DataError(what, fix=fix)))
    return notes


def _masks_without_cube(cubes: Sequence[Path], folder: Path | None) -> list[str]:
    """That files named as masks, or in a folder of masks, belong to no cube."""
    if folder is not None and folder.is_file():
        return []  # a COCO file
    files = masks_without_cube(cubes, folder)
    if not files:
        return []
    what = f"{len(files)} masks have the name of no cube: {_listed_files(files)}"
    fix = "name each mask like its cube, with _gt or _mask after it if you like"
    return [str(DataError(what, fix=fix))]


def _pictures_without_cube(cubes: Sequence[Path]) -> list[str]:
    """That pictures beside cubes without masks have the name of no cube."""
    notes = []
    for folder in dict.fromkeys(path.parent for path in cubes):
        names = {cube_name(path).lower() for path in cubes if path.parent == folder}
        pictures = []
        for path in sorted(folder.iterdir()):
            is_picture = path.suffix.lower() in PICTURES and not is_noise(PurePath(path.name))
            if is_picture and names.isdisjoint(owners(path)):
                pictures.append(path)
        if pictures:
            what = (
                f"no cube in {folder} has a mask, and {len(pictures)} pictures there have the "
                f"name of no cube: {_listed_files(pictures)}"
            )
            fix = "name each mask like its cube, with _gt or _mask after it if you like"
            notes.append(str(DataError(what, fix=fix)))
    return notes


def scale_notes(cubes: Mapping[Path, CubeSummary]) -> list[str]:
    """That the values of cubes have different scales."""
    by_scale: dict[str, list[Path]] = {}
    for path, cube in cubes.items():
        by_scale.setdefault(_scale(cube), []).append(path)
    if len(by_scale) < 2:
        return []
    parts = [f"{scale} in {_listed_files(paths)}" for scale, paths in by_scale.items()]
    what = f"the cubes have different scales: {'; '.join(parts)}"
    fix = "use cubes of one scale, or convert them to one"
    return [str(DataError(what, fix=fix))]


def _scale(cube: CubeSummary) -> str:
    """What the values of a cube are; a scale that is applied makes no difference."""
    if cube.scale == "physical values" or not cube.factor:
        return cube.scale
    return f"{cube.scale} to be taken {cube.factor}"


def _listed_files(paths: Sequence[Path]) -> str:
    return _listed([path.name for path in paths])


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:MOST_NAMES])
    rest = len(names) - MOST_NAMES
    if rest > 0:
        return f"{shown} and {rest} more"
    return shown
