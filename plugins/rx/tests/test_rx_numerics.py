import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from specloom import ConfigError, NodeError
from specloom.testing import fit, run
from specloom_rx.detector import RXGlobal
from specloom_statistics import native_kernels


def exact_scores(background, pixels, eps=0.0, shrinkage=0.0):
    rows = np.asarray(background, dtype=np.float64).reshape(-1, background.shape[-1])
    x = np.asarray(pixels, dtype=np.float64).reshape(-1, background.shape[-1]) - rows.mean(0)
    s = np.atleast_2d(np.cov(rows.T))
    s = s + eps**2 * np.diag(np.diag(s)) + shrinkage * np.trace(s) / len(s) * np.eye(len(s))
    return np.einsum("ij,ij->i", x, np.linalg.solve(s, x.T).T).reshape((*pixels.shape[:-1], 1))


def images(*shape, seed=0, offset=0.0):
    return offset + torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def scored(node, data):
    return run(node, {"data": data})["scores"]


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("bands", [1, 2, 5, 61])
@pytest.mark.parametrize("native", ["0", "1"])
def test_offsets_leave_six_digits(bands, offset, native, monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", native)
    data = images(2, 40, 50, bands, offset=offset)
    node = fit(RXGlobal(bands, eps=0.0), [{"data": data}])
    want = exact_scores(data, data)
    got = scored(node, data)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6 * bands)
    uses_kernels = native_kernels() is not None
    assert ("float32" in node.fit_summary()) != uses_kernels


@pytest.mark.parametrize("unit", [1e-43, 1e-36, 1e-30, 1e30, 1e37])
def test_no_unit_is_too_small_or_too_large(unit):
    data = (images(1, 30, 30, 5).double() * unit).float()  # down to float32's last digit
    node = fit(RXGlobal(5, eps=0.0), [{"data": data}])
    want = exact_scores(data.double() / unit, data.double() / unit)
    np.testing.assert_allclose(scored(node, data), want, rtol=2e-6)


@pytest.mark.parametrize(("eps", "shrinkage"), [(1e-6, 0.0), (1e-2, 0.0), (0.0, 0.3), (1.0, 2.0)])
def test_regularisation_is_what_it_says(eps, shrinkage):
    data = images(1, 30, 30, 6) * torch.tensor([1, 10, 100, 1, 1, 0.1]) + 3
    node = fit(RXGlobal(6, eps=eps, shrinkage=shrinkage), [{"data": data}])
    want = exact_scores(data, data, eps, shrinkage)
    np.testing.assert_allclose(scored(node, data), want, rtol=2e-6)


def smooth_scene(bands=61, noise=1e-3):
    rng = np.random.default_rng(3)
    wave = np.linspace(0, 1, bands)
    sources = np.exp(-(((wave - np.linspace(0.1, 0.9, 6)[:, None]) / 0.3) ** 2))
    cube = rng.dirichlet(np.ones(6), (100, 100)) @ sources + noise * rng.normal(
        size=(100, 100, bands)
    )
    mask = rng.random((100, 100)) < 0.01
    cube[mask, 30] += 8 * noise
    return torch.from_numpy(cube).float()[None], mask


def test_an_anomaly_in_one_narrow_band_of_smooth_spectra_is_found():
    data, mask = smooth_scene()
    node = fit(RXGlobal(61), [{"data": data}])
    got = roc_auc_score(mask.ravel(), scored(node, data).flatten())
    want = roc_auc_score(mask.ravel(), exact_scores(data, data).ravel())
    assert got == pytest.approx(want, abs=0.01)
    assert got > 0.9
    assert "float64" in node.fit_summary()
    # What is common elsewhere, a pseudo-inverse in float32, drops the directions that matter.
    rows = data.reshape(-1, 61) - data.mean((0, 1, 2))
    usual = (rows @ torch.linalg.pinv(torch.cov(rows.T)) * rows).sum(1)
    assert roc_auc_score(mask.ravel(), usual) < 0.7


def test_constant_bands_are_left_out_and_reported():
    data = images(1, 30, 30, 7)
    data[..., [2, 5]] = 0.1
    with pytest.warns(UserWarning, match=r"2 of 7 bands are constant .*: 2, 5"):
        node = fit(RXGlobal(7), [{"data": data}])
    others = [0, 1, 3, 4, 6]
    assert node.bands_used.nonzero().flatten().tolist() == others
    without = fit(RXGlobal(5), [{"data": data[..., others]}])
    torch.testing.assert_close(scored(node, data), scored(without, data[..., others]))
    assert node.fit_summary().startswith("5 bands, 900 pixels")


