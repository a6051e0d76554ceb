"""Tables of wavelengths as spreadsheets write them."""

from pathlib import Path

import numpy as np
import pytest

from specloom import DataError
from specloom_cubes import Folder, Scene
from specloom_cubes.formats import open_cube
from specloom_cubes.wavelengths import read_wavelengths

NM = [400.5 + 50 * band for band in range(8)]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("c.npy", np.zeros((4, 3, 8), np.uint16))


def read(text, encoding="utf-8"):
    with Path("w.csv").open("w", encoding=encoding, newline="") as file:
        file.write(text)
    return read_wavelengths("w.csv", open_cube("c.npy"))


def column(heading="", form="{n};{nm}", decimal=","):
    lines = [heading] if heading else []
    for n, nm in enumerate(NM, start=1):
        lines.append(form.format(n=n, nm=str(nm).replace(".", decimal), um=f"{nm / 1e3:.7g}"))
    return "\n".join(lines) + "\n"


GOOD = {
    "semicolons and decimal commas": column("band;nm"),
    "a byte order mark": "\ufeff" + column("band;wavelength"),
    "without a heading": column(),
    "tabs": column("Kanal\tlambda [nm]", "{n}\t{nm}"),
    "commas and points": column("channel,center_nm,fwhm_nm", "{n},{nm},5", "."),
    "commas without a heading": column("", "{n},{nm},5", "."),
    "bands from 101": column("band,center", "10{n},{nm}", "."),
    "widths first": column("wavelength_fwhm,wavelength", "5.0,{nm}", "."),
    "quoted decimal commas": column("band,wavelength", '{n},"{nm}"'),
    "one column": column("", "{nm}", "."),
    "one column with decimal commas and a heading": column("wavelength", "{nm}"),
    "two columns with decimal commas and headings": column("wavelength,fwhm", "{nm},9,5"),
    "spaces": column("", "{n} {nm}", "."),
    "one row": ";".join(f"{nm}" for nm in NM) + "\n",
    "one row with a name": "wavelength," + ",".join(f"{nm}" for nm in NM) + "\n",
    "two rows": "band,1,2,3,4,5,6,7,8\nnm," + ",".join(f"{nm}" for nm in NM) + "\n",
    "micrometres": column("band,wavelength_um", "{n},{um}", "."),
    "micrometres with no unit": column("wavelength", "{um}", "."),
    "a first line for one spreadsheet": "sep=;\n" + column("band;nm"),
    "a title, and empty cells": "Camera 7;;\n;;\n" + column("band;nm;", "{n};{nm};") + ";;\n",
    "comments": "# calibrated in May\n" + column("nm", "{nm}", "."),
    "carriage returns": column("band;nm").replace("\n", "\r\n"),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.filterwarnings("ignore:w.csv. 'wavelength' states no unit")
def test_tables_of_spreadsheets(name):
    np.testing.assert_allclose(read(GOOD[name]), NM)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-8-sig"])
def test_encodings(encoding):
    text = column("Band;Wellenlänge center [µm]", "{n};{um}", ".")
    np.testing.assert_allclose(read(text, encoding), NM)


def test_decimal_commas_that_may_separate_columns():
    with pytest.raises(DataError) as error:
        read("".join(f"{439 + 10 * n},{66 - n}\n" for n in range(8)))
    assert error.value.what == (
        "w.csv may give the band centres as the column (439, 449, …) or "
        "the column (439.66, 449.65, …) with decimal commas"
    )
    assert error.value.fix == (
        "name the column of band centres wavelength_nm, and separate columns with ';' where "
        "numbers have decimal commas"
    )


def test_decimal_commas_of_half_a_nanometre():
    with pytest.raises(DataError, match=r"w.csv may give the band centres as .* with decimal"):
        read("".join(f"{400 + 50 * n},5\n" for n in range(8)))


def test_digits_that_make_one_reading_impossible():
    text = "".join(f"{n},{400 + 50 * n}\n" for n in range(1, 9))
    np.testing.assert_array_equal(read(text), [400 + 50 * n for n in range(1, 9)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "".join(f"{400 + 50 * n};{900 + 20 * n}\n" for n in range(8)),
            "w.csv may give the band centres as the column (400, 450, …) or the column (900, 920,",
        ),
        (
            "wavelength;wavelength\n" + "".join(f"{400 + n};{900 + 2 * n}\n" for n in range(8)),
            "w.csv may give the band centres as 'wavelength' (400, 401, …) or 'wavelength' (900,",
        ),
        (
            column("wavelength", "{n}"),
            "w.csv: 'wavelength' (1, 2, …) counts 1 to 8: these are band numbers",
        ),
        (column("", "{n}"), "w.csv: the column (1, 2, …) counts 1 to 8: these are band numbers"),
        (column("wavelength", "500"), "w.csv: 'wavelength' (500, 500, …) is 500 throughout"),
        (
            column("wavelength_nm", "{um}"),
            "w.csv gives 0.4005 to 0.7505 as wavelength_nm: these are micrometres",
        ),
        (
            column("wavenumber", "{nm}", "."),
            "w.csv: 'wavenumber' is in 'cm-1', which are wave numbers and no lengths: not read",
        ),
        (column("fwhm", "{nm}", "."), "w.csv has no column of wavelengths"),
        ("400;450;500\n", "w.csv has 3 wavelengths, c.npy has 8 bands"),
        ("nm\n400\n450\n", "w.csv has 2 wavelengths, c.npy has 8 bands"),
        ("nm\n400\n450\n\0", "the wavelengths w.csv cannot be read: it is no text"),
    ],
)
def test_tables_that_are_refused(text, message):
    with pytest.raises(DataError) as error:
        read(text)
    assert error.value.what.startswith(message)
    assert error.value.fix


