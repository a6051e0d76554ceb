"""Which array of a file is the cube: abundances, previews, uncertainties, matrices of pixels."""

import h5py
import numpy as np
import pytest
import scipy.io

from specloom import DataError
from specloom_cubes.cube import Reading
from specloom_cubes.formats import open_cube

H, W, C = 10, 12, 8
CUBE = np.random.default_rng(0).integers(0, 900, (H, W, C)).astype(np.int16)
NM = 400 + 50.0 * np.arange(C)
ABUNDANCES = np.zeros((H, W, 4))


def save_hdf5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name.replace("__", "/")] = values


def save_mat(path, **arrays):
    scipy.io.savemat(path, arrays)


FORMATS = pytest.mark.parametrize(
    ("save", "name"), [(save_hdf5, "x.h5"), (save_mat, "x.mat"), (np.savez, "x.npz")]
)


@FORMATS
def test_abundances_are_not_taken_for_a_matrix_of_pixels(tmp_path, save, name):
    matrix = CUBE.transpose(1, 0, 2).reshape(-1, C).T
    save(tmp_path / name, Y=matrix, A=ABUNDANCES, M=np.zeros((C, 4)))
    with pytest.raises(DataError, match="several arrays that may be the cube: ") as error:
        open_cube(tmp_path / name)
    assert "A 10 x 12 x 4 float64" in error.value.what
    assert "Y 8 x 120 int16" in error.value.what
    assert error.value.fix == (
        "name one with cube_variable; for a matrix of pixels write shape: [rows, columns]"
    )
    cube = open_cube(tmp_path / name, "Y", Reading(shape=(H, W), axes="CWH"))
    np.testing.assert_array_equal(cube.array, CUBE)
    only = open_cube(tmp_path / name, reading=Reading(shape=(H, W), axes="CWH"))
    assert only.variable == "Y"


@FORMATS
def test_abundances_beside_a_cube_are_not_taken(tmp_path, save, name):
    save(tmp_path / name, A=ABUNDANCES, cube=CUBE, wavelength=NM)
    assert open_cube(tmp_path / name).variable == "cube"
    save(tmp_path / name, A=np.zeros((4, H * W)), cube=CUBE)
    assert open_cube(tmp_path / name).variable == "cube"


@FORMATS
def test_a_matrix_alone_needs_a_shape(tmp_path, save, name):
    save(tmp_path / name, Y=CUBE.reshape(-1, C))
    with pytest.raises(
        DataError, match="no numeric array with three axes, only Y 120 x 8"
    ) as error:
        open_cube(tmp_path / name)
    assert error.value.fix == (
        "save the cube as rows x columns x bands; for a matrix of pixels write shape: "
        "[rows, columns]"
    )
    with pytest.raises(DataError, match="Y 120 x 8 int16 is not a cube") as error:
        open_cube(tmp_path / name, "Y")
    assert "for a matrix of pixels write shape: [rows, columns]" in error.value.fix
    with pytest.raises(DataError, match="holds no matrix with 9 x 9 = 81 pixels"):
        open_cube(tmp_path / name, reading=Reading(shape=(9, 9)))
    save(tmp_path / name, Y=CUBE)
    with pytest.raises(DataError, match="is not a cube") as error:
        open_cube(tmp_path / name, "Y", Reading(shape=(H, W)))
    assert error.value.fix == "name a matrix of pixels x bands, or remove shape"


@FORMATS
def test_two_matrices_of_all_pixels(tmp_path, save, name):
    save(tmp_path / name, Y=CUBE.reshape(-1, C), Z=CUBE.reshape(-1, C))
    with pytest.raises(DataError, match="several arrays that may be the cube: ") as error:
        open_cube(tmp_path / name, reading=Reading(shape=(H, W)))
    assert error.value.fix == "name one with cube_variable"


@FORMATS
def test_several_cubes_as_long_as_the_centres_are_refused_with_their_shapes(tmp_path, save, name):
    save(tmp_path / name, radiance=CUBE, reflectance=CUBE * 2, rgb=CUBE[..., :3], wavelength=NM)
    with pytest.raises(DataError, match="several arrays that may be the cube: ") as error:
        open_cube(tmp_path / name)
    assert "radiance 10 x 12 x 8 int16, reflectance 10 x 12 x 8 int16" in error.value.what
    assert "rgb" not in error.value.what
    assert error.value.fix == "name one with cube_variable"


@FORMATS
def test_centres_that_fit_no_axis_are_said(tmp_path, save, name):
    save(tmp_path / name, cube=CUBE, gt=np.zeros((H, W), np.uint8), wavelength=np.append(NM, 900))
    cube = open_cube(tmp_path / name)
    assert cube.wavelengths is None
    assert cube.assumptions == (
        "wavelength (9 values) may hold band centres and is not used: the cube has 8 bands; give a "
        "table as wavelengths",
    )


