import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat
from sklearn.metrics import mutual_info_score, roc_auc_score

from specloom_mrmr.exact import exact_auc, exact_fisher, exact_information
from specloom_mrmr.full_spectrum import SupervisedFullSpectrumBandSelector
from specloom_mrmr.relevance import correlation
from specloom_statistics import Moments

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
needs_scenes = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")


def fitted(cubes, masks, valid=None, **params):
    node = SupervisedFullSpectrumBandSelector(num_spectral_bands=cubes[0].shape[-1], **params)
    for pass_ in range(2):
        node.fit_start(pass_)
        for i, (cube, mask) in enumerate(zip(cubes, masks, strict=True)):
            keep = None if valid is None else valid[i]
            node.fit_update(cube=cube, mask=mask, valid=keep)
        node.fit_end()
    return node


def salinas():
    cube = loadmat(DATA / "salinas_a/SalinasA_corrected.mat")["salinasA_corrected"]
    truth = loadmat(DATA / "salinas_a/SalinasA_gt.mat")["salinasA_gt"]
    return cube.astype(np.float32), truth == 10, truth > 0


def san_diego():
    raw = np.fromfile(DATA / "envi_sandiego/SDData", "<i2").reshape(189, 90, 90)
    truth = np.array(Image.open(DATA / "envi_sandiego/SDDataGt.bmp")) > 0
    return raw.transpose(1, 2, 0).astype(np.float32), truth, np.ones_like(truth)


def random(offset=0.0, pixels=40_000, bands=12, share=0.2, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.random(pixels) < share
    mixed = rng.normal(size=(pixels, bands)) @ (np.eye(bands) + 0.3 * rng.normal(size=(bands,) * 2))
    rows = mixed + labels[:, None] * np.linspace(-1, 1, bands) + offset
    shape = (200, pixels // 200)
    return (
        rows.astype(np.float32).reshape(*shape, bands),
        labels.reshape(shape),
        np.ones(shape, bool),
    )


SCENES = [
    pytest.param(salinas, marks=needs_scenes),
    pytest.param(san_diego, marks=needs_scenes),
    random,
    pytest.param(lambda: random(1e4), id="offset of 1e4"),
    pytest.param(lambda: random(1e4, pixels=200_000, share=0.001), id="rare"),
    pytest.param(lambda: random(1e4, pixels=100_000, share=0.5), id="balanced"),
]


@pytest.mark.parametrize("scene", SCENES)
def test_scores_equal_independent_ones(scene):
    cube, truth, valid = scene()
    tensors = [torch.from_numpy(array) for array in (cube, truth[..., None], valid[..., None])]
    node = fitted(*([tensor[None]] for tensor in tensors), winsorize=None)
    rows, labels = cube[valid], truth[valid]
    wide = rows.astype(np.float64)
    one, other = wide[labels], wide[~labels]
    want = (one.mean(0) - other.mean(0)) ** 2 / (one.var(0) + other.var(0))
    np.testing.assert_allclose(node.fisher_scores, want, rtol=1e-5)
    np.testing.assert_allclose(exact_fisher(rows, labels), want, rtol=1e-12)
    areas = np.array([roc_auc_score(labels, band) for band in rows.T])
    areas = np.maximum(areas, 1 - areas)
    np.testing.assert_allclose(exact_auc(rows, labels), areas, atol=1e-12)
    assert float(node.auc_bounds.max()) <= 1e-4
    assert (np.abs(node.auc_scores.numpy() - areas) <= node.auc_bounds.numpy() + 1e-12).all()
    edges = node.mi_edges.numpy()
    bits = [
        mutual_info_score(labels, np.digitize(band, limits)) / np.log(2)
        for band, limits in zip(rows.T, edges, strict=True)
    ]
    np.testing.assert_allclose(node.mi_scores, bits, atol=1e-12)
    np.testing.assert_allclose(exact_information(rows, labels, edges), bits, atol=1e-9)
    assert node.pixels == len(rows)
    assert node.class_pixels.tolist() == [(~labels).sum(), labels.sum()]


@needs_scenes
@pytest.mark.parametrize("scene", [salinas, san_diego])
def test_by_default_fishers_score_is_of_values_limited_to_quantiles(scene):
    cube, truth, valid = scene()
    tensors = [torch.from_numpy(array) for array in (cube, truth[..., None], valid[..., None])]
    node = fitted(*([tensor[None]] for tensor in tensors))
    rows = cube[valid].astype(np.float64)
    limited = np.clip(rows, *np.quantile(rows, [0.001, 0.999], axis=0))
    one = limited[truth[valid]]
    other = limited[~truth[valid]]
    want = (one.mean(0) - other.mean(0)) ** 2 / (one.var(0) + other.var(0))
    np.testing.assert_allclose(node.fisher_scores, want, rtol=1e-5)


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_the_bins_of_the_information_hold_equal_shares(share):
    cube, truth, _ = random(share=share)
    node = fitted([torch.from_numpy(cube)[None]], [torch.from_numpy(truth)[None, ..., None]])
    for band, edges in zip(cube.reshape(-1, 12).T, node.mi_edges.numpy(), strict=True):
        counts = np.bincount(np.digitize(band, edges), minlength=32)
        assert np.abs(counts / len(band) - 1 / 32).max() < 5e-4


@pytest.mark.parametrize(
    "values", ["whole numbers", "few numbers", "mostly zero", "lognormal", "hot"]
)
def test_the_bound_holds_for_any_distribution(values):
    rng = np.random.default_rng(1)
    labels = rng.random(150_000) < 0.1
    rows = rng.normal(size=(len(labels), 3)) + 0.5 * labels[:, None]
    if values == "whole numbers":
        rows = (1500 * rows).round()
    elif values == "few numbers":
        rows = rows.round()
    elif values == "mostly zero":
        rows[rng.random(rows.shape) < 0.9] = 0
    elif values == "lognormal":
        rows = np.exp(5 * rows)
    else:
        rows[:20] = 1e30
    rows = rows.astype(np.float32)
    cube, mask = torch.from_numpy(rows)[None, None], torch.from_numpy(labels)[None, None, :, None]
    node = fitted([cube], [mask])
    error = np.abs(node.auc_scores.numpy() - exact_auc(rows, labels))
    assert (error <= node.auc_bounds.numpy() + 1e-12).all()
    assert float(node.auc_bounds.max()) <= 1e-4
    if values == "few numbers":
        assert float(node.auc_bounds.max()) == 0


def test_correlation_equals_numpy():
    cube, _, _ = random(1e4)
    rows = torch.from_numpy(cube).view(-1, 12)
    moments = Moments(12)
    moments.update(rows)
    want = np.abs(np.corrcoef(rows.double().numpy().T))
    np.testing.assert_allclose(correlation(moments), want, atol=1e-10)
