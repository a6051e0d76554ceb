"""Minimum noise fractions: those of Spectral Python, the same in any order, hostile data."""

import os
from pathlib import Path

import numpy as np
import pytest
import spectral
import torch
from scipy.io import loadmat
from scipy.linalg import eigh

from specloom import ConfigError, DataError, LazyAffine, LazyLinear, NodeError
from specloom.testing import fit, fit_shares, run
from specloom_pca import MNF

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))


def scene(rows=40, columns=30, bands=8, seed=0, offset=0.0):
    """Smooth signal of three materials, and noise that differs from band to band."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.linspace(0, 3, rows)[:, None] * torch.linspace(1, 2, columns)
    shares = torch.stack([place.sin(), place.cos(), (2 * place).sin()], -1)
    spectra = torch.rand(3, bands, generator=generator)
    noise = torch.randn(rows, columns, bands, generator=generator)
    return ((shares @ spectra + noise * torch.linspace(0.01, 0.1, bands)) + offset)[None].double()


def numpy_fractions(cube, valid=None):
    """Eigenvalues and vectors by a loop over pairs and SciPy's generalised solver."""
    image = cube[0].numpy()
    used = np.ones(image.shape[:2], bool) if valid is None else valid[0, ..., 0].numpy()
    differences = []
    for row in range(image.shape[0]):
        for column in range(image.shape[1] - 1):
            if used[row, column] and used[row, column + 1]:
                differences.append(image[row, column] - image[row, column + 1])
    noise = np.cov(np.array(differences).T) / 2
    values, vectors = eigh(np.cov(image[used].T), noise)
    return values[::-1], vectors.T[::-1]


@pytest.mark.parametrize("direction", ["right", "lower", "lowerright", "lowerleft"])
def test_components_are_those_of_spectral_python(direction):
    cube = scene()
    node = fit(MNF(8, noise=direction, num_channels=8), [{"data": cube}])
    image = cube[0].numpy()
    noise = spectral.noise_from_diffs(image, direction=direction)
    found = spectral.mnf(spectral.calc_stats(image), noise)
    np.testing.assert_allclose(node.ratios, found.napc.eigenvalues, rtol=1e-9)
    got = run(node, {"data": cube})["projected"][0].numpy()
    want = found.reduce(image, num=8)
    signs = np.sign((got * want).sum((0, 1)))
    np.testing.assert_allclose(got, want * signs, rtol=1e-6, atol=1e-8)


@pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
@pytest.mark.parametrize("name", ["abu/abu-airport-1.mat", "hydice/HYDICE_urban.mat"])
def test_components_of_a_scene_are_those_of_spectral_python(name):
    image = loadmat(DATA / name)["data"].astype(np.float64)
    bands = image.shape[2]
    node = fit(MNF(10, num_channels=bands), [{"data": torch.from_numpy(image)[None]}])
    noise = spectral.noise_from_diffs(image, direction="right")
    found = spectral.mnf(spectral.calc_stats(image), noise)
    np.testing.assert_allclose(node.ratios, found.napc.eigenvalues[:10].real, rtol=1e-6)
    got = run(node, {"data": torch.from_numpy(image)[None]})["projected"][0].numpy()
    want = found.reduce(image, num=10).real
    signs = np.sign((got * want).sum((0, 1)))
    scale = np.abs(want).max((0, 1))
    np.testing.assert_allclose(got / scale, want * signs / scale, rtol=0, atol=1e-6)


def test_pairs_need_two_valid_and_finite_pixels():
    cube = scene()
    valid = torch.ones(1, 40, 30, 1, dtype=torch.bool)
    valid[0, 5:9, 3:7] = False
    valid[0, 20, 11] = False
    wild = torch.where(valid, cube, 1e6)
    wild[0, 20, 11] = torch.nan
    node = fit(MNF(8, num_channels=8), [{"data": wild, "valid": valid}])
    values, vectors = numpy_fractions(cube, valid)
    np.testing.assert_allclose(node.ratios, values, rtol=1e-9)
    signs = np.sign((vectors * node.directions.numpy()).sum(1))[:, None]
    np.testing.assert_allclose(node.directions, vectors * signs, rtol=1e-6, atol=1e-9)
    assert (node.pixels, node.left_out) == (1200 - 17, 17)
    without_mask = wild.clone()
    without_mask[~valid.expand_as(wild)] = torch.nan
    again = fit(MNF(8, num_channels=8), [{"data": without_mask}])
    torch.testing.assert_close(again.directions, node.directions, rtol=1e-9, atol=1e-9)


def test_components_have_unit_noise_and_fixed_signs():
    cube = scene()
    node = fit(MNF(8, num_channels=8), [{"data": cube}])
    projected = run(node, {"data": cube})["projected"][0]
    differences = (projected[:, :-1] - projected[:, 1:]).reshape(-1, 8)
    np.testing.assert_allclose(np.cov(differences.T.numpy()) / 2, np.eye(8), atol=1e-9)
    np.testing.assert_allclose(projected.reshape(-1, 8).var(0), node.ratios, rtol=1e-9)
    largest = node.directions.gather(1, node.directions.abs().argmax(1, keepdim=True))
    assert bool((largest > 0).all())
    assert node.fit_summary().startswith("8 components of 8 bands, 1200 pixels, variance over")


