"""Files that say which pixels of each cube count."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from specloom import ConfigError, DataError
from specloom_cubes import Blocks, Folder, OneCube, Scene, open_cube
from specloom_cubes.valid_files import valid_file, without_valid_files

SIZE = (6, 5)
CUBE = np.random.default_rng(0).normal(10, 1, (3, *SIZE, 4)).astype(np.float32)
OBJECT = np.zeros((3, *SIZE), np.uint8)
OBJECT[0, 2:, 1:4] = 255
OBJECT[1, :3] = 255
OBJECT[2, :, 2:] = 255
CLASSES = np.random.default_rng(1).integers(0, 2, (3, *SIZE)).astype(np.uint8)
NAMES = ("a", "b", "c")
SPLITS = ("train", "val", "test")
SPLIT = {"train": ["a", "b"], "test": ["c"]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three cubes, each with classes and with a picture of where its object is."""
    for name, cube, inside, classes in zip(NAMES, CUBE, OBJECT, CLASSES, strict=True):
        np.save(tmp_path / f"{name}.npy", cube)
        np.save(tmp_path / f"{name}_gt.npy", classes)
        Image.fromarray(inside).save(tmp_path / f"{name}_roi.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def batches(source, split):
    return list(source.batches(split))


def test_pixels_count_where_the_file_of_their_cube_is_not_0(folder):
    source = Folder(".", split=SPLIT, valid="*_roi.png")
    first, second = batches(source, "train")
    (third,) = batches(source, "test")
    for number, batch in enumerate((first, second, third)):
        np.testing.assert_array_equal(batch["valid"][0], OBJECT[number] > 0)
        np.testing.assert_array_equal(batch["mask"][0], CLASSES[number])
    excluded = [one.line() for one in source.describe("train").excluded]
    assert excluded == ["not valid by *_roi.png"]


def test_tickets_name_the_file_from_the_root(folder, monkeypatch):
    source = Folder(".", split=SPLIT, valid="*_roi.png")
    tickets = [json.loads(json.dumps(ticket)) for ticket in source.tickets("train")]
    monkeypatch.chdir("/")
    for number, ticket in enumerate(tickets):
        batch = source.read_ticket(ticket)
        np.testing.assert_array_equal(batch["valid"][0], OBJECT[number] > 0)


def test_files_in_another_folder(folder):
    (folder / "rois").mkdir()
    for name in NAMES:
        (folder / f"{name}_roi.png").rename(folder / f"rois/{name}.png")
    (batch,) = batches(Folder(".", split=SPLIT, valid="rois/*.png"), "test")
    np.testing.assert_array_equal(batch["valid"][0], OBJECT[2] > 0)


def test_files_of_a_cube_s_own_format_are_neither_cubes_nor_masks(folder):
    """Without ``valid`` each would be a cube of one band, or a second mask."""
    for number, name in enumerate(NAMES):
        np.save(folder / f"{name}_roi.npy", OBJECT[number])
        (folder / f"{name}_roi.png").rename(folder / f"{name}_mask.png")
    source = Folder(".", split=SPLIT, valid="*_roi.npy", masks=None, find_mask=False)
    assert list(source.cubes()) == list(NAMES)
    masked = Folder(".", pattern="?.npy", split=SPLIT, valid="*_mask.png")
    (batch,) = batches(masked, "test")
    np.testing.assert_array_equal(batch["mask"][0], CLASSES[2])
    np.testing.assert_array_equal(batch["valid"][0], OBJECT[2] > 0)
    with pytest.raises(DataError, match=r"a\.npy has several masks"):
        Folder(".", pattern="?.npy", split=SPLIT).missing_outputs("test")


def test_array_of_the_cube_s_own_file(folder):
    for number, name in enumerate(NAMES):
        np.savez(folder / f"{name}.npz", cube=CUBE[number], roi=OBJECT[number])
    source = Folder(".", pattern="*.npz", split=SPLIT, valid_variable="roi", find_mask=False)
    (batch,) = batches(source, "test")
    np.testing.assert_array_equal(batch["valid"][0], OBJECT[2] > 0)
    one = OneCube(open_cube(folder / "b.npz", "cube"), valid_variable="roi")
    (batch,) = one.batches("predict")
    np.testing.assert_array_equal(batch["valid"][0], OBJECT[1] > 0)


def test_a_missing_file_is_an_error_before_anything_is_read(folder):
    (folder / "b_roi.png").unlink()
    source = Folder(".", split=SPLIT, valid="*_roi.png")
    with pytest.raises(DataError) as caught:
        source.sizes()
    assert str(caught.value) == (
        "no file *_roi.png says which pixels count of: b\n  fix: add b_roi.png, or change valid "
        "(on the command line --valid)"
    )


def test_one_file_for_all_cubes_is_an_error(folder):
    with pytest.raises(ConfigError) as caught:
        Folder(".", split=SPLIT, valid="a_roi.png").sizes()
    assert str(caught.value) == (
        "Folder: valid is 'a_roi.png', one file for all cubes\n"
        "  fix: write * for the name of a cube, as in '*_roi.png'"
    )


def test_a_file_of_another_size_is_an_error(folder):
    Image.fromarray(OBJECT[2][1:]).save(folder / "c_roi.png")
    with pytest.raises(DataError, match=r"c_roi\.png"):
        batches(Folder(".", split=SPLIT, valid="*_roi.png"), "test")


@pytest.mark.parametrize("valid", ["*_roi.png", "a_roi.png"])
def test_a_scene_and_its_blocks_have_the_same_rule(folder, valid):
    (batch,) = batches(Scene("a.npy", valid=valid), "test")
    np.testing.assert_array_equal(batch["valid"][0], OBJECT[0] > 0)
    assert Scene("a.npy", valid=valid).read_options() == {"scale": "physical", "valid": valid}
    blocks = Blocks("a.npy", block=3, valid=valid)
    assert blocks.read_options()["valid"] == valid
    counted = sum(int(one["valid"].sum()) for split in SPLITS for one in batches(blocks, split))
    assert counted == int((OBJECT[0] > 0).sum())


def test_one_cube_in_parts(folder):
    one = OneCube(open_cube("b.npy"), valid="*_roi.png")
    part = one.window(slice(1, 4), slice(0, 2))
    np.testing.assert_array_equal(part["valid"][0], OBJECT[1][1:4, :2] > 0)
    with pytest.raises(DataError, match=r"no file \*_area.png says which pixels count of: b"):
        OneCube(open_cube("b.npy"), valid="*_area.png")


def test_files_of_valid_pixels_are_no_cubes(folder):
    np.save("a_roi.npy", OBJECT[0])
    cubes = {"a": folder / "a.npy", "a_roi": folder / "a_roi.npy"}
    assert list(without_valid_files(cubes, "*_roi.npy")) == ["a"]
    assert valid_file(folder / "a.npy", "*_roi.npy") == folder / "a_roi.npy"
