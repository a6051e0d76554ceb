import numpy as np
import pytest
import torch

from specloom import ConfigError
from specloom.testing import fit, run
from specloom_rx.detector import RXGlobal
from specloom_rx.per_batch import RXPerBatch


def cubes(images=3, bands=8, height=13, width=17, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(bands, bands, generator=generator)
    shape = (images, height, width, bands)
    return (torch.randn(shape, generator=generator) @ mixing + 100).to(dtype)


def scored(data, valid=None, **params):
    node = RXPerBatch(num_channels=data.shape[-1], **params)
    return run(node, {"data": data, "valid": valid})["scores"]


@pytest.mark.parametrize("params", [{}, {"eps": 0.1}, {"shrinkage": 0.5}])
def test_each_image_is_scored_as_by_global_rx_on_it_alone(params):
    data = cubes()
    got = scored(data, **params)
    for image in range(3):
        alone = {"data": data[image : image + 1]}
        want = run(fit(RXGlobal(8, **params), [alone]), alone)["scores"]
        torch.testing.assert_close(got[image : image + 1], want, rtol=1e-6, atol=0)


def test_images_do_not_change_with_their_batch():
    data = cubes(bands=61, height=40, width=40)
    whole = scored(data)
    for image in range(3):
        assert torch.equal(scored(data[image : image + 1])[0], whole[image])


def test_the_mean_score_is_known():
    # The mean of the scores of n pixels in C bands is C (n - 1) / n.
    np.testing.assert_allclose(scored(cubes(), eps=0.0).mean((1, 2, 3)), 8 * 220 / 221, rtol=1e-6)


def test_pixels_that_are_not_valid_or_not_finite_are_left_out():
    data = cubes()
    valid = torch.ones(3, 13, 17, 1, dtype=torch.bool)
    want = scored(data[:, :, 3:])
    data[:, :, 0, 2], data[:, :, 1, 0] = float("nan"), float("inf")
    data[:, :, 2], valid[:, :, 2] = 1e6, False
    got = scored(data, valid)
    torch.testing.assert_close(got[:, :, 3:], want, rtol=1e-6, atol=0)
    assert got[:, :, :2].isnan().all()
    assert got[:, :, 2].isfinite().all()


def test_degenerate_images_are_defined():
    assert (scored(torch.full((1, 5, 5, 3), 0.1)) == 0).all()
    assert (scored(cubes(height=1, width=1)) == 0).all()
    assert scored(torch.full((1, 5, 5, 3), float("nan"))).isnan().all()
    nothing = torch.zeros(1, 13, 17, 1, dtype=torch.bool)
    assert scored(cubes(images=1), nothing).isnan().all()
    few = scored(cubes(height=2, width=2))
    np.testing.assert_allclose(few, 3**2 / 4, rtol=1e-5)


def test_constant_bands_are_left_out():
    data = cubes()
    flat = torch.cat([data, torch.full((3, 13, 17, 1), 0.1)], -1)
    torch.testing.assert_close(scored(flat), scored(data))


@pytest.mark.parametrize("params", [{}, {"shrinkage": 0.5}])
def test_gradients_equal_finite_differences(params):
    node = RXPerBatch(num_channels=3, **params)
    data = cubes(images=2, bands=3, height=3, width=4, dtype=torch.float64).requires_grad_()
    valid = torch.ones(2, 3, 4, 1, dtype=torch.bool)
    valid[0, 0, 0] = False
    scores = node(data=data, valid=valid)["scores"]
    torch.testing.assert_close(
        scores.detach(), run(node, {"data": data.detach(), "valid": valid})["scores"]
    )
    assert torch.autograd.gradcheck(lambda x: node(data=x, valid=valid)["scores"], [data])


def test_wrong_parameters_are_refused():
    with pytest.raises(ConfigError, match="RXPerBatch: shrinkage is -1"):
        RXPerBatch(num_channels=3, shrinkage=-1.0)
