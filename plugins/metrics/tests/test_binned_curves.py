"""Binned curves: the exact value lies in the interval, and merging in any order changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import specloom_metrics.anomaly as anomaly
from specloom import DataError
from specloom_metrics.anomaly import BOUNDS, AnomalyDetectionMetrics, curve_metrics
from specloom_metrics.histogram import ScoreHistogram, bins_of

SCORES = st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, 1.001, 1.002])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SCORES, st.sampled_from([0, 1, 2])), min_size=2, max_size=60))
def test_the_exact_value_lies_in_the_interval(pixels):
    scores = torch.tensor([score for score, _ in pixels])
    classes = torch.tensor([kind for _, kind in pixels])
    histogram = ScoreHistogram()
    histogram.add(scores, classes == 1, classes != 2)
    exact = curve_metrics(scores.numpy(), classes.numpy())
    found = {"roc_auc": histogram.roc_auc(), "average_precision": histogram.average_precision()}
    for name, interval in found.items():
        if interval is None:
            assert name not in exact
            continue
        assert interval.low - 1e-12 <= exact[name] <= interval.high + 1e-12
        assert interval.low - 1e-12 <= interval.value <= interval.high + 1e-12


def test_bins_are_in_the_order_of_scores():
    scores = torch.tensor([-torch.inf, -3e38, -1.0, -1e-40, -0.0, 0.0, 1e-40, 1.0, 3e38, torch.inf])
    places = bins_of(scores)
    assert (places.diff() >= 0).all()
    assert places[4] == places[5]
    assert 0 <= int(places.min()) <= int(places.max()) < 65_536


def batches():
    random = torch.Generator().manual_seed(4)
    for _ in range(5):
        targets = torch.rand((2, 20, 20, 1), generator=random) < 0.1
        logits = torch.randn((2, 20, 20, 1), generator=random) + 2 * targets
        valid = torch.rand((2, 20, 20, 1), generator=random) < 0.9
        yield {"decisions": logits > 1, "targets": targets, "logits": logits, "valid": valid}


def measured(node, parts):
    node.measure_start("val")
    for part in parts:
        node.forward(**part)
    return node.measure_end()["metrics"]


def test_binned_metrics_are_those_that_are_exact_but_for_the_curves():
    exact = measured(AnomalyDetectionMetrics(), batches())
    binned = measured(AnomalyDetectionMetrics(curves="binned"), batches())
    for name in ("roc_auc", "average_precision"):
        assert binned[f"{name}_low"] <= exact[name] <= binned[f"{name}_high"]
        assert binned[f"{name}_high"] - binned[f"{name}_low"] < 0.02
        assert binned[name] == pytest.approx(exact[name], abs=0.01)
    same = exact.keys() - {"roc_auc", "average_precision"}
    assert {name: binned[name] for name in same} == {name: exact[name] for name in same}
    assert binned.keys() - exact.keys() == set(BOUNDS)


def test_states_have_one_size_and_merge_in_any_order():
    parts = list(batches())
    whole = measured(AnomalyDetectionMetrics(curves="binned"), parts)
    states = []
    for part in parts:
        node = AnomalyDetectionMetrics(curves="binned")
        node.measure_start("val")
        node.forward(**part)
        states.append(node.measure_state())
    assert {state["histogram"].shape for state in states} == {(2, 65_536)}
    merged = AnomalyDetectionMetrics(curves="binned")
    merged.measure_start("val")
    for state in states[::-1]:
        merged.measure_merge(state)
    found = merged.measure_end()["metrics"]
    assert found == pytest.approx(whole, abs=1e-12)
    for name in ("roc_auc", *BOUNDS):
        assert found[name] == whole[name]


def test_exact_curves_refuse_what_takes_too_much(monkeypatch):
    monkeypatch.setattr(anomaly, "MOST_BYTES", 5 * 800 * 3)
    with pytest.raises(DataError) as caught:
        measured(AnomalyDetectionMetrics(), batches())
    assert "exact curves of 3,200 pixels take more than" in caught.value.what
    assert caught.value.fix == "set curves: binned"
    assert np.isfinite(
        list(measured(AnomalyDetectionMetrics(curves="binned"), batches()).values())
    ).all()
