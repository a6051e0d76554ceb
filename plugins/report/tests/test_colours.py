"""Colours of scores: one scale, its labels, and black and white."""

import numpy as np
import pytest

from specloom_pictures import (
    DECIDED,
    EXCLUDED,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_POSITIVE,
    ColourScale,
    Spread,
    cividis,
    colour_scale,
    common_scale,
    spread,
)


def grey(rgb):
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]


def test_colours_stay_apart_in_black_and_white():
    kinds = [(0, 0, 0), FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE, EXCLUDED]
    levels = sorted(grey(one) for one in kinds)
    assert min(np.diff(levels)) > 35
    assert grey(DECIDED) > 180
    assert (np.diff([grey(one) for one in cividis().tolist()]) > -0.6).all()


def test_levels_are_undone_by_what_the_page_computes():
    scale = ColourScale(2.0, 300.0, log=True)
    values = np.array([1.0, 2.0, 30.0, 300.0, 9999.0, np.nan])
    levels = scale.levels(values)
    assert levels.tolist()[0] == levels.tolist()[1] == 1
    assert levels.tolist()[3:] == [255, 255, 0]
    back = scale.low * (scale.high / scale.low) ** ((levels[2] - 1) / 254)
    assert back == pytest.approx(30, rel=0.02)
    linear = ColourScale(-1.0, 1.0)
    assert linear.levels(np.array([0.0])).tolist() == [128]
    assert colour_scale(scale.as_json()) == scale


def test_one_scale_serves_all_images():
    even = common_scale([Spread(0.0, 1.0, 2.0), Spread(2.0, 3.0, 9.0), None])
    assert even == ColourScale(1.0, 9.0)
    heavy = common_scale([Spread(1.0, 2.0, 500.0)])
    assert heavy.log
    assert not common_scale([Spread(-1.0, 2.0, 500.0)]).log
    assert common_scale([None]) is None
    assert spread(np.full(3, np.nan)) is None
    assert spread(np.arange(101.0)).middle == 50


def test_labels_are_the_ends_and_round_numbers():
    assert ColourScale(0.3, 9.7).ticks() == [0.3, 2.0, 4.0, 6.0, 8.0, 9.7]
    assert ColourScale(3.0, 3.0).ticks() == [3.0]
    assert ColourScale(3.0, 700.0, log=True).ticks() == [3.0, 5, 10, 20, 50, 100, 200, 500, 700.0]
    assert ColourScale(1.5, 2e6, log=True).ticks()[1:-1] == [10.0**k for k in range(1, 7)]
