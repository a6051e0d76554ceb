"""One scene from a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from specloom import STAGES, Batch, Port
from specloom_cubes.formats import open_cube
from specloom_cubes.masks import own_mask, read_mask
from specloom_cubes.sources.common import PORTS, known_split
from specloom_cubes.wavelengths import read_wavelengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube


class Scene:
    """One scene, as a batch of one, with the SAME pixels in train, val, test and predict.

    This is how anomaly detectors such as RX are evaluated in the literature: statistics and
    scores come from one scene. A figure from a trained detector on it is a fit, not a test.
    Bands that the header marks bad are left out; "no data" is NaN. Paths are relative to the
    current folder.

    Args:
        cube: The scene: ENVI (either file), .mat or .npy.
        mask: Class numbers of the pixels: PNG, BMP, .mat, .npy or ENVI. Where left out, the only
            2-D array of the scene's size in the same .mat file, if there is one.
        cube_variable: The array that is the cube, where a .mat file holds several.
        mask_variable: The array that is the mask, where a .mat file holds several.
        wavelengths: CSV with a column ``wavelength_nm``, or else its first column of numbers; used
            instead of those in the file.
    """

    outputs: ClassVar[Mapping[str, Port]] = PORTS

    def __init__(
        self,
        cube: str,
        mask: str | None = None,
        cube_variable: str | None = None,
        mask_variable: str | None = None,
        wavelengths: str | None = None,
    ) -> None:
        self.cube, self.mask = cube, mask
        self.cube_variable, self.mask_variable = cube_variable, mask_variable
        self.wavelengths = wavelengths
        self._opened: Cube | None = None

    def sizes(self) -> Mapping[str, int]:
        """Rows, columns and good bands from the header; nothing where the file is absent."""
        if self._opened is None and not Path(self.cube).exists():
            return {}
        cube = self._open()
        return {"H": cube.shape[0], "W": cube.shape[1], "C": len(cube.good_bands)}

    def splits(self) -> Sequence[str]:
        """All of them."""
        return STAGES

    def count(self, split: str) -> int:
        """One."""
        known_split(split)
        return 1

    def batches(self, split: str) -> Iterator[Batch]:
        """The scene; ``mask`` and ``wavelengths`` are left out where they are not known."""
        known_split(split)
        cube = self._open()
        batch: dict[str, NDArray[Any]] = {}
        mask = (
            own_mask(cube, self.mask_variable)
            if self.mask is None
            else read_mask(self.mask, cube.shape[:2], self.mask_variable)
        )
        if mask is not None:
            batch["mask"] = mask[None]
        centres = cube.good_wavelengths
        if self.wavelengths is not None:
            centres = read_wavelengths(self.wavelengths, cube)
        if centres is not None:
            batch["wavelengths"] = centres.astype(np.float32)
        yield {"cube": np.ascontiguousarray(cube.clean()[None]), **batch}

    def _open(self) -> Cube:
        if self._opened is None:
            self._opened = open_cube(self.cube, self.cube_variable)
        return self._opened