def test_several_resolutions_each_have_their_own_centres(tmp_path):
    path = tmp_path / "x.h5"
    save_hdf5(
        path,
        vnir__data=CUBE,
        vnir__wavelength=NM,
        swir__data=CUBE[::2, ::2],
        swir__wavelength=NM + 800,
    )
    with pytest.raises(DataError, match="swir/data 5 x 6 x 8 int16, vnir/data 10 x 12 x 8 int16"):
        open_cube(path)
    np.testing.assert_array_equal(open_cube(path, "vnir/data").wavelengths, NM)
    np.testing.assert_array_equal(open_cube(path, "swir/data").wavelengths, NM + 800)


def test_kinds_of_datasets_that_are_no_cubes(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["z"] = CUBE.astype(complex)
        file["table"] = np.zeros((2, 3, 4), [("a", "f4"), ("b", "f4")])
        file["matlab"] = np.zeros((2, 3, 4), [("real", "f8"), ("imag", "f8")])
        file.create_dataset("refs", (2, 3, 4), h5py.ref_dtype)
        file["words"] = np.full((2, 3, 4), b"x")
        file["flags"] = CUBE > 0
    with pytest.raises(DataError) as error:
        open_cube(path)
    assert "flags 10 x 12 x 8 bool, matlab 2 x 3 x 4 complex, refs 2 x 3 x 4 references, " in (
        error.value.what
    )
    assert "table 2 x 3 x 4 table of a, b, words 2 x 3 x 4 text, z 10 x 12 x 8 complex" in (
        error.value.what
    )
    assert "with the magnitude or the real part" in error.value.fix
    with pytest.raises(DataError, match="z 10 x 12 x 8 complex is not a cube") as error:
        open_cube(path, "z")
    assert error.value.fix == "save the magnitude or the real part"


def test_centres_in_a_column_of_a_table_and_as_texts(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["cube"] = CUBE
        table = np.zeros(C, [("wavelength", "f8"), ("fwhm", "f4"), ("name", "S4")])
        table["wavelength"] = NM
        table["fwhm"] = 9
        file["bands_table"] = table
    cube = open_cube(path)
    np.testing.assert_array_equal(cube.wavelengths, NM)
    np.testing.assert_array_equal(cube.fwhm, np.full(C, 9.0))
    with h5py.File(path, "w") as file:
        file["cube"] = CUBE
        file["cube"].attrs["wavelength"] = [f"{centre:.1f}" for centre in NM]
    np.testing.assert_array_equal(open_cube(path).wavelengths, NM)


@pytest.mark.parametrize("shape", [(1, C), (C, 1), (C,)])
@pytest.mark.parametrize("dtype", [">f4", ">i2", "<f8", "<u2"])
def test_centres_of_any_byte_order_and_as_a_row(tmp_path, shape, dtype):
    path = tmp_path / "x.h5"
    save_hdf5(path, cube=CUBE.astype(">i2"), wavelength=NM.reshape(shape).astype(dtype))
    cube = open_cube(path)
    np.testing.assert_array_equal(cube.wavelengths, NM)
    np.testing.assert_array_equal(cube.array, CUBE)
    assert cube.array.dtype == np.int16


def test_flags_of_bands_are_no_centres(tmp_path):
    path = tmp_path / "x.h5"
    save_hdf5(path, cube=CUBE, wavelengths=NM, good_wavelengths=[1, 1, 0, 1, 1, 1, 1, 1])
    cube = open_cube(path)
    np.testing.assert_array_equal(cube.wavelengths, NM)
    np.testing.assert_array_equal(np.flatnonzero(cube.bad_bands), [2])


def test_older_formats_with_the_endings_of_netcdf_are_refused_by_name(tmp_path):
    with scipy.io.netcdf_file(tmp_path / "old.nc", "w") as file:
        file.createDimension("y", 3)
    with pytest.raises(DataError, match=r"old\.nc is netCDF-3, which is not read") as error:
        open_cube(tmp_path / "old.nc")
    assert error.value.fix == "convert it to netCDF-4: nccopy -k nc4 OLD NEW"
    (tmp_path / "old.hdf").write_bytes(b"\x0e\x03\x13\x01" + bytes(100))
    with pytest.raises(DataError, match=r"old\.hdf is HDF4, which is not read") as error:
        open_cube(tmp_path / "old.hdf")
    assert error.value.fix == "convert it to HDF5: h4toh5 OLD NEW"


@pytest.mark.parametrize("suffix", [".nc", ".nc4", ".hdf", ".h5", ".HE5"])
def test_endings_of_hdf5(tmp_path, suffix):
    save_hdf5(tmp_path / f"x{suffix}", cube=CUBE, wavelength=NM)
    cube = open_cube(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(cube.array, CUBE)


def test_a_no_data_value_that_is_nan_is_no_value(tmp_path):
    path = tmp_path / "x.nc"
    save_hdf5(path, cube=CUBE.astype("f4"), wavelength=NM)
    with h5py.File(path, "a") as file:
        file["cube"].attrs["_FillValue"] = np.array([np.nan], "f4")
        file["cube"].attrs["missing_value"] = np.float32(-1)
    assert open_cube(path).ignore_value == -1
