"""Arrays in files, read part by part: any part, and files that change while they are read."""

import os
from itertools import product

import numpy as np
import pytest

from specloom import DataError, UnavailableError
from specloom_cubes.formats import open_cube, stored
from specloom_cubes.masks import read_mask
from specloom_cubes.statistics import statistics

SHAPE = (6, 5, 4)
PARTS = (slice(None), slice(1, 4), slice(4, 1, -1), slice(0, 5, 2), slice(2, 2), slice(-1, None))
AXES = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}
HEADER = "ENVI\nsamples = {1}\nlines = {0}\nbands = {2}\ndata type = 2\nbyte order = 0\n"


def envi(folder, cube, interleave="bsq"):
    (folder / "cube.img").write_bytes(cube.transpose(AXES[interleave]).astype("<i2").tobytes())
    text = HEADER.format(*cube.shape) + f"interleave = {interleave}\n"
    (folder / "cube.hdr").write_text(text)
    return folder / "cube.hdr"


def npy(folder, cube):
    np.save(folder / "cube.npy", cube)
    return folder / "cube.npy"


def data_file(path):
    return path.with_suffix(".img") if path.suffix == ".hdr" else path


def made(shape=SHAPE):
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


WRITERS = {**{name: lambda f, c, n=name: envi(f, c, n) for name in AXES}, "npy": npy}
WRITERS["fortran"] = lambda folder, cube: npy(folder, np.asfortranarray(cube))


@pytest.mark.parametrize("span", [1, 30, stored.SPAN])
@pytest.mark.parametrize("kind", WRITERS)
def test_any_part_is_that_of_the_array(tmp_path, monkeypatch, kind, span):
    monkeypatch.setattr(stored, "SPAN", span)
    cube = made()
    opened = open_cube(WRITERS[kind](tmp_path, cube))
    for rows, cols in product(PARTS, PARTS):
        np.testing.assert_array_equal(opened.read(rows, cols), cube[rows, cols])


@pytest.mark.parametrize("cut", [0, 1, 100])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_was_cut_after_it_was_opened(tmp_path, kind, cut):
    path = WRITERS[kind](tmp_path, made())
    opened, data = open_cube(path), data_file(path)
    whole = data.stat().st_size
    os.truncate(data, cut)
    with pytest.raises(DataError) as error:
        opened.read()
    assert str(error.value) == (
        f"{data} was changed while it was used: it held {whole} bytes, now it holds {cut}\n"
        "  fix: wait until the file is complete, then start again"
    )


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_is_cut_between_two_blocks_of_a_reading(tmp_path, monkeypatch, kind):
    path = WRITERS[kind](tmp_path, made())
    opened, data = open_cube(path), data_file(path)
    monkeypatch.setattr("specloom_cubes.statistics.BLOCK_BYTES", 1)
    load, read = opened.load, []

    def cutting(rows, cols):
        if read:
            os.truncate(data, 90)
        read.append(rows)
        return load(rows, cols)

    object.__setattr__(opened, "load", cutting)
    with pytest.raises(DataError, match="was changed while it was used"):
        statistics(opened)
    assert len(read) == 2


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_is_cut_while_a_block_is_read(tmp_path, monkeypatch, kind):
    path = WRITERS[kind](tmp_path, made())
    opened, data = open_cube(path), data_file(path)
    take = stored.Stored._take

    def cutting(self, file, found, at):
        os.truncate(data, 90)
        take(self, file, found, at)

    monkeypatch.setattr(stored.Stored, "_take", cutting)
    with pytest.raises(DataError, match="now it holds 90"):
        opened.read()


def test_a_file_that_is_written_to_while_it_is_used(tmp_path):
    path = npy(tmp_path, made())
    opened = open_cube(path)
    np.save(path, made() + 1)
    os.utime(path, ns=(0, 0))
    with pytest.raises(DataError, match=r"cube\.npy was changed while it was used"):
        opened.read()


def test_a_file_that_is_removed_while_it_is_used(tmp_path):
    path = npy(tmp_path, made())
    opened = open_cube(path)
    path.unlink()
    with pytest.raises(DataError) as error:
        opened.read()
    assert str(error.value) == (
        f"{path} cannot be read: No such file or directory\n"
        "  fix: check its permissions and the disk, or copy the file again"
    )


def test_a_part_for_which_there_is_no_memory(tmp_path, monkeypatch):
    opened = open_cube(npy(tmp_path, made()))

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(stored.np, "empty", full)
    with pytest.raises(UnavailableError) as error:
        opened.read()
    assert str(error.value) == (
        f"{tmp_path / 'cube.npy'}: there is no memory for 0.0 GB of it\n"
        "  fix: use a smaller part of the scene, such as cubes.Blocks"
    )


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2, 2), }", "its shape is"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1, 1), }", "Python objects"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (9**9, 2, 2), }", "cannot be read"),
        ("(" * 5000, "cannot be read"),
        ("{'descr': " + "[" * 3000 + "]" * 3000 + "}", "cannot be read"),
    ],
)
def test_headers_of_npy_that_are_made_to_hurt(tmp_path, header, why):
    text = header.encode() + b"\n"
    path = tmp_path / "cube.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * 64)
    with pytest.raises(DataError, match=rf"cube\.npy cannot be read as \.npy: .*{why}|{why}"):
        open_cube(path)


def test_masks_of_npy_in_any_order_of_axes(tmp_path):
    mask = np.arange(6, dtype=np.int16).reshape(2, 3)
    np.save(tmp_path / "mask.npy", np.asfortranarray(mask))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.npy", (2, 3)), mask)
