"""A node on arrays: ``RXGlobal().fit(cube)(cube)`` for NumPy, torch and xarray."""

import numpy as np
import pytest
import torch

from specloom import NodeError, PortError
from specloom_rx import RXGlobal, ScoreToLogit


def scene():
    cube = np.random.default_rng(0).normal(size=(30, 40, 8))
    cube[7, 9] += 6
    return cube


def reference(cube):
    pixels = cube.reshape(-1, cube.shape[-1])
    centred = pixels - pixels.mean(0)
    inverse = np.linalg.inv(np.cov(pixels.T))
    return np.einsum("ij,jk,ik->i", centred, inverse, centred).reshape(cube.shape[:2])


def test_a_fit_and_a_call():
    cube = scene()
    rx = RXGlobal(eps=0.0)
    assert rx.fit(cube) is rx
    scores = rx(cube)
    assert (scores.shape, scores.dtype) == ((30, 40), np.float32)
    np.testing.assert_allclose(scores, reference(cube), rtol=1e-5)
    assert rx.name == ""
    assert rx.training
    assert list(rx.compute(cube)) == ["scores"]


def test_the_batch_axis_is_given_back_where_it_was_there():
    cube = scene()
    rx = RXGlobal().fit(np.stack([cube, cube]))
    np.testing.assert_array_equal(rx(cube[None])[0], rx(cube))
    assert rx(np.stack([cube, cube])).shape == (2, 30, 40)


def test_tensors_go_through_torch():
    cube = torch.from_numpy(scene()).float()
    rx = RXGlobal().fit(cube)
    calls = []
    rx.register_forward_hook(lambda *_: calls.append(1))
    leaf = cube.clone().requires_grad_()
    scores = rx(leaf)
    assert scores.shape == (30, 40)
    scores.sum().backward()
    assert leaf.grad is not None
    assert calls == [1]
    np.testing.assert_array_equal(scores.detach().numpy(), rx(cube.numpy()))
    assert list(rx(data=cube[None])) == ["scores"]  # by name all outputs, with every axis
    assert rx(data=cube[None])["scores"].shape == (1, 30, 40, 1)


def test_valid_pixels_and_scores_without_their_last_axis():
    cube = scene()
    valid = np.ones((30, 40), bool)
    valid[7, 9] = False
    rx = RXGlobal(eps=0.0).fit(cube, valid=valid)
    assert rx.pixels == 1199
    logits = ScoreToLogit().fit(rx(cube), valid=valid)
    assert logits(rx(cube)).shape == (30, 40)
    swapped = scene().astype(">f4")[::-1]
    np.testing.assert_array_equal(rx(swapped)[::-1], rx(scene().astype("f4")))


def test_xarray_keeps_dimensions_and_coordinates():
    xarray = pytest.importorskip("xarray")
    cube = scene()
    coords = {"x": np.arange(40.0), "y": np.arange(30.0), "time": 3}
    array = xarray.DataArray(cube, dims=("y", "x", "band"), coords=coords).transpose("band", ...)
    scores = RXGlobal().fit(array)(array)
    assert scores.dims == ("y", "x")
    assert set(scores.coords) == {"x", "y", "time"}
    assert scores.attrs["long_name"] == "Squared Mahalanobis distances."
    np.testing.assert_array_equal(scores.values, RXGlobal().fit(cube)(cube))
    stacked = xarray.concat([array, array], "scene")
    assert RXGlobal().fit(stacked)(stacked).dims == ("scene", "y", "x")


WRONG = {
    "bands": (
        lambda rx, cube: rx(cube[..., :3]),
        "data has 3 bands, rx was made for 8\n  fix: fit a new node on cubes like this one",
    ),
    "axes": (
        lambda rx, cube: rx(cube[0, 0]),
        "data has the shape (8,), where (H, W, C) or (B, H, W, C) is needed\n"
        "  fix: reshape it: Pixels; times the weights, where they are connected.",
    ),
    "misspelt": (
        lambda rx, cube: rx(cube, vaild=cube),
        "rx has no input 'vaild'\n  fix: did you mean 'valid'?",
    ),
    "too many": (
        lambda rx, cube: rx(cube, 1, 2, 3, 4),
        "rx has 4 inputs, 5 arrays were passed\n  fix: pass at most: data, valid, mask, weights",
    ),
    "sizes": (
        lambda rx, cube: rx(cube, np.ones((3, 40), bool)),
        "valid has H = 3, data has H = 30\n  fix: pass valid of the size of data",
    ),
    "labels": (
        lambda rx, cube: rx.fit(cube, mask=np.full((30, 40), 3)),
        "mask holds other numbers than 0 and 1\n"
        "  fix: compare it with a class first: mask=labels == 3",
    ),
    "list": (
        lambda rx, cube: rx(cube.tolist()),
        "data is of type list, which is no array\n"
        "  fix: pass a NumPy array, a torch tensor or an xarray.DataArray",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_arrays_that_do_not_fit(name):
    call, message = WRONG[name]
    rx = RXGlobal(name="rx").fit(scene())
    with pytest.raises(PortError) as caught:
        call(rx, scene())
    assert str(caught.value) == message


def test_wavelengths_in_an_unknown_unit():
    xarray = pytest.importorskip("xarray")
    coords = {"wavelength": ("band", np.arange(8.0), {"units": "furlong"})}
    array = xarray.DataArray(scene(), dims=("y", "x", "band"), coords=coords)
    with pytest.raises(Exception, match="'furlong' of the coordinate 'wavelength' is no known"):
        RXGlobal().fit(array)


def test_a_node_that_is_not_fitted():
    with pytest.raises(NodeError, match="RXGlobal is not fitted"):
        RXGlobal()(scene())
