"""Objects of an image: which are found, false and missed, and which are stored."""

import numpy as np

from specloom_report.collecting.objects import (
    MAX_OBJECTS,
    MAX_PIXELS,
    ObjectCounts,
    count_objects,
    find_objects,
)


def mask(*rows):
    return np.array([[sign == "#" for sign in row] for row in rows])


PREDICTED = mask(
    "##....#.",
    "..#.....",
    "........",
    "....##..",
)
ANOMALOUS = mask(
    "#.....##",
    "#.......",
    "......#.",
    "##......",
)


def test_objects_touch_at_corners_and_are_counted_both_ways():
    counts = count_objects(PREDICTED, ANOMALOUS)
    # Decided: left above (found), right above (found), below (touches no anomalous pixel: false).
    assert counts == ObjectCounts(decided=3, false=1, anomalous=4, found=2)
    assert counts.wrong == 3
    none = np.zeros_like(PREDICTED)
    assert count_objects(none, none) == ObjectCounts(0, 0, 0, 0)
    assert count_objects(PREDICTED, none) == ObjectCounts(3, 3, 0, 0)


def test_missed_objects_come_first_then_false_ones_each_by_score():
    scores = np.arange(32.0).reshape(4, 8)
    objects, count = find_objects(PREDICTED, ANOMALOUS, scores)
    assert count == 5
    assert [one.kind for one in objects] == ["missed", "missed", "false", "correct", "correct"]
    assert [(one.row, one.column, one.pixels) for one in objects[:3]] == [
        (3, 1, 2),
        (2, 6, 1),
        (3, 5, 2),
    ]
    assert objects[2].score == 29
    assert objects[2].places.tolist() == [[3, 3], [5, 4]]  # the highest first


def test_without_a_mask_objects_are_decided_and_without_scores_in_order_of_size():
    objects, _ = find_objects(PREDICTED, None, None)
    assert [(one.kind, one.pixels, one.score) for one in objects] == [
        ("decided", 3, None),
        ("decided", 2, None),
        ("decided", 1, None),
    ]


def test_very_many_or_large_objects_are_stored_in_part():
    many = np.zeros((40, 40), bool)
    many[::2, ::2] = True
    objects, count = find_objects(many, None, np.full((40, 40), np.nan))
    assert (len(objects), count) == (MAX_OBJECTS, 400)
    (large,), _ = find_objects(np.ones((100, 100), bool), None, None)
    assert large.pixels == 10_000
    assert large.places.shape[1] <= MAX_PIXELS


def test_of_very_many_objects_some_of_every_kind_are_stored():
    predicted = np.zeros((40, 40), bool)
    predicted[::2, :20:2] = True
    anomalous = np.zeros((40, 40), bool)
    anomalous[::2, 18] = True  # 20 decided objects are right
    anomalous[::2, 22::4] = True
    objects, count = find_objects(predicted, anomalous, np.random.default_rng(0).random((40, 40)))
    kinds = [one.kind for one in objects]
    assert count == 300
    assert kinds == sorted(kinds, key=["missed", "false", "correct"].index)
    assert {kind: kinds.count(kind) for kind in kinds} == {"missed": 18, "false": 16, "correct": 16}
