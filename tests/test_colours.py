"""Scores and decisions have one set of colours: in the report, in ``predict`` and in pictures."""

import numpy as np
import pytest
from matplotlib import colormaps

from specloom_pictures import paint
from specloom_predict.writers import colours as predicted
from specloom_predict.writers.pictures import DECIDED
from specloom_report import colours as reported


def test_scores_have_the_same_colours():
    table = predicted.colours(np.linspace(0, 1, 256)[None])[0]
    np.testing.assert_array_equal(reported.cividis(), table)
    levels = np.arange(256, dtype=np.uint8)[None, :, None]
    painted = paint.paint_heat(levels, np.zeros((1, 256), np.uint8))[0]
    # Pictures have all 256 colours of cividis; the others ten of them, and between them lines.
    np.testing.assert_array_equal(painted, colormaps["cividis"](range(256), bytes=True)[:, :3])
    assert np.abs(painted.astype(int) - table).max() <= 15


def test_decisions_have_the_same_colours():
    assert reported.DECIDED == DECIDED
    for name in ("TRUE_POSITIVE", "FALSE_POSITIVE", "FALSE_NEGATIVE", "EXCLUDED"):
        assert getattr(reported, name) == getattr(paint, name)


@pytest.mark.parametrize("seed", range(6))
def test_a_report_chooses_the_scale_that_predict_chooses(seed):
    generator = np.random.default_rng(seed)
    maps = [generator.normal(size=(30, 40)) ** 2 for _ in range(4)]
    maps[1][3, 4] = 10.0 ** (seed - 1)
    maps[2] -= seed % 2
    ours = reported.common_scale(reported.spread(one) for one in maps)
    theirs = predicted.common_scale(predicted.spread(one) for one in maps)
    assert ours.as_json() == theirs.as_json()
    assert ours.ticks() == theirs.ticks()
    np.testing.assert_array_equal(ours.shade(maps[1]), theirs.shade(maps[1]))
