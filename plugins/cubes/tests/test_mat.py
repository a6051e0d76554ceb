import tracemalloc
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from specloom import DataError
from specloom_cubes.cube import Reading
from specloom_cubes.formats import mat, open_cube
from specloom_cubes.masks import own_mask

RNG = np.random.default_rng(0)
CUBE = RNG.integers(-5, 900, (4, 6, 3)).astype(np.int16)
MASK = (RNG.random((4, 6)) < 0.3).astype(np.uint8)


def v5(path, **arrays):
    scipy.io.savemat(path, arrays, do_compression=True)
    return path


def v73(path, **arrays):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            kind = {"b": "logical", "U": "char"}.get(array.dtype.kind, "double")
            stored = {"b": np.uint8, "U": np.uint16}.get(array.dtype.kind, array.dtype)
            data = np.zeros((1, 3), stored) if kind == "char" else array.T.astype(stored)
            file.create_dataset(name, data=data).attrs["MATLAB_class"] = np.bytes_(kind)
        file.create_group("#refs#")
        file.create_group("settings")
    return path


BOTH = pytest.mark.parametrize("save", [v5, v73])


@BOTH
def test_the_only_cube_and_its_mask(tmp_path, save):
    path = save(tmp_path / "x.mat", data=CUBE, map=MASK, note=np.array("text"))
    cube = open_cube(path)
    assert (cube.shape, cube.dtype, cube.variable) == (CUBE.shape, CUBE.dtype, "data")
    assert cube.array.dtype == CUBE.dtype
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.read(slice(1, 3), slice(2, 5)), CUBE[1:3, 2:5])
    mask = own_mask(cube)
    assert mask.dtype == np.int32
    np.testing.assert_array_equal(mask, MASK)


@BOTH
def test_several_cubes_ask_for_a_name(tmp_path, save):
    path = save(tmp_path / "x.mat", raw=CUBE, dark=CUBE[:, :, :2])
    with pytest.raises(DataError) as error:
        open_cube(path)
    assert "raw 4 x 6 x 3 int16" in str(error.value)
    assert "dark 4 x 6 x 2 int16" in str(error.value)
    assert "fix: name one with cube_variable" in str(error.value)
    np.testing.assert_array_equal(open_cube(path, "dark").array, CUBE[:, :, :2])


@BOTH
def test_several_masks_ask_for_a_name(tmp_path, save):
    cube = open_cube(save(tmp_path / "x.mat", data=CUBE, map=MASK, roi=MASK.astype(bool)))
    with pytest.raises(DataError, match="several arrays that may be the mask") as error:
        own_mask(cube)
    assert "fix: name one with mask_variable" in str(error.value)
    np.testing.assert_array_equal(own_mask(cube, "roi"), MASK)


@BOTH
def test_wrong_names(tmp_path, save):
    path = save(tmp_path / "x.mat", data=CUBE, map=MASK)
    with pytest.raises(DataError, match="has no variable 'dta'") as error:
        open_cube(path, "dta")
    assert "cube_variable: did you mean 'data'?" in str(error.value)
    with pytest.raises(DataError, match="map 4 x 6 uint8 is not a cube"):
        open_cube(path, "map")
    with pytest.raises(DataError, match="has no variable 'mop'"):
        own_mask(open_cube(path), "mop")


@BOTH
def test_no_cube_and_no_mask(tmp_path, save):
    path = save(tmp_path / "x.mat", map=MASK)
    with pytest.raises(
        DataError, match=r"no numeric array with three axes, only .*map 4 x 6 uint8"
    ):
        open_cube(path)
    path = save(tmp_path / "y.mat", data=CUBE, other=MASK[:, :3])
    assert own_mask(open_cube(path)) is None


@BOTH
def test_a_logical_stack_is_no_cube(tmp_path, save):
    path = save(tmp_path / "x.mat", data=CUBE, masks=CUBE > 100)
    assert open_cube(path).variable == "data"


