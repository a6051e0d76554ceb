import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from specloom import ConfigError
from specloom_deciders.binary import BinaryDecider, logit_cut, sigmoid


def image(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 1, -1, 1)


def decide(node, logits: torch.Tensor) -> list[bool]:
    return node(logits=logits)["decisions"].flatten().tolist()


def test_one_half_is_a_logit_of_zero():
    smallest = float(np.nextafter(np.float32(0), np.float32(1)))
    assert decide(BinaryDecider(), image(-smallest, -0.0, 0.0, smallest)) == [False] + [True] * 3


def test_equals_the_float64_sigmoid_on_random_logits():
    logits = torch.randn(3, 20, 30, 1, generator=torch.Generator().manual_seed(0)) * 4
    reference = 1 / (1 + np.exp(-logits.double().numpy()))
    for threshold in (1e-9, 0.01, 0.3, 0.5, 0.9, 0.999999):
        decisions = BinaryDecider(threshold)(logits=logits)["decisions"]
        assert decisions.dtype == torch.bool
        assert decisions.shape == logits.shape
        np.testing.assert_array_equal(decisions.numpy(), reference >= threshold)


def test_large_logits_do_not_saturate():
    node = BinaryDecider(threshold=1 - 1e-9)  # a logit of 20.7; a float32 sigmoid says 1 from 17
    assert decide(node, image(17.5, 20.0, 21.0)) == [False, False, True]


def test_the_ends_of_the_range():
    logits = image(-math.inf, -1e30, 0.0, 1e30, math.inf, math.nan)
    assert decide(BinaryDecider(0.0), logits) == [True] * 5 + [False]
    assert decide(BinaryDecider(1.0), logits) == [False] * 4 + [True, False]


def test_nan_is_decided_false():
    assert decide(BinaryDecider(0.2), image(math.nan, 3.0)) == [False, True]


@given(st.floats(-200, 200), st.integers(-3, 3))
def test_a_calibrated_decider_and_its_saved_parameters_decide_as_the_logit(cut, steps):
    near = np.float32(cut)
    for _ in range(abs(steps)):
        near = np.nextafter(near, np.float32(math.copysign(math.inf, steps)))
    node = BinaryDecider()
    node.calibrate(cut)
    saved = BinaryDecider(threshold=node.threshold, logit_threshold=node.logit_threshold)
    saved.build({})
    want = [float(near) >= cut]
    assert decide(node, image(float(near))) == decide(saved, image(float(near))) == want


@pytest.mark.parametrize("cut", [-30.0, -12.5, -1.0, 0.0, 0.3, 5.0, 17.2, 30.0])
def test_the_threshold_alone_round_trips_as_far_as_float64_goes(cut):
    node = BinaryDecider()
    node.calibrate(cut)
    assert node.threshold == pytest.approx(sigmoid(cut), rel=1e-15)
    # Near 1 a float64 probability is spaced by 1e-16, a logit of t therefore by about 1e-16 e^t.
    tolerance = 1e-14 + 1.2e-16 * math.exp(cut) + 1e-7 * abs(cut)
    assert logit_cut(node.threshold) == pytest.approx(cut, abs=tolerance)


def test_calibrating_takes_a_tensor_or_numpy_number_and_stores_plain_ones():
    node = BinaryDecider()
    node.calibrate(np.float32(2.5))
    assert type(node.threshold) is type(node.logit_threshold) is float


def test_a_batch_is_its_images():
    logits = torch.randn(5, 7, 9, 1, generator=torch.Generator().manual_seed(1))
    node = BinaryDecider(0.6)
    alone = torch.cat([node(logits=one[None])["decisions"] for one in logits])
    assert torch.equal(node(logits=logits)["decisions"], alone)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, math.nan])
def test_a_threshold_that_is_no_probability(threshold):
    with pytest.raises(ConfigError) as caught:
        BinaryDecider(threshold).build({})
    assert caught.value.what == f"threshold is a probability, got {threshold}"
    assert caught.value.fix.startswith("set a threshold from 0 to 1")


def test_two_thresholds_that_disagree():
    node = BinaryDecider()
    node.calibrate(50.0)
    node.threshold = 0.7
    with pytest.raises(ConfigError, match=r"threshold 0\.7 and logit_threshold 50\.0 disagree"):
        node.build({})
    with pytest.raises(ConfigError, match=r"write threshold: 0\.952574"):
        BinaryDecider(logit_threshold=3.0).build({})


@pytest.mark.parametrize("cut", [math.nan, math.inf])
def test_calibrating_with_no_number_changes_nothing(cut):
    node = BinaryDecider(0.25)
    with pytest.raises(ConfigError, match="logit_threshold is"):
        node.calibrate(cut)
    assert (node.threshold, node.logit_threshold) == (0.25, None)
