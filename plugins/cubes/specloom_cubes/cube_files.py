"""Which files of a folder are cubes, and which files belong to each: data, header, mask."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from specloom import DataError
from specloom_cubes import formats
from specloom_cubes.formats import envi

MASK_NAME = re.compile(r"(.+?)([ ._-]?)(?:gt|masks?|labels?)$", re.IGNORECASE)
"""The name of a mask: its cube's name with ``_gt``, ``_mask`` or ``_label`` after it."""

PICTURES = (".png", ".bmp")
MASKS = (*formats.SUFFIXES, *PICTURES)
ENDINGS = (*MASKS, *filter(None, envi.SUFFIXES))
NO_CUBES = (*PICTURES, ".csv", ".txt", ".md", ".json", ".yaml", ".xml", ".jpg")
"""Endings of files that are no cubes, so that no header is looked for beside them."""


def cube_name(path: Path) -> str:
    """The name of a cube's file without its ending, or both endings of such as ``a.img.hdr``.

    What would be left as dots alone, and so name a folder above, keeps its ending.
    """
    name = path.stem if path.suffix.lower() == ".hdr" else path.name
    first, dot, ending = name.rpartition(".")
    stem = first if first and (dot + ending).lower() in ENDINGS else name
    return stem if stem.strip(".") else path.name


def cube_file(path: Path) -> Path | None:
    """The file that stands for a cube (of an ENVI pair the header); None for any other file."""
    suffix = path.suffix.lower()
    if suffix in formats.SUFFIXES:
        return path
    return None if suffix in NO_CUBES else envi.header_of(path)


def find_cubes(root: Path, pattern: str) -> dict[str, Path]:
    """The cubes among the files of a folder, by name: the path within it, without the ending.

    Files are sorted; of an ENVI pair the header stands for both; masks of other cubes are skipped.

    Raises:
        DataError: Two cubes have one name.
    """
    named: dict[str, list[Path]] = {}
    for path in sorted(root.glob(pattern)):
        cube = cube_file(path) if path.is_file() else None
        if cube is None:
            continue
        name = cube.with_name(cube_name(cube)).relative_to(root).as_posix()
        paths = named.setdefault(name, [])
        if cube not in paths:
            paths.append(cube)
    by_name = {}
    for name, paths in named.items():
        marked = MASK_NAME.match(name)
        if not (marked and marked[2] and marked[1] in named):
            by_name[name] = paths[0] if len(paths) == 1 else _only_cube(paths)
    return by_name


def find_masks(cubes: Iterable[Path], folder: Path | None = None) -> dict[Path, Path]:
    """The mask of each cube that has one.

    Args:
        cubes: The cubes, of an ENVI pair the header.
        folder: Where the masks are; by default beside each cube.

    Raises:
        DataError: Two files may be the mask of a cube.
    """
    lists: dict[Path, Mapping[str, list[Path]]] = {}
    masks = {}
    for cube in cubes:
        where = cube.parent if folder is None else folder
        if where not in lists:
            lists[where] = _by_owner(where)
        own = files_of_cube(cube)
        candidates = lists[where].get(cube_name(cube).lower(), [])
        fitting = [path for path in candidates if path not in own]
        if len(fitting) > 1:
            raise DataError(
                f"{cube.name} has several masks: {', '.join(path.name for path in fitting)}",
                fix="keep one of them, or name a folder with masks:",
            )
        if fitting:
            masks[cube] = fitting[0]
    return masks


def files_of_cube(cube: Path) -> list[Path]:
    """Every file of a cube: of an ENVI pair, given by its header, both."""
    data = envi.data_of(cube) if cube.suffix.lower() == ".hdr" else None
    return [cube] if data is None else [cube, data]


def _by_owner(folder: Path) -> dict[str, list[Path]]:
    """Files that may be masks, by the lower-case name of the cube that they may belong to."""
    by_owner: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in MASKS:
            name = cube_name(path).lower()
            marked = MASK_NAME.match(name)
            owners = [name, marked[1]] if marked else [name]
            for owner in owners:
                by_owner.setdefault(owner, []).append(path)
    return by_owner


def _only_cube(paths: list[Path]) -> Path:
    """The one among files of one name that has several bands; the others may be its mask."""
    cubes = []
    for path in paths:
        with suppress(DataError):
            if formats.open_cube(path).shape[2] > 1:
                cubes.append(path)
    if len(cubes) != 1:
        raise DataError(
            f"{' and '.join(path.name for path in paths)} in {paths[0].parent} have one name, and "
            f"{len(cubes)} of them hold several bands",
            fix="rename one of them, or narrow pattern to the cubes",
        )
    return cubes[0]
