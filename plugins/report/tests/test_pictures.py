"""Pictures of images: what of a large image stays, what is painted, and how large it is."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from specloom_pictures import colour_bands
from specloom_report.collecting.held_cube import hold
from specloom_report.collecting.stored_image import Place, store_image, used_planes
from specloom_report.collecting.thumbnails import (
    EXCLUDED,
    MAX_CELLS,
    pool,
    pool_kinds,
    pool_scores,
    stretch,
    thumbnail_step,
)
from specloom_report.page.images import colour_tag, fit_kinds, fit_scores, image_tag
from specloom_report.page.packing import packed_size

PALETTE = ((0, 0, 0), (213, 94, 0), (240, 228, 66), (86, 180, 233), (70, 80, 105))


def test_colours_are_of_visible_light_where_the_cube_has_it():
    grid = np.linspace(400, 1000, 61)
    assert [grid[band] for band in colour_bands(61, grid.tolist())] == [650, 550, 470]
    infrared = np.linspace(1000, 2500, 30)[::-1]  # falling: the longest is still red
    bands = colour_bands(30, infrared.tolist())
    assert infrared[bands[0]] > infrared[bands[1]] > infrared[bands[2]]
    assert colour_bands(1, None) == [0, 0, 0]
    assert colour_bands(4, [float("nan")] * 4) == colour_bands(4, None)


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_a_large_cube_is_held_in_part_and_its_pictures_have_one_size(make):
    cube = np.random.default_rng(0).random((2, 401, 250, 7), np.float32)
    held = hold(make(cube), max_bytes=cube.nbytes // 8)
    assert held.step == 3
    rows = np.array([0, 3, 4, 300])
    columns = np.array([0, 6, 6, 249])
    on_grid = cube[1, [0, 3, 300], [0, 6, 249]]
    np.testing.assert_array_equal(held.gather(1, rows, columns), on_grid)
    none = np.zeros((401, 250), bool)
    planes = used_planes(none, none, None, None)
    stored = store_image(0, (), planes, Place(held, 1), 20, [6, 3, 0])
    assert stored.thumbnail.step == 3
    assert stored.thumbnail.kinds.shape == (134, 84)
    expected = stretch(cube[1, ::3, ::3][..., [6, 3, 0]], (1, 99))
    np.testing.assert_array_equal(stored.thumbnail.colours, expected)


def test_a_cube_that_fits_is_held_without_a_copy():
    cube = np.ones((1, 4, 5, 3), np.float32)
    assert np.shares_memory(hold(cube)._values, cube)


@pytest.mark.parametrize("images", [1, 4, 20, 500])
def test_the_pictures_of_all_images_have_a_bounded_size(images):
    step = thumbnail_step(3000, 3000, images)
    assert images * (-(-3000 // step)) ** 2 <= MAX_CELLS


def test_no_anomaly_is_lost_when_an_image_is_made_small():
    targets = np.zeros((500, 500), bool)
    targets[499, 498] = targets[0, 0] = True
    assert pool(targets, np.logical_or, 3).sum() == 2


def test_kinds_are_true_and_false_positives_and_negatives_and_excluded():
    decisions, targets = np.array([[0, 1, 0, 1, 1]], bool), np.array([[0, 0, 1, 1, 1]], bool)
    scores = np.array([[0, 1, 2, 3, np.nan]], np.float32)
    planes = used_planes(decisions, targets, scores, None)
    kinds = pool_kinds(planes.predicted, planes.anomalous, planes.used, 1)
    assert kinds.tolist() == [[0, 1, 2, 3, EXCLUDED]]
    pooled = pool_scores(scores, planes.used, 1)
    np.testing.assert_array_equal(pooled, scores)
    valid = np.array([[0, 1, 1, 1, 1]], bool)
    assert used_planes(decisions, targets, None, valid).used.tolist() == valid.tolist()


def test_levels_stand_for_what_is_finite():
    values = np.array([[[0.0], [1.0], [np.nan], [np.inf]]])
    assert stretch(values, (0, 100)).ravel().tolist() == [0, 255, 0, 0]
    assert stretch(np.full((2, 2, 1), 7.0), (1, 99)).ravel().tolist() == [128] * 4
    assert stretch(np.full((2, 2, 1), np.nan), (1, 99)).ravel().tolist() == [0] * 4


def read(tag):
    data = re.search(r"base64,([^\"]+)", tag).group(1)
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_pictures_are_read_back_as_painted():
    kinds = np.arange(5, dtype=np.uint8)[None].repeat(2, 0)
    tag = image_tag(kinds, PALETTE, 'a "name" <b>')
    assert "&#34;name&#34; &lt;b&gt;" in tag
    image = read(tag).convert("RGB")
    assert [image.getpixel((i, 1)) for i in range(5)] == list(PALETTE)


def test_false_colours_are_exact_where_that_is_small_enough():
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (100, 120, 3)).astype(np.uint8)
    exact = read(colour_tag(noise, 50_000, "x"))
    assert exact.format == "PNG"
    np.testing.assert_array_equal(np.asarray(exact), noise)
    assert read(colour_tag(noise, 20_000, "x")).format == "JPEG"
    small = read(colour_tag(noise, 5_000, "x"))
    assert small.size[0] < 120


def test_maps_that_are_too_large_lose_pixels_and_no_highest_score_or_error():
    generator = np.random.default_rng(0)
    scores = generator.integers(1, 200, (90, 90)).astype(np.uint8)
    scores[50, 61] = 255
    small = fit_scores(scores, 3000)
    assert packed_size(small) <= 3000 < packed_size(scores)
    assert small.max() == 255
    kinds = generator.choice(np.array([0, 1, 4], np.uint8), (90, 90), p=[0.5, 0.2, 0.3])
    kinds[:30, :30] = 4
    kinds[70, 70] = 2
    few = fit_kinds(kinds, 400)
    assert few.shape < kinds.shape
    assert set(few[few < 4].tolist()) <= {0, 1, 2, 3}
    assert ((few & 2).astype(bool) & (few < 4)).sum() == 1  # the missed pixel is still there
    assert few[0, 0] == 4
