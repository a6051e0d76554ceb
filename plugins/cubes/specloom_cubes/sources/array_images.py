"""Images that come as arrays, read as files are: calibrated, on some bands, in bins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from specloom_cubes.array_cubes import array_cube
from specloom_cubes.cube import ALL
from specloom_cubes.processing.selecting import bin_labels
from specloom_cubes.reading import opened_by_plugin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.cube import Cube, Reading


def image_cube(image: Mapping[str, Any], reading: Reading, name: str) -> Cube:
    """An image as a cube that is processed as ``reading`` states when it is read.

    Args:
        image: ``cube`` (H, W, C), and where they are known ``wavelengths`` (C,) in nm and ``valid``
            (H, W).
        reading: The calibration, the bands and the bins.
        name: What messages call it; of an image from a file the path.

    Raises:
        DataError: References or the grid of bands cannot be used.
    """
    valid = image.get("valid")
    if valid is not None:
        valid = np.asarray(valid, bool)
    cube = array_cube(np.asarray(image["cube"]), image.get("wavelengths"), valid, name=name)
    return opened_by_plugin(cube, reading)


def read_image(image: Mapping[str, Any], cube: Cube) -> dict[str, NDArray[Any]]:
    """The values of a processed image, without those that are not known.

    Args:
        image: The image that the cube was made from, maybe with ``mask`` (H, W).
        cube: What ``image_cube`` made of it.
    """
    found: dict[str, NDArray[Any]] = {"cube": cube.clean()}
    if "mask" in image:
        mask = np.asarray(image["mask"])
        block = cube.reading.binning
        found["mask"] = mask if block is None else bin_labels(mask, *block)
    if cube.valid is not None:
        found["valid"] = cube.valid(ALL, ALL)
    if cube.dark is not None:
        found["dark"] = cube.dark.clean()
    centres = cube.good_wavelengths
    if centres is not None:
        found["wavelengths"] = centres.astype(np.float32)
    return found
