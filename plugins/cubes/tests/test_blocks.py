import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from specloom import ConfigError, DataError
from specloom_cubes.sources import Blocks, Scene
from specloom_cubes.sources import blocks as blocks_module

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
H, W = 20, 27
CUBE = np.arange(H * W * 2, dtype=np.int32).reshape(H, W, 2)
"""The first band of a pixel is twice its number."""


@pytest.fixture
def scene(tmp_path):
    np.save(tmp_path / "x.npy", CUBE)
    np.save(tmp_path / "m.npy", np.arange(H * W).reshape(H, W))
    np.save(tmp_path / "v.npy", np.arange(H * W).reshape(H, W) % 5)
    return {"cube": str(tmp_path / "x.npy"), "mask": str(tmp_path / "m.npy")}


def pixels(blocks, split):
    """The numbers of the pixels in a split."""
    return [
        int(number) // 2
        for batch in blocks.batches(split)
        for number in batch["cube"][..., 0].ravel()
    ]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"block": 4, "batch_size": 3},
        {"block": 7, "folds": 4, "fold": 2, "seed": 5},
        {"block": 3, "split": (0.2, 0.3, 0.5), "batch_size": 50},
    ],
)
def test_every_pixel_is_in_one_split(scene, options):
    blocks = Blocks(**scene, **options)
    found = [pixels(blocks, split) for split in ("train", "val", "test")]
    assert sorted(chain(*found)) == list(range(H * W))
    assert pixels(blocks, "predict") == found[2]
    for split in blocks.splits():
        batches = list(blocks.batches(split))
        assert blocks.count(split) == len(batches)
        for batch in batches:
            np.testing.assert_array_equal(batch["mask"] * 2, batch["cube"][..., 0])
            assert len(batch["cube"]) <= blocks.batch_size


def test_a_gap_keeps_blocks_apart(scene):
    blocks = Blocks(**scene, block=4, gap=2)
    inside = [*chain(*(pixels(blocks, split) for split in ("train", "val", "test")))]
    rows, cols = np.divmod(np.array(inside), W)
    assert {*rows.tolist()} == {r for r in range(H) if r % 6 < 4}
    assert {*cols.tolist()} == {c for c in range(W) if c % 6 < 4}
    assert len({*inside}) == len(inside) == 14 * 19


def test_sizes(scene):
    assert Blocks(**scene, block=4).sizes() == {"C": 2}
    assert Blocks(**scene, block=40, split=(1.0, 0.0, 0.0)).sizes() == {"H": H, "W": W, "C": 2}
    absent = Blocks(cube="absent.npy")
    assert absent.sizes() == {}
    assert "train" in absent.splits()
    with pytest.raises(DataError, match=r"there is no file absent\.npy"):
        next(absent.batches("train"))


def test_valid_is_cut_as_well(scene, tmp_path):
    blocks = Blocks(**scene, block=5, valid=str(tmp_path / "v.npy"))
    for batch in blocks.batches("train"):
        np.testing.assert_array_equal(batch["valid"], batch["mask"] % 5 > 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"block": 0}, "Blocks: block is 0"),
        ({"gap": -1}, "Blocks: gap is -1"),
        ({"batch_size": 0}, "Blocks: batch_size is 0"),
        ({"block": 40}, "Blocks: the split 'test' is empty (train 1, val 0, test 0)"),
        ({"block": 16, "folds": 9}, "Blocks: 4 items cannot fill 9 folds"),
    ],
)
def test_wrong_parameters(scene, wrong, message):
    with pytest.raises(ConfigError) as error:
        next(Blocks(**scene, **wrong).batches("test"))
    assert message in str(error.value)


@pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
def test_a_real_scene_in_blocks():
    files = {
        "cube": str(DATA / "salinas_a/SalinasA_corrected.mat"),
        "mask": str(DATA / "salinas_a/SalinasA_gt.mat"),
    }
    (whole,) = Scene(**files).batches("test")
    blocks = Blocks(**files, block=12, batch_size=4)
    found = [batch for split in ("train", "val", "test") for batch in blocks.batches(split)]
    assert all(batch["cube"].dtype == np.int16 for batch in found)
    labels = np.concatenate([batch["mask"].ravel() for batch in found])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(whole["mask"].ravel()))
    total = sum(batch["cube"].sum((0, 1, 2), dtype=np.int64) for batch in found)
    np.testing.assert_array_equal(total, whole["cube"][0].sum((0, 1), dtype=np.int64))


def test_a_read_neither_cuts_nor_divides_again(tmp_path, monkeypatch):
    np.save(tmp_path / "scene.npy", np.zeros((8, 8, 3)))
    calls = []
    real = blocks_module.divide
    monkeypatch.setattr(blocks_module, "divide", lambda *a, **k: calls.append(1) or real(*a, **k))
    source = Blocks(str(tmp_path / "scene.npy"), block=2)
    for _ in range(3):
        source.read("train", [1])
        source.count("test")
    assert len(calls) == 1
    assert source.blocks() is source.blocks()
