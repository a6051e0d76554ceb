"""A folder of cubes with masks beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np

from specloom import STAGES, Batch, DataError, Port
from specloom_cubes.cube_files import find_cubes, find_masks
from specloom_cubes.formats import named_arrays, open_cube
from specloom_cubes.formats.variable import choose_mask
from specloom_cubes.masks import UNLABELLED, read_mask
from specloom_cubes.paths import advice, there
from specloom_cubes.sources.common import (
    PORTS,
    absent,
    batch_of,
    check_batch_size,
    in_order,
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
AXES = {"H": "rows", "W": "columns", "C": "bands"}

Mask: TypeAlias = "Callable[[Cube], NDArray[np.int32]]"
"""Reads the class numbers of a cube."""


class Folder:
    """The cubes of a folder, in the order of their names, with the masks beside them.

    A cube's name is its path within the folder without the ending. Its mask is a file of that
    name with another ending, or with ``_gt``, ``_mask`` or ``_label`` after it, in the same folder
    or in ``masks``; or else the only 2-D array of its size in its own file. Where some cubes of a
    split have masks, those without are unlabelled (-1). All cubes must have one band grid: as many
    bands, and wavelengths within 0.5 nm where they state them. Paths are relative to the current
    folder. The folder is listed and divided once: files that come later are left out, and reading
    one that has gone, or is of another size, is an error.

    Args:
        path: The folder.
        masks: A folder of masks: within ``path``, or beside it, or any other.
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
        self.path, self.masks, self.pattern = path, masks, pattern
        self.split, self.folds, self.fold = split, folds, fold
        self.group, self.seed, self.batch_size = group, seed, batch_size
        self.cube_variable, self.mask_variable = cube_variable, mask_variable
        self.wavelengths, self.find_mask = wavelengths, find_mask
        # Listed and divided once, so that a read takes as long in a large folder as in a small one.
        self._found: dict[str, Path] | None = None
        self._files: list[Path] = []
        self._splits: dict[str, list[int]] | None = None
        self._masks: dict[Path, Mask] | None = None
        self._lacks: dict[str, list[str]] = {}
        self._sizes: dict[str, int] | None = None
        self._grid: NDArray[np.float64] | None = None

    def sizes(self) -> Mapping[str, int]:
        """Good bands, and rows and columns where all cubes are of one size, from the headers."""
        check_batch_size(self.batch_size, LABEL)
        if self._sizes is None:
            if not there(self.path):
                return {}
            self._divided()  # so that a wrong split is told before anything runs
            cubes = [self._open(path) for path in self.cubes().values()]
            self._grid = check_same_grid(
                cubes, same_size=self.batch_size > 1, wavelengths=self.wavelengths is None
            )
            self._sizes = {"C": len(cubes[0].good_bands)}
            for at, axis in enumerate("HW"):
                if len({cube.shape[at] for cube in cubes}) == 1:
                    self._sizes[axis] = cubes[0].shape[at]
        return self._sizes

    def notes(self) -> list[str]:
        """What is not there, and whether the cubes look like pictures."""
        if missing := absent(folder=self.path):
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
        if split not in self._lacks:
            masks, files = self._found_masks(), list(self.cubes().values())
            numbers = items_of(split, self._divided(), LABEL)
            self._lacks[split] = [] if any(files[n] in masks for n in numbers) else ["mask"]
        return self._lacks[split]

    def count(self, split: str) -> int:
        """The number of batches of a split."""
        check_batch_size(self.batch_size, LABEL)
        return -(-self.items(split) // self.batch_size)

    def batches(self, split: str) -> Iterator[Batch]:
        """The cubes of a split, in the order of their names."""
        check_batch_size(self.batch_size, LABEL)
        return in_order(self, split)

    def items(self, split: str) -> int:
        """The number of cubes of a split."""
        return len(items_of(split, self._divided(), LABEL))

    def read(self, split: str, numbers: Sequence[int]) -> Batch:
        """A batch of some cubes of a split, by their numbers within it."""
        masks, grid = self._found_masks(), self.wavelengths
        self.sizes()
        chosen = items_of(split, self._divided(), LABEL)
        paths = [self._files[chosen[number]] for number in numbers]
        cubes = [self._open(path) for path in paths]
        self._check_unchanged(cubes)
        warn_once(self, cubes[0])
        pairs = zip(paths, cubes, strict=True)
        return batch_of(
            [cube.clean() for cube in cubes],
            [masks.get(path, _unlabelled)(cube) for path, cube in pairs]
            if not self.missing_outputs(split)
            else None,
            None,
            self._grid if grid is None else read_wavelengths(grid, cubes[0]),
        )

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
            masks, found = self._mask_folder(), find_cubes(root, self.pattern)
            if masks is not None and not masks.samefile(root):
                found = {name: p for name, p in found.items() if not p.is_relative_to(masks)}
            if not found:
                raise DataError(
                    f"{root} holds no cube that fits {self.pattern!r}",
                    fix="check path and pattern; '**/*' looks into its folders as well",
                )
            self._found, self._files = found, list(found.values())
        return self._found

    def _mask_folder(self) -> Path | None:
        if self.masks is None:
            return None
        root, given = Path(self.path), Path(self.masks)
        for folder in (root / given, root.parent / given, given):
            if folder.is_dir():
                return folder
        raise DataError(
            f"there is no folder {given} of masks within {root} or beside it",
            fix="name the folder that holds the masks",
        )

    def _found_masks(self) -> dict[Path, Mask]:
        """What reads the mask of each cube that has one; nothing is read yet."""
        if self._masks is None:
            cubes, folder = list(self.cubes().values()), self._mask_folder()
            self._masks = {}
            if folder is not None or (self.find_mask and self.mask_variable is None):
                for path, mask in find_masks(cubes, folder).items():
                    self._masks[path] = partial(_from_file, mask, self.mask_variable)
            if folder is None and (self.find_mask or self.mask_variable is not None):
                for path in cubes:
                    if path not in self._masks and (name := self._own_mask(path)):
                        self._masks[path] = partial(_from_file, path, name)
            if folder is not None and not self._masks:
                raise DataError(
                    f"{folder} holds no mask of any cube in {self.path}",
                    fix="give masks the names of their cubes, or these with _gt or _mask after",
                )
        return self._masks

    def _own_mask(self, path: Path) -> str | None:
        if (reader := named_arrays(path)) is None:
            return None
        size = self._open(path).shape[:2]
        return choose_mask(path, reader.variables(path), size, self.mask_variable)

    def _divided(self) -> dict[str, list[int]]:
        if self._splits is None:
            names = list(self.cubes())
            given = self.split, self.folds, self.fold, self.group, self.seed
            self._splits = divide(names, LABEL, *given)
        return self._splits

    def _check_unchanged(self, cubes: Sequence[Cube]) -> None:
        """Refuse cubes that are of another size than when the folder was listed."""
        before = self.sizes()
        for cube in cubes:
            now = {"H": cube.shape[0], "W": cube.shape[1], "C": len(cube.good_bands)}
            for axis, size in before.items():
                if now[axis] != size:
                    raise DataError(
                        f"{cube.path} has {now[axis]} {AXES[axis]}, and had {size} when the "
                        "folder was listed",
                        fix="leave the folder as it is while it is read, and start again",
                    )

    def _open(self, path: Path) -> Cube:
        # Not kept: an open cube may hold its pixels.
        reader = named_arrays(path)
        return open_cube(path, None if reader is None else self.cube_variable)


def _from_file(path: Path, variable: str | None, cube: Cube) -> NDArray[np.int32]:
    return read_mask(path, cube.shape, variable if named_arrays(path) else None)


def _unlabelled(cube: Cube) -> NDArray[np.int32]:
    return np.full(cube.shape[:2], UNLABELLED, np.int32)
