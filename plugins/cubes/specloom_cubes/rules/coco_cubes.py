"""Which image of a COCO file is of which cube, by the names of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from specloom import DataError
from specloom_cubes.cube_files import MASK_NAME, cube_name
from specloom_cubes.rules.coco import (
    SUFFIX,
    CocoFile,
    Image,
    is_coco,
    listed,
    read_coco,
    reference,
)

NO_CUBE_ENDINGS = (SUFFIX, ".jpg", ".jpeg", ".gif", ".webp", ".cu3s")
"""Endings that the names of images may have, and files of cubes have not."""


def is_named_after(path: Path, cube: Path) -> bool:
    """Whether a COCO file has the name of a cube, so that it is of that cube alone."""
    name = _last_name(path.name)
    marked = MASK_NAME.match(name)
    names = {name}
    if marked is not None:
        names.add(marked[1])
    return _last_name(cube.as_posix()) in names


def image_of_cube(mask: str | Path, cube: Path, image: str | None) -> str | None:
    """The image of a cube, by its id, where a mask is a COCO file of several; else ``image``.

    Raises:
        DataError: No image of the file, or more than one, has the name of the cube.
    """
    mask = Path(mask)
    if image is not None or mask.suffix.lower() != SUFFIX:
        return image
    coco = read_coco(mask)
    if len(coco.images) == 1:
        return None
    found = images_of_cubes(coco, [cube])
    if cube not in found:
        return reference(coco.image(None))
    return found[cube]


def images_of_cubes(coco: CocoFile, cubes: Iterable[Path]) -> dict[Path, str]:
    """The id of the image of each cube that a file annotates, by the names of both.

    The name of an image is its ``file_name`` without the ending: of the path of a cube, as much
    must agree as ``file_name`` has.

    Raises:
        DataError: Two images have the name of one cube.
    """
    by_name: dict[str, list[Image]] = {}
    for image in coco.images.values():
        if image.name:
            by_name.setdefault(_last_name(image.name), []).append(image)
    found = {}
    for cube in cubes:
        fitting = []
        for image in by_name.get(_last_name(cube.as_posix()), []):
            if _folders_agree(image.name, cube):
                fitting.append(image)
        if len(fitting) > 1:
            raise DataError(
                f"{coco.path} has several images of the cube {cube.name}: "
                f"{listed([image.name for image in fitting])}",
                fix="remove all but one, or write their folders in file_name",
            )
        if fitting:
            found[cube] = reference(fitting[0])
    return found


def find_coco_masks(
    cubes: Iterable[Path], folders: Iterable[Path], masks: Mapping[Path, Path]
) -> dict[Path, tuple[Path, str | None]]:
    """The COCO file of each cube that one annotates, and the id of its image there.

    A file with the name of a cube, or with ``_gt``, ``_mask`` or ``_label`` after it, is of that
    cube alone; in others the ``file_name`` of the images says which cubes they are of.

    Args:
        cubes: The cubes, of an ENVI pair the header.
        folders: Where shared files are looked for; files of one cube are beside it or there.
        masks: Masks of other kinds that were found for the cubes.

    Raises:
        DataError: Two files may be the mask of a cube, or one that has its name is damaged.
    """
    cubes = list(cubes)
    by_name: dict[str, list[Path]] = {}
    for cube in cubes:
        by_name.setdefault(_last_name(cube.as_posix()), []).append(cube)
    found: dict[Path, tuple[Path, str | None]] = {}
    for path in _coco_files(folders):
        for cube, image in _cubes_of_file(path, cubes, by_name).items():
            if cube in found:
                raise _several_masks(cube, [found[cube][0].name, path.name])
            other = masks.get(cube)
            if other is not None and not _is_annotated_picture(other, path, image):
                raise _several_masks(cube, [other.name, path.name])
            found[cube] = (path, image)
    return found


def note_unused(folders: Iterable[Path], used: Iterable[Path]) -> list[str]:
    """A text for each COCO file in some folders that annotates none of the cubes there."""
    texts = []
    used = {*used}
    for path in _coco_files(folders):
        if path not in used:
            names = listed(read_coco(path).names())
            error = DataError(
                f"{path} annotates no cube here: its images are {names or 'none'}",
                fix="give each image the name of its cube, whatever the ending, or remove the file",
            )
            texts.append(str(error))
    return texts


def _coco_files(folders: Iterable[Path]) -> list[Path]:
    """The COCO files of some folders, by their names; hidden files are none."""
    files = []
    for folder in dict.fromkeys(folders):
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and is_coco(path):
                files.append(path)
    return files


def _cubes_of_file(
    path: Path, cubes: Sequence[Path], by_name: Mapping[str, Sequence[Path]]
) -> dict[Path, str | None]:
    """The cubes that a file annotates, with the ids of their images."""
    name = _last_name(path.name)
    owners = by_name.get(name, [])
    marked = MASK_NAME.match(name)
    if not owners and marked is not None:
        owners = by_name.get(marked[1], [])
    if owners:
        return {cube: image_of_cube(path, cube, None) for cube in owners}
    return dict(images_of_cubes(read_coco(path), cubes))


def _is_annotated_picture(mask: Path, path: Path, image: str | None) -> bool:
    """Whether a file that looks like a mask is the picture that was annotated."""
    name = read_coco(path).image(image).name
    return Path(name.replace("\\", "/")).name == mask.name


def _several_masks(cube: Path, names: Sequence[str]) -> DataError:
    fix = "remove all but one, or name the one as masks:"
    return DataError(f"{cube.name} has several masks: {', '.join(names)}", fix=fix)


def _last_name(path: str) -> str:
    """The name of a file without folders and ending, in lower case."""
    file = Path(path.replace("\\", "/"))
    if file.suffix.lower() in NO_CUBE_ENDINGS:
        return file.stem.lower()
    return cube_name(file).lower()


def _folders_agree(name: str, cube: Path) -> bool:
    """Whether the folders in the name of an image are the last ones of a cube's path."""
    folders = [part for part in Path(name.replace("\\", "/")).parent.parts if part != "."]
    return list(cube.absolute().parent.parts)[-len(folders) :] == folders or not folders
