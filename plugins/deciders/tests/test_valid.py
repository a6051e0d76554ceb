"""Pixels that are not valid: not decided, reported, and without influence on the others."""

import math

import numpy as np
import pytest
import torch

from specloom import ConfigError
from specloom_deciders import BinaryDecider, QuantileBinaryDecider, TwoStageBinaryDecider

DECIDERS = {
    "binary": BinaryDecider(threshold=0.7),
    "quantile": QuantileBinaryDecider(quantile=0.9),
    "value": QuantileBinaryDecider(value=0.8),
    "two stages": TwoStageBinaryDecider(0.5, 0.1, 0.9),
    "two stages by value": TwoStageBinaryDecider(0.5, 0.1, value=0.8),
}


def images(seed: int = 0):
    """Scores (3, 9, 8, 1) with a NaN, and which pixels are valid."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(3, 9, 8, 1)).astype("float32")
    scores[0, 0, 0] = np.nan
    valid = rng.random(scores.shape) < 0.7
    return torch.from_numpy(scores), torch.from_numpy(valid)


@pytest.mark.parametrize("decider", DECIDERS.values(), ids=DECIDERS)
def test_pixels_that_are_not_valid_are_decided_like_nan(decider):
    scores, valid = images()
    made = decider.forward(scores, valid)
    blanked = decider.forward(scores.masked_fill(~valid, math.nan))
    assert torch.equal(made["decisions"], blanked["decisions"])
    assert made["decisions"].any()
    assert not (made["decisions"] & ~valid).any()
    assert torch.equal(made["unjudged"], ~valid | scores.isnan())
    assert made["unjudged"].dtype == torch.bool


@pytest.mark.parametrize("decider", DECIDERS.values(), ids=DECIDERS)
def test_their_scores_change_nothing(decider):
    scores, valid = images()
    loud = torch.where(valid, scores, 1e6)
    assert torch.equal(
        decider.forward(loud, valid)["decisions"], decider.forward(scores, valid)["decisions"]
    )


@pytest.mark.parametrize("decider", DECIDERS.values(), ids=DECIDERS)
def test_where_all_are_valid_nothing_changes(decider):
    scores, _ = images()
    everywhere = torch.ones(scores.shape, dtype=torch.bool)
    assert torch.equal(
        decider.forward(scores, everywhere)["decisions"], decider.forward(scores)["decisions"]
    )


@pytest.mark.parametrize("decider", DECIDERS.values(), ids=DECIDERS)
def test_an_image_without_a_valid_pixel_is_unjudged(decider):
    scores, valid = images()
    valid[1] = False
    made = decider.forward(scores, valid)
    assert not made["decisions"][1].any()
    assert made["unjudged"][1].all()


def test_the_quantile_is_that_of_the_valid_pixels():
    scores, valid = images()
    made = QuantileBinaryDecider(0.9).forward(scores, valid)["decisions"]
    for image, mask, decided in zip(scores, valid, made, strict=True):
        counted = image[mask & ~image.isnan()].double().numpy()
        expected = counted >= np.quantile(counted, 0.9)
        assert decided.sum() == expected.sum()


@pytest.mark.parametrize("quantile", [0.0, 0.31, 0.9, 1.0])
def test_a_level_is_the_largest_quantile_that_decides_a_pixel(quantile):
    scores, valid = images()
    scores = scores.mul(2).round()  # ties
    levels = QuantileBinaryDecider().decision_levels("quantile", scores, valid)
    assert torch.equal(levels.isnan(), ~valid | scores.isnan())
    made = QuantileBinaryDecider(quantile).forward(scores, valid)["decisions"]
    # At a level itself the quantile is a rounded product.
    apart = (levels - quantile).abs() > 1e-9
    assert torch.equal((levels >= quantile)[apart], made[apart])


@pytest.mark.parametrize("value", [0.3, 1e-45, -2.0])
def test_a_value_is_compared_in_all_images_alike(value):
    scores, _ = images()
    made = QuantileBinaryDecider(value=value).forward(scores)["decisions"]
    assert np.array_equal(made.numpy(), scores.numpy().astype(np.float64) >= value)


def test_calibrate_sets_what_it_is_called_with():
    decider = QuantileBinaryDecider()
    decider.calibrate(value=3.0)
    assert (decider.quantile, decider.value) == (0.995, 3.0)
    decider.calibrate(quantile=0.5)
    assert (decider.quantile, decider.value) == (0.5, None)
    staged = TwoStageBinaryDecider()
    staged.calibrate(image_threshold=2.0, value=1.0)
    staged.calibrate(image_threshold=4.0)
    assert (staged.image_threshold, staged.value) == (4.0, 1.0)
    staged.calibrate(quantile=0.25)
    assert (staged.quantile, staged.value) == (0.25, None)


@pytest.mark.parametrize("cls", [QuantileBinaryDecider, TwoStageBinaryDecider])
def test_a_value_of_nan_is_an_error(cls):
    decider = cls(value=math.nan)
    with pytest.raises(ConfigError) as caught:
        decider.build({})
    assert str(caught.value) == "value is NaN\n  fix: set a number, or remove it"


def test_the_scores_of_images_are_those_of_the_gate():
    scores, valid = images()
    decider = TwoStageBinaryDecider(top_k_fraction=0.1)
    found = decider.image_scores(scores, valid)
    for image, mask, score in zip(scores, valid, found, strict=True):
        counted = np.sort(image[mask & ~image.isnan()].double().numpy())
        assert score == pytest.approx(counted[-int(0.1 * counted.size) :].mean(), rel=1e-12)
