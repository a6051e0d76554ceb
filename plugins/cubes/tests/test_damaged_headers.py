"""Headers that were damaged, or that say what no cube has: each was a traceback or worse once."""

import io
import json
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile

from specloom import DataError
from specloom_cubes.describe import describe
from specloom_cubes.formats import open_cube
from specloom_cubes.masks import read_mask
from specloom_cubes.wavelengths import read_wavelengths

CUBE = np.arange(60, dtype="<u2").reshape(4, 3, 5)
TEXT = h5py.string_dtype()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(path, what, fix):
    with pytest.raises(DataError) as caught:
        describe(path)
    assert (caught.value.what, caught.value.fix) == (what, fix)


# --- HDF5 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["DIMENSION_LABELS", "DIMENSION_LIST"])
@pytest.mark.parametrize(
    "value",
    [
        "bands",
        7,
        np.array([b"y", b"x", b"bands"]),
        np.array(["y", "x"], object),
        np.zeros((3, 2)),
        h5py.Empty("f4"),
    ],
)
def test_names_of_axes_in_another_form_than_that_of_hdf5(name, value):
    """They ended the process with a segmentation fault."""
    with h5py.File("cube.h5", "w") as file:
        file["cube"] = CUBE
        if isinstance(value, np.ndarray) and value.dtype == object:
            file["cube"].attrs.create(name, value, dtype=TEXT)
        else:
            file["cube"].attrs[name] = value
    np.testing.assert_array_equal(open_cube("cube.h5").array, CUBE)


def test_names_of_axes_in_the_form_of_hdf5():
    with h5py.File("cube.h5", "w") as file:
        file["cube"] = CUBE
        for axis, label in enumerate(("bands", "y", "x")):
            file["cube"].dims[axis].label = label
    assert open_cube("cube.h5").shape == (3, 5, 4)


def test_a_scale_that_is_complex():
    with h5py.File("cube.h5", "w") as file:
        file["cube"] = CUBE
        file["cube"].attrs["scale_factor"] = 1 + 2j
    refused(
        "cube.h5",
        "the attribute 'scale_factor': np.complex128(1+2j) is no number",
        "write numbers, or remove it",
    )


def test_a_divisor_that_is_too_small():
    with h5py.File("cube.h5", "w") as file:
        file["cube"] = CUBE
        file["cube"].attrs["Scale_Factor"] = 1e-310
    refused(
        "cube.h5",
        "the attribute 'Scale_Factor': a value is not finite",
        "correct it, or remove it",
    )


# --- ENVI ------------------------------------------------------------------------------------


def envi(*lines):
    CUBE.transpose(2, 0, 1).tofile("cube.img")
    text = "ENVI\nsamples = 3\nlines = 4\nbands = 5\ndata type = 12\nbyte order = 0\n"
    with Path("cube.hdr").open("w") as file:
        file.write(text + "interleave = bsq\n" + "".join(f"{line}\n" for line in lines))
    return json.loads(json.dumps(describe("cube.hdr"), allow_nan=False))


def test_a_scale_factor_without_a_value():
    found = envi("reflectance scale factor = ")
    assert (found["scale"], found["scaling"]) == (None, None)


def test_a_scale_factor_for_each_band():
    found = envi("reflectance scale factor = {1, 2, 4, 8, 10}")
    assert (found["scale"], found["scaling"]["gains"]) == (None, [0.1, 1])


def test_a_scale_factor_that_is_not_finite():
    for factor in ("nan", "inf"):
        for gains in ("", "data gain values = {2, 2, 2, 2, 2}"):
            with pytest.raises(DataError) as caught:
                envi(f"reflectance scale factor = {factor}", gains)
            assert caught.value.what == f"'reflectance scale factor' is {factor}"
            assert caught.value.fix == "write what the values were multiplied with, or remove it"


@pytest.mark.parametrize(("stated", "shown"), [("inf", "inf"), ("-inf", "-inf"), ("nan", None)])
def test_no_data_that_is_not_finite(stated, shown):
    assert envi(f"data ignore value = {stated}")["no_data"] == shown


def test_a_place_that_is_not_finite():
    assert envi("map info = {UTM, 1, 1, inf, 0, nan, 1, 33, North}")["georeference"] is None


# --- tables ----------------------------------------------------------------------------------


def test_numbers_that_are_too_large_for_any_unit():
    np.save("cube.npy", CUBE)
    with Path("w.csv").open("w") as file:
        file.write("wavelength\n" + "".join(f"{n}e308\n" for n in (1, 1.1, 1.2, 1.3, 1.4)))
    with pytest.raises(DataError) as caught:
        read_wavelengths("w.csv", open_cube("cube.npy"))
    assert caught.value.what == (
        "w.csv: 'wavelength' is 1e+308 to 1.4e+308, not between 100 nm and 20 µm in any unit: "
        "not read"
    )


# --- TIFF ------------------------------------------------------------------------------------


def tiff(changes, **options):
    """A TIFF file of one band with changed tags.

    Args:
        changes: The tag, which bytes of its entry, and the number that they shall hold.
        options: Those of tifffile.
    """
    memory = io.BytesIO()
    tifffile.imwrite(memory, CUBE[..., 0].astype("u1"), photometric="minisblack", **options)
    data = bytearray(memory.getvalue())
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, entry)
        if tag in changes:
            first, number = changes[tag]
            struct.pack_into("<I", data, entry + first, number)
    with Path("cube.tif").open("wb") as file:
        file.write(data)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({256: (4, 0)}, "page 1 has no size"),
        ({256: (8, 0)}, "page 1 has 4 x 0 pixels"),
        ({257: (8, 4000)}, "page 1 promises 12000 bytes, the file holds 220"),
        ({277: (8, 65535)}, "page 1 promises 786420 bytes, the file holds 220"),
    ],
)
def test_tags_that_no_image_has(changes, problem):
    tiff(changes, metadata=None)
    refused(
        "cube.tif", f"cube.tif cannot be read as TIFF: {problem}", "copy or save the file again"
    )


