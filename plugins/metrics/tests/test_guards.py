"""Evaluations that say nothing are warned of: thresholds in another unit, wrong masks."""

import numpy as np
import pytest
import torch

from specloom_metrics import AnomalyDetectionMetrics
from specloom_metrics.anomaly import Counts, most_decided, mostly_anomalous


def measure(node, decisions, targets, scores, stage="test"):
    node.measure_start(stage)
    shape = (1, 100, -1, 1)
    node.forward(
        torch.from_numpy(decisions).reshape(shape),
        torch.from_numpy(targets).reshape(shape),
        torch.from_numpy(scores).float().reshape(shape),
    )
    return node.measure_end()["metrics"]


def raw_scores(share=0.05):
    """Squared distances of 60 bands, and which pixels are anomalous."""
    rng = np.random.default_rng(0)
    targets = rng.random(10_000) < share
    return rng.chisquare(60, 10_000) + 40.0 * targets, targets


def test_raw_scores_in_a_decider_for_probabilities_are_warned_of():
    scores, targets = raw_scores()
    node = AnomalyDetectionMetrics(name="metrics")
    with pytest.warns(UserWarning, match="pixels are decided") as caught:
        metrics = measure(node, scores >= 0.5, targets, scores)
    assert metrics["recall"] == 1.0
    (warning,) = caught
    assert str(warning.message) == (
        "node 'metrics' (AnomalyDetectionMetrics): 100.00% of the pixels are decided as "
        "anomalies, 100.00% of the anomalous and 100.00% of the normal ones, at a ROC-AUC of "
        f"{metrics['roc_auc']:.4f} in the stage 'test'\n"
        "  fix: calibrate the threshold with training.Calibrate, or connect logits to the decider, "
        "such as those of rx.ScoreToLogit: raw scores are no probabilities"
    )
    measure(node, scores >= 0.5, targets, scores)  # once a stage
    with pytest.warns(UserWarning, match="in the stage 'val'"):
        measure(node, scores >= 0.5, targets, scores, "val")


def test_a_good_threshold_is_not_warned_of():
    scores, targets = raw_scores()
    assert measure(AnomalyDetectionMetrics(), scores >= 90, targets, scores)["f1"] > 0.4


def test_most_pixels_anomalous_are_warned_of():
    scores, targets = raw_scores(0.7)
    with pytest.warns(UserWarning, match=r"of 10,000 pixels are anomalous in the stage .test."):
        measure(AnomalyDetectionMetrics(), targets, targets, scores)


@pytest.mark.parametrize(
    ("counts", "warned"),
    [
        (Counts(99, 9_999, 100, 10_000, 10_000), True),
        (Counts(100, 9_400, 100, 10_000, 10_000), True),  # no better than chance
        (Counts(100, 5_500, 100, 10_000, 10_000), False),
        (Counts(100, 300, 100, 10_000, 10_000), False),
        (Counts(4_900, 4_900, 5_000, 5_100, 5_100), False),  # nearly all are anomalous indeed
    ],
)
def test_the_limits(counts, warned):
    assert (most_decided(counts) is not None) == warned


def test_half_of_the_pixels_may_be_anomalous():
    assert mostly_anomalous(Counts(0, 0, 50, 100, 100)) is None
    error = mostly_anomalous(Counts(0, 0, 51, 100, 100))
    assert error is not None
    assert error.fix == "check the masks, and the lists of classes of the data node"


def test_a_high_recall_of_scores_that_say_nothing():
    counts = Counts(9_998, 60_000, 10_000, 100_000, 100_000)
    assert most_decided(counts) is None
    assert most_decided(counts, 0.95) is None
    error = most_decided(counts, 0.5)
    assert error is not None
    assert error.what == (
        "60.00% of the pixels are decided as anomalies, 99.98% of the anomalous and 55.56% of the "
        "normal ones, at a ROC-AUC of 0.5000"
    )
