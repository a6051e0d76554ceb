"""A folder of cubes with masks beside them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from specloom import STAGES, Batch, DataError, Port, SpecloomWarning, Ticket
from specloom_cubes.cube_files import find_cubes, find_masks
from specloom_cubes.formats import named_arrays, open_cube
from specloom_cubes.formats.variable import choose_mask
from specloom_cubes.masks import UNLABELLED, read_mask
from specloom_cubes.paths import advice, there
from specloom_cubes.rules import coco
from specloom_cubes.sources.base import TicketedSource
from specloom_cubes.sources.common import (
    PORTS,
    absent,
    batch_of,
    check_batch_size,
    notes_on,
    warn_once,
)
from specloom_cubes.sources.grid import check_same_grid
from specloom_cubes.splits import Ids, Shares, divide, items_of
from specloom_cubes.wavelengths import read_wavelengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube

LABEL = "Folder"
AXES = ("rows", "columns", "bands")


class MaskFile(NamedTuple):
    """Where the mask of a cube is.

    Args:
        path: The file.
        variable: The array in it, where the file holds several.
    """

    path: Path
    variable: str | None


class Folder(TicketedSource):
    """The cubes of a folder, in the order of their names, with the masks beside them.

    A cube's name is its path within the folder without the ending. Its mask is a file of that
    name with another ending, or with ``_gt``, ``_mask`` or ``_label`` after it, in the same folder
    or in ``masks``; or an image of its name in a COCO file there; or else the only 2-D array of
    its size in its own file. Where some cubes of a
    split have masks, those without are unlabelled (-1). All cubes must have one band grid: as many
    bands, and wavelengths within 0.5 nm where they state them. Paths are relative to the current
    folder. The folder is listed and divided once: files that come later are not read, and reading
    one that has gone, or is of another size, is an error.

    Args:
        path: The folder.
        masks: A folder of masks: within ``path``, or beside it, or any other; or one COCO file,
            whose ``images`` have the names of cubes.
        pattern: Which files are cubes, such as ``*.tif`` or ``**/*.hdr``.
        split: Shares of the cubes for train, val and test, by default [0.5, 0.25, 0.25], or the
            names for each: {train: [a, b], val: [c], test: [d]}. Predict is test unless named.
        folds: Instead of ``split``: so many folds, of which one is the test, the next one val.
        fold: Which fold is the test, from 0.
        group: A regular expression: cubes in whose names it finds the same (its first group, if
            it has one) stay in one split.
        seed: Shuffles the cubes, or groups, before they are dealt out.
        batch_size: Cubes in a batch; more than 1 needs cubes of one size.
        cube_variable: The array that is the cube, where a file holds several.
        mask_variable: The array that is the mask, where a file holds several.
        wavelengths: CSV with the band centres in nm, used instead of those in the files.
        find_mask: Whether to look for masks where ``masks`` names no folder.
    """

    outputs: ClassVar[Mapping[str, Port]] = PORTS

    def __init__(
        self,
        path: str,
        masks: str | None = None,
        pattern: str = "*",
        split: Shares | Ids | None = None,
        folds: int | None = None,
        fold: int = 0,
        group: str | None = None,
        seed: int = 0,
        batch_size: int = 1,
        cube_variable: str | None = None,
        mask_variable: str | None = None,
        wavelengths: str | None = None,
        find_mask: bool = True,
    ) -> None:
        self.path = path
        self.masks = masks
        self.pattern = pattern
        self.split = split
        self.folds = folds
        self.fold = fold
        self.group = group
        self.seed = seed
        self.batch_size = batch_size
        self.cube_variable = cube_variable
        self.mask_variable = mask_variable
        self.wavelengths = wavelengths
        self.find_mask = find_mask
        # Listed and divided once, so that a read takes as long in a large folder as in a small one.
        self._found: dict[str, Path] | None = None
        self._files: list[Path] = []
        self._splits: dict[str, list[int]] | None = None
        self._masks: dict[Path, MaskFile] | None = None
        self._missing_outputs: dict[str, list[str]] = {}
        self._sizes: dict[str, int] | None = None
        self._shapes: dict[Path, tuple[int, int, int]] = {}
        self._bytes: dict[Path, int] = {}
        self._grid: NDArray[np.float64] | None = None

    def sizes(self) -> Mapping[str, int]:
        """Good bands, and rows and columns where all cubes are of one size, from the headers."""
        check_batch_size(self.batch_size, LABEL)
        if self._sizes is None:
            if not there(self.path):
                return {}
            self._divided()  # so that a wrong split is an error before anything runs
            self._sizes = self._read_headers()
        return self._sizes

    def notes(self) -> list[str]:
        """What is not there, and whether the cubes look like pictures."""
        missing = absent(folder=self.path)
        if missing:
            return missing
        first = next(iter(self.cubes().values()))
        return absent(wavelengths=self.wavelengths) + notes_on(self._open(first))

    def splits(self) -> Sequence[str]:
        """The splits that have cubes; all of them where the folder is absent."""
        if not there(self.path):
            return STAGES
        return [split for split, numbers in self._divided().items() if numbers]

    def missing_outputs(self, split: str) -> Sequence[str]:
        """``mask`` where no cube of the split has one; nothing where the folder is absent."""
        if not there(self.path):
            return []
        if split not in self._missing_outputs:
            masks = self._found_masks()
            files = list(self.cubes().values())
            numbers = items_of(split, self._divided(), LABEL)
            labelled = any(files[number] in masks for number in numbers)
            self._missing_outputs[split] = [] if labelled else ["mask"]
        return self._missing_outputs[split]

    def count(self, split: str) -> int:
        """The number of batches of a split."""
        check_batch_size(self.batch_size, LABEL)
        return super().count(split)

    def batches(self, split: str) -> Iterator[Batch]:
        """The cubes of a split, in the order of their names."""
        check_batch_size(self.batch_size, LABEL)
        return super().batches(split)

    def items(self, split: str) -> int:
        """The number of cubes of a split."""
        return len(items_of(split, self._divided(), LABEL))

    def ticket(self, split: str, number: int) -> Ticket:
        """The files of a cube and of its mask, and what their headers say.

        ``labelled`` is whether any cube of the split has a mask; ``shape`` has the good bands only.
        """
        masks = self._found_masks()
        self.sizes()
        chosen = items_of(split, self._divided(), LABEL)
        path = self._files[chosen[number]]
        mask_file = None
        mask_variable = None
        if path in masks:
            mask_file = str(masks[path].path)
            mask_variable = masks[path].variable
        wavelengths = None
        grid = self._wavelengths()
        if grid is not None:
            wavelengths = grid.tolist()
        return {
            "cube": str(path),
            "cube_variable": self._variable(path),
            "mask": mask_file,
            "mask_variable": mask_variable,
            "labelled": not self.missing_outputs(split),
            "wavelengths": wavelengths,
            "shape": list(self._shapes[path]),
            "bytes": self._bytes[path],
        }

    def read_ticket(self, ticket: Ticket) -> Batch:
        """The cube of a ticket.

        Raises:
            DataError: A file cannot be read, or the cube is of another size than in the ticket.
        """
        cube = open_cube(ticket["cube"], ticket["cube_variable"])
        _check_unchanged(cube, ticket["shape"])
        warn_once(self, cube)
        pixels = cube.clean()
        labels = None
        if ticket["labelled"]:
            labels = [_read_labels(cube, ticket)]
        wavelengths = None
        if ticket["wavelengths"] is not None:
            wavelengths = np.array(ticket["wavelengths"], np.float64)
        return batch_of([pixels], labels, None, wavelengths)

    def cubes(self) -> dict[str, Path]:
        """The files by name; of an ENVI pair the header.

        Raises:
            DataError: There is no such folder, or no cube in it.
        """
        if self._found is None:
            root = Path(self.path)
            if root.is_file():
                fix = "give the folder that holds it, or use cubes.Scene for one scene"
                raise DataError(f"{root} is a file, not a folder", fix=fix)
            if not root.is_dir():
                raise DataError(f"there is no folder {root}", fix=advice(root))
            masks = self._mask_folder()
            by_name = find_cubes(root, self.pattern)
            if masks is not None and not masks.samefile(root):
                for name, path in list(by_name.items()):
                    if path.is_relative_to(masks):
                        del by_name[name]
            if not by_name:
                raise DataError(
                    f"{root} holds no cube that fits {self.pattern!r}",
                    fix="check path and pattern; '**/*' includes folders within",
                )
            self._found = by_name
            self._files = list(by_name.values())
        return self._found

    def _mask_folder(self) -> Path | None:
        if self.masks is None:
            return None
        root = Path(self.path)
        masks = Path(self.masks)
        for folder in (root / masks, root.parent / masks, masks):
            if folder.is_dir() or (folder.suffix.lower() == coco.SUFFIX and folder.is_file()):
                return folder
        raise DataError(
            f"there is no folder {masks} of masks within {root} or beside it",
            fix="name the folder that holds the masks",
        )

    def _read_headers(self) -> dict[str, int]:
        """Compare the headers of all cubes, note their shapes, and give the sizes they share."""
        paths = list(self.cubes().values())
        cubes = [self._open(path) for path in paths]
        self._grid = check_same_grid(
            cubes, same_size=self.batch_size > 1, wavelengths=self.wavelengths is None
        )
        for path, cube in zip(paths, cubes, strict=True):
            self._shapes[path] = _good_shape(cube)
            self._bytes[path] = cube.good_bytes()
        sizes = {"C": len(cubes[0].good_bands)}
        for at, axis in enumerate("HW"):
            if len({cube.shape[at] for cube in cubes}) == 1:
                sizes[axis] = cubes[0].shape[at]
        return sizes

    def _wavelengths(self) -> NDArray[np.float64] | None:
        """The wavelengths that all cubes share, from their headers or from the table."""
        if self._grid is None and self.wavelengths is not None:
            self._grid = read_wavelengths(self.wavelengths, self._open(self._files[0]))
        return self._grid

    def _found_masks(self) -> dict[Path, MaskFile]:
        """Where the mask of each cube is that has one; no pixel is read yet."""
        if self._masks is None:
            self._masks = self._find_masks()
        return self._masks

    def _find_masks(self) -> dict[Path, MaskFile]:
        cubes = list(self.cubes().values())
        folder = self._mask_folder()
        masks = {}
        in_files = folder is not None or (self.find_mask and self.mask_variable is None)
        if in_files and not (folder is not None and folder.is_file()):
            for path, mask in find_masks(cubes, folder).items():
                variable = self.mask_variable if named_arrays(mask) else None
                masks[path] = MaskFile(mask, variable)
        if in_files:
            masks |= self._coco_masks(cubes, folder, masks)
        if folder is None and (self.find_mask or self.mask_variable is not None):
            for path in cubes:
                name = None if path in masks else self._own_mask(path)
                if name is not None:
                    masks[path] = MaskFile(path, name)
        if folder is not None and not masks:
            raise DataError(
                f"{folder} holds no mask of any cube in {self.path}",
                fix="name each mask like its cube, with _gt or _mask after it if you like",
            )
        return masks

    def _coco_masks(
        self, cubes: Sequence[Path], folder: Path | None, masks: Mapping[Path, MaskFile]
    ) -> dict[Path, MaskFile]:
        """The masks that are in COCO files: the one that is named, or those in the folders."""
        if folder is not None and folder.is_file():
            images = coco.images_of_cubes(coco.read_coco(folder), cubes)
            return {path: MaskFile(folder, image) for path, image in images.items()}
        folders = [Path(self.path), *(path.parent for path in cubes)]
        if folder is not None:
            folders = [folder]
        others = {path: mask.path for path, mask in masks.items()}
        found = coco.find_coco_masks(cubes, folders, others)
        for note in coco.note_unused(folders, [path for path, _ in found.values()]):
            warnings.warn(note, SpecloomWarning, stacklevel=2)
        return {path: MaskFile(*place) for path, place in found.items()}

    def _own_mask(self, path: Path) -> str | None:
        reader = named_arrays(path)
        if reader is None:
            return None
        size = self._open(path).shape[:2]
        return choose_mask(path, reader.variables(path), size, self.mask_variable)

    def _divided(self) -> dict[str, list[int]]:
        if self._splits is None:
            names = list(self.cubes())
            self._splits = divide(
                names, LABEL, self.split, self.folds, self.fold, self.group, self.seed
            )
        return self._splits

    def _open(self, path: Path) -> Cube:
        # Not stored: an open cube may hold its pixels.
        return open_cube(path, self._variable(path))

    def _variable(self, path: Path) -> str | None:
        """The array to take from a file, where its format has several."""
        return None if named_arrays(path) is None else self.cube_variable


def _good_shape(cube: Cube) -> tuple[int, int, int]:
    return cube.shape[0], cube.shape[1], len(cube.good_bands)


def _check_unchanged(cube: Cube, before: Sequence[int]) -> None:
    """Refuse a cube that is of another size than when the folder was listed."""
    for axis, now, size in zip(AXES, _good_shape(cube), before, strict=True):
        if now != size:
            raise DataError(
                f"{cube.path} has {now} {axis}, and had {size} when the folder was listed",
                fix="do not change the folder while it is read; start again",
            )


def _read_labels(cube: Cube, ticket: Ticket) -> NDArray[np.int32]:
    """Class numbers (H, W) of the cube of a ticket, -1 everywhere where it has no mask."""
    if ticket["mask"] is None:
        return np.full(cube.shape[:2], UNLABELLED, np.int32)
    return read_mask(ticket["mask"], cube.shape, ticket["mask_variable"])
