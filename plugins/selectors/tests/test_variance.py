import math
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from specloom import NodeError
from specloom.testing import fit, fit_shares
from specloom_selectors.soft import SoftChannelSelector
from specloom_statistics import RunningVariance

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
scenes = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")


def selector(channels=7):
    return SoftChannelSelector(n_select=3, input_channels=channels, init_method="variance")


def cubes(offset=0.0, scale=1.0):
    random = np.random.default_rng(0)
    spread = np.array([1e-3, 0.1, 1, 3, 30, 0, 1]) * scale
    return torch.tensor(offset + spread * random.normal(size=(4, 30, 31, 7)), dtype=torch.float32)


def reference(pixels, eps=1e-6):
    exact = pixels.double().numpy().reshape(-1, pixels.shape[-1])
    variance = exact.var(axis=0)
    return np.log(variance + eps * variance.mean())


@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1.0), (1e4, 1.0), (-1e6, 1e3), (0.0, 1e-5)])
def test_the_logits_are_the_logarithm_of_the_variances(offset, scale):
    data = cubes(offset, scale)
    node = fit(selector(), [{"data": data}])
    np.testing.assert_allclose(node.logits, reference(data), rtol=1e-6, atol=1e-6)
    assert node.pixels == 4 * 30 * 31
    mean = data.double().reshape(-1, 7).var(0, correction=0).mean()
    constant = float(node.logits[5])
    assert constant == pytest.approx(math.log(1e-6 * float(mean)), rel=1e-6)


def test_the_weights_do_not_depend_on_the_unit():
    data = cubes()
    want = fit(selector(), [{"data": data}]).get_selection_weights()
    got = fit(selector(), [{"data": data.double() * 1e-12}]).get_selection_weights()
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-7)


def test_constant_data_give_uniform_weights():
    node = fit(selector(), [{"data": torch.full((1, 4, 5, 7), 0.25)}])
    torch.testing.assert_close(node.get_selection_weights(), torch.full((7,), 3 / 7))
    assert "7 bands of variance 0 to 0" in node.fit_summary()


def test_float64_whatever_the_order_the_batches_and_the_processes():
    data = cubes(1e4)
    whole = RunningVariance(7)
    whole.update(data)
    exact = (data.double() - 1e4).reshape(-1, 7).var(0, correction=0)
    torch.testing.assert_close(whole.variance(), exact, rtol=1e-11, atol=0)
    again, single, left, right = (RunningVariance(7) for _ in range(4))
    again.update(data)
    assert torch.equal(again.variance(), whole.variance())
    for image in reversed(data):
        single.update(image[None])
    left.update(data[:1])
    right.update(data[1:])
    left.merge(right.state())
    left.merge(RunningVariance(7).state())
    for other in (single, left):
        assert other.count == whole.count
        torch.testing.assert_close(other.variance(), whole.variance(), rtol=1e-9, atol=0)


def test_pixels_that_are_not_finite_or_not_valid_are_left_out_and_counted():
    data = cubes()
    clean = fit(selector(), [{"data": data[:, 3:]}])
    valid = torch.ones(4, 30, 31, 1, dtype=torch.bool)
    data[:, 0, :, 2], data[:, 1, :, 4] = math.nan, math.inf
    data[:, 2], valid[:, 2] = 1e9, False
    node = fit(selector(), [{"data": data, "valid": valid}])
    torch.testing.assert_close(node.logits, clean.logits, rtol=1e-6, atol=1e-6)
    assert node.pixels == clean.pixels
    assert f"{clean.pixels} pixels (372 excluded)" in node.fit_summary()
    assert "7 bands of variance 0 to 8" in node.fit_summary()


def test_one_pixel_and_none():
    node = fit(selector(), [{"data": cubes()[:1, :1, :1]}])
    torch.testing.assert_close(node.logits, torch.zeros(7))
    with pytest.raises(NodeError, match="no usable pixel"):
        fit(selector(), [{"data": torch.full((1, 2, 2, 7), math.nan)}])
    with pytest.raises(NodeError, match="has not started a fit"):
        selector().fit_update(cubes())


def test_counts_are_fitted_as_well_as_reflectances():
    data = torch.randint(0, 4096, (2, 9, 9, 7), generator=torch.Generator().manual_seed(0))
    node = fit(selector(), [{"data": data.to(torch.uint16)}])
    np.testing.assert_allclose(node.logits, reference(data), rtol=1e-6)


def test_an_unfrozen_selector_may_be_fitted_again():
    node = selector()
    node.unfreeze()
    fit(node, [{"data": cubes()}])
    assert node.logits.requires_grad
    np.testing.assert_allclose(node.logits.detach(), reference(cubes()), rtol=1e-6, atol=1e-6)


@scenes
@pytest.mark.parametrize("name", ["abu/abu-airport-1.mat", "hydice/HYDICE_urban.mat"])
def test_real_scenes(name):
    cube = torch.tensor(scipy.io.loadmat(DATA / name)["data"].astype(np.float32))[None]
    upper, lower = (selector(cube.shape[-1]) for _ in range(2))
    half = cube.shape[1] // 2
    fit_shares([upper, lower], [[{"data": cube[:, :half]}], [{"data": cube[:, half:]}]])
    np.testing.assert_allclose(upper.logits, reference(cube), rtol=1e-6)
    np.testing.assert_allclose(lower.logits, upper.logits, rtol=1e-6)
