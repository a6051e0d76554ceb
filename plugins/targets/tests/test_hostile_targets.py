"""Singular, constant, tiny and shifted data, and pixels that are not finite."""

import warnings

import numpy as np
import pytest
import torch

from specloom import ConfigError, LazyAffine, NodeError
from specloom.testing import fit, run
from specloom_cubes import Spectra
from specloom_targets import (
    ACE,
    CEM,
    OSP,
    MatchedFilter,
    SpectralAngle,
    SpectralInformationDivergence,
    write_spectra,
)

STATISTICAL = [MatchedFilter, ACE, CEM]
ALL = [*STATISTICAL, SpectralAngle, SpectralInformationDivergence]


def images(*shape, seed=0, offset=3.0):
    return offset + torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def mask_of(data, pixels=((2, 3), (4, 4))):
    mask = torch.zeros(*data.shape[:3], 1, dtype=torch.bool)
    for row, column in pixels:
        mask[0, row, column] = True
    return mask


def fitted(cls, data, mask=None, **parameters):
    mask = mask_of(data) if mask is None else mask
    node = cls(num_channels=data.shape[-1], **parameters)
    return fit(node, [{"data": data, "mask": mask}])


def scored(node, data):
    return run(node, {"data": data})["scores"]


def exact(cls, data, mask):
    """The scores in float64, with explicit inverses."""
    pixels = data.double().reshape(-1, data.shape[-1]).numpy()
    chosen = mask.flatten().numpy()
    background = pixels[~chosen]
    target = pixels[chosen].mean(0)
    if cls is CEM:
        inverse = np.linalg.pinv(background.T @ background / len(background), hermitian=True)
        return pixels @ inverse @ target / (target @ inverse @ target)
    mean = background.mean(0)
    inverse = np.linalg.pinv(np.cov(background.T), rcond=1e-12, hermitian=True)
    x = pixels - mean
    t = target - mean
    products = x @ inverse @ t
    energy = t @ inverse @ t
    if cls is MatchedFilter:
        return products / energy
    lengths = np.einsum("ij,jk,ik->i", x, inverse, x)
    return products / np.sqrt(energy * lengths)


@pytest.mark.parametrize("cls", STATISTICAL)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_offsets_leave_six_digits(cls, offset):
    data = images(1, 30, 30, 8, offset=0.0).double() + offset
    node = fitted(cls, data, eps=0.0)
    np.testing.assert_allclose(
        scored(node, data).flatten(), exact(cls, data, mask_of(data)), rtol=1e-6, atol=1e-6
    )


def solve(matrix, vector):
    """The solution of a linear system in the precision of its numbers."""
    rows = np.column_stack([matrix, vector])
    for at in range(len(rows)):
        pivot = at + np.abs(rows[at:, at]).argmax()
        rows[[at, pivot]] = rows[[pivot, at]]
        rows[at] /= rows[at, at]
        for other in range(len(rows)):
            if other != at:
                rows[other] -= rows[other, at] * rows[at]
    return rows[:, -1]


def test_an_offset_costs_cem_no_digits():
    # The inverse of R in float64 has an error of 1e-5 here.
    data = images(1, 30, 30, 8, offset=0.0).double() + 1e5
    mask = mask_of(data)
    pixels = data.reshape(-1, 8).numpy().astype(np.longdouble)
    background = pixels[~mask.flatten().numpy()]
    target = pixels[mask.flatten().numpy()].mean(0)
    toward = solve(background.T @ background / len(background), target)
    want = (pixels @ toward / (target @ toward)).astype(np.float64)
    node = fitted(CEM, data, eps=0.0)
    np.testing.assert_allclose(scored(node, data).flatten(), want, rtol=1e-6, atol=1e-6)
    print(
        np.abs(exact(CEM, data, mask) - want).max(),
        np.abs(scored(node, data).flatten().numpy() - want).max(),
    )
    assert np.abs(exact(CEM, data, mask) - want).max() > 1e-6