@BOTH
@pytest.mark.parametrize(
    ("centres", "nm"), [((400, 500, 600), (400, 500, 600)), ((0.4, 0.5, 0.6), (400, 500, 600))]
)
def test_wavelengths_beside_the_cube(tmp_path, save, centres, nm):
    path = save(tmp_path / "x.mat", data=CUBE, wavelengths=np.array(centres, float)[:, None])
    np.testing.assert_allclose(open_cube(path).wavelengths, nm)


def test_doubles_that_are_stored_small_say_so(tmp_path):
    # What MATLAB does with doubles that are whole; scipy cannot write it, so the bytes are made.
    name, values = b"data", np.arange(24, dtype="<u2")
    body = b"".join(
        (
            np.array([6, 8, 6, 0, 5, 12, 2, 3, 4, 0], "<u4").tobytes(),
            np.array([1, 4], "<u4").tobytes()[:8] + name + bytes(4),
            np.array([4, values.nbytes], "<u4").tobytes() + values.tobytes(),
        )
    )
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (tmp_path / "x.mat").write_bytes(head + np.array([14, len(body)], "<u4").tobytes() + body)
    assert scipy.io.whosmat(tmp_path / "x.mat") == [("data", (2, 3, 4), "double")]
    cube = open_cube(tmp_path / "x.mat")
    assert cube.dtype == cube.array.dtype == np.uint16
    np.testing.assert_array_equal(cube.array, np.arange(24).reshape(4, 3, 2).T)


@pytest.mark.parametrize("options", [{"format": "4"}, {"do_compression": False}])
def test_old_and_uncompressed_files(tmp_path, options):
    scipy.io.savemat(tmp_path / "x.mat", {"m": MASK.astype(float)}, **options)
    (found,) = mat.variables(tmp_path / "x.mat")
    assert (found.name, found.shape, found.dtype) == ("m", (4, 6), np.float64)


def test_complex_cubes_are_not_taken(tmp_path):
    path = v5(tmp_path / "x.mat", data=CUBE.astype(complex))
    with pytest.raises(DataError, match="data 4 x 6 x 3 complex"):
        open_cube(path)


@BOTH
def test_truncated_files(tmp_path, save):
    path = save(tmp_path / "x.mat", data=RNG.random((30, 30, 9)), map=MASK)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DataError, match="cannot be read as a MATLAB"):
        open_cube(path).read()


def test_not_a_mat_file(tmp_path):
    (tmp_path / "x.mat").write_bytes(b"nothing of the kind" * 20)
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        open_cube(tmp_path / "x.mat")


NM = np.array([400.0, 500.0, 600.0])[:, None]


def struct5(path):
    fields = {"DataCube": CUBE, "Wavelength": NM, "Metadata": {"Height": 4.0, "name": "x"}}
    return v5(path, hcube=fields, gt=MASK)


def struct73(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("hcube")
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        for name, values in {"DataCube": CUBE, "Wavelength": NM}.items():
            data = group.create_dataset(name, data=values.T)
            data.attrs["MATLAB_class"] = np.bytes_("double")
        file.create_group("#refs#")["a"] = np.zeros((3, 4, 6))
        file.create_dataset("gt", data=MASK.T).attrs["MATLAB_class"] = np.bytes_("double")
    return path


@pytest.mark.parametrize("save", [struct5, struct73])
@pytest.mark.parametrize("name", [None, "hcube/DataCube", "hcube.DataCube", "/hcube/DataCube"])
def test_a_field_of_a_struct(tmp_path, save, name):
    cube = open_cube(save(tmp_path / "x.mat"), name)
    assert (cube.shape, cube.dtype, cube.variable) == (CUBE.shape, CUBE.dtype, "hcube/DataCube")
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.read(slice(1, 3), slice(2, 5)), CUBE[1:3, 2:5])
    np.testing.assert_array_equal(cube.wavelengths, NM.ravel())
    assert cube.wavelengths_from == "hcube/Wavelength"
    np.testing.assert_array_equal(own_mask(cube), MASK)


