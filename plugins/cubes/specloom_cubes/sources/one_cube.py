"""One open cube as the data of a fitted pipeline, which needs no labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from specloom import STAGES, Batch, Port
from specloom_cubes.cube import ALL
from specloom_cubes.masks import valid_pixels, validity_arrays_of
from specloom_cubes.sources.common import PORTS, WITH_VALID, batch_of
from specloom_cubes.sources.data_module import DataModule
from specloom_cubes.wavelengths import read_wavelengths

if TYPE_CHECKING:
    from specloom_cubes.cube import Cube, Valid


class OneCube(DataModule):
    """A cube without labels, as a batch of one or in parts, with its file's own valid pixels.

    Args:
        cube: The cube; without one there is no batch.
        wavelengths: CSV with the band centres, used instead of those in the file.
    """

    outputs: ClassVar[Mapping[str, Port]] = {
        "cube": PORTS["cube"],
        "wavelengths": PORTS["wavelengths"],
        "valid": WITH_VALID["valid"],
    }

    def __init__(self, cube: Cube | None = None, wavelengths: str | Path | None = None) -> None:
        self.cube = cube
        self._valid: Valid | None = None
        if cube is not None:
            self._valid = valid_pixels(cube, validity_arrays_of(cube))
            self._centres = cube.good_wavelengths
            if wavelengths is not None:
                self._centres = read_wavelengths(wavelengths, cube)

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
        valid = None
        if self._valid is not None:
            valid = [self._valid(rows, cols)]
        return batch_of([self.cube.clean(rows, cols)], None, valid, self._centres)
