"""Cleaning of decisions and scores, against scipy and scikit-image, and in tiles and strips."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import filters, morphology

from specloom import ConfigError, StripWise
from specloom_objects import (
    Closing,
    FillHoles,
    Hysteresis,
    Label,
    MajorityVote,
    MinimumArea,
    Opening,
    Smooth,
)
from specloom_objects.footprints import footprint

RNG = np.random.default_rng(7)
SHAPES = ("disk", "diamond", "square")
SIZE = (3, 37, 29, 1)


def decisions(share=0.4, size=SIZE):
    return RNG.random(size) < share


def built(cls, **params):
    node = cls(**params)
    node.build({})
    return node


def each(masks, function):
    return np.stack([function(mask[..., 0]) for mask in masks])[..., None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_opening_and_closing_equal_those_of_scikit_image_without_a_border(shape, radius):
    masks = decisions(0.85)
    around = footprint(shape, radius)
    opened = each(masks, lambda mask: morphology.opening(mask, around, mode="ignore"))
    closed = each(~masks, lambda mask: morphology.closing(mask, around, mode="ignore"))
    found = built(Opening, radius=radius, shape=shape).forward(decisions=masks)["cleaned"]
    np.testing.assert_array_equal(found, opened)
    found = built(Closing, radius=radius, shape=shape).forward(decisions=~masks)["cleaned"]
    np.testing.assert_array_equal(found, closed)


def test_opening_again_changes_nothing_and_neither_does_closing():
    masks = decisions(0.7)
    for cls in (Opening, Closing):
        once = built(cls, radius=2).forward(decisions=masks)["cleaned"]
        np.testing.assert_array_equal(built(cls, radius=2).forward(decisions=once)["cleaned"], once)
    opened = built(Opening).forward(decisions=masks)["cleaned"]
    closed = built(Closing).forward(decisions=masks)["cleaned"]
    assert not (opened & ~masks).any()
    assert not (masks & ~closed).any()


def test_objects_at_the_border_stay():
    mask = np.zeros((1, 9, 9, 1), bool)
    mask[0, :3, :3] = True
    for cls in (Opening, Closing):
        made = built(cls, radius=1, shape="square").forward(decisions=mask)["cleaned"]
        np.testing.assert_array_equal(made, mask)
    corner = np.zeros((1, 9, 9, 1), bool)
    corner[0, 0, 0] = True
    assert not built(Opening, radius=1, shape="square").forward(decisions=corner)["cleaned"].any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5])
def test_a_vote_is_the_share_of_the_neighbours_that_are_there(shape, fraction):
    masks = decisions()
    valid = decisions(0.8)
    radius = 2
    around = footprint(shape, radius)

    def voted(mask, counts):
        result = np.zeros_like(mask)
        for row, column in np.ndindex(mask.shape):
            window = np.zeros(mask.shape, bool)
            for down, right in np.argwhere(around) - radius:
                if 0 <= row + down < mask.shape[0] and 0 <= column + right < mask.shape[1]:
                    window[row + down, column + right] = True
            window &= counts
            if counts[row, column]:
                result[row, column] = mask[window].mean() > fraction
        return result

    node = built(MajorityVote, radius=radius, shape=shape, fraction=fraction)
    found = node.forward(decisions=masks[:1], valid=valid[:1])["cleaned"]
    np.testing.assert_array_equal(found[0, ..., 0], voted(masks[0, ..., 0], valid[0, ..., 0]))


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("pixels", [1, 2, 5, 40])
def test_small_objects_are_those_that_scikit_image_removes(connectivity, pixels):
    masks = decisions(0.3)
    rank = 1 if connectivity == 4 else 2
    expected = each(
        masks,
        lambda mask: morphology.remove_small_objects(mask, max_size=pixels - 1, connectivity=rank),
    )
    node = built(MinimumArea, pixels=pixels, connectivity=connectivity)
    np.testing.assert_array_equal(node.forward(decisions=masks)["cleaned"], expected)


@pytest.mark.parametrize("low", [-np.inf, 0.0, 0.5])
@pytest.mark.parametrize("high", [1.0, 2.5, np.inf])
def test_hysteresis_equals_that_of_scikit_image(low, high):
    scores = RNG.normal(0, 1, SIZE).astype(np.float32)
    scores[0, 4:9, 4:9] = np.nan
    scores[1, 0, 0] = np.inf
    expected = each(
        scores,
        lambda image: filters.apply_hysteresis_threshold(
            np.nan_to_num(image.astype(float), nan=-1e9, posinf=9.0),
            max(low, -1e8) - 1e-9,
            min(high, 9) - 1e-9,
        ),
    )
    node = built(Hysteresis, low=low, high=high, connectivity=4)
    found = node.forward(scores=scores)["decisions"]
    np.testing.assert_array_equal(found, expected)
    assert not found[0, 4:9, 4:9].any()


def test_a_score_that_equals_a_threshold_reaches_it():
    scores = np.array([0.5, 0.5, 1.0, 0.2, 0.5], np.float32).reshape(1, 1, 5, 1)
    found = built(Hysteresis, low=0.5, high=1.0).forward(scores=scores)["decisions"]
    assert found.ravel().tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("connectivity", [4, 8])
def test_holes_are_those_that_scipy_fills(connectivity):
    masks = decisions(0.65)
    around = np.ones((3, 3)) if connectivity == 4 else None
    expected = each(masks, lambda mask: ndimage.binary_fill_holes(mask, around))
    node = built(FillHoles, connectivity=connectivity)
    np.testing.assert_array_equal(node.forward(decisions=masks)["cleaned"], expected)


def test_holes_up_to_an_area():
    mask = np.ones((1, 9, 9, 1), bool)
    mask[0, 2, 2] = mask[0, 5:7, 5:7] = mask[0, 0, 4] = False
    valid = np.ones_like(mask)
    valid[0, 2, 2] = False
    filled = built(FillHoles, largest=3).forward(decisions=mask)["cleaned"]
    assert np.argwhere(~filled[0, ..., 0]).tolist() == [[0, 4], [5, 5], [5, 6], [6, 5], [6, 6]]
    filled = built(FillHoles).forward(decisions=mask, valid=valid)["cleaned"]
    assert np.argwhere(~filled[0, ..., 0]).tolist() == [[0, 4], [2, 2]]


def test_numbers_of_objects():
    mask = np.array([[0, 1, 0, 1], [1, 0, 0, 1], [0, 0, 1, 0]], bool)[None, ..., None]
    made = built(Label, connectivity=4).forward(decisions=mask)["labels"]
    assert made.dtype == np.int32
    assert made[0, ..., 0].tolist() == [[0, 1, 0, 2], [3, 0, 0, 2], [0, 0, 4, 0]]
    made = built(Label).forward(decisions=mask)["labels"]
    assert made[0, ..., 0].tolist() == [[0, 1, 0, 2], [1, 0, 0, 2], [0, 0, 2, 0]]


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.3])
def test_smoothing_is_the_mean_of_scipy_where_all_scores_are_there(sigma):
    scores = RNG.normal(100, 1, (1, 60, 60, 1)).astype(np.float32)
    node = built(Smooth, sigma=sigma)
    found = node.forward(scores=scores)["smoothed"][0, ..., 0]
    expected = ndimage.gaussian_filter(scores[0, ..., 0].astype(float), sigma, truncate=3.0)
    inner = slice(node.halo, -node.halo)
    np.testing.assert_allclose(found[inner, inner], expected[inner, inner], rtol=1e-6)


def test_smoothing_gives_no_weight_to_what_is_not_there():
    scores = np.full((1, 12, 12, 1), 5.0, np.float32)
    scores[0, 3, 3] = np.nan
    scores[0, 6, 6] = np.inf
    scores[0, 9, 9] = -1e30
    valid = np.ones(scores.shape, bool)
    valid[0, 9, 9] = False
    found = built(Smooth).forward(scores=scores, valid=valid)["smoothed"]
    expected = np.full_like(scores, 5.0)
    changed = np.isclose(found, expected, rtol=1e-6)
    assert np.argwhere(~changed[0, ..., 0]).tolist() == [[3, 3], [6, 6], [9, 9]]
    assert np.isnan(found[0, 3, 3, 0])
    assert found[0, 6, 6, 0] == np.inf
    assert found[0, 9, 9, 0] == np.float32(-1e30)


LOCAL = {
    "opening": (Opening, {"radius": 2}, "decisions"),
    "closing": (Closing, {"radius": 1, "shape": "square"}, "decisions"),
    "vote": (MajorityVote, {"radius": 3, "shape": "diamond"}, "decisions"),
    "smooth": (Smooth, {"sigma": 1.7}, "scores"),
}


@pytest.mark.parametrize("kind", LOCAL)
def test_a_tile_with_its_margin_gives_the_bits_of_the_image(kind):
    cls, params, port = LOCAL[kind]
    node = built(cls, **params)
    images = decisions(0.6)
    if port == "scores":
        images = RNG.normal(0, 1, SIZE).astype(np.float32)
        images[0, 3, 3] = np.nan
    valid = decisions(0.9)
    (whole,) = node.forward(**{port: images, "valid": valid}).values()
    for top, left in np.ndindex(4, 3):
        rows = slice(top * 10, min(top * 10 + 10, 37))
        columns = slice(left * 10, min(left * 10 + 10, 29))
        first = max(rows.start - node.halo, 0)
        before = max(columns.start - node.halo, 0)
        outer = (slice(None), slice(first, rows.stop + node.halo))
        outer += (slice(before, columns.stop + node.halo),)
        (tile,) = node.forward(**{port: images[outer], "valid": valid[outer]}).values()
        inner = tile[:, rows.start - first :, columns.start - before :]
        inner = inner[:, : rows.stop - rows.start, : columns.stop - columns.start]
        np.testing.assert_array_equal(inner, whole[:, rows, columns])


IMAGE = {
    "label": (Label, {}, "decisions"),
    "label 4": (Label, {"connectivity": 4}, "decisions"),
    "area": (MinimumArea, {"pixels": 4}, "decisions"),
    "holes": (FillHoles, {}, "decisions"),
    "small holes": (FillHoles, {"largest": 2, "connectivity": 4}, "decisions"),
    "hysteresis": (Hysteresis, {"low": 0.3, "high": 2.0}, "scores"),
}
HOSTILE = {
    "empty": np.zeros((17, 13), bool),
    "full": np.ones((17, 13), bool),
    "one pixel": np.ones((1, 1), bool),
    "a row": decisions(0.5, (1, 20)),
    "a column": decisions(0.5, (20, 1)),
    "a frame": np.pad(np.zeros((15, 11), bool), 1, constant_values=True),
    "noise": decisions(0.6, (31, 23)),
}


@pytest.mark.parametrize("shape", HOSTILE)
@pytest.mark.parametrize("kind", IMAGE)
def test_strips_give_the_bits_of_the_image(kind, shape):
    cls, params, port = IMAGE[kind]
    node = built(cls, **params)
    assert isinstance(node, StripWise)
    image = HOSTILE[shape][None, ..., None]
    if port == "scores":
        image = np.where(image, RNG.normal(1, 1, image.shape), np.nan).astype(np.float32)
    for valid in (None, decisions(0.8, image.shape)):
        arrays = {port: image}
        if valid is not None:
            arrays["valid"] = valid
        (whole,) = node.forward(**arrays).values()
        assert whole.shape == image.shape
        for rows in (1, 2, 5):
            passes = node.strip_passes()
            starts = range(0, image.shape[1], rows)
            strips = [{name: a[:, s : s + rows] for name, a in arrays.items()} for s in starts]
            for strip in strips:
                passes.scan(**strip)
            passes.join()
            parts = [next(iter(passes.apply(**strip).values())) for strip in strips]
            np.testing.assert_array_equal(np.concatenate(parts, 1), whole)
            assert parts[0].dtype == whole.dtype


WRONG = [
    (Opening, {"radius": 0}, "radius is 0 pixels", "set a radius of at least 1"),
    (
        MajorityVote,
        {"fraction": 1.0},
        "fraction is a fraction of the votes, got 1.0",
        "set a fraction from 0 to less than 1, such as 0.5",
    ),
    (MinimumArea, {"pixels": 0}, "pixels is 0", "set an area of at least 1 pixel"),
    (
        Label,
        {"connectivity": 6},
        "Label: connectivity should be 4 or 8, got 6",
        "change connectivity",
    ),
    (FillHoles, {"largest": 0}, "largest is 0", "set at least 1 pixel, or null for any hole"),
    (
        Hysteresis,
        {"low": 2.0, "high": 1.0},
        "low is 2.0 and high is 1.0",
        "set a low that is at most high",
    ),
    (Smooth, {"sigma": 0.0}, "sigma is 0.0", "set a sigma over 0"),
]


def test_a_connectivity_that_was_set_is_checked():
    node = Label()
    node.connectivity = 6
    with pytest.raises(ConfigError, match="connectivity is 6\n  fix: set 4 or 8"):
        node.build({})


@pytest.mark.parametrize(("cls", "params", "what", "fix"), WRONG)
def test_parameters_out_of_range(cls, params, what, fix):
    with pytest.raises(ConfigError) as error:
        built(cls, **params)
    assert (error.value.what, error.value.fix) == (what, fix)
