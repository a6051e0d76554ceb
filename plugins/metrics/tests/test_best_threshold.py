import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, jaccard_score

from specloom import ConfigError, DataError
from specloom_metrics.curves import best_threshold

REFERENCES = {
    "f1": f1_score,
    "iou": jaccard_score,
    "youden": lambda targets, decided: 2 * balanced_accuracy_score(targets, decided) - 1,
}
PIXELS = st.lists(
    st.tuples(st.one_of(st.integers(-3, 3), st.floats(-1, 1, width=32)), st.booleans()),
    min_size=2,
    max_size=40,
)


@given(PIXELS, st.sampled_from(sorted(REFERENCES)))
def test_no_threshold_is_better(pixels, metric):
    scores = np.array([score for score, _ in pixels], np.float32)
    targets = np.array([target for _, target in pixels])
    if targets.all() or not targets.any():
        return
    threshold, value = best_threshold(scores, targets, metric)
    reference = REFERENCES[metric]
    assert reference(targets, scores >= threshold) == pytest.approx(value, abs=1e-12)
    tried = [reference(targets, scores >= one) for one in np.unique(scores)]
    assert value == pytest.approx(max(tried), abs=1e-12)


@given(PIXELS)
def test_the_threshold_is_in_the_middle_of_a_gap(pixels):
    scores = np.array([score for score, _ in pixels], np.float32)
    targets = np.array([target for _, target in pixels])
    if targets.all() or not targets.any():
        return
    threshold, _ = best_threshold(scores, targets)
    exact = scores.astype(np.float64)
    above, below = exact[exact >= threshold], exact[exact < threshold]
    if below.size:
        assert threshold == pytest.approx((above.min() + below.max()) / 2, abs=1e-15)
        assert threshold > below.max()


def test_of_equally_good_thresholds_the_highest():
    # At 3: 1 of 2 found, no alarm: J = 0.5. At 1: 2 of 2 found, 1 of 2 alarms: J = 0.5.
    assert best_threshold([3.0, 2.0, 1.0, 0.0], [1, 0, 1, 0], "youden") == (2.5, 0.5)


def test_the_lowest_score_keeps_a_margin_too():
    assert best_threshold([1.0, 2.0], [1, 0], "f1") == (0.5, pytest.approx(2 / 3))
    assert best_threshold([2.0, 2.0], [1, 0], "f1") == (2.0, pytest.approx(2 / 3))


def test_infinite_scores_give_a_threshold_that_splits_them():
    for scores in ([math.inf, 1.0], [1.0, -math.inf], [math.inf, -math.inf]):
        threshold, value = best_threshold(np.array(scores, np.float32), [1, 0])
        assert value == 1.0
        assert scores[0] >= threshold > scores[1]
    assert best_threshold([-math.inf, 1.0], [1, 0])[0] == -math.inf


def test_nan_scores_are_left_out():
    scores, targets = [math.nan, 4.0, 2.0, math.nan], [True, True, False, False]
    assert best_threshold(scores, targets) == (3.0, 1.0)


@pytest.mark.parametrize("targets", [[0, 0], [1, 1], [0, 1]])
def test_one_class_only(targets):
    scores = [1.0, math.nan]
    with pytest.raises(DataError) as caught:
        best_threshold(scores, targets)
    assert caught.value.what.startswith("a threshold for f1 needs pixels of both classes, got ")
    assert caught.value.fix


def test_an_unknown_metric():
    with pytest.raises(ConfigError) as caught:
        best_threshold([1.0, 2.0], [0, 1], "f_1")
    assert caught.value.what == "no threshold for metric 'f_1'"
    assert caught.value.fix == "did you mean 'f1'?"
