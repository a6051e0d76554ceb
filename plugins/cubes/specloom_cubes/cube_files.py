"""Which files of a folder are cubes, and which files belong to each: data, header, mask."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from specloom import DataError
from specloom_cubes import formats
from specloom_cubes.formats import envi
from specloom_cubes.previews import is_in_colour, problem_of_file
from specloom_cubes.rules.masks import (
    LOSSY,
    NOT_READ,
    PICTURES,
    MaskFinding,
    Rejected,
    is_noise,
    is_reference,
    refused,
)

MASK_NAME = re.compile(r"(.+?)([ ._-]?)(?:gt|masks?|labels?)$", re.IGNORECASE)
"""The name of a mask: its cube's name with ``_gt``, ``_mask`` or ``_label`` after it."""

MASKS = (*formats.SUFFIXES, *PICTURES)
ENDINGS = (*MASKS, *LOSSY, *NOT_READ, *filter(None, envi.SUFFIXES))
NO_CUBES = (*PICTURES, ".csv", ".txt", ".md", ".json", ".yaml", ".xml", *LOSSY, *NOT_READ)
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

    Files are sorted; of an ENVI pair the header stands for both. Skipped are masks of other cubes,
    white and dark references, and files that are hidden or made by a system.

    Raises:
        DataError: Two cubes have one name.
    """
    return {name: Path(address) for name, address in find_cube_addresses(root, pattern).items()}


def find_cube_addresses(root: Path, pattern: str) -> dict[str, str]:
    """As ``find_cubes``, with texts, which take a fourth of the memory of paths.

    Raises:
        DataError: Two cubes have one name.
    """
    by_name: dict[str, str] = {}
    others: dict[str, list[Path]] = {}
    for path in map(Path, sorted(map(str, root.glob(pattern)), key=_place_among_files)):
        if is_noise(path.relative_to(root)) or not path.is_file():
            continue
        cube = cube_file(path)
        if cube is None or is_reference(cube_name(cube)):
            continue
        name = cube.with_name(cube_name(cube)).relative_to(root).as_posix()
        first = by_name.setdefault(name, str(cube))
        if first != str(cube) and cube not in others.get(name, []):
            others.setdefault(name, []).append(cube)
    masks = [name for name in by_name if _is_mask_of(name, by_name)]
    for name in masks:
        del by_name[name]
    for name, paths in others.items():
        if name in by_name:
            by_name[name] = str(_only_cube([Path(by_name[name]), *paths]))
    return by_name


def _place_among_files(path: str) -> str:
    """What sorts the texts of paths as paths are sorted: folder by folder."""
    return os.path.normcase(path).replace(os.sep, "\0")


def _is_mask_of(name: str, names: Container[str]) -> bool:
    """Whether a name is that of the mask of a cube among others."""
    marked = MASK_NAME.match(name)
    return bool(marked and marked[2] and marked[1] in names)


def find_masks(
    cubes: Iterable[Path], folder: Path | None = None, exclude: Collection[Path] = ()
) -> dict[Path, MaskFinding]:
    """The file that is the mask of each cube, or why none is, by cube.

    A file with ``gt``, ``mask`` or ``label`` after the cube's name is the mask, and so is every
    file of that name in a folder of masks. A picture of the cube's own name is one where it has
    few colours; of more it is a preview.

    Args:
        cubes: The cubes, of an ENVI pair the header.
        folder: Where the masks are; by default beside each cube.
        exclude: Files that are no masks.

    Raises:
        DataError: Two files may be the mask of a cube, or its compression changes numbers.
    """
    lists: dict[Path, Mapping[str, list[Path]]] = {}
    others = set(exclude)
    findings = {}
    for cube in cubes:
        where = cube.parent if folder is None else folder
        if where not in lists:
            lists[where] = _by_owner(where)
        own = files_of_cube(cube)
        candidates = lists[where].get(cube_name(cube).lower(), [])
        fitting = [path for path in candidates if path not in own and path not in others]
        finding = _mask_among(cube, fitting, is_named=folder is not None)
        if finding is not None:
            findings[cube] = finding
    return findings


def masks_without_cube(cubes: Iterable[Path], folder: Path | None = None) -> list[Path]:
    """Files that are named as masks, or lie in a folder of masks, and belong to none of the cubes.

    Args:
        cubes: The cubes, of an ENVI pair the header.
        folder: Where the masks are; by default beside each cube.
    """
    cubes = list(cubes)
    names: dict[Path, set[str]] = {}
    own = set()
    for cube in cubes:
        where = cube.parent if folder is None else folder
        names.setdefault(where, set()).add(cube_name(cube).lower())
        own.update(files_of_cube(cube))
    without = []
    for where, known in names.items():
        for path in _mask_files(where):
            marked = MASK_NAME.match(cube_name(path).lower())
            is_named = folder is not None or (marked is not None and marked[2] != "")
            if is_named and path not in own and known.isdisjoint(owners(path)):
                without.append(path)
    return without


def _mask_among(cube: Path, files: Sequence[Path], *, is_named: bool) -> MaskFinding | None:
    """Which of the files that bear a cube's name is its mask.

    Args:
        cube: The cube.
        files: The files.
        is_named: Whether the user has named their folder as one of masks.
    """
    name = cube_name(cube).lower()
    marked = [path for path in files if cube_name(path).lower() != name]
    chosen = list(files) if is_named else marked
    readable = [path for path in chosen if path.suffix.lower() in MASKS]
    if len(readable) > 1:
        raise DataError(
            f"{cube.name} has several masks: {', '.join(path.name for path in readable)}",
            fix="keep one of them, or name a folder with masks:",
        )
    if readable:
        return MaskFinding(readable[0], None, f"{readable[0].name}, named after its cube")
    if chosen:
        raise refused(chosen[0])
    return _unmarked_mask(cube, [path for path in files if path not in marked])


def _unmarked_mask(cube: Path, files: Sequence[Path]) -> MaskFinding | None:
    """Which of the files of a cube's own name is its mask: one that is no preview."""
    masks = []
    rejected = []
    for path in files:
        problem = problem_of_file(path)
        if problem:
            rejected.append(Rejected(path.name, problem))
        else:
            masks.append(path)
    if len(masks) > 1:
        raise DataError(
            f"{cube.name} has several masks: {', '.join(path.name for path in masks)}",
            fix="keep one of them, or name a folder with masks:",
        )
    if masks:
        source = f"{masks[0].name}, which has its cube's name"
        return MaskFinding(masks[0], None, source, tuple(rejected))
    if rejected:
        return MaskFinding(None, None, "", tuple(rejected))
    return None


