"""Detectors of known targets on published scenes, against other packages and plain float64."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from sklearn.metrics import roc_auc_score
from spectral import ace, calc_stats, matched_filter, spectral_angles

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

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
GOLDEN = json.loads((Path(__file__).parent / "golden/pysptools.json").read_text("utf-8"))
# With the mean of the truth as target and all pixels as background: matched filter and CEM, the
# squared ACE, the spectral angle.
AUC = {
    "abu/abu-airport-1.mat": (0.971, 0.952, 0.684),
    "abu/abu-airport-4.mat": (0.999, 0.999, 0.969),
    "abu/abu-urban-1.mat": (1.000, 1.000, 0.995),
    "abu/abu-urban-4.mat": (0.999, 0.995, 0.755),
    "sandiego/sandiego_plane.mat": (0.998, 0.995, 0.993),
    "hydice/HYDICE_urban.mat": (1.000, 1.000, 0.969),
}
HYDICE = "hydice/HYDICE_urban.mat"


def scene(name):
    content = loadmat(DATA / name)
    return content["data"].astype(np.float32), content["map"] > 0


def batch_of(cube, mask):
    return {"data": torch.from_numpy(cube)[None], "mask": torch.from_numpy(mask)[None, ..., None]}


def fitted(cls, cube, mask, **parameters):
    return fit(cls(num_channels=cube.shape[2], **parameters), [batch_of(cube, mask)])


def scored(node, cube, port="scores"):
    # In float64, so that the comparison is not with rounded numbers.
    data = torch.from_numpy(cube.astype(np.float64))[None]
    return run(node, {"data": data})[port][0].numpy()


def auc(scores, mask):
    return round(roc_auc_score(mask.ravel(), scores.ravel()), 3)


@pytest.mark.parametrize("name", AUC)
def test_auc_and_scores_of_spy(name):
    cube, mask = scene(name)
    wide = cube.astype(np.float64)
    target = wide[mask].mean(0)
    background = calc_stats(wide)
    options = {"exclude_targets": False, "eps": 0.0}
    filtered = scored(fitted(MatchedFilter, cube, mask, **options), cube)
    want = matched_filter(wide, target, background)
    np.testing.assert_allclose(filtered[..., 0], want, rtol=1e-6, atol=1e-6)
    squared = scored(fitted(ACE, cube, mask, squared=True, **options), cube)
    want = ace(wide, target, background=background)
    np.testing.assert_allclose(squared[..., 0], want, rtol=1e-6, atol=1e-6)
    signed = scored(fitted(ACE, cube, mask, **options), cube)
    np.testing.assert_allclose(signed**2, squared, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(np.sign(signed), np.sign(filtered))
    node = fitted(SpectralAngle, cube, mask)
    angles = scored(node, cube, "angles")
    want = spectral_angles(wide, target[None])
    np.testing.assert_allclose(angles, want, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(scored(node, cube), -angles)
    energy = scored(fitted(CEM, cube, mask, exclude_targets=False), cube)
    found = (auc(filtered, mask), auc(squared, mask), auc(-angles, mask))
    assert found == AUC[name]
    assert auc(energy, mask) == AUC[name][0]


@pytest.mark.parametrize("name", AUC)
def test_cem_osp_and_divergence_equal_float64_loops(name, tmp_path):
    cube, mask = scene(name)
    pixels = cube.astype(np.float64).reshape(-1, cube.shape[2])
    target = pixels[mask.ravel()].mean(0)
    chosen = np.random.default_rng(0).choice(len(pixels), 200, replace=False)
    correlation = np.linalg.inv(pixels.T @ pixels / len(pixels))
    got = scored(fitted(CEM, cube, mask, exclude_targets=False, eps=0.0), cube).ravel()
    energy = target @ correlation @ target
    for one in chosen:
        want = target @ correlation @ pixels[one] / energy
        assert got[one] == pytest.approx(want, rel=1e-6, abs=1e-6)
    undesired = pixels[[0, 3000]]
    write_spectra(Spectra(("first", "second"), undesired), tmp_path / "undesired.csv")
    node = fitted(OSP, cube, mask, undesired=tmp_path / "undesired.csv")
    got = scored(node, cube).ravel()
    projection = np.eye(len(target)) - undesired.T @ np.linalg.pinv(undesired.T)
    for one in chosen:
        want = target @ projection @ pixels[one] / (target @ projection @ target)
        assert got[one] == pytest.approx(want, rel=1e-6, abs=1e-6)
    node = fitted(SpectralInformationDivergence, cube, mask)
    got = scored(node, cube, "divergences").ravel()
    q = np.maximum(target / target.sum(), np.finfo(np.float64).eps)
    for one in chosen:
        p = np.maximum(pixels[one] / pixels[one].sum(), np.finfo(np.float64).eps)
        want = (p * np.log(p / q)).sum() + (q * np.log(q / p)).sum()
        assert got[one] == pytest.approx(want, rel=1e-6, abs=1e-9)
    floored = int((pixels / pixels.sum(1, keepdims=True) < np.finfo(np.float64).eps).sum())
    assert int(node.floored) == floored
    assert (f"{floored} values raised to machine epsilon" in node.fit_summary()) == (floored > 0)


def test_cem_osp_and_divergence_equal_pysptools(tmp_path):
    cube, mask = scene(HYDICE)
    pixels = cube.astype(np.float64).reshape(-1, cube.shape[2])
    undesired = Spectra(("a", "b", "c"), pixels[GOLDEN["undesired"]])
    write_spectra(undesired, tmp_path / "undesired.sli")
    chosen = GOLDEN["pixels"]
    node = fitted(CEM, cube, mask, exclude_targets=False, eps=0.0)
    got = scored(node, cube).ravel()[chosen]
    np.testing.assert_allclose(got, GOLDEN["CEM"], rtol=1e-6, atol=1e-6)
    node = fitted(OSP, cube, mask, undesired=tmp_path / "undesired.sli")
    got = scored(node, cube).ravel()[chosen]
    np.testing.assert_allclose(got, GOLDEN["OSP"], rtol=1e-6, atol=1e-6)
    node = fitted(SpectralInformationDivergence, cube, mask)
    got = scored(node, cube, "divergences").ravel()[chosen]
    np.testing.assert_allclose(got, GOLDEN["SID"], rtol=1e-6, atol=1e-9)


def test_targets_are_excluded_from_the_background_by_default():
    cube, mask = scene(HYDICE)
    pixels = cube.astype(np.float64).reshape(-1, cube.shape[2])
    node = fitted(MatchedFilter, cube, mask, eps=0.0)
    assert node.pixels == int((~mask).sum())
    background = pixels[~mask.ravel()]
    inverse = np.linalg.inv(np.cov(background.T))
    gap = pixels[mask.ravel()].mean(0) - background.mean(0)
    want = (pixels - background.mean(0)) @ inverse @ gap / (gap @ inverse @ gap)
    np.testing.assert_allclose(scored(node, cube).ravel(), want, rtol=1e-6, atol=1e-6)
