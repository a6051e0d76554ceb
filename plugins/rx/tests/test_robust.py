"""Robust RX: what is excluded, and the covariance that follows."""

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from specloom import ConfigError, NodeError
from specloom.testing import fit, fit_shares, run
from specloom_rx import RobustRX, RXGlobal
from specloom_rx.chi_square import chi_square_quantile, chi_square_share
from specloom_rx.robust import consistency_factor


def pixels(count=4000, bands=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    data = torch.randn(1, 40, count // 40, bands, generator=generator, dtype=torch.float64)
    return data @ torch.randn(bands, bands, generator=generator, dtype=torch.float64) + 30


def distances(rows, mean, covariance):
    gaps = rows - mean
    return np.einsum("ij,ij->i", gaps @ np.linalg.inv(covariance), gaps)


@pytest.mark.parametrize("degrees", [1, 2, 7, 60, 204])
def test_chi_square_is_that_of_scipy(degrees):
    for share in (0.01, 0.5, 0.9, 0.999):
        value = chi_square_quantile(share, degrees)
        assert value == pytest.approx(chi2.ppf(share, degrees), rel=1e-9)
        assert chi_square_share(value, degrees) == pytest.approx(share, rel=1e-9)
    want = 0.9 / chi2.cdf(chi2.ppf(0.9, degrees), degrees + 2)
    assert consistency_factor(0.1, degrees) == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("rounds", [1, 3])
def test_scores_are_those_of_a_trimmed_refit_in_numpy(rounds):
    data = pixels()
    rows = data.reshape(-1, 6).numpy()
    node = fit(RobustRX(6, eps=0.0, trim=0.2, rounds=rounds), [{"data": data}])
    keep = np.ones(len(rows), bool)
    scale = 1.0
    for _ in range(rounds):
        mean = rows[keep].mean(0)
        scores = distances(rows, mean, np.cov(rows[keep].T) * scale)
        keep = scores <= np.sort(scores)[3199] * (1 + 1e-4)
        scale = 0.8 / chi2.cdf(chi2.ppf(0.8, 6), 8)
    assert int(node.trimmed) == int((~keep).sum())
    assert 790 < int(node.trimmed) <= 800
    want = distances(rows, rows[keep].mean(0), np.cov(rows[keep].T) * scale)
    got = run(node, {"data": data})["scores"].flatten()
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_chi_square_thresholds_hold_on_normal_pixels():
    data = pixels(40_000)
    node = fit(RobustRX(6), [{"data": data}])
    scores = run(node, {"data": data})["scores"]
    share = float((scores > chi2.ppf(0.99, 6)).double().mean())
    assert share == pytest.approx(0.01, abs=0.002)


def test_anomalies_do_not_hide_each_other():
    data = pixels()
    data[0, :10, :20] = 30 + (data[0, :10, :20] - 30) * 0.1 + 8
    plain = fit(RXGlobal(6), [{"data": data}])
    robust = fit(RobustRX(6, trim=0.1, rounds=3), [{"data": data}])
    ratios = []
    for node in (plain, robust):
        scores = run(node, {"data": data})["scores"][0, ..., 0]
        ratios.append(float(scores[:10, :20].mean() / scores[10:].mean()))
    assert ratios[1] > 2 * ratios[0]


def test_without_trim_or_rounds_it_is_global_rx():
    data = pixels()
    want = run(fit(RXGlobal(6), [{"data": data}]), {"data": data})["scores"]
    for params in ({"trim": 0.0}, {"rounds": 0}):
        got = run(fit(RobustRX(6, **params), [{"data": data}]), {"data": data})["scores"]
        torch.testing.assert_close(got, want, rtol=1e-12, atol=0)


def test_order_batch_size_and_processes_change_nothing_but_rounding():
    batches = [{"data": pixels(seed=seed) * (1 + seed)} for seed in range(4)]
    whole = fit(RobustRX(6), batches)
    together = {"data": torch.cat([batch["data"] for batch in batches[::-1]])}
    others = [fit(RobustRX(6), [together]), RobustRX(6), RobustRX(6)]
    fit_shares(others[1:], [batches[3:], batches[:3]])
    for node in others:
        assert int(node.trimmed) == int(whole.trimmed)
        assert node.pixels == whole.pixels
        torch.testing.assert_close(node.covariance, whole.covariance, rtol=1e-11, atol=1e-11)


def test_masks_and_pixels_that_are_not_finite_are_excluded_first():
    data = pixels()
    clean = fit(RobustRX(6), [{"data": data[:, :30]}])
    mask = torch.zeros(1, 40, 100, 1, dtype=torch.bool)
    valid = torch.ones_like(mask)
    data[0, 30:33] = torch.nan
    data[0, 33:36] = 1e5
    mask[0, 33:36] = True
    data[0, 36:] = -1e5
    valid[0, 36:] = False
    node = fit(RobustRX(6), [{"data": data, "mask": mask, "valid": valid}])
    assert (node.pixels, node.left_out) == (clean.pixels, 300 + 300 + 400)
    torch.testing.assert_close(node.covariance, clean.covariance, rtol=1e-11, atol=1e-11)
    with pytest.raises(NodeError, match="was given no usable pixel to learn from"):
        fit(RobustRX(6), [{"data": torch.full((1, 2, 2, 6), torch.nan)}])


def hostile(kind):
    data = pixels(400)
    if kind == "constant":
        return torch.full_like(data, 3.0)
    if kind == "one pixel":
        return data[:, :1, :1]
    if kind == "singular":
        data[..., 3:] = data[..., :3] * 2
        return data
    if kind == "offset":
        return data + 1e4
    return data[:, :1, :4]


@pytest.mark.parametrize("kind", ["constant", "one pixel", "singular", "few pixels", "offset"])
def test_hostile_data_give_finite_scores_and_warn(kind):
    data = hostile(kind)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        node = fit(RobustRX(6), [{"data": data}])
    assert bool(found) == (kind != "offset")
    scores = run(node, {"data": data})["scores"]
    assert bool(scores.isfinite().all())
    if kind == "offset":
        near = fit(RobustRX(6), [{"data": data - 1e4}])
        want = run(near, {"data": data - 1e4})["scores"]
        torch.testing.assert_close(scores, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"trim": 1.0}, "RobustRX: trim is 1.0"),
        ({"trim": -0.1}, "RobustRX: trim is -0.1"),
        ({"rounds": -1}, "RobustRX: rounds is -1"),
        ({"eps": -1.0}, "RobustRX: eps is -1.0"),
    ],
)
def test_parameters_are_checked(params, message):
    with pytest.raises(ConfigError, match=message):
        RobustRX(6, **params)


def test_the_summary_counts_what_is_trimmed():
    node = fit(RobustRX(6), [{"data": pixels()}])
    assert node.fit_summary().endswith(f", {int(node.trimmed)} pixels trimmed")
    assert node.pixels + int(node.trimmed) == 4000
