"""HDF5 files that read other files, or unfold to more than any disk holds; pipes for files."""

import os

import h5py
import numpy as np
import pytest

from specloom import DataError
from specloom_cubes import open_cube
from specloom_cubes.describe import describe

ENDINGS = (".h5", ".mat")


def refused(path, what, fix, **options):
    with pytest.raises(DataError) as caught:
        describe(path, **options)
    assert (caught.value.what, caught.value.fix) == (what, fix)


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(b"CANARY" * 4)
    return file


@pytest.mark.parametrize("ending", ENDINGS)
def test_values_that_lie_in_another_file_are_not_read(tmp_path, secret, ending):
    path = tmp_path / f"cube{ending}"
    with h5py.File(path, "w") as file:
        file.create_dataset("cube", (2, 3, 4), "u1", external=[(str(secret), 0, 24)])
    with h5py.File(path) as file:
        assert file["cube"][()].tobytes() == secret.read_bytes()  # so it would be
    refused(
        path,
        f"{path}: the values of /cube lie in other files",
        "save them in the file itself, for example with h5repack",
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_virtual_dataset_is_not_read(tmp_path, ending):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.ones((2, 3, 4), np.float32)
    layout = h5py.VirtualLayout((2, 3, 4), np.float32)
    layout[...] = h5py.VirtualSource(str(other), "x", (2, 3, 4))
    path = tmp_path / f"cube{ending}"
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("cube", layout)
    refused(
        path,
        f"{path}: the values of /cube lie in other files",
        "save them in the file itself, for example with h5repack",
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_link_to_another_file_is_no_cube(tmp_path, ending):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.ones((2, 3, 4), np.float32)
    path = tmp_path / f"cube{ending}"
    with h5py.File(path, "w") as file:
        file["cube"] = h5py.ExternalLink(str(other), "x")
    with pytest.raises(DataError):
        open_cube(path, "cube")
    with pytest.raises(DataError):
        open_cube(path)


def test_wavelengths_that_lie_in_another_file_are_not_read(tmp_path, secret):
    path = tmp_path / "cube.h5"
    with h5py.File(path, "w") as file:
        file["cube"] = np.ones((2, 3, 24), np.float32)
        file.create_dataset("wavelength", (24,), "u1", external=[(str(secret), 0, 24)])
    assert describe(path)["wavelengths"] is None


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("chunks", [None, (100, 100, 100)])
def test_a_sparse_file_of_10_to_the_13_values_is_refused(tmp_path, ending, chunks):
    path = tmp_path / f"cube{ending}"
    with h5py.File(path, "w") as file:
        file.create_dataset("cube", (100_000, 100_000, 1_000), "f4", chunks=chunks)
    assert path.stat().st_size < 10_000
    refused(
        path,
        f"{path}: /cube has 4e+13 bytes, of which the file stores 0",
        "save the cube again, with all of its values",
    )


def test_zeros_that_were_compressed_well_are_read(tmp_path):
    path = tmp_path / "cube.h5"
    with h5py.File(path, "w") as file:
        zeros = np.zeros((300, 400, 50), np.float32)
        file.create_dataset("cube", data=zeros, compression=9, chunks=(300, 400, 50))
    assert describe(path)["statistics"]["maximum"] == 0


@pytest.mark.parametrize("name", ["cube.h5", "cube.npy", "cube.mat", "cube.hdr", "cube.tif"])
def test_a_pipe_is_no_cube(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    refused(path, f"{path} is not a regular file", "save the cube as a file")


def test_a_pipe_is_no_data_of_a_header(tmp_path):
    header = tmp_path / "cube.hdr"
    header.write_text("ENVI\nsamples = 2\nlines = 2\nbands = 2\ndata type = 4\ninterleave = bsq\n")
    os.mkfifo(tmp_path / "cube.img")
    with pytest.raises(DataError):
        describe(header)
