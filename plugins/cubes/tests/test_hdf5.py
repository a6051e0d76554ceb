import h5py
import numpy as np
import pytest

from specloom import DataError
from specloom_cubes.formats import open_cube
from specloom_cubes.masks import own_mask, read_mask

H, W, C = 4, 6, 3
RNG = np.random.default_rng(0)
CUBE = RNG.integers(-5, 900, (H, W, C)).astype(np.int16)
CUBE[1, 2], CUBE[3, 0, 2] = -5, -5
MASK = (RNG.random((H, W)) < 0.3).astype(np.uint8)
NM = np.array([400.0, 500.0, 600.0])


def save(path, *, axis=2, nm=NM, mask=None, **options):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("sensor/hsi", data=np.moveaxis(CUBE, -1, axis), **options)
        data.attrs["Data_Ignore_Value"] = -5
        if nm is not None:
            found = file.create_dataset("sensor/meta/Wavelength", data=nm)
            found.attrs["Units"] = "Nanometers"
            file["sensor/meta/fwhm"] = np.full(C, 9.0)
            file["sensor/meta/bbl"] = [1, 0, 1]
        if mask is not None:
            file["labels/gt"] = mask
    return path


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".HE5"])
@pytest.mark.parametrize(("axis", "interleave"), [(0, "bsq"), (1, "bil"), (2, "bip")])
@pytest.mark.parametrize("options", [{}, {"chunks": (2, 2, 2), "compression": "gzip"}])
def test_the_bands_are_where_the_wavelengths_say(tmp_path, suffix, axis, interleave, options):
    cube = open_cube(save(tmp_path / f"x{suffix}", axis=axis, **options))
    assert (cube.shape, cube.dtype, cube.variable) == ((H, W, C), np.int16, "sensor/hsi")
    assert (cube.format, cube.interleave) == ("HDF5", interleave)
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.read(slice(1, 3), slice(2, 5)), CUBE[1:3, 2:5])
    np.testing.assert_array_equal(cube.wavelengths, NM)
    np.testing.assert_array_equal(cube.fwhm, [9, 9, 9])
    np.testing.assert_array_equal(cube.good_bands, [0, 2])
    assert cube.ignore_value == -5
    assert np.isnan(cube.clean()).sum() == 3


def test_without_wavelengths_the_last_axis_has_the_bands(tmp_path):
    cube = open_cube(save(tmp_path / "x.h5", axis=0, nm=None))
    assert cube.shape == (C, H, W)
    assert cube.wavelengths is None


def test_bands_on_either_of_two_axes(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = np.zeros((5, 5, 4))
        file["wavelengths"] = np.arange(400.0, 405)
    with pytest.raises(DataError) as error:
        open_cube(tmp_path / "x.h5")
    assert "the bands of a 5 x 5 x 4 float64 may lie along its first axis or its second" in str(
        error.value
    )
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["a"] = np.zeros((5, 4, 5))
        file["wavelengths"] = np.arange(400.0, 405)
    assert open_cube(tmp_path / "y.h5").shape == (5, 4, 5)


@pytest.mark.parametrize("owner", ["sensor/hsi", "sensor", "/"])
def test_wavelengths_in_attributes(tmp_path, owner):
    path = save(tmp_path / "x.h5", axis=0, nm=None)
    with h5py.File(path, "a") as file:
        file[owner].attrs["wavelengths"] = NM / 1000
        file[owner].attrs["wavelength_units"] = "micrometers"
    cube = open_cube(path)
    assert cube.shape == (H, W, C)
    np.testing.assert_allclose(cube.wavelengths, NM)


def test_several_cubes_ask_for_a_path(tmp_path):
    path = save(tmp_path / "x.h5", nm=None)
    with h5py.File(path, "a") as file:
        file["dark"] = CUBE[:, :, :2]
    with pytest.raises(DataError) as error:
        open_cube(path)
    assert "dark 4 x 6 x 2 int16, sensor/hsi 4 x 6 x 3 int16" in str(error.value)
    assert "fix: name one with cube_variable" in str(error.value)
    np.testing.assert_array_equal(open_cube(path, "dark").array, CUBE[:, :, :2])
    np.testing.assert_array_equal(open_cube(path, "/sensor/hsi").array, CUBE)
    with pytest.raises(DataError, match="has no variable 'sensor/his'") as error:
        open_cube(path, "sensor/his")
    assert "did you mean 'sensor/hsi'?" in str(error.value)


def test_what_is_no_cube(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["complex"] = CUBE.astype(complex)
        file["text"] = "a note"
        file["empty"] = h5py.Empty("f4")
    with pytest.raises(DataError, match="complex 4 x 6 x 3 complex"):
        open_cube(tmp_path / "x.h5")


def test_masks(tmp_path):
    cube = open_cube(save(tmp_path / "x.h5", axis=0, mask=MASK))
    np.testing.assert_array_equal(own_mask(cube), MASK)
    np.testing.assert_array_equal(read_mask(tmp_path / "x.h5", (H, W)), MASK)
    np.testing.assert_array_equal(read_mask(tmp_path / "x.h5", (H, W), "labels/gt"), MASK)


@pytest.mark.parametrize("keep", [-900, 700, 100, 3])
def test_truncated_files(tmp_path, keep):
    path = save(tmp_path / "x.h5", mask=RNG.random((90, 90)))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"x\.h5 cannot be read as HDF5: ") as error:
        open_cube(path).read()
    assert error.value.fix == "copy or save the file again"


def test_a_damaged_chunk(tmp_path):
    path = save(tmp_path / "x.h5", chunks=(H, W, C), fletcher32=True)
    with h5py.File(path) as file:
        at = file["sensor/hsi"].id.get_chunk_info(0).byte_offset
    raw = bytearray(path.read_bytes())
    raw[at] ^= 255
    path.write_bytes(raw)
    cube = open_cube(path)
    with pytest.raises(DataError, match=r"x\.h5 cannot be read as HDF5: "):
        cube.read()


def test_band_centres_as_texts_with_units(tmp_path):
    path = tmp_path / "cube.h5"
    with h5py.File(path, "w") as file:
        file["cube"] = np.zeros((4, 3, 5), np.uint16)
        file["wavelength"] = [f"0.{nm} um" for nm in (400, 450, 500, 550, 600)]
        file["cube"].attrs["fwhm"] = [f"{width} nm" for width in (5, 6, 7, 8, 9)]
    cube = open_cube(path)
    np.testing.assert_allclose(cube.wavelengths, [400, 450, 500, 550, 600])
    np.testing.assert_allclose(cube.fwhm, [5, 6, 7, 8, 9])


def test_centres_that_may_be_angstroms_are_reported(tmp_path):
    path = tmp_path / "cube.h5"
    with h5py.File(path, "w") as file:
        file["cube"] = np.zeros((4, 3, 5), np.uint16)
        file["wavelength"] = [4000, 4500, 5000, 5500, 6000]
    assert open_cube(path).assumptions == (
        f"{path}: 'wavelength' states no unit: 4000 to 6000 is taken as nanometres",
    )