def test_a_description_in_another_encoding():
    tags = b'<GDALMetadata><Item name="DESCRIPTION" sample="0" role="description">0.4 \xb5m'
    tags += b'</Item><Item name="wavelength" sample="0">400</Item></GDALMetadata>\0'
    tiff({}, extratags=[(42112, "s", len(tags), tags, False)])
    assert open_cube("cube.tif").wavelengths.tolist() == [400]


def test_a_message_with_bytes_of_the_file_is_not_printed(capfd):
    tags = b"<GDALMetadata><Item name=\xff\xfe></Item2></GDALMetadata>\0"
    tiff({}, extratags=[(42112, "s", len(tags), tags, False)])
    assert open_cube("cube.tif").shape == (4, 3, 1)
    assert capfd.readouterr().err == ""


# --- NumPy -----------------------------------------------------------------------------------


def npy(descr, shape):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with Path("cube.npy").open("wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + CUBE.tobytes())


def test_an_element_type_of_nothing():
    npy("()", "(4, 3, 5)")
    refused(
        "cube.npy",
        "cube.npy cannot be read as .npy: tuple index out of range",
        "write the file again",
    )


def test_axes_that_are_too_long_though_there_is_no_value():
    npy("'<u2'", "(2147483648, 2147483648, 0)")
    with pytest.raises(DataError, match=r"its shape is \(2147483648, 2147483648, 0\)"):
        open_cube("cube.npy")
    with pytest.raises(DataError, match=r"its shape is \(2147483648, 2147483648, 0\)"):
        read_mask("cube.npy", (4, 3))


def test_a_stack_without_pixels():
    for number in range(2):
        np.save(f"band_{number}.npy", np.zeros((0, 3)))
    refused(
        "band_*.npy",
        "band_*.npy has no pixels: its cube is 0 x 3 x 2",
        "save the cube again, with all of its values",
    )


def test_two_arrays_of_one_name():
    """One header was that of the first, and the values were those of the second."""
    memory = io.BytesIO()
    np.save(memory, CUBE)
    with zipfile.ZipFile("cube.npz", "w") as archive:
        archive.writestr("cube.npy", memory.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("cube.npy", memory.getvalue())
    refused(
        "cube.npz",
        "cube.npz cannot be read as .npz: it holds cube.npy more than once",
        "write the file again",
    )


# --- MATLAB ----------------------------------------------------------------------------------


def test_a_matrix_that_promises_more_than_it_has():
    """Memory for the whole of it was taken before it was read."""
    scipy.io.savemat("cube.mat", {"data": CUBE})
    data = bytearray(Path("cube.mat").read_bytes())
    at = data.index(struct.pack("<3i", 4, 3, 5))
    struct.pack_into("<3i", data, at, 4, 3, 500_000_000)
    with Path("cube.mat").open("wb") as file:
        file.write(data)
    refused(
        "cube.mat",
        "cube.mat cannot be read as a MATLAB file: a variable of shape (4, 3, 500000000) has "
        "120 bytes, it needs 12000000000",
        "copy or save the file again",
    )


def struct_file(at, number):
    """A file with a struct, of which 4 bytes hold another number."""
    scipy.io.savemat("cube.mat", {"hcube": {"DataCube": CUBE, "inner": {"a": np.arange(3)}}})
    data = bytearray(Path("cube.mat").read_bytes())
    struct.pack_into("<I", data, at, number)
    Path("cube.mat").write_bytes(data)


def test_a_struct():
    struct_file(100, 0)
    assert open_cube("cube.mat", "hcube/DataCube").shape == CUBE.shape


@pytest.mark.parametrize("number", [0x80000000, 0xFFFFFFFF, 0x7FFFFFFF, 0x0806, 500, 0])
def test_a_struct_with_a_wrong_number_anywhere(number):
    """A name of 2 GB ended the process with a segmentation fault."""
    struct_file(100, 0)
    size = Path("cube.mat").stat().st_size
    refusals = 0
    for at in range(128, size, 4):
        struct_file(at, number)
        try:
            describe("cube.mat", "hcube/DataCube")
        except DataError:
            refusals += 1
    assert refusals > 20


@pytest.mark.parametrize("number", [0x80000000, 0xFFFFFFFF, 0x7FFFFFFF, 500])
def test_a_matrix_of_version_4_with_a_wrong_number(number):
    for at in range(0, 20, 4):
        scipy.io.savemat("cube.mat", {"x": CUBE[..., 0].astype(float)}, format="4")
        data = bytearray(Path("cube.mat").read_bytes())
        struct.pack_into("<I", data, at, number)
        Path("cube.mat").write_bytes(data)
        with pytest.raises(DataError):
            describe("cube.mat")


def test_logical_texts():
    with h5py.File("cube.mat", "w", userblock_size=512) as file:
        file["cube"] = CUBE
        file["wavelength"] = np.array([b"400 nm", b"a", b"b", b"c"])
        file["wavelength"].attrs["MATLAB_class"] = np.bytes_("logical")
    data = Path("cube.mat").read_bytes()
    Path("cube.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + data[128:])
    assert open_cube("cube.mat").wavelengths is None
