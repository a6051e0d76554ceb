import re

import numpy as np
import pytest
import torch

from specloom import ConfigError, NodeError
from specloom.testing import fit, run
from specloom_pca.pca import TrainablePCA


def images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def projected(node, data):
    return run(node, {"data": data})["projected"]


def test_nan_pixels_are_not_learned_from_and_give_nan():
    data = images(1, 20, 20, 5)
    clean = fit(TrainablePCA(3, num_channels=5), [{"data": data[:, 1:]}])
    for value in (float("nan"), float("inf"), -float("inf")):
        spoilt = data.clone()
        spoilt[:, 0, :, 4] = value
        node = fit(TrainablePCA(3, num_channels=5), [{"data": spoilt}])
        torch.testing.assert_close(node.directions, clean.directions)
        assert node.pixels == 380
        assert "380 pixels (20 excluded)" in node.fit_summary()
        got = projected(node, spoilt)
        assert got[:, 0].isnan().all()
        assert torch.equal(got[:, 1:], projected(node, data)[:, 1:])


def test_pixels_that_are_not_valid_are_not_learned_from():
    data = images(2, 10, 10, 4)
    valid = torch.ones(2, 10, 10, 1, dtype=torch.bool)
    valid[:, :, 5:] = False
    wild = torch.where(valid, data, 1e6)
    node = fit(TrainablePCA(2, num_channels=4), [{"data": wild, "valid": valid}])
    want = fit(TrainablePCA(2, num_channels=4), [{"data": data[:, :, :5]}])
    torch.testing.assert_close(node.directions, want.directions)
    assert node.pixels == 100


def test_a_constant_band_has_no_part():
    data = images(1, 20, 20, 5)
    data[..., 2] = 0.1
    node = fit(TrainablePCA(4, num_channels=5), [{"data": data}])
    assert float(node.directions[:, 2].abs().max()) < 1e-14
    others = [0, 1, 3, 4]
    without = fit(TrainablePCA(4, num_channels=4), [{"data": data[..., others]}])
    torch.testing.assert_close(node.directions[:, others], without.directions)
    torch.testing.assert_close(projected(node, data), projected(without, data[..., others]))


@pytest.mark.parametrize("whiten", [False, True])
def test_directions_that_the_data_lack_are_zero(whiten):
    three = images(1, 20, 20, 3)
    data = (three.double() @ images(3, 8, seed=1).double()).float().double()
    data[..., 6] = data[..., 5] + data[..., 4]
    data[..., 7] = 2 * data[..., 5]
    data[..., :4] = data[..., 4:]  # 8 bands of 2 or 3 directions
    rank = int(np.linalg.matrix_rank(np.cov(data.reshape(-1, 8).T), tol=1e-9))
    text = rf"400 pixels support {rank} components; the other {6 - rank} of 6 are zero"
    with pytest.warns(UserWarning, match=text):
        node = fit(TrainablePCA(6, whiten=whiten, num_channels=8), [{"data": data}])
    made = run(node, {"data": data})
    assert (made["projected"][..., rank:] == 0).all()
    assert (made["components"][rank:] == 0).all()
    assert (made["explained_variance_ratio"][rank:] == 0).all()
    assert float(made["explained_variance_ratio"].sum()) == pytest.approx(1)
    other = projected(node, images(1, 9, 9, 8, seed=2))
    assert other.isfinite().all()
    assert (other[..., rank:] == 0).all()


@pytest.mark.parametrize("whiten", [False, True])
def test_fewer_pixels_than_components(whiten):
    data = images(1, 2, 2, 30)
    with pytest.warns(UserWarning, match="4 pixels support 3 components; the other 7 of 10"):
        node = fit(TrainablePCA(10, whiten=whiten, num_channels=30), [{"data": data}])
    rows = data.double().reshape(4, 30).numpy()
    values = np.linalg.svd(rows - rows.mean(0), compute_uv=False)[:3] ** 2
    ratio = run(node, {"data": data})["explained_variance_ratio"]
    np.testing.assert_allclose(ratio[:3], values / values.sum(), rtol=1e-6)
    assert (projected(node, data)[..., 3:] == 0).all()


@pytest.mark.parametrize("whiten", [False, True])
def test_one_pixel_and_constant_data_project_to_zero(whiten):
    for data in (images(1, 1, 1, 4), torch.full((1, 9, 9, 4), 0.1)):
        with pytest.warns(UserWarning, match=r"pixels support 0 components"):
            node = fit(TrainablePCA(2, whiten=whiten, num_channels=4), [{"data": data}])
        made = run(node, {"data": images(1, 3, 3, 4)})
        assert all((value == 0).all() for value in made.values())
        assert node.fit_summary().endswith("0 % of the variance")


def test_eps_says_which_components_are_supported():
    data = images(1, 40, 40, 3) * torch.tensor([1.0, 0.1, 1e-4])
    fit(TrainablePCA(3, num_channels=3), [{"data": data}])
    with pytest.warns(UserWarning, match="support 2 components"):
        fit(TrainablePCA(3, num_channels=3, eps=1e-3), [{"data": data}])


def test_no_pixel_is_an_error():
    with pytest.raises(NodeError, match="no usable pixel"):
        fit(TrainablePCA(2, num_channels=3), [{"data": torch.full((1, 2, 2, 3), torch.nan)}])
    with pytest.raises(NodeError, match="not fitted"):
        TrainablePCA(2, num_channels=3)(data=images(1, 2, 2, 3))
    with pytest.raises(NodeError, match=re.escape("call fit_start(0) first")):
        TrainablePCA(2, num_channels=3).fit_update(data=images(1, 2, 2, 3))


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"n_components": 4}, "n_components is 4, but the data have 3 channels"),
        ({"n_components": 0}, "n_components is 0"),
        ({"n_components": 2, "eps": -1.0}, r"eps is -1\.0"),
        ({"n_components": 2, "eps": float("nan")}, "eps is nan"),
        (
            {"n_components": 2, "init_method": "nipals"},
            "init_method should be 'svd', got",
        ),
    ],
)
def test_wrong_parameters_are_told(params, what):
    with pytest.raises(ConfigError, match=rf"node 'pca' \(TrainablePCA\): {what}") as caught:
        TrainablePCA(**params, num_channels=3, name="pca")
    assert caught.value.fix
