"""Scores and decisions have one set of colours, that of ``pictures``."""

import ast
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps

import specloom_pictures
from specloom_pictures import paint
from specloom_predict.writers.colours import SAMPLE, scale_of, spread_of

PLUGINS = Path(__file__).parents[1] / "plugins"


def test_scores_have_the_same_colours():
    table = specloom_pictures.colour_scores(np.linspace(0, 1, 256)[None])[0]
    np.testing.assert_array_equal(specloom_pictures.cividis(), table)
    levels = np.arange(256, dtype=np.uint8)[None, :, None]
    painted = paint.paint_heat(levels, np.zeros((1, 256), np.uint8))[0]
    # Pictures have all 256 colours of cividis; the others ten of them, and between them lines.
    np.testing.assert_array_equal(painted, colormaps["cividis"](range(256), bytes=True)[:, :3])
    assert np.abs(painted.astype(int) - table).max() <= 15


@pytest.mark.parametrize("name", ["ColourScale", "Spread", "colour_bands", "common_scale"])
def test_no_plugin_has_a_copy(name):
    owners = []
    for path in PLUGINS.glob("*/specloom_*/**/*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                owners.append(path.relative_to(PLUGINS).parts[0])
    assert owners == ["pictures"]


@pytest.mark.parametrize("seed", range(6))
def test_a_report_chooses_the_scale_that_predict_chooses(seed):
    generator = np.random.default_rng(seed)
    maps = [generator.normal(size=(30, 40)) ** 2 for _ in range(4)]
    maps[1][3, 4] = 10.0 ** (seed - 1)
    maps[2] -= seed % 2
    ours = specloom_pictures.common_scale(specloom_pictures.spread(one) for one in maps)
    assert ours == scale_of(spread_of(one) for one in maps)


def test_the_scale_of_a_large_map_is_of_a_sample():
    scores = np.zeros(3 * SAMPLE)
    scores[1::3] = 5.0
    assert spread_of(scores).high == 0.0
    assert specloom_pictures.spread(scores).high == 5.0
    assert scale_of([None]).as_json() == {"low": 0.0, "high": 0.0, "log": False}
