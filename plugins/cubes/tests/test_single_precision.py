"""Values whose differences float32 cannot hold are refused, with the remedy."""

import numpy as np
import pytest

from specloom import DataError
from specloom_cubes.formats import open_cube
from specloom_cubes.sources import Scene

RNG = np.random.default_rng(4)
SMALL = RNG.integers(0, 900, (40, 6, 5))


def envi(folder, cube, code, extra=""):
    (folder / "x.img").write_bytes(cube.tobytes())
    (folder / "x.hdr").write_text(
        f"ENVI\nsamples = 6\nlines = 40\nbands = 5\ndata type = {code}\ninterleave = bip\n"
        f"byte order = 0\n{extra}"
    )
    return folder / "x.hdr"


@pytest.mark.parametrize(
    ("cube", "code", "step", "offset"),
    [
        ((SMALL + 2_000_000_000).astype("<u4"), 13, "2.4e+02", 2000000000),
        ((SMALL - 1_000_000_000).astype("<i4"), 3, "1.2e+02", -1000000000),
        ((SMALL / 1e3 + 1e8).astype("<f8"), 5, "12", 100000000),
    ],
)
def test_small_differences_of_large_values(tmp_path, cube, code, step, offset):
    opened = open_cube(envi(tmp_path, cube, code))
    with pytest.raises(DataError) as error:
        opened.clean(slice(0, 1), slice(0, 1))
    assert f"float32, in which they are used, loses differences below {step}" in error.value.what
    assert error.value.fix == (
        f"subtract {offset} from all values and save them again, or state the offset {-offset} "
        "in the file (ENVI: data offset values)"
    )
    with pytest.raises(DataError, match="float32"):
        list(Scene(str(opened.path)).batches("train"))
    remedy = open_cube(envi(tmp_path, cube, code, f"data offset values = {{{-offset}}}\n"))
    np.testing.assert_allclose(remedy.clean(), cube.astype(np.float64) - offset, rtol=1e-6)


def test_an_offset_that_makes_values_large(tmp_path):
    cube = SMALL.astype("<u2")
    opened = open_cube(envi(tmp_path, cube, 12, "data offset values = {1e10}\n"))
    with pytest.raises(DataError, match=r"loses differences below 1.2e\+03"):
        opened.clean()


@pytest.mark.parametrize(
    "cube",
    [
        SMALL.astype("<f8"),
        SMALL.astype("<f8") * 1e30,
        (SMALL * 4_000_000).astype("<f8"),
        np.full((40, 6, 5), 1e8),
        np.full((40, 6, 5), np.nan),
        np.concatenate([np.full((40, 6, 2), 1e8) + SMALL[..., :2] / 1e3, SMALL[..., 2:]], 2),
    ],
    ids=["small", "large", "wide", "constant", "empty", "two bands of five"],
)
def test_values_that_float32_holds(tmp_path, cube):
    np.testing.assert_array_equal(open_cube(envi(tmp_path, cube, 5)).clean(), cube)


def test_values_that_are_too_large_become_infinite(tmp_path):
    cube = SMALL.astype("<u2") + 1
    extra = "data gain values = {1e308, 1, 1, 1, 1}\ndata offset values = {-1e308}\n"
    clean = open_cube(envi(tmp_path, cube.astype("<u2"), 12, extra)).clean()
    assert np.isinf(clean).any()


def test_no_data_does_not_count(tmp_path):
    cube = np.where(RNG.random(SMALL.shape) > 0.5, -9999.0, SMALL + 1e9)
    opened = open_cube(envi(tmp_path, cube, 5, "data ignore value = -9999\n"))
    with pytest.raises(DataError, match="float32"):
        opened.clean()
