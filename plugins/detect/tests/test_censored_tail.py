"""The tail of scores of which the largest are censored."""

import numpy as np
import pytest
from scipy import stats

from specloom import DataError
from specloom_detect import censored_tail
from specloom_detect.censored_tail import fit_censored_tail


def test_the_tail_of_a_known_distribution_is_found():
    """Of an exponential distribution the threshold for a rate is -log(rate)."""
    scores = np.random.default_rng(0).exponential(size=200_000)
    tail = fit_censored_tail(scores)
    assert tail.threshold(1e-3) == pytest.approx(-np.log(1e-3), rel=0.05)
    assert tail.shape == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("freedom", [5, 60, 200])
def test_the_rate_of_chi_square_scores_is_reached(freedom):
    """The share of normal pixels above the threshold lies between 0.3 and 3 times the rate."""
    for seed in range(5):
        scores = np.random.default_rng(seed).chisquare(freedom, 20_000)
        threshold = fit_censored_tail(scores).threshold(1e-3)
        assert 0.3e-3 < stats.chi2.sf(threshold, freedom) < 3e-3


def test_anomalies_do_not_set_their_own_threshold():
    """With 1.5 % of far larger scores the tail is that of the others, shifted by their number."""
    scores = np.random.default_rng(1).chisquare(60, 10_000)
    clean = fit_censored_tail(scores).threshold(1e-3)
    mixed = scores.copy()
    mixed[:150] = 1e4
    threshold = fit_censored_tail(mixed).threshold(1e-3)
    assert clean < threshold < 1.4 * clean
    assert (mixed > threshold).sum() == 150
    more = mixed.copy()
    more[:150] = 1e9
    assert fit_censored_tail(more).threshold(1e-3) == threshold


def test_the_order_of_scores_changes_nothing():
    scores = np.random.default_rng(2).chisquare(9, 5000)
    assert fit_censored_tail(scores) == fit_censored_tail(scores[::-1])


def test_thinned_scores_give_nearly_the_same(monkeypatch):
    scores = np.random.default_rng(3).chisquare(9, 100_000)
    exact = fit_censored_tail(scores).threshold(1e-3)
    monkeypatch.setattr(censored_tail, "MOST_SCORES", 500)
    assert fit_censored_tail(scores).threshold(1e-3) == pytest.approx(exact, rel=0.01)


def test_too_few_or_equal_scores_are_errors():
    with pytest.raises(DataError) as caught:
        fit_censored_tail(np.arange(100.0))
    assert str(caught.value) == (
        "100 pixels are too few for a threshold: the tail has 6, 50 are needed\n"
        "  fix: use larger cubes, or several at a time"
    )
    with pytest.raises(DataError) as caught:
        fit_censored_tail(np.ones(10_000))
    assert str(caught.value) == (
        "the scores in the tail are all equal, so that no threshold follows from them\n"
        "  fix: check the cube: its pixels may be constant, or of few values"
    )
