"""A search by bins finds the threshold of ``best_threshold``, bit for bit."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import specloom_metrics.threshold_search as threshold_search
from specloom import DataError
from specloom_metrics import CRITERIA, ScoreBins, ThresholdSearch, best_threshold
from specloom_metrics.histogram import keys_of, scores_of
from specloom_metrics.threshold_search import ALL_BINS

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
ALIKE = st.integers(-3, 3).map(lambda step: float(np.float32(1) + step * np.spacing(np.float32(1))))


def searched(parts, metric):
    """The threshold by passes over parts of the pixels, and how many passes there were."""
    search = ThresholdSearch(metric)
    passes = 0
    while search.found is None:
        total = ScoreBins(search.bins)
        for scores, targets in parts:
            one = ScoreBins(search.bins)
            one.add(torch.from_numpy(scores), torch.from_numpy(targets))
            assert len(one.state()["places"]) <= search.bins.size
            total.merge(one.state())
        search.take(total)
        passes += 1
    return search.found, passes


def hexadecimal(found):
    return [value.hex() for value in found]


def check(scores, targets, metric, parts=3):
    scores = np.asarray(scores, np.float32)
    targets = np.asarray(targets, bool)
    pieces = list(zip(np.array_split(scores, parts), np.array_split(targets, parts), strict=True))
    found, passes = searched(pieces, metric)
    assert hexadecimal(found) == hexadecimal(best_threshold(scores, targets, metric))
    return passes


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(FINITE | ALIKE, st.booleans()), min_size=2, max_size=50),
    st.sampled_from(sorted(CRITERIA)),
)
def test_any_scores(pixels, metric):
    scores = [score for score, _ in pixels]
    targets = [target for _, target in pixels]
    targets[:2] = [True, False]
    check(scores, targets, metric)


@pytest.mark.parametrize("metric", CRITERIA)
@pytest.mark.parametrize("separation", [0, 0.5, 3, 20])
def test_many_scores(metric, separation):
    rng = np.random.default_rng(int(10 * separation))
    targets = rng.random(40_000) < 0.03
    scores = rng.normal(size=targets.size) + separation * targets
    assert check(scores, targets, metric) <= 4


@pytest.mark.parametrize("metric", CRITERIA)
def test_few_bins_take_more_passes(metric, monkeypatch):
    monkeypatch.setattr(threshold_search, "MOST_BINS", 16)
    rng = np.random.default_rng(1)
    targets = rng.random(5000) < 0.2
    scores = 1 + 1e-5 * (rng.normal(size=targets.size) + targets)
    assert check(scores, targets, metric) > 2


def test_scores_of_one_bin_are_separated():
    """Also from the next score below, which is in no bin that is divided."""
    one = np.float32(1)
    next_up = np.nextafter(one, np.float32(2))
    check([one, next_up, 0.25, -5], [False, True, False, False], "f1", parts=1)
    check([next_up, one, 3], [True, True, False], "f1", parts=1)
    check([-0.0, 0.0, -1e-45, 1e-45], [True, False, True, False], "iou", parts=2)


@pytest.mark.parametrize("metric", CRITERIA)
def test_scores_that_are_not_finite(metric):
    infinite = [-np.inf, np.inf, 0.5, 0.25, np.inf, -np.inf]
    check(infinite, [False, True, True, False, False, True], metric)
    check([0, 1, 2, 3, np.nan, np.nan], [False, True, False, True, False, True], metric)


def test_one_class_is_refused():
    counted = ScoreBins()
    counted.add(torch.zeros(5), torch.zeros(5, dtype=torch.bool))
    with pytest.raises(DataError, match="got 0 anomalous and 5 normal"):
        ThresholdSearch("f1").take(counted)


def test_merging_in_any_order_equals_one_stream_and_one_part_is_that_part():
    rng = np.random.default_rng(2)
    scores = torch.from_numpy(rng.normal(size=3000).astype("float32"))
    targets = torch.from_numpy(rng.random(3000) < 0.1)
    whole = ScoreBins()
    whole.add(scores, targets)
    cuts = [slice(0, 100), slice(100, 100), slice(100, 2500), slice(2500, 3000)]
    random.Random(1).shuffle(cuts)
    merged = ScoreBins()
    for cut in cuts:
        part = ScoreBins()
        part.add(scores[cut], targets[cut])
        merged.merge(part.state())
    twin = ScoreBins()
    twin.merge(whole.state())
    for other in (merged, twin):
        for name, value in whole.state().items():
            assert torch.equal(other.state()[name], value)


def test_the_state_of_all_bins_has_a_fixed_size():
    counted = ScoreBins()
    sizes = []
    for seed in range(3):
        scores = torch.randn(200_000, generator=torch.Generator().manual_seed(seed))
        counted.add(100 * scores, scores > 1)
        sizes.append(sum(value.nbytes for value in counted.state().values()))
    assert max(sizes) < 3_000_000
    assert sizes[2] < 1.1 * sizes[1]


def test_keys_are_in_the_order_of_scores_and_lead_back():
    scores = torch.tensor([-3e38, -1.0, -1e-45, 0.0, 1e-45, 1.0, 3e38])
    keys = keys_of(scores)
    assert (keys.diff() > 0).all()
    assert (scores_of(keys.numpy()) == scores.numpy()).all()
    assert keys_of(torch.tensor([-0.0])) == keys_of(torch.tensor([0.0]))
    assert ALL_BINS.size == 65_536
