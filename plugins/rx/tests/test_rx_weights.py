"""The statistics of x, carried through weights that move, and through training."""

import numpy as np
import pytest
import torch

from specloom.testing import fit, run
from specloom_rx.detector import RXGlobal


def scene(bands=6, seed=0, dtype=torch.float64):
    mixing = np.random.default_rng(7).normal(size=(bands, bands))
    mixed = np.random.default_rng(seed).normal(size=(2, 20, 20, bands)) @ mixing + 5
    return torch.from_numpy(mixed).to(dtype)


def weights(*values):
    return torch.tensor(values, dtype=torch.float64)


W = weights(2.0, 0.5, 1e-3, 1.0, 30.0, 0.7)
MILD = weights(2.0, 0.5, 0.8, 1.0, 3.0, 0.7)
CASES = [{}, {"shrinkage": 0.2}, {"eps": 0.1}, {"eps": 0.0, "shrinkage": 1.0}]


@pytest.mark.parametrize("params", CASES)
@pytest.mark.parametrize("cache", [True, False])
def test_weights_give_the_scores_of_a_fit_on_the_weighted_data(params, cache):
    data = scene()
    node = fit(RXGlobal(6, cache_inverse=cache, **params), [{"data": data}])
    refitted = fit(RXGlobal(6, **params), [{"data": data * W}])
    got = run(node, {"data": data * W, "weights": W})["scores"]
    want = run(refitted, {"data": data * W})["scores"]
    torch.testing.assert_close(got, want, rtol=1e-9, atol=0)


@pytest.mark.parametrize("params", CASES)
def test_a_weight_of_zero_leaves_the_band_out(params):
    data, w = scene(), W * weights(1, 1, 0, 1, 0, 1)
    node = fit(RXGlobal(6, **params), [{"data": data}])
    weighted_bands = [0, 1, 3, 5]
    refitted = fit(RXGlobal(4, **params), [{"data": (data * w)[..., weighted_bands]}])
    got = run(node, {"data": data * w, "weights": w})["scores"]
    want = run(refitted, {"data": (data * w)[..., weighted_bands]})["scores"]
    torch.testing.assert_close(got, want, rtol=1e-9, atol=0)


@pytest.mark.parametrize("shrinkage", [0.0, 0.2])
def test_statistics_are_kept_for_the_data_without_weights(shrinkage):
    data = scene()
    plain = fit(RXGlobal(6, shrinkage=shrinkage), [{"data": data}])
    one, two = data[:1] * W, data[1:] * W.flip(0)
    parts = [{"data": one, "weights": W}, {"data": two, "weights": W.flip(0)}]
    weighted = fit(RXGlobal(6, shrinkage=shrinkage), parts)
    torch.testing.assert_close(weighted.covariance, plain.covariance, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(weighted.background_mean, plain.background_mean)


def test_rank_deficient_data_under_weights():
    data = scene()
    data = torch.cat([data, data[..., :1] - 2 * data[..., 1:2]], -1)
    w = torch.cat([W, weights(0.3)])
    with pytest.warns(UserWarning, match="support 6 directions of 7"):
        node = fit(RXGlobal(7), [{"data": data}])
    got = run(node, {"data": data * w, "weights": w})["scores"]
    torch.testing.assert_close(got, run(node, {"data": data})["scores"], rtol=1e-7, atol=0)


@pytest.mark.parametrize("params", CASES)
@pytest.mark.parametrize("unfrozen", [False, True])
def test_gradients_equal_finite_differences(params, unfrozen):
    node = fit(RXGlobal(6, **params), [{"data": scene()}])
    if unfrozen:
        node.unfreeze()
    pixels = scene(seed=1)[:1, :2, :2]
    names = [name for name, _ in node.named_parameters()]

    def scores(data, w, *parameters):
        state = dict(zip(names, parameters, strict=True))
        batch = {"data": data * w, "weights": w}
        return torch.func.functional_call(node, state, kwargs=batch)["scores"]

    arrays = [pixels, MILD, *node.parameters()]
    inputs = [array.detach().clone().requires_grad_() for array in arrays]
    assert torch.autograd.gradcheck(scores, inputs, eps=1e-6, atol=1e-5, rtol=1e-4)


def test_without_shrinkage_the_scores_do_not_depend_on_the_weights():
    node, w = fit(RXGlobal(6), [{"data": scene()}]), MILD.clone().requires_grad_()
    node(data=scene(seed=1) * w, weights=w)["scores"].sum().backward()
    assert w.grad.abs().max() < 1e-6
    node, w = fit(RXGlobal(6, shrinkage=0.1), [{"data": scene()}]), MILD.clone().requires_grad_()
    node(data=scene(seed=1) * w, weights=w)["scores"].sum().backward()
    assert w.grad.abs().max() > 1e-3


def test_training_moves_the_scores_and_freezing_keeps_them():
    data = scene(dtype=torch.float32)
    node = fit(RXGlobal(6, shrinkage=0.1), [{"data": data}])
    before = run(node, {"data": data})["scores"]
    node.unfreeze()
    optimiser = torch.optim.Adam(node.parameters(), lr=0.05)
    for _ in range(5):
        optimiser.zero_grad()
        node(data=data)["scores"].mean().backward()
        optimiser.step()
    trained = run(node, {"data": data})["scores"]
    assert trained.mean() < before.mean()
    assert (trained > 0).all()
    node.freeze()
    torch.testing.assert_close(run(node, {"data": data})["scores"], trained, rtol=1e-6, atol=0)
    twin = RXGlobal(6, shrinkage=0.1)
    twin.restore(node.state())
    assert torch.equal(run(twin, {"data": data})["scores"], run(node, {"data": data})["scores"])


def test_a_new_fit_forgets_the_training():
    data = scene()
    node = fit(RXGlobal(6), [{"data": data}])
    before = run(node, {"data": data})["scores"]
    node.unfreeze()
    with torch.no_grad():
        node.factor.mul_(3)
    fit(node, [{"data": data}])
    assert {name for name, _ in node.named_parameters()} == {"background_mean", "factor"}
    torch.testing.assert_close(run(node, {"data": data})["scores"], before)


def test_the_lower_triangle_of_the_factor_plays_no_part():
    data = scene()
    node = fit(RXGlobal(6), [{"data": data}])
    node.unfreeze()
    before = run(node, {"data": data})["scores"]
    with torch.no_grad():
        node.factor += torch.ones(6, 6, dtype=torch.float64).tril(-1)
    assert torch.equal(run(node, {"data": data})["scores"], before)


def test_a_pixel_that_is_not_finite_reaches_no_gradient():
    data = scene()
    node = fit(RXGlobal(6, shrinkage=0.1), [{"data": data}])
    holed = data.clone()
    holed[0, 3, 4, 1], holed[1, 0, 0, 2] = torch.nan, torch.inf
    w = W.clone().requires_grad_()
    weighted = torch.where(holed.isfinite(), data * w, torch.nan)  # as selectors do it
    scores = node(data=weighted, weights=w)["scores"]
    finite = scores.isfinite()
    assert (~finite).sum() == 2
    scores[finite].sum().backward()
    without = W.clone().requires_grad_()
    node(data=data * without, weights=without)["scores"][finite].sum().backward()
    torch.testing.assert_close(w.grad, without.grad)