def files_of_cube(cube: Path) -> list[Path]:
    """Every file of a cube: of an ENVI pair, given by its header, both."""
    data = envi.data_of(cube) if cube.suffix.lower() == ".hdr" else None
    return [cube] if data is None else [cube, data]


def _by_owner(folder: Path) -> dict[str, list[Path]]:
    """Files that may be masks, by the lower-case name of the cube that they may belong to."""
    by_owner: dict[str, list[Path]] = {}
    for path in _mask_files(folder):
        for owner in owners(path):
            by_owner.setdefault(owner, []).append(path)
    return by_owner


def _mask_files(folder: Path) -> list[Path]:
    """The files of a folder whose endings are those of masks, sorted."""
    found = []
    for path in sorted(folder.iterdir()):
        is_mask = path.suffix.lower() in (*MASKS, *LOSSY, *NOT_READ)
        if is_mask and not is_noise(PurePath(path.name)) and path.is_file():
            found.append(path)
    return found


def owners(path: Path) -> list[str]:
    """The lower-case names of the cubes whose mask a file may be."""
    name = cube_name(path).lower()
    marked = MASK_NAME.match(name)
    return [name, marked[1]] if marked else [name]


def _only_cube(paths: list[Path]) -> Path:
    """The one among files of one name that has several bands; the others may be its mask.

    A file of 3 or 4 bands of 8 bits without wavelengths is a preview where another has several.
    """
    cubes = {}
    for path in paths:
        with suppress(DataError):
            cube = formats.open_cube(path)
            if cube.shape[2] > 1:
                cubes[path] = cube
    several = [path for path, cube in cubes.items() if not is_in_colour(cube)] or list(cubes)
    if len(several) != 1:
        raise DataError(
            f"{' and '.join(path.name for path in paths)} in {paths[0].parent} have one name, and "
            f"{len(several)} of them hold several bands",
            fix="rename one of them, or narrow pattern to the cubes",
        )
    return several[0]
