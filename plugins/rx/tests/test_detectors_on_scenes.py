"""Robust and subspace RX on published scenes, with the default parameters."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score
from spectral import rx

from specloom.testing import fit, run
from specloom_rx import LocalRX, RobustRX, SubspaceRX

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
SCENES = (
    "abu/abu-airport-1.mat",
    "abu/abu-airport-4.mat",
    "abu/abu-urban-1.mat",
    "abu/abu-urban-4.mat",
    "sandiego/sandiego_plane.mat",
    "hydice/HYDICE_urban.mat",
)


def scene(name):
    """The cube in float64, its pixels centred, and the mask of the anomalies."""
    content = loadmat(DATA / name)
    cube = content["data"].astype(np.float64)
    return cube, cube.reshape(-1, cube.shape[2]), content["map"].ravel() > 0


def some_pixels(count):
    return np.random.default_rng(0).choice(count, 200, replace=False)


def test_mean_area_of_robust_rx():
    areas = []
    for name in SCENES:
        cube, _, mask = scene(name)
        batch = {"data": torch.from_numpy(cube)[None]}
        scores = run(fit(RobustRX(cube.shape[2]), [batch]), batch)["scores"]
        areas.append(roc_auc_score(mask, scores.flatten()))
    assert np.mean(areas) > 0.96


@pytest.mark.parametrize("name", SCENES)
def test_robust_rx_is_a_trimmed_refit_in_numpy(name):
    cube, pixels, _ = scene(name)
    batch = {"data": torch.from_numpy(cube)[None]}
    node = fit(RobustRX(cube.shape[2], eps=0.0), [batch])
    gaps = pixels - pixels.mean(0)
    first = np.einsum("ij,ij->i", gaps @ np.linalg.inv(np.cov(pixels.T)), gaps)
    low = pixels[first <= float(node.threshold)]
    assert len(low) == node.pixels
    assert len(low) / len(pixels) == pytest.approx(0.9, abs=1e-3)
    bands = cube.shape[2]
    covariance = np.cov(low.T) * 0.9 / chi2.cdf(chi2.ppf(0.9, bands), bands + 2)
    inverse = np.linalg.inv(covariance)
    scores = run(node, batch)["scores"].flatten().numpy()
    for pixel in some_pixels(len(pixels)):
        gap = pixels[pixel] - low.mean(0)
        assert scores[pixel] == pytest.approx(gap @ inverse @ gap, rel=1e-6)


@pytest.mark.parametrize("name", SCENES)
def test_subspace_rx_is_a_loop_in_numpy(name):
    cube, pixels, _ = scene(name)
    batch = {"data": torch.from_numpy(cube)[None]}
    node = fit(SubspaceRX(num_channels=cube.shape[2]), [batch])
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    scores = run(node, batch)["scores"].flatten().numpy()
    for pixel in some_pixels(len(pixels)):
        gap = pixels[pixel] - pixels.mean(0)
        score = 0.0
        for value, vector in zip(values[:-10], vectors.T[:-10], strict=True):
            score += (vector @ gap) ** 2 / value
        assert scores[pixel] == pytest.approx(score, rel=1e-6)


def local_loop(cube, row, column, shrinkage):
    """The score of one pixel, by its ring in float64."""
    size, columns, bands = cube.shape
    used = np.zeros((size, columns), bool)
    for window, value in ((21, True), (5, False)):
        top = min(max(row - window // 2, 0), size - window)
        left = min(max(column - window // 2, 0), columns - window)
        used[top : top + window, left : left + window] = value
    covariance = np.cov(cube[used].T)
    covariance += shrinkage * np.trace(covariance) / bands * np.eye(bands)
    gap = cube[row, column] - cube[used].mean(0)
    return gap @ np.linalg.solve(covariance, gap)


# A crop with all borders; the whole scenes take minutes.
@pytest.mark.parametrize(
    ("name", "shrinkage"), [(name, 1e-3 * (number % 2)) for number, name in enumerate(SCENES)]
)
def test_local_rx_is_a_loop_in_numpy(name, shrinkage):
    cube = scene(name)[0][20:50, 30:64]
    node = LocalRX(shrinkage=shrinkage, num_channels=cube.shape[2])
    scores = run(node, {"data": torch.from_numpy(cube)[None]})["scores"][0, ..., 0]
    for pixel in some_pixels(scores.numel()):
        row, column = divmod(int(pixel), cube.shape[1])
        want = local_loop(cube, row, column, shrinkage)
        assert float(scores[row, column]) == pytest.approx(want, rel=1e-6)


def test_local_rx_is_that_of_spy():
    cube = scene("hydice/HYDICE_urban.mat")[0][:23, :22]
    node = LocalRX(shrinkage=0.0, num_channels=cube.shape[2])
    scores = run(node, {"data": torch.from_numpy(cube)[None]})["scores"][0, ..., 0]
    np.testing.assert_allclose(scores, rx(cube, window=(5, 21)), rtol=1e-6)
