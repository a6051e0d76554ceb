"""Where the engine without kernels projects in float32, and that its results are right there."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from specloom import LazyAffine
from specloom.testing import fit
from specloom_pca.pca import TrainablePCA
from specloom_pca.projection import FLOAT32_LIMIT

BANDS = 20
COMPONENTS = 3


@pytest.fixture(autouse=True)
def pure(monkeypatch):
    """Without kernels, which project in float64 always."""
    monkeypatch.setenv("SPECLOOM_NATIVE", "0")


def rows_of(offset, ratio, count=4000, seed=0):
    """Float32 rows whose first variance is ``ratio`` times the last one that is projected on."""
    random = np.random.default_rng(seed)
    deviations = np.full(BANDS, 0.02)
    deviations[:COMPONENTS] = np.geomspace(1, ratio**-0.5, COMPONENTS)
    axes, _ = np.linalg.qr(random.normal(size=(BANDS, BANDS)))
    values = random.normal(size=(count, BANDS)) * deviations
    return (offset + values @ axes.T).astype(np.float32)


def fitted(rows, **options):
    cube = torch.from_numpy(rows).view(1, 40, -1, BANDS)
    return fit(TrainablePCA(COMPONENTS, num_channels=BANDS, **options), [{"data": cube}]), cube


def errors(node, data, rows):
    """The largest error of each component, in its standard deviations, against float64."""
    with torch.no_grad():
        assert node._float32_suffices(data)
        found = node(data=data)["projected"].reshape(-1, COMPONENTS).double()
    assert node._has_float32_digits
    wide = torch.from_numpy(rows).double()
    expected = (wide - node.center) @ node.directions.T
    deviations = node.variances.sqrt()
    if node.whiten:
        expected = expected / deviations
        deviations = torch.ones(COMPONENTS)
    return ((found - expected).abs().amax(0) / deviations).max().item()


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e4, 1e6])
def test_float32_keeps_the_digits_up_to_the_limit(offset, whiten):
    rows = rows_of(offset, 0.9 * FLOAT32_LIMIT)
    node, cube = fitted(rows, whiten=whiten)
    assert errors(node, cube, rows) < 1e-5


def test_scikit_learn_loses_them_at_an_offset():
    rows = rows_of(1e4, 0.9 * FLOAT32_LIMIT)
    node, cube = fitted(rows)
    wide = rows.astype(np.float64)
    axes = node.directions.numpy()
    expected = (wide - wide.mean(0)) @ axes.T
    peer = PCA(COMPONENTS, svd_solver="covariance_eigh").fit(rows)
    theirs = peer.transform(rows)
    assert theirs.dtype == np.float32
    theirs = theirs * np.sign((peer.components_ * axes).sum(1))
    lost = np.abs(theirs - expected).max(0) / expected.std(0)
    assert lost.max() > 0.1
    assert errors(node, cube, rows) < 1e-5


def test_a_map_in_front_is_taken_over():
    rows = rows_of(1e4, 0.5 * FLOAT32_LIMIT)
    raw = torch.from_numpy(rows).view(1, 40, -1, BANDS)
    scale = torch.linspace(0.9, 1.1, BANDS, dtype=torch.float64)
    offset = torch.linspace(-5e3, 5e3, BANDS, dtype=torch.float64)
    lazy = LazyAffine(raw, scale, offset, torch.float32)
    mapped = torch.from_numpy(rows).double() * scale + offset
    node = fit(TrainablePCA(COMPONENTS, num_channels=BANDS), [{"data": lazy}])
    assert errors(node, lazy, mapped.numpy()) < 1e-5


@pytest.mark.parametrize("ratio", [1.2 * FLOAT32_LIMIT, 1e3])
def test_beyond_the_limit_float64_is_used(ratio):
    rows = rows_of(1e4, ratio)
    node, cube = fitted(rows)
    assert not node._float32_suffices(cube)
    found = node(data=cube)["projected"].reshape(-1, COMPONENTS).double()
    wide = torch.from_numpy(rows).double()
    expected = ((wide - node.center) @ node.directions.T).detach()
    assert ((found - expected).abs().amax(0) / node.variances.sqrt()).max() < 1e-6
