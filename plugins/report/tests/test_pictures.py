"""Small pictures: what of a large image stays, and what is painted."""

import numpy as np
import pytest
import torch

from specloom_report.collecting.thumbnails import (
    EXCLUDED,
    as_levels,
    colour_bands,
    make_thumbnail,
    pool,
    sample_colours,
    stretch,
    thumbnail_step,
)
from specloom_report.page.images import ERRORS, image_tag, viridis


def test_colours_are_of_visible_light_where_the_cube_has_it():
    grid = np.linspace(400, 1000, 61)
    assert [grid[band] for band in colour_bands(61, grid.tolist())] == [650, 550, 470]
    infrared = np.linspace(1000, 2500, 30)[::-1]  # falling: the longest is still red
    bands = colour_bands(30, infrared.tolist())
    assert infrared[bands[0]] > infrared[bands[1]] > infrared[bands[2]]
    assert colour_bands(1, None) == [0, 0, 0]
    assert colour_bands(4, [float("nan")] * 4) == colour_bands(4, None)


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_colours_and_kinds_of_a_large_image_have_one_size(make):
    cube = make(np.random.default_rng(0).random((2, 401, 250, 7), np.float32))
    colours = sample_colours(cube, 1, [6, 3, 0])
    assert thumbnail_step(401, 250) == 3
    assert colours.shape == (1, 134, 84, 3)
    np.testing.assert_array_equal(colours[0], np.asarray(cube)[0, ::3, ::3][..., [6, 3, 0]])
    none = np.zeros((401, 250), bool)
    assert make_thumbnail(none, none, None, None, colours[0])["kinds"].shape == (134, 84)


def test_no_anomaly_is_lost_when_an_image_is_made_small():
    targets = np.zeros((500, 500), bool)
    targets[499, 498] = targets[0, 0] = True
    assert pool(targets, np.logical_or).sum() == 2
    assert thumbnail_step(500, 500) == 3


def test_kinds_are_true_and_false_positives_and_negatives_and_excluded():
    decisions, targets = np.array([[0, 1, 0, 1, 1]], bool), np.array([[0, 0, 1, 1, 1]], bool)
    scores = np.array([[0, 1, 2, 3, np.nan]], np.float32)
    thumbnail = make_thumbnail(decisions, targets, scores, None, None)
    assert thumbnail["kinds"].tolist() == [[0, 1, 2, 3, EXCLUDED]]
    made = as_levels(thumbnail)
    assert made["scores"][0].tolist() == [*sorted(made["scores"][0, :4].tolist()), 0]
    valid = np.array([[0, 1, 1, 1, 1]], bool)
    assert make_thumbnail(decisions, targets, None, valid, None)["kinds"][0, 0] == EXCLUDED


def test_levels_stand_for_what_is_finite():
    values = np.array([[[0.0], [1.0], [np.nan], [np.inf]]])
    assert stretch(values, (0, 100)).ravel().tolist() == [0, 255, 0, 0]
    assert stretch(np.full((2, 2, 1), 7.0), (1, 99)).ravel().tolist() == [128] * 4
    assert stretch(np.full((2, 2, 1), np.nan), (1, 99)).ravel().tolist() == [0] * 4


def test_pictures_are_read_back_as_painted():
    import base64
    import io
    import re

    from PIL import Image

    kinds = np.arange(5, dtype=np.uint8)[None].repeat(2, 0)
    tag = image_tag(kinds, ERRORS, 'a "name" <b>')
    assert "&#34;name&#34; &lt;b&gt;" in tag
    data = re.search(r"base64,([^\"]+)", tag).group(1)
    image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    assert [image.getpixel((i, 1)) for i in range(5)] == list(ERRORS)


def test_colours_stay_apart_in_black_and_white():
    def grey(rgb):
        return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]

    levels_ = sorted(grey(one) for one in ERRORS)
    assert min(np.diff(levels_)) > 35
    assert (np.diff([grey(one) for one in viridis().tolist()]) > -0.6).all()
