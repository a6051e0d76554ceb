import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat

from specloom import ConfigError
from specloom_deciders.quantile import QuantileBinaryDecider, image_quantiles

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
needs_scenes = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")


def reference(image: np.ndarray, quantile: float) -> np.ndarray:
    """NumPy's quantile in float64 of the pixels that are not NaN."""
    exact = image.astype(np.float64)
    known = exact[~np.isnan(exact)]
    if not known.size:
        return np.zeros(image.shape, bool)
    return (exact >= np.quantile(known, quantile)) & (exact > known.min())


def decide(scores: np.ndarray, quantile: float) -> np.ndarray:
    made = QuantileBinaryDecider(quantile)(logits=torch.from_numpy(scores))["decisions"]
    assert made.dtype == torch.bool
    assert made.shape == scores.shape
    return made.numpy()


@given(
    st.lists(
        st.one_of(st.floats(-10, 10, width=32), st.sampled_from([0.0, 1.0, math.nan])),
        min_size=1,
        max_size=60,
    ),
    st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 0.9, 0.995, 1.0])),
)
def test_equals_numpy_on_anything(values, quantile):
    scores = np.array(values, np.float32).reshape(1, 1, -1, 1)
    known = scores[~np.isnan(scores)].astype(np.float64)
    if known.size:
        made = image_quantiles(torch.from_numpy(scores).flatten(1), quantile)
        assert made.item() == np.quantile(known, quantile)
    np.testing.assert_array_equal(decide(scores, quantile), reference(scores, quantile))


def test_each_image_has_its_own_quantile_and_its_own_missing_pixels():
    random = np.random.default_rng(0)
    scores = random.normal(size=(6, 23, 31, 1)).astype(np.float32) * 10.0 ** np.arange(6).reshape(
        -1, 1, 1, 1
    ).astype(np.float32)
    for index in range(6):  # from none to nearly all
        scores[index][random.random((23, 31, 1)) < index / 5.05] = np.nan
    for quantile in (0.0, 0.03, 0.5, 0.97, 0.995, 1.0):
        batch = decide(scores, quantile)
        for index in range(6):
            alone = decide(scores[index : index + 1], quantile)
            np.testing.assert_array_equal(batch[index : index + 1], alone)
            np.testing.assert_array_equal(batch[index], reference(scores[index], quantile))
            assert not batch[index][np.isnan(scores[index])].any()


@needs_scenes
@pytest.mark.parametrize("scene", ["abu/abu-airport-1.mat", "abu/abu-urban-1.mat"])
def test_on_rx_scores_of_real_scenes(scene):
    cube = loadmat(DATA / scene)["data"].astype(np.float64)
    pixels = cube.reshape(-1, cube.shape[-1])
    centred = pixels - pixels.mean(0)
    rx = np.einsum("ij,ij->i", centred @ np.linalg.pinv(np.cov(centred.T)), centred)
    scores = rx.astype(np.float32).reshape(1, *cube.shape[:2], 1)
    decisions = decide(scores, 0.995)
    np.testing.assert_array_equal(decisions, reference(scores, 0.995))
    assert decisions.sum() == 50  # half a percent of 10,000 pixels
    np.testing.assert_array_equal(decide(scores * 4 + 512, 0.5), reference(scores * 4 + 512, 0.5))


@pytest.mark.parametrize("value", [0.0, -3.5, 1e30, math.nan, math.inf])
def test_an_image_of_one_value_has_no_anomalies(value):
    assert not decide(np.full((2, 4, 5, 1), value, np.float32), 0.9).any()


def test_one_pixel():
    assert not decide(np.ones((1, 1, 1, 1), np.float32), 0.5).any()


def test_an_image_that_is_mostly_constant_keeps_its_few_higher_pixels():
    scores = np.zeros((1, 10, 10, 1), np.float32)
    scores[0, 3, 4] = 2
    decisions = decide(scores, 0.5)
    assert decisions.sum() == 1
    assert decisions[0, 3, 4, 0]


def test_infinite_scores_are_ordered():
    scores = np.array([-math.inf, -math.inf, 0.0, 1.0, math.inf], np.float32).reshape(1, 1, 5, 1)
    assert decide(scores, 0.5).ravel().tolist() == [False, False, True, True, True]
    assert decide(scores, 0.9).ravel().tolist() == [False] * 4 + [True]
    assert decide(scores, 0.25 + 1e-9).ravel().tolist() == [False, False, True, True, True]
    assert decide(scores, 0.0).ravel().tolist() == [False, False, True, True, True]


def test_more_pixels_than_torch_quantile_takes():
    side = 4100  # 16.8 million pixels, over 2**24
    scores = torch.rand(1, side, side, 1, generator=torch.Generator().manual_seed(0))
    decisions = QuantileBinaryDecider(0.999)(logits=scores)["decisions"]
    # Ranks 0 ... n - 1; those from the first whole rank above 0.999 (n - 1) are decided.
    distinct = side * side - math.ceil(0.999 * (side * side - 1))
    assert distinct <= int(decisions.sum()) <= distinct + 8  # equal scores of 24 random bits


def test_decisions_carry_no_gradient():
    scores = torch.rand(1, 8, 8, 1).requires_grad_()
    assert not QuantileBinaryDecider(0.5)(logits=scores)["decisions"].requires_grad


@pytest.mark.parametrize("quantile", [-0.01, 1.01, math.nan])
def test_a_quantile_out_of_range(quantile):
    with pytest.raises(ConfigError) as caught:
        QuantileBinaryDecider(quantile).build({})
    assert caught.value.what == f"quantile is a fraction of the pixels, got {quantile}"
    assert caught.value.fix == "set a quantile from 0 to 1, such as 0.995"
