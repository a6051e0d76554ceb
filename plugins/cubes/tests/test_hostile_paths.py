"""Paths and files that no cube can be read from: a message, and exit code 2 or 4."""

import errno
import os

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import specloom_cubes
from specloom import DataError, machine_error
from specloom_cubes.command import info
from specloom_cubes.formats import open_cube
from specloom_cubes.sources.scene import Scene

ABSENT = ["nothere/x.hdr", "nothere/x.npy", "nothere/x", "a" * 300 + ".npy", "a" * 300 + ".hdr"]
ADDRESSES = ["s3://bucket/x.hdr", "s3://bucket/x.npy", "https://host/x.tif", "file:///x.mat"]
HEADER = "ENVI\nsamples = 2\nlines = 2\nbands = 2\ndata type = 1\ninterleave = bip\n"
COPY = "copy the file to this machine and give its path"
CHECK = "check the path; it is relative to where you run"


@pytest.mark.parametrize("path", ABSENT + ADDRESSES)
def test_sources_and_info_of_what_is_not_there(path):
    fix = COPY if path in ADDRESSES else CHECK
    with pytest.raises(DataError) as error:
        open_cube(path)
    assert str(error.value).endswith(f"\n  fix: {fix}")
    assert Scene(path).sizes() == {}
    assert Scene(path).notes() == [f"there is no {path}, the cube of the data\n  fix: {fix}"]
    result = CliRunner().invoke(info, [path])
    assert isinstance(result.exception, DataError)
    assert result.exception.exit_code == 2


def test_a_header_that_marks_every_band_bad(tmp_path):
    (tmp_path / "x.img").write_bytes(b"\0" * 8)
    (tmp_path / "x.hdr").write_text(HEADER + "bbl = {0, 0}\n")
    with pytest.raises(DataError) as error:
        Scene(str(tmp_path / "x.hdr")).sizes()
    assert str(error.value) == (
        f"{tmp_path}/x.hdr marks all of its 2 bands as bad (bbl)\n"
        "  fix: write 1 in bbl for each good band, or remove it"
    )


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(DataError) as error:
        open_cube(tmp_path / "x.npy")
    assert str(error.value) == (
        f"{tmp_path}/x.npy is not a regular file\n  fix: save the cube as a file"
    )


def test_what_damaged_matlab_files_make_h5py_raise(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.zeros((2, 2, 2)))
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:
        file["data"] = np.zeros((2, 2, 2))

    def damaged(self):
        raise RuntimeError("Link iteration failed (bad local heap signature)")

    monkeypatch.setattr(h5py.File, "__iter__", damaged)
    with pytest.raises(DataError, match=r"x\.mat cannot be read as a MATLAB 7\.3 file: Link"):
        open_cube(tmp_path / "x.mat")


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.ENAMETOOLONG])
def test_errors_of_the_machine_have_exit_code_4(number):
    known = machine_error(OSError(number, "so it is", "there/x"))
    assert known.exit_code == 4
    assert str(known) == (
        "there/x cannot be used: so it is\n  fix: check the path, its permissions and the disk"
    )


def test_no_memory_has_exit_code_4():
    known = machine_error(MemoryError("9 GB"))
    assert (known.exit_code, known.what) == (4, "there is not enough memory (9 GB)")
    assert machine_error(OSError(errno.EPIPE, "x")) is None
    assert machine_error(FileNotFoundError(errno.ENOENT, "x")) is None


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_hook_leaves_addresses_to_other_plugins(address):
    assert specloom_cubes.open_known_cube(address) is None
    with pytest.raises(DataError) as error:
        open_cube(address)
    assert str(error.value) == f"nothing opens the address {address}\n  fix: {COPY}"
    result = CliRunner().invoke(info, [address])
    assert str(result.exception) == str(error.value)


def test_a_folder_that_is_named_like_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:/bucket").mkdir(parents=True)
    np.save(tmp_path / "s3:/bucket/x.npy", np.zeros((2, 3, 4)))
    assert open_cube("s3://bucket/x.npy").shape == (2, 3, 4)
    assert specloom_cubes.open_known_cube("s3://bucket/x.npy").shape == (2, 3, 4)
