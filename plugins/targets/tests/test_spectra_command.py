"""``specloom spectra``: pixels, classes and objects of a cube."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from specloom import ConfigError, DataError
from specloom_cubes import Spectra, open_cube, read_spectra
from specloom_targets import class_spectra, object_spectra, pixel_spectra, write_spectra
from specloom_targets.command import spectra


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cube of 30 x 20 pixels and 4 bands with centres, and a mask of two classes."""
    random = np.random.default_rng(0)
    cube = random.uniform(0, 1, (30, 20, 4)).astype("<f4")
    cube[4, 5, 2] = np.nan
    cube.transpose(2, 0, 1).tofile(tmp_path / "scene.img")
    header = [
        "ENVI",
        "samples = 20",
        "lines = 30",
        "bands = 4",
        "data type = 4",
        "interleave = bsq",
        "byte order = 0",
        "wavelength units = Nanometers",
        "wavelength = {450, 550, 650, 750}",
        "fwhm = {9, 10, 11, 12}",
    ]
    (tmp_path / "scene.hdr").write_text("\n".join(header))
    mask = np.zeros((30, 20), np.uint8)
    mask[3:6, 4:8] = 2
    mask[10, 10] = 2
    mask[20:22, 0] = 7
    Image.fromarray(mask).save(tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    return cube.astype(np.float64), mask


def call(*arguments):
    return CliRunner().invoke(spectra, arguments, catch_exceptions=False)


def test_classes_as_a_table(folder):
    cube, mask = folder
    result = call("scene.hdr", "--mask", "mask.png", "--out", "classes.csv")
    assert result.output == "classes.csv\n2 spectra of 4 bands: class 2, class 7\n"
    got = read_spectra("classes.csv")
    assert got.names == ("class 2", "class 7")
    want = [np.nanmean(cube[(mask == 2) & np.isfinite(cube).all(2)], 0), cube[mask == 7].mean(0)]
    np.testing.assert_allclose(got.values, want, rtol=1e-12)
    np.testing.assert_array_equal(got.wavelengths, [450, 550, 650, 750])
    np.testing.assert_array_equal(got.fwhm, [9, 10, 11, 12])


def test_named_classes_as_a_library(folder):
    cube, mask = folder
    result = call("scene.hdr", "--mask", "mask.png", "--class", "7=old car", "--out", "lib.sli")
    assert result.output == "lib.sli\nlib.hdr\n1 spectra of 4 bands: old car\n"
    got = read_spectra("lib.hdr")
    assert got.names == ("old car",)
    np.testing.assert_allclose(got.values[0], cube[mask == 7].mean(0), rtol=1e-12)
    np.testing.assert_array_equal(got.fwhm, [9, 10, 11, 12])
    call("scene.hdr", "--mask", "mask.png", "--class", "7", "--out", "lib.sli")
    assert read_spectra("lib.sli").names == ("class 7",)


def test_objects_and_pixels(folder):
    cube, _ = folder
    call("scene.hdr", "--mask", "mask.png", "--objects", "--out", "objects.csv")
    got = read_spectra("objects.csv")
    assert got.names == ("object 1", "object 2", "object 3")
    np.testing.assert_allclose(got.values[1], cube[10, 10], rtol=1e-12)
    np.testing.assert_allclose(got.values[2], cube[20:22, 0].mean(0), rtol=1e-12)
    result = call("scene.hdr", "--pixel", "1,2", "--pixel", "29,19", "--out", "pixels.csv")
    assert "2 spectra of 4 bands: 1,2, 29,19" in result.output
    got = read_spectra("pixels.csv")
    np.testing.assert_array_equal(got.values, [cube[1, 2], cube[29, 19]])


def test_a_mask_in_the_file_of_the_cube(folder):
    cube, mask = folder
    np.savez("scene.npz", cube=cube, truth=mask)
    call("scene.npz", "--variable", "cube", "--mask-variable", "truth", "--out", "classes.csv")
    got = read_spectra("classes.csv")
    assert got.wavelengths is None
    np.testing.assert_allclose(got.values[1], cube[mask == 7].mean(0), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give --pixel, or --mask or --mask-variable."),
        (["--pixel", "1,2", "--mask", "mask.png"], "Give --pixel, or --mask or --mask-variable."),
        (["--pixel", "1,2", "--objects"], "--class and --objects go with a mask."),
        (["--mask", "mask.png", "--objects", "--class", "2"], "Give --class or --objects"),
    ],
)
def test_options_that_do_not_go_together(folder, arguments, message):
    result = call("scene.hdr", *arguments, "--out", "x.csv")
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--pixel", "1"], ConfigError, "--pixel is '1'\n.*write --pixel ROW,COLUMN"),
        (["--pixel", "30,2"], DataError, "30 rows and 20 columns, so no pixel 30,2"),
        (["--mask", "mask.png", "--class", "x"], ConfigError, "--class is 'x'\n.*NUMBER=NAME"),
        (["--mask", "mask.png", "--class", "3"], DataError, r"no class 3, but \[0, 2, 7\]"),
    ],
)
def test_what_cannot_be_extracted_is_refused(folder, arguments, error, message):
    with pytest.raises(error, match=message):
        call("scene.hdr", *arguments, "--out", "x.csv")


def test_masks_without_usable_pixels_are_refused(folder):
    cube = open_cube("scene.hdr")
    nothing = np.zeros((30, 20), np.int32)
    with pytest.raises(DataError, match="the mask has no class above 0"):
        class_spectra(cube, nothing)
    with pytest.raises(DataError, match="the mask has no class above 0"):
        object_spectra(cube, nothing)
    nothing[4, 5] = 1
    with pytest.raises(DataError, match="no pixel of 'class 1' is finite in every band"):
        class_spectra(cube, nothing)
    assert np.isnan(pixel_spectra(cube, [(4, 5)]).values).sum() == 1


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be written as x.txt\n.*\.csv or \.sli"):
        write_spectra(Spectra(("a",), np.ones((1, 3))), tmp_path / "x.txt")


def test_numbers_survive_both_formats(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 5)) * 10.0 ** np.arange(-7, 8).reshape(3, 5)
    nm = np.linspace(400, 500, 5) + 1 / 3
    names = ("a, b", "c {d}", "ü")
    for ending in (".csv", ".sli"):
        for wavelengths in (None, nm):
            path = tmp_path / f"spectra{ending}"
            write_spectra(Spectra(names, values, wavelengths), path)
            got = read_spectra(path)
            np.testing.assert_array_equal(got.values, values)
            if wavelengths is None:
                assert got.wavelengths is None
            else:
                np.testing.assert_array_equal(got.wavelengths, nm)
            assert len(got.names) == 3
            assert got.names[2] == "ü"
