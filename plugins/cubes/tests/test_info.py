"""``specloom info``, as a user calls it."""

import json
import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from click.testing import CliRunner
from PIL import Image

from specloom import DataError
from specloom_cubes import statistics as figures
from specloom_cubes.command import info
from specloom_cubes.describe import describe
from specloom_cubes.formats import open_cube

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
real = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
FOUND_BY_FOLDER = "; cubes.Folder finds it, cubes.Scene needs it as mask"
CUBE = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
MASK = np.array([[0, 0, 2, 0], [0, 2, 0, 0], [1, 0, 0, 0]], np.uint8)


def printed(*arguments):
    done = CliRunner().invoke(info, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def rows(*arguments):
    """The lines of the output by their labels."""
    found = (
        re.split(r"  +", line.strip(), maxsplit=1) for line in printed(*arguments).splitlines()
    )
    return dict(line for line in found if len(line) == 2)


def as_json(*arguments):
    return json.loads(printed("--json", *arguments))


def envi(folder, cube=CUBE, extra=""):
    cube.transpose(2, 0, 1).astype("<i2").tofile(folder / "x.img")
    (folder / "x.hdr").write_text(
        "ENVI\nsamples = 4\nlines = 3\nbands = 5\ndata type = 2\ninterleave = bsq\n" + extra
    )
    return folder / "x.hdr"


def test_everything_that_a_header_says(tmp_path):
    cube = CUBE.copy()
    cube[0, 0, 0], cube[..., 2], cube[..., 4] = -9, 7, -9
    path = envi(
        tmp_path,
        cube,
        "byte order = 0\n"
        "wavelength units = nm\nwavelength = {400, 500, 490, 600, 700}\nfwhm = {5, 5, 5, 5, 6}\n"
        "bbl = {1, 1, 1, 1, 0}\ndata ignore value = -9\nreflectance scale factor = 10000\n"
        "map info = {UTM, 2, 1, 1000, 2000, 3, 3, 33, North, WGS-84, units=Meters}\n",
    )
    Image.fromarray(MASK).save(tmp_path / "x_gt.png")
    assert rows(path) == {
        "format": "ENVI",
        "size": "3 rows x 4 columns x 5 bands (0-4)",
        "stored as": "int16, bsq, 120 bytes",
        "wavelengths": "400.00 to 700.00 nm, widths 5.00 to 6.00 nm, NOT ascending at band 2",
        "bad bands": "4",
        "scale": "reflectance times 10000",
        "mask": "x_gt.png (class 0: 9 px, class 1: 1 px, class 2: 2 px)" + FOUND_BY_FOLDER,
        "georeference": "UTM 33 North WGS-84, pixel 3 x 3, upper left 997, 2000",
        "no data": "-9, 21.7 % of all values",
        "values": "1 to 58, mean 23.8723",
        "NaN or infinite": "none",
        "constant bands": "2",
        "bands without data": "4",
    }
    assert printed(tmp_path / "x.img").splitlines()[1:] == printed(path).splitlines()[1:]


def test_a_file_with_several_arrays(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"hsi": CUBE, "gt": MASK, "lat": MASK / 7})
    found = rows(tmp_path / "x.mat")
    assert found["format"] == "MATLAB, variable hsi"
    assert found["also there"] == "gt 3 x 4 uint8, lat 3 x 4 float64"
    text = printed(tmp_path / "x.mat")
    assert "  mask             gt (class 0: 9 px, class 1: 1 px, class 2: 2 px)\n" in text
    assert "lat is none: its name says that it holds something else" in text
    assert found["wavelengths"] == "not stated"


