"""Escapes and false rejects, with the intervals of scipy."""

import doctest
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from specloom import ConfigError, DataError
from specloom_objects import ImageMetrics, clopper_pearson, intervals

sys.path.append(str(Path(__file__).parent))
toys = import_module("metric_toys")

RNG = np.random.default_rng(19)
COUNTS = {"escapes", "false_rejects", "anomalous_images", "clean_images", "unjudged_images"}


def batch(decided, anomalous):
    """Images of 3 x 4 pixels, with so many decided and anomalous ones."""
    made = {}
    for name, counts in (("decisions", decided), ("targets", anomalous)):
        masks = np.zeros((len(counts), 12), bool)
        for mask, count in zip(masks, counts, strict=True):
            mask[RNG.permutation(12)[:count]] = True
        made[name] = masks.reshape(-1, 3, 4, 1)
    return made


def measured(*batches, **params):
    return toys.measured(ImageMetrics(name="images", **params), *batches)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(
    ("count", "total"), [(0, 1), (1, 1), (0, 20), (3, 20), (20, 20), (7, 1000)]
)
def test_the_interval_is_that_of_scipy(count, total, confidence):
    expected = stats.binomtest(count, total).proportion_ci(confidence, method="exact")
    assert clopper_pearson(count, total, confidence) == pytest.approx(tuple(expected), abs=1e-12)


def test_an_interval_of_no_trial():
    with pytest.raises(DataError) as error:
        clopper_pearson(0, 0)
    assert error.value.what == "0 events in 0 trials have no interval"
    assert error.value.fix == "pass a count from 0 to a total of at least 1"


def test_escapes_and_false_rejects_are_counted_by_image():
    data = batch(decided=[0, 3, 0, 1, 0, 12], anomalous=[2, 1, 0, 0, 0, 12])
    metrics = measured(data)
    assert metrics == {
        "escape_rate": 1 / 3,
        "escape_rate_low": clopper_pearson(1, 3)[0],
        "escape_rate_high": clopper_pearson(1, 3)[1],
        "false_reject_rate": 1 / 3,
        "false_reject_rate_low": clopper_pearson(1, 3)[0],
        "false_reject_rate_high": clopper_pearson(1, 3)[1],
        "escapes": 1,
        "false_rejects": 1,
        "anomalous_images": 3,
        "clean_images": 3,
        "unjudged_images": 0,
    }
    stricter = measured(data, min_pixels=3, confidence=0.9)
    assert (stricter["escapes"], stricter["false_rejects"]) == (1, 0)
    assert stricter["false_reject_rate_high"] == clopper_pearson(0, 3, 0.9)[1]


def test_an_image_that_was_not_evaluated_is_neither_good_nor_bad():
    data = batch(decided=[0, 0, 1], anomalous=[1, 0, 0])
    scores = np.zeros((3, 3, 4, 1), np.float32)
    scores[1] = np.nan
    metrics = measured({**data, "scores": scores})
    assert (metrics["unjudged_images"], metrics["clean_images"]) == (1, 1)
    valid = np.ones((3, 3, 4, 1), bool)
    valid[0] = ~data["targets"][0]
    valid[2] = ~data["decisions"][2]
    metrics = measured({**data, "valid": valid})
    assert metrics["clean_images"] == 3
    assert metrics["false_rejects"] == 0
    assert measured({**data, "valid": np.zeros_like(valid)}) == dict.fromkeys(COUNTS, 0) | {
        "unjudged_images": 3
    }


def test_without_images_of_a_kind_there_is_no_rate():
    assert measured() == dict.fromkeys(COUNTS, 0)
    clean = measured(batch([0, 0], [0, 0]))
    assert "escape_rate" not in clean
    assert clean["false_reject_rate"] == 0
    assert "false_reject_rate" not in measured(batch([1], [12]))


def test_batches_order_and_parts_change_nothing():
    data = batch(RNG.integers(0, 3, 30), RNG.integers(0, 3, 30))
    images = toys.by_image(data)
    whole = measured(data)
    assert measured(*images) == measured(*images[::-1]) == whole
    assert toys.merged(ImageMetrics, images[:7], [], images[7:]) == whole


@pytest.mark.parametrize(
    ("params", "what", "fix"),
    [
        ({"min_pixels": 0}, "min_pixels is 0", "set at least 1 pixel"),
        (
            {"confidence": 1.0},
            "confidence is a probability, got 1.0",
            "set a confidence over 0 and below 1, such as 0.95",
        ),
    ],
)
def test_parameters_out_of_range(params, what, fix):
    with pytest.raises(ConfigError) as error:
        ImageMetrics(**params).build({})
    assert (error.value.what, error.value.fix) == (what, fix)


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(intervals, optionflags=doctest.ELLIPSIS).failed == 0
