"""What somebody who is new does wrong with data, and the whole message that comes of it."""

import re
import warnings

import numpy as np
import pytest
from PIL import Image

from specloom import DataError, UnavailableError
from specloom_cubes.formats import READABLE, open_cube
from specloom_cubes.sources import common
from specloom_cubes.sources.blocks import Blocks
from specloom_cubes.sources.folder import Folder
from specloom_cubes.sources.scene import Scene
from specloom_cubes.sources.synthetic import Synthetic
from specloom_cubes.wavelengths import read_wavelengths

CUBE = np.random.default_rng(2).normal(10, 1, (20, 30, 8)).astype(np.float32)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("scene.npy", CUBE)


def message_of(kind, call, *arguments, **named):
    with pytest.raises(kind) as error:
        call(*arguments, **named)
    return str(error.value)


def read(**named):
    return Scene(**named).read("test", [0])


@pytest.mark.parametrize("ending", ["png", "bmp", "jpg", "gif"])
def test_a_picture_given_as_a_cube(ending):
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(f"x.{ending}")
    assert message_of(DataError, open_cube, f"x.{ending}") == (
        f"x.{ending} is a picture: it holds colours, not spectra\n"
        f"  fix: give the cube's own file: {READABLE}; a picture may be its mask"
    )


def test_a_folder_given_as_a_cube_and_a_cube_as_a_folder(tmp_path):
    (tmp_path / "flights").mkdir()
    assert message_of(DataError, read, cube="flights") == (
        "flights is a folder, not a cube\n"
        "  fix: give one of its files, or name the folder as the path of cubes.Folder"
    )
    assert message_of(DataError, Folder("scene.npy").sizes) == (
        "scene.npy is a file, not a folder\n"
        "  fix: give the folder that holds it, or use cubes.Scene for one scene"
    )