def test_shrinkage_counts_only_the_bands_that_vary():
    data = images(1, 30, 30, 3)
    flat = torch.cat([data, torch.ones(1, 30, 30, 1)], -1)
    with pytest.warns(UserWarning, match="constant"):
        node = fit(RXGlobal(4, shrinkage=0.5), [{"data": flat}])
    bare = fit(RXGlobal(3, shrinkage=0.5), [{"data": data}])
    torch.testing.assert_close(scored(node, flat), scored(bare, data))


def test_fewer_pixels_than_bands_use_the_directions_there_are():
    data = images(1, 5, 4, 30)
    with pytest.warns(UserWarning, match="20 background pixels support 19 directions of 30 bands"):
        node = fit(RXGlobal(30), [{"data": data}])
    got = scored(node, data)
    # n points that span n - 1 directions all have the same distance: (n - 1)^2 / n.
    np.testing.assert_allclose(got, 19**2 / 20, rtol=1e-6)
    assert "rank 19" in node.fit_summary()
    rows = data.double().reshape(-1, 30).numpy()
    std = rows.std(0, ddof=1)
    inverse = np.linalg.pinv(np.cov((rows / std).T), rcond=1e-10, hermitian=True)
    other = images(1, 3, 3, 30, seed=1)
    x = (other.double().reshape(-1, 30).numpy() - rows.mean(0)) / std
    want = np.einsum("ij,jk,ik->i", x, inverse, x)
    np.testing.assert_allclose(scored(node, other).flatten(), want, rtol=1e-5)


def test_a_band_that_repeats_another_counts_once():
    data = images(1, 30, 30, 5)
    double = torch.cat([data, 3 * data[..., :1] + 1], -1)
    with pytest.warns(UserWarning, match="support 5 directions of 6 bands"):
        node = fit(RXGlobal(6), [{"data": double.double()}])
    plain = fit(RXGlobal(5), [{"data": data}])
    torch.testing.assert_close(scored(node, double), scored(plain, data), rtol=1e-4, atol=1e-4)


def test_shrinkage_cures_too_few_pixels_without_a_warning():
    data, other = images(1, 5, 4, 30), images(1, 3, 3, 30, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        node = fit(RXGlobal(30, shrinkage=0.1), [{"data": data}])
    want = exact_scores(data, other, 1e-6, 0.1)
    np.testing.assert_allclose(scored(node, other), want, rtol=1e-6)


def test_one_background_pixel_scores_nothing():
    data = images(1, 1, 1, 4)
    with pytest.warns(UserWarning, match="4 of 4 bands are constant"):
        node = fit(RXGlobal(4), [{"data": data}])
    assert (scored(node, images(1, 3, 3, 4)) == 0).all()


def test_no_background_pixel_is_an_error():
    data = images(1, 3, 3, 4)
    with pytest.raises(NodeError, match="no usable pixel"):
        fit(RXGlobal(4), [{"data": data, "mask": torch.ones(1, 3, 3, 1, dtype=torch.bool)}])


@pytest.mark.parametrize("bands", [1, 3, 32, 61])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_pixel_that_is_not_finite_scores_nan_and_touches_no_other(bands, bad):
    data = images(1, 40, 50, bands)
    node = fit(RXGlobal(bands), [{"data": data}])
    clean = scored(node, data)
    data[0, 7, 8, bands - 1] = bad
    got = scored(node, data)
    assert got[0, 7, 8].isnan()
    got[0, 7, 8] = clean[0, 7, 8]
    assert torch.equal(got, clean)


def test_left_out_pixels_are_told():
    data = images(1, 10, 10, 3)
    data[0, 0, 0, 0] = float("nan")
    valid = torch.ones(1, 10, 10, 1, dtype=torch.bool)
    valid[0, 1] = False
    node = fit(RXGlobal(3), [{"data": data, "valid": valid}])
    assert node.pixels == 89
    assert "89 pixels (11 excluded)" in node.fit_summary()


@pytest.mark.parametrize("wrong", [{"eps": -1e-6}, {"shrinkage": -1.0}, {"eps": float("nan")}])
def test_wrong_parameters_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"RXGlobal: {name} is .*\n.*set {name} to 0 or more"):
        RXGlobal(num_channels=3, **wrong)
