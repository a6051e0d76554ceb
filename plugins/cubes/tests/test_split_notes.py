"""Splits that share pixels, copies under other names, and measured images without a mask."""

import numpy as np
import pytest

from specloom_cubes import AnomalyDataNode, Folder, Scene
from specloom_cubes.contents import SAMPLE_BYTES, SAMPLES, content_ids
from specloom_cubes.split_notes import split_notes


def cube(path, seed):
    np.save(path, np.random.default_rng(seed).random((6, 7, 5)).astype(np.float32))


def values(source):
    return {split: source.describe(split).values() for split in ("train", "val", "test")}


def texts(splits):
    return [note.what for note in split_notes(splits)]


def test_a_scene_has_the_same_pixels_in_all_splits(tmp_path):
    cube(tmp_path / "a.npy", 0)
    np.save(tmp_path / "mask.npy", np.eye(6, 7, dtype=np.uint8))
    assert texts(values(Scene(str(tmp_path / "a.npy")))) == []  # nothing is measured
    splits = values(Scene(str(tmp_path / "a.npy"), str(tmp_path / "mask.npy")))
    (note,) = split_notes(splits)
    assert note.what == (
        "train, val and test are the same pixels: metrics say how well a fit fits them, not how "
        "it does on other data"
    )
    assert note.fix == (
        "divide the scene with cubes.Blocks, or report the metrics as those of a fit"
    )
    assert texts({"test": splits["test"]}) == []
    assert note.what in [one.what for one in AnomalyDataNode([0]).data_notes(splits)]


@pytest.fixture
def folder(tmp_path):
    for number, seed in enumerate([0, 1, 2, 0]):
        cube(tmp_path / f"c{number}.npy", seed)
        np.save(tmp_path / f"c{number}_gt.npy", np.eye(6, 7, dtype=np.uint8))
    return tmp_path


def test_a_copy_under_another_name(folder):
    splits = values(
        Folder(str(folder), split={"train": ["c0", "c1"], "val": ["c2"], "test": ["c3"]})
    )
    (note,) = split_notes(splits)
    assert note.what == "'test' and 'train' share 1 image, bit for bit: c3 as c0"
    assert note.fix == "remove the copies, or name the cubes of each split under split"


def test_a_copy_in_the_same_split_and_other_cubes(folder):
    split = {"train": ["c0", "c3"], "val": ["c2"], "test": ["c1"]}
    assert texts(values(Folder(str(folder), split=split, pattern="c?.npy"))) == []


def test_a_test_cube_without_its_mask(folder):
    (folder / "c3_gt.npy").unlink()
    split = {"train": ["c0"], "val": ["c1"], "test": ["c2", "c3"]}
    cube(folder / "c3.npy", 9)
    (note,) = split_notes(values(Folder(str(folder), split=split, pattern="c?.npy")))
    assert note.what == "'test' has 2 images, 1 without a mask: c3"
    assert note.fix == (
        "add their masks, of one normal class where they are clean: they are not measured"
    )


def test_files_are_compared_in_parts_and_then_as_a_whole(tmp_path):
    size = 4 * SAMPLES * SAMPLE_BYTES
    data = bytearray(size)
    names = ["a", "b", "c", "d"]
    for name in names[:2]:
        (tmp_path / name).write_bytes(data)
    data[SAMPLE_BYTES + 1] = 1  # between two parts
    (tmp_path / "c").write_bytes(data)
    (tmp_path / "d").write_bytes(data[:-1])
    ids = content_ids([tmp_path / name for name in names])
    a, b, c, d = (ids[tmp_path / name] for name in names)
    assert a == b
    assert len({a, c, d}) == 3
    assert d == str(size - 1)  # no other file is as long: it was not read
