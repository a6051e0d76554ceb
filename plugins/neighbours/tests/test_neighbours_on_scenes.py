"""The coreset on published scenes, with the default parameters: nothing is tuned to them."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from specloom.testing import fit, run
from specloom_neighbours import CoresetNeighbours

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


def scores_of(name, random_state):
    """The fitted node, the cube, the mask and the scores in float64."""
    content = loadmat(DATA / name)
    cube = content["data"].astype(np.float64)
    batch = {"data": torch.from_numpy(cube)[None]}
    node = CoresetNeighbours(num_channels=cube.shape[2], random_state=random_state)
    scores = run(fit(node, [batch]), batch)["scores"]
    return node, cube, content["map"].ravel() > 0, scores.flatten().numpy()


@pytest.fixture(scope="module")
def areas():
    """The area under the curve of each scene (columns) and draw (rows)."""
    rows = []
    for random_state in range(5):
        row = []
        for name in SCENES:
            _, _, mask, scores = scores_of(name, random_state)
            row.append(roc_auc_score(mask, scores))
        rows.append(row)
    return np.array(rows)


def test_mean_area_over_five_draws(areas):
    assert areas.mean() > 0.975
    assert areas[:, 0].mean() > 0.93


def test_draws_differ_little(areas):
    assert areas.mean(1).std() < 0.004


@pytest.mark.parametrize("name", SCENES)
def test_scores_are_those_of_scikit_learn_on_numpy_components(name):
    node, cube, _, scores = scores_of(name, 0)
    pixels = cube.reshape(-1, cube.shape[2])
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    whitening = vectors[:, -20:] / np.sqrt(values[-20:])
    members = (node.spectra.numpy() - pixels.mean(0)) @ whitening
    points = (pixels - pixels.mean(0)) @ whitening
    search = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(members)
    np.testing.assert_allclose(scores, search.kneighbors(points)[0].mean(1), rtol=1e-6, atol=1e-6)
