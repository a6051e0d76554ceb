"""Limits of each image alone."""

import numpy as np
import pytest
import torch

from specloom.testing import failures_of, run
from specloom_normalize.min_max import MinMaxNormalizer


class PerImage(MinMaxNormalizer):
    """Found by ``failures_of``: the kit runs on these parameters."""

    example = {"use_running_stats": False}


class PerImageByQuantiles(MinMaxNormalizer):
    """The same with quantiles."""

    example = {"use_running_stats": False, "quantiles": (0.1, 0.9), "per_channel": True}


def normalized(data, valid=None, **params):
    node = MinMaxNormalizer(use_running_stats=False, **params)
    node.build({"C": data.shape[-1]})
    assert node.fit_passes == 0
    assert node.locality == "image"
    return run(node, {"data": data, "valid": valid})["normalized"]


def cubes(*shape, dtype=torch.float32):
    data = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return data * torch.arange(1, shape[-1] + 1) + 1000 * torch.arange(shape[0]).view(-1, 1, 1, 1)


@pytest.mark.parametrize("cls", [PerImage, PerImageByQuantiles])
def test_the_kit_finds_nothing(cls):
    assert failures_of(cls) == {}


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("share", [None, (0.02, 0.9)])
@pytest.mark.parametrize("shape", [(3, 9, 11, 4), (2, 300, 300, 4)])
def test_each_image_has_its_own_range(per_channel, share, shape):
    data = cubes(*shape)
    got = normalized(data, per_channel=per_channel, quantiles=share)
    for image, one in zip(data.double().numpy(), got, strict=True):
        axes = (0, 1) if per_channel else (0, 1, 2)
        low, high = np.quantile(image, share or (0, 1), axis=axes)
        np.testing.assert_allclose(one, (image - low) / (high - low), rtol=1e-5, atol=3e-5)
        if share is None:
            assert (one.min(), one.max()) == (0, 1)


@pytest.mark.parametrize("share", [None, (0.02, 0.9)])
@pytest.mark.parametrize("per_channel", [False, True])
def test_unusable_pixels_do_not_set_the_limits(per_channel, share):
    data = cubes(2, 12, 8, 4)
    params = {"per_channel": per_channel, "quantiles": share}
    want = normalized(data[:, 3:], **params)
    valid = torch.ones(2, 12, 8, 1, dtype=torch.bool)
    data[:, 0, :, 2], data[:, 1, :, 0] = float("nan"), float("inf")
    data[:, 2], valid[:, 2] = 1e9, False
    got = normalized(data, valid, **params)
    assert torch.equal(got[:, 3:], want)
    assert got[:, 0, :, 2].isnan().all()
    assert got[:, 2].isfinite().all()


@pytest.mark.parametrize("share", [None, (0.02, 0.9)])
def test_degenerate_images_are_defined(share):
    assert (normalized(torch.full((2, 3, 3, 2), 5.0), quantiles=share) == 0).all()
    assert (normalized(torch.full((1, 1, 1, 1), 5.0), quantiles=share) == 0).all()
    nothing = torch.zeros(1, 3, 3, 1, dtype=torch.bool)
    assert normalized(cubes(1, 3, 3, 2), nothing, quantiles=share).isnan().all()


@pytest.mark.parametrize("params", [{}, {"per_channel": True}, {"quantiles": (0.1, 0.8)}])
def test_gradients_equal_finite_differences(params):
    node = MinMaxNormalizer(use_running_stats=False, **params)
    node.build({"C": 2})
    data = cubes(2, 3, 3, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: node(data=x)["normalized"], [data])
    torch.testing.assert_close(
        node(data=data)["normalized"].detach(), normalized(data.detach(), **params)
    )
