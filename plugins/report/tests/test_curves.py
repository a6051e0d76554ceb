"""Curves, per-image metrics and thresholds against scikit-learn, in bounded memory."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from specloom_report.collecting.curves import (
    BINS,
    ThresholdCurve,
    histogram,
    summarise,
    thin_curve,
)
from specloom_report.collecting.pixel_sample import PixelSample


def scene(seed=0, images=3, ties=False, rate=0.05):
    generator = np.random.default_rng(seed)
    targets = generator.random((images, 20, 30, 1)) < rate
    scores = generator.normal(size=targets.shape) + 1.5 * targets
    scores = (np.round(scores, 1) if ties else scores).astype(np.float32)
    return scores, targets


def sampled(scores, targets, cut=1.0, valid=None, most=10**6, batch=2):
    sample = PixelSample(most)
    for start in range(0, len(scores), batch):
        part = slice(start, start + batch)
        shown = None if valid is None else valid[part]
        sample.add(scores[part] >= cut, targets[part], scores[part], shown)
    return sample


@pytest.mark.parametrize("ties", [False, True])
def test_curves_are_those_of_scikit_learn(ties):
    scores, targets = (one.ravel() for one in scene(ties=ties))
    normal = scores[~targets]
    anomalous = scores[targets]
    curve = ThresholdCurve(normal, anomalous, len(normal), len(anomalous))
    assert curve.roc_auc == pytest.approx(roc_auc_score(targets, scores), abs=1e-12)
    expected = average_precision_score(targets, scores)
    assert curve.average_precision == pytest.approx(expected, abs=1e-12)
    false_positive_rate, true_positive_rate, _ = roc_curve(targets, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_rate, false_positive_rate)
    np.testing.assert_allclose(curve.true_positive_rate, true_positive_rate)
    precision, _, _ = precision_recall_curve(targets, scores)
    np.testing.assert_allclose(curve.precision[::-1], precision)


def test_infinite_scores_tie_with_each_other():
    normal, anomalous = np.array([0, np.inf], np.float32), np.array([np.inf, np.inf], np.float32)
    assert ThresholdCurve(normal, anomalous, 2, 2).roc_auc == 0.75


def test_each_image_has_its_own_metrics():
    scores, targets = scene()
    rows = summarise(sampled(scores, targets))["rows"]
    for row, one, truth in zip(rows, scores, targets, strict=True):
        decided = one >= 1.0
        assert row["iou"] == (decided & truth).sum() / (decided | truth).sum()
        assert row["roc_auc"] == pytest.approx(roc_auc_score(truth.ravel(), one.ravel()))
        assert row["left_out"] == 0
        assert row["pixels"] == 600


def test_pixels_that_are_not_valid_or_nan_count_only_as_excluded():
    scores, targets = scene()
    valid = np.ones_like(targets)
    valid[0, :5] = False
    scores[1, :2] = np.nan
    found = summarise(sampled(scores, targets, valid=valid))
    assert [row["left_out"] for row in found["rows"]] == [150, 60, 0]
    used = valid & ~np.isnan(scores)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(targets[used], scores[used]))
    assert found["counts"]["anomalous"] == (targets & used).sum()


def test_batches_change_nothing():
    scores, targets = scene(images=5)
    assert summarise(sampled(scores, targets, batch=1)) == summarise(
        sampled(scores, targets, batch=5)
    )


def test_what_is_thinned_stays_bounded_and_close():
    scores, targets = scene(images=40, rate=0.01)
    sample = sampled(scores, targets, most=2000)
    found = summarise(sample)
    stored = [sum(map(len, one)) for one in sample.scores]
    assert 1000 < stored[0] <= 2000
    assert stored[1] == targets.sum()  # the few anomalies are all there
    assert found["one_in"] == [16, 1]
    exact = summarise(sampled(scores, targets))
    assert found["counts"] == exact["counts"]
    assert found["threshold"] == exact["threshold"]
    assert found["roc_auc"] == pytest.approx(exact["roc_auc"], abs=0.02)
    assert found["average_precision"] == pytest.approx(exact["average_precision"], abs=0.06)


def test_one_threshold_is_distinguished_from_a_threshold_for_each_image():
    scores, targets = scene()
    one = sampled(scores, targets).threshold()
    assert one["single"]
    assert one["above"] < 1.0 <= one["at_most"]
    each = PixelSample()
    each.add(scores >= np.array([0.0, 1.0, 2.0]).reshape(3, 1, 1, 1), targets, scores, None)
    assert not each.threshold()["single"]
    nothing = PixelSample()
    nothing.add(np.zeros_like(targets), targets, scores, None)
    assert nothing.threshold()["at_most"] is None


def test_without_scores_or_with_one_class_there_are_counts_and_no_curve():
    scores, targets = scene()
    plain = PixelSample()
    plain.add(scores > 1, targets, None, None)
    assert "threshold" not in summarise(plain)
    assert "roc" not in summarise(sampled(scores, np.zeros_like(targets)))
    assert "histogram" in summarise(sampled(scores, np.zeros_like(targets)))
    excluded = summarise(sampled(scores, targets, valid=np.zeros_like(targets)))
    assert excluded["counts"]["pixels"] == 0


def test_histograms_hold_every_pixel_and_the_threshold():
    normal, anomalous = np.arange(100.0), np.array([50.0, 1e6, np.inf])
    found = histogram(normal, anomalous, 500.0)
    assert len(found["normal"]) == BINS
    assert sum(found["normal"]) == pytest.approx(1, abs=1e-4)
    assert sum(found["anomalous"]) == pytest.approx(1, abs=1e-4)
    assert found["low"] < 500 < found["high"]
    same = histogram(np.ones(9), np.ones(1), None)
    assert same["low"] < 1 < same["high"]
    assert histogram(np.ones(0), np.ones(0), None)["high"] == 1


def test_a_thinned_curve_keeps_its_ends_and_its_corner():
    x = np.concatenate([np.zeros(5000), np.linspace(0, 1, 5000)])
    y = np.concatenate([np.linspace(0, 1, 5000), np.ones(5000)])
    few = np.array(thin_curve(x, y, 50))
    assert few.shape[1] <= 52
    assert few[:, 0].tolist() == [0, 0]
    assert few[:, -1].tolist() == [1, 1]
    assert np.abs(few - [[0], [1]]).sum(0).min() < 0.05
