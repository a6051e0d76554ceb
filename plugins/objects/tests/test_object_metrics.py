"""Objects that are found, against loops over all pairs of objects."""

import doctest
import itertools
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from specloom import ConfigError, SpecloomWarning
from specloom_objects import ObjectMetrics, object_metrics

sys.path.append(str(Path(__file__).parent))
toys = import_module("metric_toys")

RNG = np.random.default_rng(13)
SIZE = (5, 24, 21, 1)


def blobs(share, size=SIZE):
    noise = RNG.normal(size=size)
    smooth = np.stack([ndimage.gaussian_filter(one[..., 0], 1.2) for one in noise])[..., None]
    return smooth > np.quantile(smooth, 1 - share)


def batch(size=SIZE):
    targets = blobs(0.15, size)
    decisions = (targets & blobs(0.7, size)) | blobs(0.06, size)
    targets[-1] = False
    return {"decisions": decisions, "targets": targets}


def measured(*batches, **params):
    return toys.measured(ObjectMetrics(name="objects", **params), *batches)


def objects_of(mask, connectivity):
    labels, count = ndimage.label(mask, np.ones((3, 3)) if connectivity == 8 else None)
    return [labels == number for number in range(1, count + 1)]


def most_pairs(true, decided, overlap):
    """The size of the best matching, by trying every assignment of the true objects."""
    good = [
        [(one & other).sum() >= overlap * (one | other).sum() - 1e-12 for other in decided]
        for one in true
    ]

    def best(at, free):
        if at == len(true):
            return 0
        options = [best(at + 1, free)]
        for other in free:
            if good[at][other]:
                options.append(1 + best(at + 1, free - {other}))
        return max(options)

    return best(0, frozenset(range(len(decided))))


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("overlap", [0.01, 0.3, 0.5, 1.0])
def test_coverage_equals_a_loop_over_objects(overlap, connectivity):
    data = batch()
    true, found, decided, correct = 0, 0, 0, 0
    for targets, decisions in zip(data["targets"], data["decisions"], strict=True):
        for one in objects_of(targets[..., 0], connectivity):
            true += 1
            found += decisions[one].mean() >= overlap
        for one in objects_of(decisions[..., 0], connectivity):
            decided += 1
            correct += targets[one].mean() >= overlap
    metrics = measured(data, overlap=overlap, connectivity=connectivity)
    assert metrics["objects"] == true > 10
    assert metrics["object_recall"] == found / true
    assert metrics["object_precision"] == correct / decided
    assert metrics["false_objects_per_image"] == (decided - correct) / 5
    harmonic = 2 * found / true * correct / decided / (found / true + correct / decided)
    assert metrics["object_f1"] == pytest.approx(harmonic)


@pytest.mark.parametrize("overlap", [0.05, 0.3, 0.5, 0.9])
def test_pairs_by_intersection_over_union_are_as_many_as_possible(overlap):
    data = batch()
    pairs = 0
    for targets, decisions in zip(data["targets"], data["decisions"], strict=True):
        pairs += most_pairs(
            objects_of(targets[..., 0], 8), objects_of(decisions[..., 0], 8), overlap
        )
    metrics = measured(data, overlap=overlap, criterion="iou")
    assert metrics["found_objects"] == pairs
    assert metrics["decided_objects"] - metrics["false_objects"] == pairs


def test_one_region_over_two_objects_finds_both_by_coverage_but_one_by_iou():
    targets = np.zeros((1, 3, 9, 1), bool)
    targets[0, :, :4] = targets[0, :, 5:] = True
    decisions = np.ones_like(targets)
    by_coverage = measured({"decisions": decisions, "targets": targets})
    assert (by_coverage["found_objects"], by_coverage["false_objects"]) == (2, 0)
    by_iou = measured({"decisions": decisions, "targets": targets}, criterion="iou", overlap=0.4)
    assert (by_iou["found_objects"], by_iou["false_objects"]) == (1, 0)


