"""Fusion of scores, of their ranks, and of decisions."""

import numpy as np
import pytest
from scipy import stats

from specloom import ConfigError, NodeError
from specloom_objects import FuseDecisions, FuseRanks, FuseScores

RNG = np.random.default_rng(11)
SIZE = (2, 9, 8, 1)


def maps(count=3):
    made = [np.round(RNG.normal(0, 2, SIZE), 1).astype(np.float32) for _ in range(count)]
    made[0][0, 0, 0] = np.nan
    return made


def test_the_largest_score():
    scores = maps()
    found = FuseScores().forward(scores=scores)["fused"]
    np.testing.assert_array_equal(found, np.stack(scores).max(0))
    assert np.isnan(found[0, 0, 0, 0])
    assert np.isnan(found).sum() == 1


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.5]])
def test_the_weighted_mean(weights):
    scores = maps()
    found = FuseScores(method="mean", weights=weights).forward(scores=scores)["fused"]
    expected = np.average(np.stack(scores).astype(float), axis=0, weights=weights)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert found.dtype == np.float32


def test_the_mean_of_ranks_of_each_image():
    scores = maps()
    found = FuseRanks(weights=[1.0, 2.0, 1.0]).forward(scores=scores)["fused"]
    for image in range(2):
        ranked = []
        for one in scores:
            values = one[image].ravel()
            ranks = stats.rankdata(values, nan_policy="omit") / (~np.isnan(values)).sum()
            ranked.append(ranks)
        expected = np.average(ranked, axis=0, weights=[1, 2, 1])
        np.testing.assert_allclose(found[image].ravel(), expected, rtol=1e-6)
    assert np.isnan(found).sum() == 1
    assert np.nanmax(found) <= 1


def test_ranks_do_not_depend_on_the_range_of_a_score():
    scores = maps()
    stretched = [scores[0], scores[1] * 1000 + 5, np.exp(scores[2])]
    node = FuseRanks()
    np.testing.assert_array_equal(
        node.forward(scores=scores)["fused"], node.forward(scores=stretched)["fused"]
    )
    nothing = np.full(SIZE, np.nan, np.float32)
    assert np.isnan(node.forward(scores=[nothing])["fused"]).all()


def test_decisions():
    masks = [RNG.random(SIZE) < 0.5 for _ in range(4)]
    votes = np.sum(masks, axis=0)
    for method, least in {"any": 1, "all": 4, "majority": 3}.items():
        found = FuseDecisions(method=method).forward(decisions=masks)["fused"]
        np.testing.assert_array_equal(found, votes >= least)


@pytest.mark.parametrize(
    ("cls", "params", "what", "fix"),
    [
        (
            FuseScores,
            {"method": "mean", "weights": [1.0, -1.0]},
            "weights are [1.0, -1.0]",
            "set weights from 0 on, at least one of them over 0",
        ),
        (
            FuseRanks,
            {"weights": [0.0, 0.0]},
            "weights are [0.0, 0.0]",
            "set weights from 0 on, at least one of them over 0",
        ),
        (
            FuseScores,
            {"weights": [1.0]},
            "weights are set for the method 'max'",
            "set method: mean",
        ),
    ],
)
def test_weights_that_are_none(cls, params, what, fix):
    with pytest.raises(ConfigError) as error:
        cls(**params).build({})
    assert (error.value.what, error.value.fix) == (what, fix)


def test_another_number_of_weights():
    with pytest.raises(NodeError) as error:
        FuseScores(method="mean", weights=[1.0, 1.0]).forward(scores=maps())
    assert error.value.what == "2 weights for 3 connected inputs"
    assert error.value.fix == "write one weight for each connection, in their order"