def test_bands_that_come_first(tmp_path):
    np.save("first.npy", CUBE.transpose(2, 0, 1))
    np.save("mask.npy", np.zeros((20, 30), np.uint8))
    expected = (
        "the mask {} is 20 x 30, the cube 8 x 20 x 30: bands come first\n"
        "  fix: save the cube as rows x columns x bands"
    )
    message = expected.format("mask.npy")
    assert message_of(DataError, read, cube="first.npy", mask="mask.npy") == message
    assert message_of(DataError, read, cube="first.npy", valid="mask.npy") == message
    for folder, array in (("images", "first.npy"), ("masks", "mask.npy")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.npy").write_bytes((tmp_path / array).read_bytes())
    source = Folder("images", masks="masks", split={"test": ["a"]})
    assert message_of(DataError, source.read, "test", [0]) == expected.format("masks/a.npy")
    (tmp_path / "nm.csv").write_text("".join(f"{400 + band}\n" for band in range(8)))
    assert message_of(DataError, read, cube="first.npy", wavelengths="nm.csv") == (
        "nm.csv has 8 wavelengths, first.npy has 30 bands\n"
        "  fix: save the cube as rows x columns x bands: its bands seem to come first"
    )


def test_a_mask_of_another_size():
    np.save("mask.npy", np.zeros((10, 10), np.uint8))
    assert message_of(DataError, read, cube="scene.npy", mask="mask.npy") == (
        "the mask mask.npy is 10 x 10, the cube is 20 x 30\n  fix: give the mask of this cube"
    )


def test_wavelengths_in_micrometres(tmp_path):
    centres = np.linspace(0.4, 1.1, 8)
    numbers = "".join(f"{one:.1f}\n" for one in centres)
    for heading in ("", "wavelength\n", "Band centre\n"):
        (tmp_path / "um.csv").write_text(heading + numbers)
        with pytest.warns(UserWarning, match="states no unit: 0.4 to 1.1 is taken as micrometres"):
            found = read_wavelengths("um.csv", open_cube("scene.npy"))
        np.testing.assert_allclose(found, centres * 1000)
    (tmp_path / "um.csv").write_text("wavelength_nm\n" + numbers)
    assert message_of(DataError, read, cube="scene.npy", wavelengths="um.csv") == (
        "um.csv gives 0.4 to 1.1 as wavelength_nm: these are micrometres\n"
        "  fix: correct the numbers, or name the column wavelength"
    )


def test_a_scene_larger_than_the_machine(monkeypatch):
    monkeypatch.setattr(common, "physical_bytes", lambda: 10_000)
    assert message_of(UnavailableError, read, cube="scene.npy") == (
        "scene.npy has 20 x 30 x 8 values: as a whole they take 0.0 GB of memory, "
        "this machine has 0.0 GB\n"
        "  fix: fit on cubes.Blocks of it, then apply the run with specloom predict, in tiles"
    )
    monkeypatch.undo()
    assert common.physical_bytes() > 1e8


def test_nothing_there(tmp_path):
    fix = "  fix: check the path; it is relative to where you run"
    assert message_of(DataError, read, cube="absent.hdr") == f"there is no file absent.hdr\n{fix}"
    assert message_of(DataError, Folder("absent").cubes) == f"there is no folder absent\n{fix}"
    (tmp_path / "empty").mkdir()
    assert message_of(DataError, Folder("empty").sizes) == (
        "empty holds no cube that fits '*'\n"
        "  fix: check path and pattern; '**/*' includes folders within"
    )


def test_what_is_not_there_is_remarked_without_a_pixel(tmp_path):
    fix = "  fix: check the path; it is relative to where you run"
    source = Scene("scene.npy", mask="m.png", valid="v.png", wavelengths="nm.csv")
    assert source.notes() == [
        f"there is no {name}, the {what} of the data\n{fix}"
        for name, what in (("m.png", "mask"), ("v.png", "valid"), ("nm.csv", "wavelengths"))
    ]
    assert Blocks("absent.npy").notes() == [f"there is no absent.npy, the cube of the data\n{fix}"]
    assert Folder("absent").notes() == [f"there is no absent, the folder of the data\n{fix}"]
    assert Scene("scene.npy").notes() == []


@pytest.mark.parametrize(
    ("bands", "dtype", "reported"),
    [
        (1, "uint8", True),
        (1, "float32", True),
        (3, "uint8", True),
        (4, "uint8", True),
        (3, "float32", False),
        (5, "uint8", False),
    ],
)
def test_what_looks_like_a_picture_is_remarked_and_warned_of_once(tmp_path, bands, dtype, reported):
    (tmp_path / "many").mkdir()
    np.save("many/x.npy", np.ones((4, 5, bands), dtype))
    folder = Folder("many", split={"test": ["x"]})
    for source in (Scene("many/x.npy"), Blocks("many/x.npy", block=2), folder):
        assert len(source.notes()) == reported
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            for _ in range(2):
                source.read("test", [0])
        assert [str(one.message) for one in heard] == source.notes()


def test_small_splits_of_synthetic_scenes_without_an_anomaly():
    few = Synthetic(scenes=8)
    assert few.notes() == [
        "no scene of the split 'val' holds an anomaly (2 in all)\n"
        "  fix: raise scenes, or change the seed"
    ]
    for split in ("train", "val", "test"):
        anomalous = any((batch["mask"] > 1).any() for batch in few.batches(split))
        assert anomalous == (split != "val")
    assert Synthetic(scenes=12).notes() == []
    assert Synthetic(scenes=8, anomalies=()).notes() == []  # it was asked for


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    unreadable = message_of(
        UnavailableError, Synthetic(scenes=4, height=8, width=8, cache="file").scene, 0
    )
    assert re.fullmatch(
        r"the cache cannot be used: file/\w+/00000\.npz cannot be written: file is a file, not a "
        r"folder\n"
        r"  fix: name another folder as cache, or make room on the disk",
        unreadable,
    )
