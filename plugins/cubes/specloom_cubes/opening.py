"""``specloom_cubes.open``: a cube from a file, without reading its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from specloom_cubes.cube import Reading
from specloom_cubes.reading import open_cube

if TYPE_CHECKING:
    from specloom_cubes.cube import Axes, Cube, RawCalibration, Scale, WantedBands


def open(  # as in gzip.open: it is called specloom_cubes.open
    path: str | Path,
    variable: str | None = None,
    *,
    axes: Axes | None = None,
    shape: tuple[int, int] | None = None,
    scale: Scale = "physical",
    calibration: RawCalibration | None = None,
    bands: WantedBands | None = None,
    binning: tuple[int, int] | None = None,
) -> Cube:
    """A cube, of which only the header is read: ``specloom_cubes.open("scene.hdr").show()``.

    Args:
        path: ENVI (either file), .mat, HDF5, .npy, .npz or TIFF.
        variable: The array that is the cube, where the file holds several.
        axes: The order of the axes in the file, where it is not as stated or assumed: ``HWC``,
            ``CHW`` or ``HCW`` (H rows, W columns, C bands).
        shape: Rows and columns, where the file holds a matrix of pixels (pixels x bands).
        scale: ``physical``: scale and offset that the file states are applied; ``stored``: the
            stored numbers are used as they are.
        calibration: Raw counts to reflectance, as of ``Scene``.
        bands: Which bands, and on which grid, as of ``Scene``.
        binning: Rows and columns that become one pixel.

    Raises:
        ConfigError: One of these is wrong.
        DataError: It is absent, damaged, or no cube.
    """
    return open_cube(path, variable, Reading(axes, shape, scale, calibration, bands, binning))
