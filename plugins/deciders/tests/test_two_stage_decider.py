import math

import numpy as np
import pytest
import torch

from specloom import ConfigError
from specloom_deciders.quantile import QuantileBinaryDecider
from specloom_deciders.two_stage import TwoStageBinaryDecider, top_mean


def reference_mean(image: np.ndarray, fraction: float) -> float:
    finite = np.sort(image[np.isfinite(image)].astype(np.float64))[::-1]
    taken = max(1, int(round(finite.size * fraction, 6)))
    return math.fsum(finite[:taken]) / taken if finite.size else -math.inf


def scores_of(images: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(images, 40, 50, 1)).astype(np.float32)


@pytest.mark.parametrize("fraction", [1e-9, 0.001, 0.0029, 0.05, 0.29, 1.0])
def test_the_mean_of_the_top_fraction(fraction):
    scores = scores_of(5, 0)
    for index in range(5):
        scores[index, : index * 9] = [np.nan, np.inf, -np.inf, np.nan, np.nan][index]
    means = top_mean(torch.from_numpy(scores).flatten(1), fraction)
    want = [reference_mean(image, fraction) for image in scores]
    np.testing.assert_allclose(means.numpy(), want, rtol=1e-13)


def test_a_share_that_is_a_whole_number_up_to_rounding():
    ramp = torch.arange(100.0)[None]  # 0.29 * 100 is 28.999999999999996
    assert top_mean(ramp, 0.29).item() == np.arange(71.0, 100.0).mean()


def test_a_mean_has_the_same_bits_in_any_batch():
    scores = torch.from_numpy(scores_of(7, 1) * 1e3).flatten(1)
    together = top_mean(scores, 0.7)
    alone = torch.cat([top_mean(row[None], 0.7) for row in scores])
    assert torch.equal(together, alone)


def test_the_gate_opens_image_by_image():
    scores = scores_of(4, 2) * 0.1
    scores[1, 3, 3] = 9.0
    scores[2, 5, 5] = 9.0
    node = TwoStageBinaryDecider(image_threshold=4.0, top_k_fraction=0.001, quantile=0.99)
    logits = torch.from_numpy(scores)
    decisions = node(logits=logits)["decisions"]
    mask = QuantileBinaryDecider(0.99)(logits=logits)["decisions"]
    assert decisions.shape == logits.shape
    assert decisions.dtype == torch.bool
    assert not decisions[[0, 3]].any()
    assert torch.equal(decisions[1:3], mask[1:3])
    assert mask[1:3].sum((1, 2, 3)).tolist() == [20, 20]
    alone = torch.cat([node(logits=one[None])["decisions"] for one in logits])
    assert torch.equal(decisions, alone)


@pytest.mark.parametrize("threshold", [-1e6, -2.0, 0.0, 3.0, 1e6])
def test_thresholds_of_any_range_on_raw_values(threshold):
    scores = scores_of(3, 3) + np.float32([[[[-9]]], [[[0]]], [[[9]]]])
    node = TwoStageBinaryDecider(image_threshold=threshold, top_k_fraction=0.01)
    decided = node(logits=torch.from_numpy(scores))["decisions"].flatten(1).any(1)
    assert decided.tolist() == [reference_mean(one, 0.01) >= threshold for one in scores]


def test_a_mean_equal_to_the_threshold_opens_the_gate():
    scores = torch.zeros(1, 10, 10, 1)
    scores[0, 0, 0] = 0.75
    node = TwoStageBinaryDecider(image_threshold=0.75, quantile=0.9)
    assert node(logits=scores)["decisions"].sum() == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 5.0])
def test_images_without_a_contrast_have_no_anomalies(value):
    assert not TwoStageBinaryDecider(-1e9)(logits=torch.full((2, 3, 3, 1), value))[
        "decisions"
    ].any()


def test_nan_pixels_are_false_and_do_not_shut_the_gate():
    scores = torch.full((1, 4, 4, 1), math.nan)
    scores[0, 0, :2, 0] = torch.tensor([1.0, 2.0])
    decisions = TwoStageBinaryDecider(1.5)(logits=scores)["decisions"]
    assert decisions.flatten().nonzero().flatten().tolist() == [1]


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"top_k_fraction": 0.0}, "top_k_fraction is a fraction of the pixels, got 0.0"),
        ({"top_k_fraction": 1.2}, "top_k_fraction is a fraction of the pixels, got 1.2"),
        ({"quantile": 99.5}, "quantile is a fraction of the pixels, got 99.5"),
        ({"image_threshold": math.nan}, "image_threshold is NaN"),
    ],
)
def test_parameters_out_of_range(config, what):
    with pytest.raises(ConfigError) as caught:
        TwoStageBinaryDecider(**config).build({})
    assert caught.value.what == what
    assert caught.value.fix
