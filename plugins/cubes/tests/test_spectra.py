"""Spectra in tables and ENVI libraries."""

import numpy as np
import pytest

from specloom import DataError
from specloom_cubes import read_spectra


def read(tmp_path, text, name="spectra.csv"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return read_spectra(path)


@pytest.mark.parametrize(
    "text",
    [
        "wavelength_nm,fwhm_nm,roof,car\n500,9,0.1,3\n600,10,0.2,4\n",
        "index,wavelength (um),fwhm,roof,car\n0,0.5,0.009,0.1,3\n1,0.6,0.01,0.2,4\n",
        "wavelength_nm;fwhm_nm;roof;car\n500;9;0,1;3\n600;10;0,2;4\n",
        "# made by hand\nroof\tcar\tfwhm\twavelength_nm\n0.1\t3\t9\t500\n0.2\t4\t10\t600\n",
    ],
)
def test_a_column_for_each_spectrum(tmp_path, text):
    got = read(tmp_path, text)
    assert got.names == ("roof", "car")
    np.testing.assert_allclose(got.values, [[0.1, 0.2], [3, 4]])
    np.testing.assert_allclose(got.wavelengths, [500, 600])
    np.testing.assert_allclose(got.fwhm, [9, 10])
    assert got.unit == ""


@pytest.mark.parametrize(
    "text",
    [
        "label,500 nm,600 nm\nroof,0.1,0.2\ncar,3,4\n",
        "label,500,600\nroof,0.1,0.2\ncar,3,4\n",
        "label,pixels,0.5 um,0.6 um\nroof,12,0.1,0.2\ncar,4,3,4\n",
    ],
)
def test_a_row_for_each_spectrum(tmp_path, text):
    got = read(tmp_path, text)
    assert got.names == ("roof", "car")
    np.testing.assert_allclose(got.values, [[0.1, 0.2], [3, 4]])
    np.testing.assert_allclose(got.wavelengths, [500, 600])


def test_rows_without_centres_and_with_holes(tmp_path):
    got = read(tmp_path, "# unit: radiance\nlabel,band 0,band 1\n1,0.5,nan\n2,,7\n")
    assert got.names == ("1", "2")
    assert got.wavelengths is None
    assert got.unit == "radiance"
    np.testing.assert_array_equal(got.values, [[0.5, np.nan], [np.nan, 7]])


def test_a_hole_in_a_column_is_nan_and_words_are_no_spectrum(tmp_path):
    got = read(tmp_path, "wavelength_nm,roof,what,car\n500,1,good,nan\n600,,bad,4\n")
    assert got.names == ("roof", "car")
    np.testing.assert_array_equal(got.values, [[1, np.nan], [np.nan, 4]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roof,car\n1,2\n3,4\n", "has no column of wavelengths, and its headings name no bands"),
        ("wavelength_nm\n500\n600\n", "has no column of a spectrum"),
        ("wavelength_nm,roof\n500,1\n600,x2\n", "'x2' of the spectrum 'roof' is no number"),
        ("wavelength,roof\n1,5\n2,6\n", "band numbers"),
        ("label,500 nm,600 nm\nroof,1\n", "spectrum 1 has 2 cells, the headings 3"),
        ("label,500 nm,600 nm\nroof,1,much\n", "'much' of the spectrum 'roof' is no number"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no file of spectra"):
        read_spectra(tmp_path / "absent.csv")
    with pytest.raises(DataError, match=r"neither a table of spectra nor a spectral library"):
        read(tmp_path, "x", "spectra.png")
    (tmp_path / "binary.csv").write_bytes(b"a\0b")
    with pytest.raises(DataError, match="cannot be read: it is no text"):
        read_spectra(tmp_path / "binary.csv")


HEADER = """ENVI
samples = 3
lines = 2
bands = 1
header offset = 4
file type = ENVI Spectral Library
data type = 2
byte order = 1
reflectance scale factor = 10000
wavelength units = Micrometers
wavelength = {0.5, 0.6, 0.7}
bbl = {1, 0, 1}
z plot titles = {Wavelength, Reflectance}
"""


def library(tmp_path, header=HEADER, count=6):
    (tmp_path / "lib.hdr").write_text(header, "utf-8")
    values = 1000 * np.arange(1, count + 1)
    (tmp_path / "lib.sli").write_bytes(b"head" + values.astype(">i2").tobytes())
    return tmp_path / "lib.sli"


def test_an_envi_library_with_scale_offset_and_bad_bands(tmp_path):
    got = read_spectra(library(tmp_path))
    assert got.names == ("spectrum 1", "spectrum 2")
    np.testing.assert_allclose(got.values, [[0.1, 0.3], [0.4, 0.6]])
    np.testing.assert_allclose(got.wavelengths, [500, 700])
    assert got.unit == "Reflectance"
    named = library(tmp_path, HEADER + "spectra names = {roof, old car}\n")
    assert read_spectra(named).names == ("roof", "old car")


def test_libraries_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"promises 2 spectra of 3 bands = 12 bytes .* holds 8"):
        read_spectra(library(tmp_path, count=4))
    image = HEADER.replace("ENVI Spectral Library", "ENVI Standard")
    with pytest.raises(DataError, match="is no spectral library: its file type is 'ENVI Standard'"):
        read_spectra(library(tmp_path, image))
    with pytest.raises(DataError, match="'samples' is 0"):
        read_spectra(library(tmp_path, HEADER.replace("samples = 3", "samples = 0")))
    (tmp_path / "lib.hdr").unlink()
    with pytest.raises(DataError, match="has no ENVI header"):
        read_spectra(tmp_path / "lib.sli")