def test_dark_frames_are_noise_about_the_mean_of_each_column():
    cube = scene()
    generator = torch.Generator().manual_seed(3)
    pattern = 100 * torch.rand(1, 12, 8, generator=generator, dtype=torch.float64)
    noise = torch.randn(50, 12, 8, generator=generator, dtype=torch.float64)
    dark = pattern + noise * torch.linspace(0.1, 0.3, 8, dtype=torch.float64)
    node = fit(MNF(8, noise="dark", num_channels=8), [{"data": cube, "dark": dark}])
    scatter = np.zeros((8, 8))
    for column in range(12):
        scatter += np.cov(dark[:, column].T.numpy()) * 49
    covariance = np.cov(cube.reshape(-1, 8).T.numpy())
    values = eigh(covariance, scatter / (12 * 49), eigvals_only=True)[::-1]
    np.testing.assert_allclose(node.ratios, values, rtol=1e-9)
    with pytest.raises(DataError, match=r"MNF: dark has the shape \(600, 8\)") as error:
        fit(MNF(8, noise="dark", num_channels=8), [{"data": cube, "dark": dark.view(600, 8)}])
    assert "connect frames of the axes lines, columns and bands" in str(error.value)
    with pytest.raises(NodeError, match="noise is 'dark', and the fit saw no usable dark frame"):
        fit(MNF(8, noise="dark", num_channels=8), [{"data": cube}])


def test_dark_pixels_that_are_not_finite_count_nowhere():
    """Neither in the noise, nor in the mean of their column, nor as a degree of freedom."""
    cube = scene()
    generator = torch.Generator().manual_seed(3)
    dark = torch.randn(50, 4, 8, generator=generator, dtype=torch.float64)
    alone = fit(MNF(8, noise="dark", num_channels=8), [{"data": cube, "dark": dark[:, :2]}])
    wild = dark.clone()
    wild[:, 2] = torch.nan
    wild[:, 3, 5] = torch.inf
    node = fit(MNF(8, noise="dark", num_channels=8), [{"data": cube, "dark": wild}])
    torch.testing.assert_close(node.ratios, alone.ratios, rtol=1e-12, atol=0)
    wild = dark[:, :2].clone()
    wild[0, 0, 3] = torch.inf
    node = fit(MNF(8, noise="dark", num_channels=8), [{"data": cube, "dark": wild}])
    scatter = np.cov(dark[1:, 0].T.numpy()) * 48 + np.cov(dark[:, 1].T.numpy()) * 49
    covariance = np.cov(cube.reshape(-1, 8).T.numpy())
    values = eigh(covariance, scatter / (48 + 49), eigvals_only=True)[::-1]
    np.testing.assert_allclose(node.ratios, values, rtol=1e-9)


def test_order_batches_and_processes_change_nothing():
    cubes = [scene(seed=seed) for seed in range(4)]
    batches = [{"data": cube} for cube in cubes]
    whole = fit(MNF(5, num_channels=8), batches)
    reverse = fit(MNF(5, num_channels=8), batches[::-1])
    together = fit(MNF(5, num_channels=8), [{"data": torch.cat(cubes)}])
    first = MNF(5, num_channels=8)
    second = MNF(5, num_channels=8)
    fit_shares([first, second], [batches[:1], batches[1:]])
    for node in (reverse, together, first, second):
        torch.testing.assert_close(node.ratios, whole.ratios, rtol=1e-10, atol=0)
        torch.testing.assert_close(node.directions, whole.directions, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", ["affine", "linear"])
def test_a_map_before_it_gives_the_components_of_its_values(kind):
    cube = scene(offset=2.0)
    offset = torch.linspace(-1, 1, 8, dtype=torch.float64)
    if kind == "affine":
        scale = torch.linspace(0.5, 2, 8, dtype=torch.float64)
        lazy = LazyAffine(cube, scale, offset, cube.dtype)
        values = cube * scale + offset
    else:
        matrix = torch.eye(8, dtype=torch.float64) - 0.9 * torch.eye(8).double().roll(1, 1)
        lazy = LazyLinear(cube, matrix, offset, cube.dtype)
        values = cube @ matrix.T + offset
    folded = fit(MNF(6, num_channels=8), [{"data": lazy}])
    plain = fit(MNF(6, num_channels=8), [{"data": values}])
    torch.testing.assert_close(folded.ratios, plain.ratios, rtol=1e-12, atol=0)
    got = run(folded, {"data": lazy})["projected"]
    want = run(plain, {"data": values})["projected"]
    torch.testing.assert_close(got, want, rtol=0, atol=1e-12 * float(want.abs().max()))


def test_what_the_noise_does_not_support_is_zero():
    cube = scene()
    cube[..., 2] = 0.5
    cube[..., 5] = cube[..., 4] * 2
    with pytest.warns(UserWarning, match="supports 6 directions") as found:
        node = fit(MNF(8, num_channels=8), [{"data": cube}])
    assert str(found[0].message) == (
        "MNF: the noise of 1160 pixels supports 6 directions of 8 bands; the others are not used. "
        "Use more pixels, or drop bands that are constant or combinations of others"
    )
    assert not node.directions[6:].any()
    assert not node.ratios[6:].any()
    projected = run(node, {"data": cube})["projected"]
    assert bool(projected.isfinite().all())
    assert not projected[..., 6:].any()


def test_one_column_has_no_pair():
    with pytest.raises(NodeError, match=r"no usable pixel has a usable neighbour \(right\)") as e:
        fit(MNF(2, num_channels=8), [{"data": scene(columns=1)}])
    assert "set noise to 'dark'" in str(e.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_components": 9}, "MNF: n_components is 9, but the data have 8 channels"),
        ({"n_components": 2, "eps": -1.0}, "MNF: eps is -1.0"),
        ({"n_components": 2, "noise": "up"}, "MNF: noise should be 'right', 'lower'"),
    ],
)
def test_parameters_are_checked(params, message):
    with pytest.raises(ConfigError, match=message):
        MNF(**params, num_channels=8)
