import tracemalloc
import zipfile

import numpy as np
import pytest

from specloom import DataError
from specloom_cubes.formats import open_cube
from specloom_cubes.masks import own_mask, read_mask
from specloom_cubes.sources import Scene

RNG = np.random.default_rng(0)
CUBE = RNG.integers(-5, 900, (4, 6, 3)).astype(np.int16)
MASK = (RNG.random((4, 6)) < 0.3).astype(np.uint8)
NM = np.array([0.4, 0.5, 0.6])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_only_cube_its_mask_and_its_wavelengths(tmp_path, save):
    path = tmp_path / "x.npz"
    save(path, hsi=np.asfortranarray(CUBE), gt=MASK, wavelengths=NM, note=np.array("text"))
    cube = open_cube(path)
    assert (cube.shape, cube.dtype, cube.variable) == (CUBE.shape, np.int16, "hsi")
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.read(slice(1, 3), slice(2, 5)), CUBE[1:3, 2:5])
    np.testing.assert_allclose(cube.wavelengths, [400, 500, 600])
    np.testing.assert_array_equal(own_mask(cube), MASK)
    np.testing.assert_array_equal(read_mask(path, (4, 6)), MASK)
    (batch,) = Scene(cube=str(path)).batches("test")
    np.testing.assert_array_equal(batch["cube"], CUBE[None])
    np.testing.assert_array_equal(batch["mask"], MASK[None])


def test_big_endian_arrays(tmp_path):
    np.savez(tmp_path / "x.npz", hsi=CUBE.astype(">i2"))
    cube = open_cube(tmp_path / "x.npz")
    assert cube.array.dtype == np.dtype(np.int16)
    np.testing.assert_array_equal(cube.array, CUBE)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="a long double is a double here")
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_numbers_longer_than_64_bits_are_refused(tmp_path, name):
    path, cube = tmp_path / name, CUBE.astype(np.longdouble)
    np.save(path, cube) if name == "x.npy" else np.savez(path, hsi=cube)
    with pytest.raises(DataError) as error:
        open_cube(path)
    assert str(error.value) == (
        f"{path} holds {np.dtype(np.longdouble)}\n  fix: save it as float64 or float32"
    )


def test_several_cubes_ask_for_a_name(tmp_path):
    np.savez(tmp_path / "x.npz", raw=CUBE, dark=CUBE[..., :2])
    with pytest.raises(DataError, match="raw 4 x 6 x 3 int16, dark 4 x 6 x 2 int16") as error:
        open_cube(tmp_path / "x.npz")
    assert "fix: name one with cube_variable" in str(error.value)
    np.testing.assert_array_equal(open_cube(tmp_path / "x.npz", "dark").array, CUBE[..., :2])


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", hsi=CUBE, other=np.array([{}], object))
    np.testing.assert_array_equal(open_cube(tmp_path / "x.npz").array, CUBE)
    np.savez(tmp_path / "y.npz", other=np.array([[[{}]]], object))
    with pytest.raises(DataError, match="only other 1 x 1 x 1 not numeric"):
        open_cube(tmp_path / "y.npz")


@pytest.mark.parametrize("keep", [-10, -400, 100, 3])
def test_truncated_files(tmp_path, keep):
    np.savez_compressed(tmp_path / "x.npz", hsi=RNG.random((20, 20, 9)))
    raw = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(raw[:keep])
    with pytest.raises(DataError, match=r"x\.npz cannot be read as \.npz: ") as error:
        open_cube(tmp_path / "x.npz").read()
    assert error.value.fix == "write the file again"


def test_a_header_that_promises_more_than_is_there(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("hsi.npy", (tmp_path / "a.npy").read_bytes()[:-20])
    with pytest.raises(DataError, match="hsi promises 144 bytes, it holds 124"):
        open_cube(tmp_path / "x.npz")


def test_a_damaged_array(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", hsi=RNG.random((20, 20, 9)))
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    raw[len(raw) // 2] ^= 255
    (tmp_path / "x.npz").write_bytes(raw)
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        open_cube(tmp_path / "x.npz").read()


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_window_of_an_archive_that_is_not_compressed_reads_that_window(tmp_path, order):
    values = np.asarray(RNG.integers(0, 900, (400, 300, 20)), np.int16, order=order)
    np.savez(tmp_path / "x.npz", hsi=values, gt=np.zeros((400, 300), np.uint8))
    cube = open_cube(tmp_path / "x.npz")
    tracemalloc.start()
    try:
        part = cube.read(slice(10, 14), slice(20, 30))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(part, values[10:14, 20:30])
    assert peak < values.nbytes / 2


def test_an_archive_that_changes_while_it_is_used(tmp_path):
    np.savez(tmp_path / "x.npz", hsi=CUBE)
    cube = open_cube(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", hsi=np.zeros((9, 9, 9)))
    with pytest.raises(DataError, match="was changed while it was used"):
        cube.read()
