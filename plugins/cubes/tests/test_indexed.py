"""Sources whose images can be read in any order: the same images as in the batches."""

import numpy as np
import pytest

from specloom import DataError, MapStyleSource
from specloom_cubes.sources import InMemory
from specloom_cubes.sources.blocks import Blocks
from specloom_cubes.sources.folder import Folder
from specloom_cubes.sources.scene import Scene
from specloom_cubes.sources.synthetic import Synthetic


def images(batches):
    """Cube and mask of each image, in the order of the batches."""
    return [pair for b in batches for pair in zip(b["cube"], b["mask"], strict=True)]


@pytest.fixture
def sources(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(8):
        np.savez(tmp_path / f"{i}.npz", cube=rng.random((4, 5, 3)), mask=np.full((4, 5), i))
    scene, labels = tmp_path / "scene" / "s.npy", tmp_path / "scene" / "labels.npy"
    scene.parent.mkdir()
    np.save(scene, rng.random((8, 12, 3)))
    np.save(labels, np.arange(96).reshape(8, 12))
    memory = [
        {"cube": rng.random((b, 4, 4, 3)), "mask": rng.integers(0, 3, (b, 4, 4))} for b in (3, 2)
    ]
    return {
        "synthetic": Synthetic(scenes=6, height=8, width=9, bands=4, batch_size=2),
        "folder": Folder(str(tmp_path), pattern="*.npz", batch_size=3),
        "blocks": Blocks(str(scene), str(labels), block=4, batch_size=2),
        "scene": Scene(str(scene), str(labels)),
        "memory": InMemory(train=memory),
    }


@pytest.mark.parametrize("name", ["synthetic", "folder", "blocks", "scene", "memory"])
def test_images_read_in_any_order_are_those_of_the_batches(sources, name):
    source = sources[name]
    assert isinstance(source, MapStyleSource)
    known = images(source.batches("train"))
    count = source.items("train")
    assert len(known) == count > 0
    order = np.random.default_rng(1).permutation(count).tolist()
    for (cube, mask), number in zip(images([source.read("train", order)]), order, strict=True):
        np.testing.assert_array_equal(cube, known[number][0])
        np.testing.assert_array_equal(mask, known[number][1])


def test_blocks_of_different_sizes_cannot_share_a_batch(tmp_path):
    np.save(tmp_path / "s.npy", np.zeros((6, 4, 2)))
    source = Blocks(str(tmp_path / "s.npy"), block=4, split=(1.0, 0.0, 0.0))
    with pytest.raises(DataError) as caught:
        source.read("train", [0, 1])
    assert str(caught.value) == (
        "images of 2 x 4, 4 x 4 pixels cannot share a batch\n"
        "  fix: use batch_size: 1, or a block size that divides the scene"
    )
