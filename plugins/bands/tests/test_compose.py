"""The picture: which bands, scaled how, and what hostile pixels do to it."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from specloom import ConfigError, DataError
from specloom_bands.base import BandSelectorBase
from specloom_bands.compose import stretched

CUBES = torch.rand(3, 9, 7, 6, generator=torch.Generator().manual_seed(1)) * 50 + 10
NAN = math.nan


SHARES = (0.001, 0.999)


def compose(cube, indices=(4, 2, 0), valid=None, stretch=SHARES):
    return BandSelectorBase(stretch=stretch)._compose_rgb(cube, indices, valid)


def reference(cube, indices, valid=None, stretch=SHARES):
    """One image and channel at a time, in NumPy."""
    made = np.empty((*cube.shape[:3], 3))
    for image, data in enumerate(cube.double().numpy()):
        usable = np.isfinite(data[..., list(indices)]).all(-1)
        if valid is not None:
            usable &= valid[image, ..., 0].numpy()
        for channel, band in enumerate(indices):
            values = data[..., band]
            low, high = np.quantile(values[usable], stretch or (0, 1))
            made[image, ..., channel] = np.clip((values - low) / (high - low), 0, 1)
    return made


@pytest.mark.parametrize("stretch", [None, SHARES, (0, 1), (0.02, 0.7), (0.4, 0.6), (0.6, 0.9)])
def test_each_image_and_channel_is_scaled_alone(stretch):
    made = compose(CUBES, stretch=stretch)
    assert made.is_contiguous()
    want = reference(CUBES, (4, 2, 0), stretch=stretch)
    np.testing.assert_allclose(made.numpy(), want, atol=2e-6)
    assert (made.amin((1, 2)) == 0).all()
    assert (made.amax((1, 2)) == 1).all()


def test_a_list_a_tensor_and_one_choice_per_image_agree():
    made, bands = compose(CUBES), torch.tensor([4, 2, 0])
    assert torch.equal(compose(CUBES, bands), made)
    assert torch.equal(compose(CUBES, bands.expand(3, 3)), made)
    mixed = compose(CUBES, torch.tensor([[4, 2, 0], [1, 1, 5], [0, 3, 2]]))
    for image, indices in enumerate(([4, 2, 0], [1, 1, 5], [0, 3, 2])):
        assert torch.equal(mixed[image : image + 1], compose(CUBES[image : image + 1], indices))


def test_a_batch_is_its_images_bit_for_bit():
    singles = torch.cat([compose(one[None]) for one in CUBES])
    assert torch.equal(compose(CUBES), singles)


def test_a_band_that_the_cube_lacks():
    with pytest.raises(DataError, match=r"band 6 is not one of the cube's 6\n  fix: .* 0 to 5"):
        compose(CUBES, (6, 2, 0))
    with pytest.raises(DataError, match="band -1 is not one"):
        compose(CUBES, (0, -1, 0))


def test_a_constant_band_is_zero_and_a_band_may_come_twice():
    cube = CUBES.clone()
    cube[..., 2] = 7.5
    made = compose(cube, (4, 2, 4))
    assert (made[..., 1] == 0).all()
    assert torch.equal(made[..., 0], made[..., 2])


@pytest.mark.parametrize("bad", [NAN, math.inf, -math.inf])
def test_a_pixel_that_is_not_finite_is_nan_and_moves_nothing(bad):
    cube = CUBES.clone()
    cube[1, 3, 4, 2] = bad
    made = compose(cube)
    assert made[1, 3, 4].isnan().all()
    assert made.isnan().sum() == 3
    want = reference(cube, (4, 2, 0))
    want[1, 3, 4] = np.nan
    np.testing.assert_allclose(made.numpy(), want, atol=1e-6)
    assert torch.equal(compose(cube, (4, 1, 0)), compose(CUBES, (4, 1, 0)))


def test_a_band_without_data_leaves_no_picture():
    cube = CUBES.clone()
    cube[1, ..., 2] = NAN
    made = compose(cube)
    assert made[1].isnan().all()
    assert made[[0, 2]].isfinite().all()


def test_one_hot_pixel_does_not_make_the_picture_black():
    cube = torch.rand(1, 60, 60, 6, generator=torch.Generator().manual_seed(2))
    want = compose(cube)
    cube[0, 7, 8] = 1e6
    made = compose(cube)
    assert (made[0, 7, 8] == 1).all()
    made[0, 7, 8] = want[0, 7, 8]
    torch.testing.assert_close(made, want, rtol=0, atol=0.01)
    as_documented = compose(cube, stretch=None)
    as_documented[0, 7, 8] = 0
    assert as_documented.max() < 2e-6


def test_few_pixels_on_a_constant_ground_are_white():
    cube = torch.full((1, 60, 60, 6), 0.25)
    cube[0, 7, 8] = 0.26
    made = compose(cube)
    assert (made[0, 7, 8] == 1).all()
    assert made.sum() == 3


@pytest.mark.parametrize("wrong", [(0.9, 0.1), (0.5, 0.5), (-0.1, 0.9), (0.1, 1.1)])
def test_wrong_quantiles(wrong):
    with pytest.raises(ConfigError) as caught:
        BandSelectorBase(stretch=wrong)
    low, high = wrong
    assert str(caught.value) == (
        f"BandSelectorBase: stretch is ({low:g}, {high:g})\n"
        "  fix: set two quantiles from 0 to 1, the smaller one first, or null"
    )


def test_one_pixel_is_black():
    assert torch.equal(compose(CUBES[:1, :1, :1]), torch.zeros(1, 1, 1, 3))


def test_whole_numbers_at_an_offset_of_ten_thousand():
    cube = (CUBES * 4).round() + 1e4
    np.testing.assert_allclose(compose(cube).numpy(), reference(cube, (4, 2, 0)), atol=1e-5)
    torch.testing.assert_close(compose(cube), compose(cube - 1e4), rtol=0, atol=1e-4)
    exact = compose(cube, stretch=None)
    assert torch.equal(exact, compose(cube - 1e4, stretch=None))


def test_what_is_not_valid_is_limited_and_gives_no_limits():
    cube, valid = CUBES.clone(), torch.ones(3, 9, 7, 1, dtype=torch.bool)
    cube[0, 0, 0], cube[0, 0, 1] = 1e6, -1e6
    valid[0, 0, :2] = False
    made = compose(cube, valid=valid)
    assert (made[0, 0, 0] == 1).all()
    assert (made[0, 0, 1] == 0).all()
    np.testing.assert_allclose(made.numpy(), reference(cube, (4, 2, 0), valid), atol=1e-6)
    nothing = compose(cube, valid=torch.zeros_like(valid))
    assert nothing.isnan().all()


def test_gradients_are_finite_in_every_case():
    cube, valid = CUBES.clone(), torch.ones(3, 9, 7, 1, dtype=torch.bool)
    cube[0, ..., 2], cube[1, 2, 3, 4], valid[2] = 3.0, NAN, False
    cube.requires_grad_()
    compose(cube, valid=valid).nan_to_num().square().sum().backward()
    assert cube.grad.isfinite().all()
    assert cube.grad[0, ..., 4].any()


def test_gradients_are_those_of_finite_differences():
    data = torch.rand(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(stretched, data)
    quantiles = partial(stretched, shares=(0.15, 0.8))
    assert torch.autograd.gradcheck(quantiles, data)