def test_two_squares_that_touch_at_a_corner_are_one_object_or_two():
    targets = np.zeros((1, 4, 4, 1), bool)
    targets[0, :2, :2] = targets[0, 2:, 2:] = True
    decisions = targets.copy()
    decisions[0, 2:] = False
    data = {"decisions": decisions, "targets": targets}
    assert measured(data, overlap=0.6)["object_recall"] == 0
    assert measured(data, overlap=0.6, connectivity=4)["object_recall"] == 0.5


def test_pixels_that_do_not_count():
    data = batch()
    scores = RNG.normal(size=SIZE).astype(np.float32)
    scores[:, :, 10:] = np.nan
    valid = RNG.random(SIZE) < 0.9
    metrics = measured({**data, "scores": scores, "valid": valid})
    hidden = ~valid | np.isnan(scores)
    changed = {**data, "decisions": data["decisions"] ^ hidden}
    assert measured({**changed, "scores": scores, "valid": valid}) == metrics
    assert metrics["unjudged_objects"] > 0
    whole = measured(data)
    assert metrics["objects"] + metrics["unjudged_objects"] == whole["objects"]
    nothing = measured({**data, "valid": np.zeros_like(valid)})
    assert "object_recall" not in nothing
    assert nothing["unjudged_objects"] == whole["objects"]


@pytest.mark.filterwarnings("ignore:node 'objects'")
def test_hostile_masks():
    no = np.zeros((2, 3, 4, 1), bool)
    counts = {"objects", "found_objects", "decided_objects", "false_objects"}
    counts |= {"unjudged_objects", "object_images"}
    assert measured().keys() == counts
    nothing = measured({"decisions": no, "targets": no})
    assert nothing.keys() == counts | {"false_objects_per_image"}
    assert measured({"decisions": ~no, "targets": no})["false_objects_per_image"] == 1
    everything = measured({"decisions": ~no, "targets": ~no})
    assert (everything["object_precision"], everything["object_recall"]) == (1, 1)
    missed = measured({"decisions": no, "targets": ~no})
    assert "object_precision" not in missed
    assert missed["object_recall"] == 0
    pixel = np.ones((1, 1, 1, 1), bool)
    assert measured({"decisions": pixel, "targets": pixel})["object_f1"] == 1
    apart = measured(
        {
            "decisions": np.array([1, 0], bool).reshape(1, 1, 2, 1),
            "targets": np.array([0, 1], bool).reshape(1, 1, 2, 1),
        }
    )
    assert apart["object_f1"] == 0


def test_a_stage_without_objects_is_warned_of():
    no = np.zeros((1, 2, 2, 1), bool)
    with pytest.warns(SpecloomWarning) as warned:
        measured({"decisions": no, "targets": no})
    assert str(warned[0].message) == (
        "node 'objects' (ObjectMetrics): there is no object in the stage 'test', so its recall is "
        "missing: check the masks, and the data node's class numbers"
    )


def test_batches_order_and_parts_change_nothing():
    data = batch()
    images = toys.by_image(data)
    whole = measured(data)
    for order in itertools.islice(itertools.permutations(images), 0, 120, 17):
        assert measured(*order) == whole
    assert toys.merged(ObjectMetrics, images[:2], [], images[2:]) == whole


@pytest.mark.parametrize("overlap", [0.0, 1.1, np.nan])
def test_an_overlap_out_of_range(overlap):
    with pytest.raises(ConfigError) as error:
        ObjectMetrics(overlap=overlap).build({})
    assert error.value.what == f"overlap is a share of an object, got {overlap}"
    assert error.value.fix == "set an overlap over 0 and at most 1, such as 0.5"


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(object_metrics).failed == 0


def test_what_was_measured_is_forgotten():
    node = ObjectMetrics(name="objects")
    assert toys.measured(node, batch())["object_images"] == 5
    assert node.measure_end()["metrics"]["object_images"] == 0
