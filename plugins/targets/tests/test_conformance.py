import tempfile
from pathlib import Path

import numpy as np
import pytest

from specloom.testing import parametrize_with_checks

BANDS = 3
FOLDER = tempfile.TemporaryDirectory()


def osp():
    """OSP needs undesired spectra, which are in a file."""
    path = Path(FOLDER.name) / "undesired.csv"
    spectra = np.random.default_rng(0).uniform(15, 40, (2, BANDS))
    lines = ["name," + ",".join(f"band {band}" for band in range(BANDS))]
    for number, values in enumerate(spectra.tolist()):
        lines.append(f"spectrum {number}," + ",".join(map(str, values)))
    path.write_text("\n".join(lines))
    return {"undesired": path, "num_channels": BANDS}


# One check moves the data by 1000, so that no spectrum has the scale of all data.
@pytest.mark.filterwarnings("ignore:OSP. the spectrum")
@parametrize_with_checks("targets", examples={"OSP": osp})
def test_conformance(check):
    check()
