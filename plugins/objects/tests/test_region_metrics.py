"""AUPRO and false alarms, against loops over all thresholds and scikit-learn."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from sklearn import metrics as reference

from specloom import ConfigError, DataError, SpecloomWarning
from specloom_objects import RegionMetrics, aupro
from specloom_objects.curves import false_alarm_rate, pro_curve

sys.path.append(str(Path(__file__).parent))
toys = import_module("metric_toys")

RNG = np.random.default_rng(17)
SIZE = (4, 15, 17, 1)
COUNTS = {"regions", "unjudged_regions", "scored_pixels", "normal_pixels", "unscored_pixels"}


def batch(digits=1, size=SIZE):
    targets = RNG.random(size) < 0.12
    targets[-1] = False
    scores = np.round(RNG.normal(0, 1, size) + 1.2 * targets, digits).astype(np.float32)
    return {"scores": scores, "targets": targets}


def measured(*batches, **params):
    return toys.measured(RegionMetrics(name="regions", **params), *batches)


def by_brute_force(data, limit, connectivity=8):
    """The area by a loop over thresholds and regions."""
    scores, targets = data["scores"][..., 0], data["targets"][..., 0]
    counts = ~np.isnan(scores)
    regions = []
    for image, mask in enumerate(targets):
        labels, count = ndimage.label(mask, np.ones((3, 3)) if connectivity == 8 else None)
        for number in range(1, count + 1):
            region = np.zeros(targets.shape, bool)
            region[image] = labels == number
            if (region & counts).any():
                regions.append(region & counts)
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(scores[counts])[::-1]:
        decided = counts & (scores >= threshold)
        rates.append(decided[counts & ~targets].mean())
        overlaps.append(np.mean([decided[region].mean() for region in regions]))
    # Where the rate stays the same the overlap jumps: the area is that of the segments.
    area = 0.0
    for left, right in zip(range(len(rates) - 1), range(1, len(rates)), strict=True):
        x0, x1, y0, y1 = rates[left], rates[right], overlaps[left], overlaps[right]
        end = min(x1, limit)
        if end > x0:
            at_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + at_end) / 2
    return area / limit


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("limit", [0.01, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("digits", [0, 1, 5])
def test_aupro_equals_a_loop_over_thresholds(digits, limit, connectivity):
    data = batch(digits)
    data["scores"][0, :3] = np.nan
    data["scores"][1, 0, 0] = np.inf
    metrics = measured(data, fpr_limit=limit, connectivity=connectivity)
    expected = by_brute_force(data, limit, connectivity)
    assert metrics["aupro"] == pytest.approx(expected, rel=1e-12)


def test_regions_of_one_pixel_make_it_the_area_under_the_roc_curve():
    scores = np.round(RNG.normal(size=500), 1).astype(np.float32)
    targets = RNG.random(500) < 0.3
    found = aupro(scores, targets.astype(int), 1.0)
    assert found == pytest.approx(reference.roc_auc_score(targets, scores), rel=1e-12)
    rates, overlaps = pro_curve(scores, targets.astype(int))
    expected = reference.roc_curve(targets, scores, drop_intermediate=False)
    points = set(zip(np.round(rates, 12), np.round(overlaps, 12), strict=True))
    assert points <= set(zip(np.round(expected[0], 12), np.round(expected[1], 12), strict=True))


def test_a_perfect_detector_and_one_that_knows_nothing():
    targets = batch()["targets"]
    perfect = measured({"scores": targets.astype(np.float32), "targets": targets})
    assert perfect["aupro"] == pytest.approx(1, rel=1e-12)
    assert (perfect["false_alarm_rate_at_tpr"], perfect["threshold_at_tpr"]) == (0, 1)
    nothing = measured({"scores": np.zeros(SIZE, np.float32), "targets": targets})
    assert nothing["aupro"] == pytest.approx(0.15, rel=1e-12)
    assert nothing["false_alarm_rate_at_tpr"] == 1


def test_a_small_region_counts_as_much_as_a_large_one():
    targets = np.zeros((1, 20, 20, 1), bool)
    targets[0, :10, :10] = targets[0, 19, 19] = True
    scores = np.zeros((1, 20, 20, 1), np.float32)
    scores[0, :10, :10] = 1
    # From half at the rate 0 the overlap is a line to 1 at the rate 1.
    assert measured({"scores": scores, "targets": targets})["aupro"] == pytest.approx(0.575)


@pytest.mark.parametrize("tpr", [0.01, 0.5, 0.95, 1.0])
def test_false_alarms_at_a_rate_equal_those_of_scikit_learn(tpr):
    data = batch()
    rates, recalls, thresholds = reference.roc_curve(
        data["targets"].ravel(), data["scores"].ravel(), drop_intermediate=False
    )
    at = int(np.argmax(recalls >= tpr - 1e-12))
    metrics = measured(data, tpr=tpr)
    assert metrics["false_alarm_rate_at_tpr"] == pytest.approx(rates[at], rel=1e-12)
    assert metrics["threshold_at_tpr"] == pytest.approx(thresholds[at])


def test_counts_of_regions_and_pixels():
    data = batch()
    scores = data["scores"]
    scores[0] = np.nan
    valid = RNG.random(SIZE) < 0.8
    valid[1] = False
    metrics = measured({**data, "valid": valid})
    counts = valid & ~np.isnan(scores)
    regions = [ndimage.label(one[..., 0], np.ones((3, 3)))[1] for one in data["targets"]]
    assert metrics["regions"] + metrics["unjudged_regions"] == sum(regions)
    assert metrics["unjudged_regions"] >= regions[0] + regions[1]
    assert metrics["scored_pixels"] == counts.sum()
    assert metrics["unscored_pixels"] == counts.size - counts.sum()
    assert metrics["normal_pixels"] == (counts & ~data["targets"]).sum()


def test_one_class_is_warned_of_and_has_counts_only():
    no = np.zeros((1, 3, 3, 1), bool)
    scores = RNG.normal(size=(1, 3, 3, 1)).astype(np.float32)
    assert measured().keys() == COUNTS
    with pytest.warns(SpecloomWarning) as warned:
        assert measured({"scores": scores, "targets": no}).keys() == COUNTS
    assert str(warned[0].message) == (
        "node 'regions' (RegionMetrics): no pixel is anomalous in the stage 'test', so its metrics "
        "are missing: check the masks, and the data node's class numbers"
    )
    with pytest.warns(SpecloomWarning, match="every pixel is anomalous"):
        assert measured({"scores": scores, "targets": ~no}).keys() == COUNTS
    nothing = measured({"scores": np.full_like(scores, np.nan), "targets": no})
    assert nothing.keys() == COUNTS
    assert nothing["unscored_pixels"] == 9


def test_batches_order_and_parts_change_no_bit():
    data = batch()
    images = toys.by_image(data)
    whole = measured(data)
    assert measured(*images) == measured(*images[::-1]) == whole
    assert toys.merged(RegionMetrics, images[:1], [], images[1:]) == whole


def test_scores_are_copied():
    data = batch()
    node = RegionMetrics(name="regions")
    node.measure_start("test")
    node.forward(**data)
    want = measured(data)
    data["scores"][:] = 0
    assert node.measure_end()["metrics"] == want


@pytest.mark.parametrize("name", ["fpr_limit", "tpr"])
@pytest.mark.parametrize("value", [0.0, 1.5, np.nan])
def test_a_rate_out_of_range(name, value):
    with pytest.raises(ConfigError) as error:
        RegionMetrics(**{name: value}).build({})
    assert error.value.what == f"{name} is a rate, got {value}"
    assert error.value.fix == f"set a {name} over 0 and at most 1"


def test_curves_need_both_classes():
    scores = np.zeros(3, np.float32)
    for areas, which in ((np.zeros(3, int), "no region"), (np.ones(3, int), "no normal pixel")):
        with pytest.raises(DataError) as error:
            aupro(scores, areas)
        assert error.value.what == (
            f"a curve of per-region overlap needs both classes, there is {which}"
        )
        assert error.value.fix == "use a split whose masks hold anomalies as well as background"
    with pytest.raises(DataError) as error:
        false_alarm_rate(scores, np.zeros(3, bool), 0.5)
    assert error.value.what == (
        "a false-alarm rate needs both classes, got 0 anomalous and 3 normal pixels"
    )
    assert error.value.fix == "use a split whose masks hold anomalies as well as background"