@pytest.mark.parametrize("cls", [MatchedFilter, ACE])
def test_constant_bands_are_excluded_and_reported(cls):
    data = images(1, 20, 20, 6)
    data[..., [1, 4]] = 0.25
    with pytest.warns(UserWarning, match=r"2 of 6 bands are constant .*: 1, 4"):
        node = fitted(cls, data)
    others = data[..., [0, 2, 3, 5]]
    torch.testing.assert_close(scored(node, data), scored(fitted(cls, others), others))


def test_cem_uses_a_constant_band_as_the_correlation_matrix_has_it():
    data = images(1, 20, 20, 6)
    data[..., 1] = 0.25
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        node = fitted(CEM, data, eps=0.0)
    want = exact(CEM, data, mask_of(data))
    np.testing.assert_allclose(scored(node, data).flatten(), want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("cls", STATISTICAL)
def test_fewer_pixels_than_bands_use_the_directions_there_are(cls):
    data = images(1, 6, 5, 40)
    mask = mask_of(data)
    with pytest.warns(UserWarning, match="28 background pixels support .* of 40 bands"):
        node = fitted(cls, data, mask, eps=0.0)
    scores = scored(node, data)
    assert bool(scores.isfinite().all())
    if cls is CEM:
        torch.testing.assert_close(scores[mask].mean(), torch.tensor(1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(cls, data, mask, shrinkage=0.1)


@pytest.mark.parametrize("cls", STATISTICAL)
def test_a_band_that_repeats_another_counts_once(cls):
    data = images(1, 20, 20, 5).double()
    double = torch.cat([data, 2 * data[..., :1]], -1)
    with pytest.warns(UserWarning, match="directions of 6 bands"):
        node = fitted(cls, double)
    torch.testing.assert_close(
        scored(node, double), scored(fitted(cls, data), data), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("cls", [MatchedFilter, ACE])
def test_a_target_that_is_the_mean_is_an_error(cls, tmp_path):
    data = images(1, 20, 20, 4)
    mean = data.double().reshape(-1, 4).mean(0)
    write_spectra(Spectra(("normal",), mean[None].numpy()), tmp_path / "mean.csv")
    node = cls(num_channels=4, targets=tmp_path / "mean.csv")
    with pytest.raises(NodeError, match=r"'normal' equals the mean of the background.*\n.*choose"):
        fit(node, [{"data": data}])


@pytest.mark.parametrize("cls", [MatchedFilter, ACE])
def test_one_background_pixel_knows_no_direction(cls):
    data = images(1, 1, 3, 4)
    mask = torch.tensor([True, True, False]).view(1, 1, 3, 1)
    with (
        pytest.warns(UserWarning, match="4 of 4 bands are constant"),
        pytest.raises(NodeError, match="equals the mean of the background in all directions"),
    ):
        fitted(cls, data, mask)


@pytest.mark.parametrize("cls", ALL)
def test_no_pixel_of_the_target_is_an_error(cls):
    data = images(1, 8, 8, 4)
    for mask in (None, torch.zeros(1, 8, 8, 1, dtype=torch.bool)):
        batch = {"data": data}
        if mask is not None:
            batch["mask"] = mask
        with pytest.raises(NodeError, match=r"has no target: .* no usable pixel of a mask\n"):
            fit(cls(num_channels=4), [batch])
    spoilt = data.clone()
    mask = mask_of(data)
    spoilt[mask[..., 0]] = torch.nan
    with pytest.raises(NodeError, match="has no target"):
        fit(cls(num_channels=4), [{"data": spoilt, "mask": mask}])


def test_no_background_is_an_error():
    data = images(1, 8, 8, 4)
    everything = torch.ones(1, 8, 8, 1, dtype=torch.bool)
    with pytest.raises(NodeError, match="no usable pixel to learn from"):
        fitted(MatchedFilter, data, everything)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_pixel_that_is_not_finite_scores_nan_and_touches_no_other(cls, bad):
    data = images(1, 20, 30, 7).abs() + 0.1
    node = fitted(cls, data)
    clean = run(node, {"data": data})
    data[0, 5, 6, 6] = bad
    got = run(node, {"data": data})
    assert got["scores"][0, 5, 6].isnan().all()
    assert got["best_score"][0, 5, 6].isnan()
    assert int(got["best"][0, 5, 6]) == -1
    for name in ("scores", "best_score", "best"):
        got[name][0, 5, 6] = clean[name][0, 5, 6]
        assert torch.equal(got[name], clean[name])


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("bands", [1, 3, 16, 61, 189])
def test_place_batch_and_tile_change_no_bit(cls, bands):
    data = images(2, 23, 47, bands, offset=9.0)
    if bands == 1 and cls is ACE:
        data = data + 1e-3
    node = fitted(cls, data)
    whole = scored(node, data)
    for image in range(2):
        assert torch.equal(scored(node, data[image : image + 1])[0], whole[image])
    tile = data[:, 3:19, 5:6]
    assert torch.equal(scored(node, tile), whole[:, 3:19, 5:6])
    assert torch.equal(scored(node, data.flip(0, 1, 2)), whole.flip(0, 1, 2))


@pytest.mark.parametrize("cls", ALL)
def test_a_mapped_cube_scores_as_the_values_it_stands_for(cls):
    raw = images(1, 15, 15, 6, offset=8.0)
    scale = torch.linspace(0.5, 3, 6, dtype=torch.float64)
    offset = torch.linspace(0, 20, 6, dtype=torch.float64)
    values = raw.double() * scale + offset
    mapped = LazyAffine(raw, scale, offset, torch.float32)
    got = scored(fitted(cls, mapped, mask_of(raw)), mapped)
    assert got.dtype == torch.float32
    want = scored(fitted(cls, values), values)
    torch.testing.assert_close(got.double(), want, rtol=1e-6, atol=1e-6)


def test_zero_pixels_have_no_angle_and_no_divergence():
    data = images(1, 6, 6, 4).abs()
    angle = fitted(SpectralAngle, data)
    divergence = fitted(SpectralInformationDivergence, data)
    data[0, 1, 1] = 0
    for node in (angle, divergence):
        scores = scored(node, data)
        assert scores[0, 1, 1].isnan()
        assert int(scores.isnan().sum()) == 1


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (SpectralAngle, [0.0, 0.0, 0.0], "'odd' is zero in all bands"),
        (SpectralInformationDivergence, [1.0, -2.0, 0.5], "sum of the target 'odd' is -0.5"),
    ],
)
def test_targets_without_a_direction_are_refused(cls, values, message, tmp_path):
    write_spectra(Spectra(("odd",), np.array([values])), tmp_path / "odd.csv")
    node = cls(num_channels=3, targets=tmp_path / "odd.csv")
    with pytest.raises(NodeError, match=message):
        fit(node, [{"data": images(1, 5, 5, 3)}])


def test_a_target_among_the_undesired_is_refused(tmp_path):
    spectra = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1], [5, 5, 5, 5]])
    write_spectra(Spectra(("up", "down", "flat"), spectra), tmp_path / "three.csv")
    node = OSP(num_channels=4, targets=tmp_path / "three.csv")
    with pytest.raises(NodeError, match="'up' is a combination of the undesired spectra"):
        fit(node, [{"data": images(1, 5, 5, 4)}])


def test_osp_needs_undesired_spectra(tmp_path):
    with pytest.raises(ConfigError, match=r"one target and no undesired spectra\n.*set undesired"):
        OSP(num_channels=4).build({"num_channels": 4})
    write_spectra(Spectra(("one",), np.ones((1, 4))), tmp_path / "one.csv")
    node = OSP(num_channels=4, targets=tmp_path / "one.csv")
    with pytest.raises(ConfigError, match="one target and no undesired spectra"):
        fit(node, [{"data": images(1, 5, 5, 4)}])
    with pytest.raises(ConfigError, match="undesired_names without a file"):
        OSP(num_channels=4, undesired_names=["a"]).build({"num_channels": 4})


@pytest.mark.parametrize("wrong", [{"eps": -1.0}, {"shrinkage": float("nan")}])
def test_wrong_parameters_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"{name} is .*\n.*set {name} to 0 or more"):
        MatchedFilter(num_channels=3, **wrong).build({"num_channels": 3})