def test_a_variable_that_is_asked_for(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/cube"], file["b"] = CUBE, CUBE[:, :2]
    with pytest.raises(DataError) as error:
        printed(tmp_path / "x.h5")
    assert "may be the cube: a/cube 3 x 4 x 5 int16, b 3 x 2 x 5 int16" in str(error.value)
    assert error.value.fix == "name one with --variable"
    assert rows(tmp_path / "x.h5", "--variable", "b")["size"].startswith("3 rows x 2 columns")


def test_json_and_statistics(tmp_path):
    cube = CUBE.astype(np.float32)
    cube[0, 0, 0], cube[1, 1, 1], cube[..., 3] = np.nan, np.inf, np.nan
    np.save(tmp_path / "x.npy", cube)
    found = as_json(tmp_path / "x.npy")
    good = cube[np.isfinite(cube)].astype(float)
    assert found["statistics"] == {
        "minimum": good.min(),
        "maximum": good.max(),
        "mean": pytest.approx(good.mean()),
        "not_finite": pytest.approx(14 / 60),
        "no_data": 0,
        "constant": [],
        "empty": [3],
    }
    assert (found["rows"], found["columns"], found["bands"], found["masks"]) == (3, 4, 5, [])
    assert as_json(tmp_path / "x.npy", "--no-statistics")["statistics"] is None
    assert "values" not in rows(tmp_path / "x.npy", "--no-statistics")
    np.save(tmp_path / "x.npy", cube * np.nan)
    assert as_json(tmp_path / "x.npy")["statistics"]["mean"] is None
    assert rows(tmp_path / "x.npy")["values"] == "none is finite"


def test_pixels_are_read_block_by_block(tmp_path, monkeypatch):
    cube = open_cube(envi(tmp_path, extra="data ignore value = 7\n"))
    whole = figures.statistics(cube)
    monkeypatch.setattr(figures, "BLOCK_BYTES", 1)
    seen = []
    load = cube.load
    object.__setattr__(cube, "load", lambda r, c: seen.append(r) or load(r, c))
    assert figures.statistics(cube) == whole
    assert seen == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_no_statistics_reads_no_pixel(tmp_path, monkeypatch):
    path = envi(tmp_path)
    monkeypatch.setattr("specloom_cubes.cube.Cube.read", lambda *a: pytest.fail("it read"))
    printed(path, "--no-statistics")


def test_errors_are_those_of_the_readers(tmp_path):
    path = envi(tmp_path)
    (tmp_path / "x.img").write_bytes(bytes(100))
    with pytest.raises(DataError, match="promises 3 x 4 x 5 int16 = 120 bytes"):
        printed(path)
    with pytest.raises(DataError, match="there is no file"):
        printed(tmp_path / "absent.hdr")
    assert DataError.exit_code == 2


@real
@pytest.mark.parametrize(
    ("name", "label", "text"),
    [
        (
            "enmap_potsdam/images/enmap_potsdam_tile_64_0.tif",
            "wavelengths",
            "418.24 to 2445.53 nm, widths 5.80 to 11.43 nm, NOT ascending at band 91",
        ),
        ("enmap_potsdam/images/enmap_potsdam_tile_64_0.tif", "bands without data", "129-134"),
        (
            "enmap_potsdam/images/enmap_potsdam_tile_64_0.tif",
            "no data",
            "-32768, 2.68 % of all values",
        ),
        (
            "aviris_santa_barbara/a_hsi_img_for_VI_demo.mat",
            "wavelengths",
            "365.91 to 2496.22 nm, NOT ascending at band 32, 96, 160",
        ),
        ("aviris_santa_barbara/a_hsi_img_for_VI_demo.mat", "values", "-12 to 8143, mean 1514.39"),
        ("abu/abu-urban-1.mat", "mask", "map (class 0: 9933 px, class 1: 67 px)"),
        ("mat_v73/abu-urban-1_v73.mat", "size", "100 rows x 100 columns x 204 bands (0-203)"),
        (
            "envi_sandiego/SDData",
            "mask",
            "SDDataGt.bmp (class 0: 8023 px, class 1: 77 px)" + FOUND_BY_FOLDER,
        ),
        (
            "envi_sandiego/SDData",
            "georeference",
            "UTM 11 North, pixel 3.5 x 3.5, upper left 480805.4, 3618830.5",
        ),
        ("envi_samples/fenix_image.dat", "scale", "reflectance times 65535"),
        ("envi_samples/corn-kernel-hyperspectral.raw", "stored as", "uint16, bil, 1.47 MiB"),
    ],
)
def test_real_files(name, label, text):
    assert rows(DATA / name)[label] == text


def test_a_mask_that_is_one_everywhere_or_turned(tmp_path):
    path = tmp_path / "cube.h5"
    with h5py.File(path, "w") as file:
        file["cube"] = np.zeros((4, 3, 5), np.uint16)
        file["mask"] = np.ones((4, 3), np.uint8)
        file["gt"] = np.ones((3, 4), np.uint8)
    found = describe(path)
    assert found["masks"][0]["classes"] == {"1": 12}
    assert found["masks"][1]["problem"] == "it is 3 x 4: transposed, it would fit"
    assert found["remarks"] == [
        "the mask mask has 12 of 12 pixels in class 1: it may be inverted, or a mask of valid "
        "pixels\n  fix: if it says which pixels are valid, name it as valid"
    ]