def test_a_table_that_is_far_too_long():
    with Path("w.csv").open("wb") as file:
        file.truncate(1 << 27)
    with pytest.raises(DataError, match="it has 134217728 bytes"):
        read_wavelengths("w.csv", open_cube("c.npy"))


def test_home_and_variables_in_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TABLES", str(tmp_path))
    read(GOOD["one column"])
    for path in ("~/w.csv", "$TABLES/w.csv", "${TABLES}/w.csv"):
        np.testing.assert_allclose(read_wavelengths(path, open_cube("c.npy")), NM)


@pytest.mark.parametrize("heading", ["wavelength_A", "lambda [Å]", "center (A)", "wvl_angstrom"])
def test_angstroms_in_the_heading(heading):
    text = f"{heading}\n" + "".join(f"{10 * nm}\n" for nm in NM)
    np.testing.assert_allclose(read(text), NM)


@pytest.mark.parametrize("heading", ["frequency", "energy_eV", "reflectance", "intensity"])
def test_a_column_of_something_else(heading):
    with pytest.raises(DataError, match="has no column of wavelengths"):
        read(f"{heading}\n" + "".join(f"{nm}\n" for nm in NM))


def test_two_columns_of_different_centres():
    text = "wavelength,nm\n" + "".join(f"{nm},{nm + 10}\n" for nm in NM)
    with pytest.raises(DataError, match=r"may give the band centres as 'wavelength' .* or 'nm'"):
        read(text)
    np.testing.assert_allclose(read(text.replace("wavelength", "wavelength_nm")), NM)
    np.testing.assert_allclose(read(column("bands,nm", "{n},{nm}", ".")), NM)


def test_what_is_assumed_of_the_unit_is_reported():
    angstroms = "".join(f"{value * 10:g}\n" for value in NM)
    expected = "w.csv: 'wavelength' states no unit: 4005 to 7505 is taken as nanometres"
    with pytest.warns(UserWarning, match=expected):
        found = read("wavelength\n" + angstroms)
    np.testing.assert_allclose(found, np.multiply(NM, 10))
    assert expected in Scene(cube="c.npy", wavelengths="w.csv").notes()
    Path("folder").mkdir()
    Path("c.npy").rename("folder/c.npy")
    folder = Folder("folder", wavelengths="w.csv", split={"test": ["c"]})
    assert expected in folder.notes()


def test_a_table_without_a_heading_states_no_unit_either():
    with pytest.warns(UserWarning, match="w.csv: the column without a name states no unit: 4005"):
        read("".join(f"{value * 10:g}\n" for value in NM))
