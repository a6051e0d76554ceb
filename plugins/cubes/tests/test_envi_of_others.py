"""ENVI files as other programs write them, which were read in silence with other values."""

from pathlib import Path

import numpy as np
import pytest

from specloom import DataError
from specloom_cubes import Scene, open_cube
from specloom_cubes.sources.common import notes_on

CUBE = np.arange(1, 121, dtype="<u2").reshape(6, 5, 4)
FIELDS = "samples = 5\nlines = 6\nbands = 4\ndata type = 12\n"
ORDER = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(more="", interleave="bsq", ending=".img", fields=FIELDS, encoding="utf-8"):
    stored = CUBE.transpose(ORDER[interleave])
    Path(f"x{ending}").write_bytes(stored.tobytes())
    text = f"ENVI\n{fields}interleave = {interleave}\n{more}"
    Path("x.hdr").write_text(text, encoding)
    return "x.hdr"


def message(more, **options):
    with pytest.raises(DataError) as caught:
        open_cube(write(more, **options))
    return str(caught.value)


def test_a_field_that_is_there_twice_is_noted():
    cube = open_cube(write("byte order = 1\nbyte order = 0\n"))
    np.testing.assert_array_equal(cube.clean(), CUBE)
    assert cube.assumptions == (
        "x.hdr states 'byte order' more than once, with different values: the last is read; "
        "remove the others",
    )
    assert open_cube(write("byte order = 0\nbyte order = 0\n")).assumptions == ()


def test_a_byte_order_that_is_none():
    assert message("byte order = 2\n") == (
        "x.hdr: 'byte order' is 2\n"
        "  fix: write 0 (the least byte first, as PCs do) or 1 (the greatest first)"
    )


def test_a_block_that_is_not_closed_swallows_no_other():
    more = "byte order = 0\ndescription = {of today\nbbl = {1, 1, 0, 1}\n"
    assert message(more) == (
        "x.hdr:8: the block of 'description' is not closed before that of 'bbl'\n"
        "  fix: add the missing }"
    )


def test_utf_16_is_named():
    assert message("", encoding="utf-16") == (
        "x.hdr is written in UTF-16, which no reader of ENVI headers expects\n"
        "  fix: save it as UTF-8"
    )


def test_of_several_data_files_the_one_of_the_interleave_is_read():
    write(ending=".bsq")
    cube = open_cube(write("byte order = 0\n", interleave="bil", ending=".bil"))
    np.testing.assert_array_equal(cube.clean(), CUBE)
    assert cube.assumptions == (
        "x.hdr has several data files beside it: x.bil is read, and not x.bsq; name the data "
        "file, or move the others",
    )
    assert open_cube("x.bil").assumptions == ()


def test_of_several_data_files_the_one_of_the_stated_length_is_read(tmp_path):
    (tmp_path / "x.img").write_bytes(b"a preview")
    cube = open_cube(write("byte order = 0\n", ending=".raw"))
    np.testing.assert_array_equal(cube.clean(), CUBE)
    assert cube.assumptions == ()


@pytest.mark.parametrize(
    ("code", "dtype", "value"), [(12, "uint16", "-9999"), (12, "uint16", "0.5"), (4, "f4", "1e300")]
)
def test_no_data_that_the_type_cannot_hold_is_noted(tmp_path, code, dtype, value):
    fields = FIELDS.replace("data type = 12", f"data type = {code}")
    file = write(f"byte order = 0\ndata ignore value = {value}\n", fields=fields)
    (tmp_path / "x.img").write_bytes(CUBE.astype(dtype).tobytes())
    cube = open_cube(file)
    assert np.isfinite(cube.clean()).all()
    note = (
        f'x.img states {float(value):.10g} as "no data", which {np.dtype(dtype).name} cannot hold\n'
        "  fix: correct it in the file; until then such pixels count, with whatever value they have"
    )
    assert note in notes_on(cube)
    assert note in Scene("x.hdr").notes()


def test_no_data_of_the_largest_float_is_found(tmp_path):
    fields = FIELDS.replace("data type = 12", "data type = 4")
    file = write(
        "byte order = 0\ndata ignore value = -3.40282346638529e+38\nwavelength = {4, 5, 6, 7}\n",
        fields=fields,
    )
    values = CUBE.astype("f4").transpose(2, 0, 1).copy()
    values[:, 0, 0] = np.finfo("f4").min
    (tmp_path / "x.img").write_bytes(values.tobytes())
    cube = open_cube(file)
    assert np.isnan(cube.clean()[0, 0]).all()
    assert np.isfinite(cube.clean()[1:]).all()
    assert notes_on(cube) == []


def test_centres_that_may_be_wave_numbers_are_noted():
    cube = open_cube(write("byte order = 0\nwavelength = {4000, 3000, 2000, 1000}\n"))
    assert cube.assumptions == (
        "x.hdr: 'wavelength' states no unit: 1000 to 4000 is taken as nanometres",
    )
    rising = open_cube(write("byte order = 0\nwavelength = {1000, 2000, 2200, 2400}\n"))
    assert rising.assumptions == ()
