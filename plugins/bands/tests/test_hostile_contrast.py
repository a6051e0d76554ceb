"""Contrast where bands are dead, pixels are missing and numbers are large."""

import math

import numpy as np
import pytest
import torch

from specloom_bands.contrast import contrast
from specloom_bands.high_contrast import HighContrastBandSelector

NAN = math.nan
NM = torch.linspace(400, 1000, 61)
SELECT = HighContrastBandSelector()


def cubes(images=2, height=8, width=9, seed=0):
    return torch.rand(images, height, width, 61, generator=torch.Generator().manual_seed(seed))


def chosen(cube, valid=None):
    made = SELECT(cube=cube, wavelengths=NM, valid=valid)
    return made, [record["band_indices"].tolist() for record in made["band_info"]]


def slow(band, usable, alpha):
    """The definition, pixel by pixel."""
    values = band[usable]
    edges = []
    for row, column in np.argwhere(usable):
        total = 0.0
        for i, j in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= i < band.shape[0] and 0 <= j < band.shape[1] and usable[i, j]:
                total += band[i, j] - band[row, column]
        edges.append(abs(total))
    return values.var() + alpha * np.mean(edges)


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_missing_and_invalid_pixels_count_for_nothing(bad):
    cube, rng = cubes()[..., :4].clone(), np.random.default_rng(0)
    cube[torch.tensor(rng.random(cube.shape) < 0.15)] = bad
    valid = torch.tensor(rng.random((2, 8, 9, 1)) < 0.8)
    got = contrast(cube, 0.3, valid)
    for image in range(2):
        for band in range(4):
            data = cube[image, ..., band].double().numpy()
            usable = np.isfinite(data) & valid[image, ..., 0].numpy()
            assert float(got[image, band]) == pytest.approx(slow(data, usable, 0.3), rel=1e-12)


def test_a_constant_band_scores_exactly_zero_and_is_not_chosen():
    cube = cubes()
    cube[..., 5], cube[..., 25] = 12345.678, 0.1
    assert (contrast(cube, 0.1)[:, [5, 25]] == 0).all()
    _, bands = chosen(cube)
    assert not {5, 25} & {band for image in bands for band in image}


def test_a_constant_cube_is_black():
    made, bands = chosen(torch.full((2, 4, 5, 61), 3.0))
    assert bands == [[21, 10, 4]] * 2
    assert torch.equal(made["rgb_image"], torch.zeros(2, 4, 5, 3))


def test_one_pixel_is_black():
    made, bands = chosen(cubes(2, 1, 1))
    assert bands == [[21, 10, 4]] * 2
    assert torch.equal(made["rgb_image"], torch.zeros(2, 1, 1, 3))


def test_a_band_without_data_is_never_chosen_where_there_is_another():
    cube = cubes()
    _, before = chosen(cube)
    for band in before[0]:
        cube[0, ..., band] = NAN
    made, after = chosen(cube)
    assert not set(after[0]) & set(before[0])
    assert after[1] == before[1]
    assert made["rgb_image"].isfinite().all()


def test_a_constant_band_is_better_than_one_without_data():
    cube = torch.full((1, 4, 5, 61), NAN)
    cube[..., [6, 14, 30]] = 2.0
    made, bands = chosen(cube)
    assert bands == [[30, 14, 6]]
    assert (made["rgb_image"] == 0).all()


def test_a_window_without_data_leaves_the_others_as_they_were():
    cube = cubes()
    _, before = chosen(cube)
    cube[0][..., NM > 600] = NAN
    made, after = chosen(cube)
    assert after[0][1:] == before[0][1:]
    assert made["rgb_image"][0].isnan().all()
    assert made["rgb_image"][1].isfinite().all()
    assert made["band_info"][0]["contrast"][0] == -math.inf


def test_an_image_that_is_all_missing():
    cube = cubes()
    cube[0] = NAN
    made, bands = chosen(cube)
    assert len(set(bands[0])) == 3
    assert made["rgb_image"][0].isnan().all()
    assert made["rgb_image"][1].isfinite().all()


def test_a_hot_pixel_that_is_not_valid_changes_no_choice():
    cube, valid = cubes(), torch.ones(2, 8, 9, 1, dtype=torch.bool)
    valid[:, 2, 3] = False
    _, want = chosen(cube, valid)
    cube[:, 2, 3, ::2] = 1e6
    _, got = chosen(cube, valid)
    assert got == want
    assert chosen(cube)[1] != want


def test_whole_numbers_at_an_offset_of_ten_thousand():
    cube = (cubes(2, 60, 50) * 20).round()
    plain, shifted = contrast(cube, 0.1), contrast(cube + 1e4, 0.1)
    np.testing.assert_allclose(shifted.numpy(), plain.numpy(), rtol=1e-12)
    assert chosen(cube + 1e4)[1] == chosen(cube)[1]


def test_one_dead_pixel_costs_no_accuracy():
    cube = cubes(1, 60, 50) + 1e4
    cube[0, 0, 0] = 0
    want = cube[0].double().numpy().reshape(-1, 61).var(0)
    np.testing.assert_allclose(contrast(cube, 0.0)[0].numpy(), want, rtol=1e-10)


def test_scores_scale_with_the_data():
    cube = cubes()
    np.testing.assert_allclose(
        contrast(cube * 8, 0.8).numpy(), 64 * contrast(cube, 0.1).numpy(), rtol=1e-12
    )
