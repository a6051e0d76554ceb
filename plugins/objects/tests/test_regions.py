"""Regions that come in strips are those of the whole image, numbered as scipy finds them."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from specloom_objects.regions import Regions, label, structure

RNG = np.random.default_rng(5)
SPIRAL = np.array(
    [
        [1, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [1, 1, 1, 1, 1, 0, 1],
        [1, 0, 0, 0, 1, 0, 1],
        [1, 0, 1, 1, 1, 0, 1],
        [1, 0, 0, 0, 0, 0, 1],
        [1, 1, 1, 1, 1, 1, 1],
    ],
    bool,
)
MASKS = {
    "empty": np.zeros((9, 7), bool),
    "full": np.ones((9, 7), bool),
    "one pixel": np.ones((1, 1), bool),
    "no object of one pixel": np.zeros((1, 1), bool),
    "a row": RNG.random((1, 30)) < 0.5,
    "a column": RNG.random((30, 1)) < 0.5,
    "a spiral": SPIRAL,
    "a comb": np.arange(12)[None, :] % 2 + np.zeros((9, 1)) > 0,
    "diagonals": np.eye(13, dtype=bool) | np.eye(13, dtype=bool)[::-1],
    "a chessboard": np.add.outer(np.arange(11), np.arange(12)) % 2 == 0,
    "sparse": RNG.random((40, 33)) < 0.2,
    "dense": RNG.random((40, 33)) < 0.6,
}


def in_strips(mask, connectivity, ends):
    regions = Regions(connectivity)
    strips = np.split(mask, ends)
    for strip in strips:
        regions.scan(strip)
    regions.join()
    return regions, np.concatenate([regions.apply(strip) for strip in strips])


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("kind", MASKS)
def test_regions_are_those_of_scikit_image_in_the_order_of_their_first_pixels(kind, connectivity):
    mask = MASKS[kind]
    found, count = label(mask, connectivity)
    expected, number = measure.label(
        mask, return_num=True, connectivity=1 if connectivity == 4 else 2
    )
    assert count == number
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(found))  # one to one
    _, first = np.unique(found, return_index=True)
    assert (np.diff(first[found.ravel()[first] > 0]) > 0).all()
    np.testing.assert_array_equal(found, ndimage.label(mask, structure(connectivity))[0])


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("kind", MASKS)
def test_strips_change_nothing(kind, connectivity):
    mask = MASKS[kind]
    height = len(mask)
    expected, count = label(mask, connectivity)
    some = sorted(set(RNG.integers(1, max(height, 2), 4).tolist()) - {height})
    for ends in (range(1, height), range(2, height, 3), some):
        regions, found = in_strips(mask, connectivity, list(ends))
        np.testing.assert_array_equal(found, expected)
        assert regions.count == count
        areas = np.bincount(expected[mask], minlength=count + 1)
        np.testing.assert_array_equal(regions.areas, areas)


def test_two_squares_that_touch_at_a_corner():
    mask = np.zeros((4, 4), bool)
    mask[:2, :2] = True
    mask[2:, 2:] = True
    assert label(mask, 8)[1] == 1
    assert label(mask, 4)[1] == 2
    assert in_strips(mask, 8, [2])[0].count == 1
    assert in_strips(mask, 4, [2])[0].count == 2


def test_a_comb_whose_last_row_joins_its_teeth():
    """A region that holds together only through the last of many strips."""
    mask = np.zeros((200, 41), bool)
    mask[:, ::2] = True
    mask[-1] = True
    regions, found = in_strips(mask, 4, list(range(1, 200)))
    assert regions.count == 1
    assert (found[mask] == 1).all()
    assert regions.areas.tolist() == [0, mask.sum()]
