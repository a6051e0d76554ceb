"""One open cube as the data of a fitted pipeline, which needs no labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from specloom import STAGES, Batch, Port
from specloom_cubes.cube import ALL
from specloom_cubes.masks import valid_pixels, validity_arrays_of
from specloom_cubes.processing.selecting import valid_in_bins
from specloom_cubes.sources.common import PORTS, WITH_VALID, batch_of
from specloom_cubes.sources.data_module import DataModule
from specloom_cubes.valid_files import check_valid_files, stated_valid, valid_file
from specloom_cubes.wavelengths import stated_wavelengths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from specloom_cubes.cube import Cube, Valid


class OneCube(DataModule):
    """A cube without labels, as a batch of one or in parts, with its valid pixels.

    Args:
        cube: The cube; without one there is no batch.
        wavelengths: Band centres in nm, used instead of those in the file: a CSV file, or one
            number for each band.
        valid: The pattern of the file that says which pixels count, as of ``Folder``; besides what
            the cube's own file says.
        valid_variable: The array that says so, in that file or the cube's own.

    Raises:
        DataError: There is no such file or array, or it is no mask of the cube's size.
    """

    outputs: ClassVar[Mapping[str, Port]] = {
        "cube": PORTS["cube"],
        "wavelengths": PORTS["wavelengths"],
        "valid": WITH_VALID["valid"],
    }

    def __init__(
        self,
        cube: Cube | None = None,
        wavelengths: str | Path | ArrayLike | None = None,
        valid: str | None = None,
        valid_variable: str | None = None,
    ) -> None:
        self.cube = cube
        self._valid: Valid | None = None
        self._stated: NDArray[np.bool_] | None = None
        if cube is not None:
            self._valid = _valid_of(cube)
            self._stated = stated_valid(cube, _file_of(cube, valid), valid_variable)
            self._centres = cube.good_wavelengths
            if wavelengths is not None:
                self._centres = stated_wavelengths(wavelengths, cube)

    def sizes(self) -> Mapping[str, int]:
        """Rows, columns and good bands."""
        cube = self.cube
        if cube is None:
            return {}
        return {"H": cube.shape[0], "W": cube.shape[1], "C": len(cube.good_bands)}

    def splits(self) -> Sequence[str]:
        """All of them."""
        return STAGES

    def count(self, split: str) -> int:
        """One, if there is a cube."""
        return int(self.cube is not None)

    def batches(self, split: str) -> Iterator[Batch]:
        """The whole cube."""
        if self.cube is not None:
            yield self.window(ALL, ALL)

    def window(self, rows: slice, cols: slice) -> Batch:
        """The part of the cube in some rows and columns, as a batch of one."""
        assert self.cube is not None, "parts are read only where there is a cube"
        valid = self._valid_in(rows, cols)
        parts = None if valid is None else [valid]
        return batch_of([self.cube.clean(rows, cols)], None, parts, self._centres)

    def _valid_in(self, rows: slice, cols: slice) -> NDArray[np.bool_] | None:
        """Which pixels of some rows and columns count; None where nothing says it."""
        stated = None
        if self._stated is not None:
            stated = self._stated[rows, cols]
        if self._valid is None:
            return stated
        valid = self._valid(rows, cols)
        if stated is not None:
            valid = valid & stated
        return valid


def _valid_of(cube: Cube) -> Valid | None:
    """Which pixels, or bins of them, the cube's own file says are valid."""
    full = cube.with_masks
    valid = valid_pixels(full, validity_arrays_of(full))
    block = cube.reading.binning
    if valid is None or block is None:
        return valid
    return valid_in_bins(valid, cube.shape[:2], block)


def _file_of(cube: Cube, valid: str | None) -> Path | None:
    """The file that says which pixels of a cube count."""
    if valid is None:
        return None
    check_valid_files([cube.path], valid)
    return valid_file(cube.path, valid)