@pytest.mark.parametrize("save", [struct5, struct73])
def test_a_struct_is_no_cube(tmp_path, save):
    with pytest.raises(DataError, match="hcube 1 x 1 struct is not a cube") as error:
        open_cube(save(tmp_path / "x.mat"), "hcube")
    assert error.value.fix.startswith("name one of its fields: hcube/DataCube, hcube/Wavelength")


def test_two_structs_each_have_their_own_wavelengths(tmp_path):
    one = {"DataCube": CUBE, "Wavelength": NM}
    other = {"DataCube": CUBE, "Wavelength": NM + 7}
    path = v5(tmp_path / "x.mat", a=one, b=other)
    np.testing.assert_array_equal(open_cube(path, "b/DataCube").wavelengths, NM.ravel() + 7)


def test_links_of_structs_in_a_circle(tmp_path):
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        group = file.create_group("s")
        group["up"] = file["/"]
        group["again"] = group
        group.create_dataset("cube", data=CUBE.T).attrs["MATLAB_class"] = np.bytes_("double")
    names = [one.name for one in mat.variables(tmp_path / "x.mat")]
    assert len(names) < 20
    assert "s/cube" in names


def test_a_plain_hdf5_file_that_is_named_mat_is_read_as_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.mat", "w") as file:
        file["cube"] = CUBE
        file["wavelength"] = NM
    cube = open_cube(tmp_path / "x.mat")
    assert cube.format == "HDF5"
    np.testing.assert_array_equal(cube.array, CUBE)


def test_a_matlab_file_that_is_named_h5_is_read_as_matlab(tmp_path):
    path = v73(tmp_path / "x.h5", cube=CUBE, map=MASK)
    raw = bytearray(path.read_bytes())
    raw[:23] = b"MATLAB 7.3 MAT-file, Pl"
    path.write_bytes(raw)
    cube = open_cube(path)
    assert cube.format == "MATLAB 7.3"
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(own_mask(cube), MASK)


SAMPLES = Path(scipy.io.__file__).parent / "matlab" / "tests" / "data"
"""Files of many versions of MATLAB that come with scipy; empty where it comes without."""


def test_objects_of_matlab_classes_are_refused_by_name():
    path = SAMPLES / "test_mat_opaque.mat"
    if not path.is_file():
        path = next(iter(sorted(SAMPLES.glob("*object*"))), None)
    if path is None:
        pytest.skip("scipy is installed without its test files")
    kinds = {one.kind for one in mat.variables(path)}
    assert "object of a MATLAB class" in kinds


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.mat")), ids=lambda path: path.stem)
def test_headers_are_those_that_scipy_reads(path):
    try:
        values = scipy.io.loadmat(path)
    except Exception:
        with suppress(DataError):
            mat.variables(path)
        return
    for one in mat.variables(path):
        if one.dtype is None or "/" in one.name:
            continue
        value = values[one.name]
        assert one.shape == value.shape
        if one.dtype != bool and value.dtype.kind != "c":
            assert one.dtype.newbyteorder("=") == value.dtype.newbyteorder("=")


def test_a_complex_matrix_of_version_4_is_refused_when_it_is_read(tmp_path):
    scipy.io.savemat(tmp_path / "x.mat", {"m": np.full((24, 3), 1j)}, format="4")
    cube = open_cube(tmp_path / "x.mat", reading=Reading(shape=(4, 6)))
    with pytest.raises(DataError, match="m is complex") as error:
        cube.read()
    assert error.value.fix == "save the magnitude or the real part"


def test_headers_of_a_file_that_unfolds_a_thousand_times_take_no_memory(tmp_path):
    path = v5(tmp_path / "x.mat", data=np.zeros((300, 1000, 100), np.uint8))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        mat.variables(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
