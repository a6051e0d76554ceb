import numpy as np
import pytest

from specloom import DataError
from specloom_cubes.formats import open_cube

GOOD = "ENVI\nsamples = 4\nlines = 3\nbands = 2\ndata type = 2\ninterleave = bsq\n"


def pair(folder, header=GOOD, size=48):
    (folder / "cube.img").write_bytes(b"\0" * size)
    (folder / "cube.hdr").write_text(header)
    return folder / "cube.hdr"


def test_the_good_one_is_good(tmp_path):
    assert open_cube(pair(tmp_path)).array.shape == (3, 4, 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("data type = 2", "data type = 6", "data type 6 is complex; specloom works on real values"),
        ("data type = 2", "data type = 9", "data type 9 is complex"),
        ("data type = 2", "data type = 7", "data type 7 is unknown"),
        ("data type = 2\n", "", "'data type' is missing"),
        ("lines = 3", "lines = three", "'lines' is 'three'"),
        ("bands = 2", "bands = 0", "'bands' is 0"),
        ("bsq", "bsp", "interleave 'bsp' is unknown"),
        ("ENVI\n", "ENVY\n", "its first line is not ENVI"),
        ("bsq\n", "bsq\nwavelength = {1, 2, 3}\n", "'wavelength' lists 3 values for 2 bands"),
        ("bsq\n", "bsq\nbbl = {1, x}\n", "'bbl' holds a value that is not a number"),
        ("bsq\n", "bsq\nwavelength = {1,\n2\n", "the block of 'wavelength' is never closed"),
        ("bsq\n", "bsq\nfile compression = 1\n", "the data file is compressed"),
        ("bsq\n", "bsq\nmajor frame offsets = {0, 8}\n", "'major frame offsets' is '0, 8'"),
        ("bsq\n", "bsq\nheader offset = -2\n", "'header offset' is -2"),
        ("bsq\n", "bsq\ndata ignore value = none\n", "'data ignore value' is 'none'"),
    ],
)
def test_headers_that_cannot_be_used(tmp_path, old, new, message):
    with pytest.raises(DataError, match=r"cube\.hdr") as error:
        open_cube(pair(tmp_path, GOOD.replace(old, new)))
    assert message in str(error.value)
    assert error.value.fix


def test_a_data_file_that_is_too_short(tmp_path):
    with pytest.raises(DataError) as error:
        open_cube(pair(tmp_path, size=47))
    assert "promises 3 x 4 x 2 int16 = 48 bytes after offset 0, cube.img holds 47" in str(
        error.value
    )


def test_a_longer_data_file_is_read_and_reported(tmp_path):
    cube = open_cube(pair(tmp_path, size=60))
    assert cube.array.shape == (3, 4, 2)
    assert (
        "promises 3 x 4 x 2 int16 = 48 bytes after offset 0, cube.img is longer: it holds 60"
        in cube.assumptions[0]
    )


def test_what_a_header_does_not_state_is_assumed_and_reported(tmp_path):
    cube = open_cube(pair(tmp_path, GOOD.replace("interleave = bsq\n", "")))
    assert cube.interleave == "bsq"
    assert [text.partition(" has ")[2] for text in cube.assumptions] == [
        "no 'interleave': bsq is assumed; write it in the header",
        "no 'byte order': 0 is assumed; write it in the header",
    ]


def test_half_a_pair(tmp_path):
    header = pair(tmp_path)
    header.rename(tmp_path / "moved.txt")
    for name in ("cube.img", "cube.hdr"):
        with pytest.raises(DataError) as error:
            open_cube(tmp_path / name)
        assert error.value.what == (
            f"{tmp_path}/cube.img has no ENVI header: there is neither cube.img.hdr nor cube.hdr"
        )
        assert error.value.fix == "put cube.hdr beside it"
    (tmp_path / "moved.txt").rename(header)
    (tmp_path / "cube.img").unlink()
    with pytest.raises(DataError, match="has no data file beside it"):
        open_cube(header)
    (tmp_path / "other.bin").write_bytes(b"")
    with pytest.raises(DataError) as error:
        open_cube(tmp_path / "other.bin")
    assert error.value.what == (
        f"the format of {tmp_path}/other.bin is unknown, or its ENVI header is missing: "
        "there is neither other.bin.hdr nor other.hdr"
    )
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(DataError, match=r"the format of .*notes\.txt is unknown\n"):
        open_cube(tmp_path / "notes.txt")


def test_a_library_of_spectra(tmp_path):
    header = f"{GOOD}file type = ENVI Spectral Library\nwavelength = {{1, 2, 3}}\n"
    with pytest.raises(DataError) as error:
        open_cube(pair(tmp_path, header))
    assert error.value.what == (
        f"{tmp_path}/cube.hdr is an ENVI spectral library of 3 spectra, not an image"
    )


def test_a_file_that_is_far_too_long_for_a_header(tmp_path):
    header = pair(tmp_path)
    with header.open("ab") as file:
        file.truncate(1 << 27)
    with pytest.raises(DataError, match="is not an ENVI header: it has 134217728 bytes"):
        open_cube(header)


def test_absent_files_and_foreign_parameters(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        open_cube(tmp_path / "absent.hdr")
    with pytest.raises(DataError, match="has no named variables"):
        open_cube(pair(tmp_path), "data")


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3)), np.zeros((2, 3, 4), complex), np.zeros((0, 3, 4))]
)
def test_npy_that_is_no_cube(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match="not a cube"):
        open_cube(tmp_path / "x.npy")


def test_npy(tmp_path):
    cube = np.arange(24, dtype=">i4").reshape(2, 3, 4)
    np.save(tmp_path / "x.npy", cube)
    opened = open_cube(tmp_path / "x.npy")
    assert opened.shape == (2, 3, 4)
    assert opened.array.dtype == np.int32
    np.testing.assert_array_equal(opened.read(cols=slice(1, 2)), cube[:, 1:2])
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-8])
    with pytest.raises(DataError, match=r"cannot be read as \.npy"):
        open_cube(tmp_path / "x.npy")


def test_npy_of_objects_is_never_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"cannot be read as \.npy"):
        open_cube(tmp_path / "x.npy")
