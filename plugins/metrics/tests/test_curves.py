import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat
from sklearn.metrics import average_precision_score, roc_auc_score

from specloom import DataError
from specloom_metrics.curves import average_precision, roc_auc

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
needs_scenes = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")

PIXELS = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=80)


@given(PIXELS)
def test_equal_scikit_learn_with_many_ties(pixels):
    scores, targets = np.array(pixels, float).T
    if targets.any():
        want = average_precision_score(targets, scores)
        assert average_precision(scores, targets) == pytest.approx(want, rel=1e-13)
        if not targets.all():
            want = roc_auc_score(targets, scores)
            assert roc_auc(scores, targets) == pytest.approx(want, rel=1e-13)


@given(PIXELS, st.randoms(use_true_random=False))
def test_the_order_of_the_pixels_changes_no_bit(pixels, random):
    mixed = random.sample(pixels, len(pixels))
    (scores, targets), (again, also) = np.array(pixels).T, np.array(mixed).T
    if 0 < targets.sum() < targets.size:
        assert roc_auc(scores, targets) == roc_auc(again, also)
        assert average_precision(scores, targets) == average_precision(again, also)


def rx(cube: np.ndarray) -> np.ndarray:
    """Global RX in float64, pseudo-inverse, ddof 1."""
    pixels = cube.reshape(-1, cube.shape[-1]).astype(np.float64)
    centred = pixels - pixels.mean(0)
    scores = np.einsum("ij,ij->i", centred @ np.linalg.pinv(np.cov(centred.T)), centred)
    return scores.reshape(cube.shape[:-1])


@needs_scenes
@pytest.mark.parametrize(
    ("scene", "published"),
    [("abu/abu-airport-1", 0.8221), ("abu/abu-urban-1", 0.9907), ("hydice/HYDICE_urban", 0.9857)],
)
def test_rx_on_real_scenes(scene, published):
    content = loadmat(DATA / f"{scene}.mat")
    scores, targets = rx(content["data"]), content["map"] > 0
    assert round(roc_auc(scores, targets), 4) == published
    for some_scores in (scores, scores.astype(np.float32), np.round(scores)):
        flat = some_scores.ravel(), targets.ravel()
        assert roc_auc(*flat) == pytest.approx(roc_auc_score(*flat[::-1]), rel=1e-12)
        want = average_precision_score(*flat[::-1])
        assert average_precision(*flat) == pytest.approx(want, rel=1e-12)
    shifted = roc_auc(3 * scores + 1e4, targets)
    assert shifted == pytest.approx(roc_auc(scores, targets), abs=1e-9)


def test_all_scores_equal():
    targets = np.arange(10) < 3
    assert roc_auc(np.full(10, 7.0), targets) == 0.5
    assert average_precision(np.full(10, 7.0), targets) == 0.3


def test_infinite_scores_are_ordered_and_nan_is_left_out():
    scores = [math.inf, math.inf, 1.0, -math.inf, math.nan, math.nan]
    targets = [True, False, True, False, True, False]
    assert roc_auc(scores, targets) == roc_auc([3, 3, 1, 0], [1, 0, 1, 0]) == 0.625


def test_minus_zero_ties_with_zero():
    assert roc_auc([-0.0, 0.0], [1, 0]) == roc_auc([0.0, -0.0], [1, 0]) == 0.5


def test_counts_do_not_overflow_32_bits():
    targets = np.arange(200_000) % 2 == 0
    assert roc_auc(np.arange(200_000, dtype=np.float32), targets) == pytest.approx(0.499995)


@pytest.mark.parametrize("targets", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_only(targets):
    anomalous = sum(targets)
    with pytest.raises(DataError) as caught:
        roc_auc([1.0] * len(targets), targets)
    assert caught.value.what == (
        f"ROC-AUC needs pixels of both classes, got {anomalous} anomalous "
        f"and {len(targets) - anomalous} normal"
    )
    assert caught.value.fix.startswith("use a split")


def test_average_precision_without_anomalies():
    with pytest.raises(DataError, match="average precision needs anomalous pixels, got 0 of 2"):
        average_precision([1.0, 2.0, math.nan], [0, 0, 1])
    assert average_precision([1.0, 2.0], [1, 1]) == 1.0


def test_sizes_that_differ():
    with pytest.raises(DataError, match="3 scores and 2 targets"):
        roc_auc([1.0, 2.0, 3.0], [1, 0])
