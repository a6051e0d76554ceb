"""Estimators on a published scene: the scores of scikit-learn and of PyOD on the same sample."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from scipy.io import loadmat
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.svm import OneClassSVM

from specloom.testing import fit, run
from specloom_outliers import Estimator

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
SIZE = 600


@pytest.fixture(scope="module")
def cube():
    return loadmat(DATA / "hydice/HYDICE_urban.mat")["data"].astype(np.float64)


def scored(cube, **params):
    """The sample of the fit, in float64, and the scores of all pixels."""
    batch = {"data": torch.from_numpy(cube)[None]}
    node = Estimator(num_channels=cube.shape[2], size=SIZE, **params)
    seen = []
    features = node._features

    def remember(rows):
        seen.append(features(rows))
        return seen[-1]

    node._features = remember
    fit(node, [batch])
    return seen[0].numpy(), run(node, batch)["scores"].flatten().numpy()


@pytest.mark.parametrize(
    ("name", "options", "reference"),
    [
        ("IsolationForest", {}, IsolationForest(random_state=0)),
        ("LocalOutlierFactor", {"n_neighbors": 30}, LocalOutlierFactor(30, novelty=True)),
        ("OneClassSVM", {"nu": 0.1}, OneClassSVM(nu=0.1)),
        ("GaussianMixture", {"n_components": 2}, GaussianMixture(2, random_state=0)),
        ("KernelDensity", {"bandwidth": 50.0}, KernelDensity(bandwidth=50.0)),
    ],
)
def test_scores_in_all_bands_are_those_of_scikit_learn(cube, name, options, reference):
    sample, scores = scored(cube, estimator=name, options=options)
    pixels = cube.reshape(-1, cube.shape[2])
    present = {pixel.tobytes() for pixel in pixels}
    assert sample.shape == (SIZE, cube.shape[2])
    assert all(spectrum.tobytes() in present for spectrum in sample)
    want = -reference.fit(sample).score_samples(pixels)
    np.testing.assert_allclose(scores, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("IsolationForest", IsolationForest(random_state=0)),
        ("EllipticEnvelope", EllipticEnvelope(random_state=0)),
        ("GaussianMixture", GaussianMixture(random_state=0)),
    ],
)
def test_scores_behind_components_are_those_of_scikit_learn(cube, name, reference):
    sample, scores = scored(cube, estimator=name, components=20)
    pixels = cube.reshape(-1, cube.shape[2])
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    vectors = vectors[:, :-21:-1]
    # The sign that PCA fixes.
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(20)])
    points = (pixels - pixels.mean(0)) @ (vectors / np.sqrt(values[:-21:-1]))
    for spectrum in sample[::100]:
        assert np.abs(points - spectrum).max(1).min() < 1e-8
    want = -reference.fit(sample).score_samples(points)
    # A tree compares in float32, where a point within rounding of a threshold may fall otherwise.
    close = np.isclose(scores, want, rtol=1e-6, atol=1e-6)
    assert close.mean() > 0.999
    assert np.abs(scores - want).max() < 0.01 * np.abs(want).max()


@pytest.mark.parametrize(
    ("name", "reference"), [("pyod.KNN", KNN()), ("pyod.IForest", IForest(random_state=0))]
)
def test_scores_are_those_of_pyod(cube, name, reference):
    sample, scores = scored(cube, estimator=name)
    reference.fit(sample)
    want = reference.decision_function(cube.reshape(-1, cube.shape[2]))
    np.testing.assert_allclose(scores, want, rtol=1e-6, atol=1e-6)


def test_every_estimator_is_where_the_catalogue_has_it():
    from specloom_outliers.catalogue import BUILT_IN, PYOD

    for name, module in BUILT_IN.items():
        assert hasattr(importlib.import_module(module), name.removeprefix(PYOD))
