from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from specloom.testing import parametrize_with_checks

COLUMNS = 7
"""The kit's images have as many."""


@cache
def references():
    """The files of a white and a dark reference, and what keeps their folder."""
    holder = TemporaryDirectory()
    root = Path(holder.name)
    rng = np.random.default_rng(0)
    np.save(root / "white.npy", rng.uniform(0.5, 0.65, (4, COLUMNS, 3)))
    np.save(root / "dark.npy", rng.uniform(0.0, 0.1, (4, COLUMNS, 3)))
    return holder, root


def reflectance():
    root = references()[1]
    return {
        "white": root / "white.npy",
        "dark": root / "dark.npy",
        "exposures": {"raw": 1.0, "white": 1.0, "dark": 1.0},
        "saturation": 0.7,
        "num_channels": 3,
    }


COLUMNS_COUNT = "the columns are those of the sensor, and a fit without one is of another sensor"


@parametrize_with_checks(
    "reflectance",
    expected_failures={
        "DeadPixels-nan_pixel_left_out_of_fit": COLUMNS_COUNT,
        "DeadPixels-invalid_pixel_left_out_of_fit": COLUMNS_COUNT,
    },
    examples={"Reflectance": reflectance},
)
def test_conformance(check):
    check()
