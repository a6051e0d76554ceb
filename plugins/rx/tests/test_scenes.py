"""Global RX on published scenes: the AUC of the literature, and the scores of another package."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat
from sklearn.metrics import roc_auc_score
from spectral import calc_stats, rx

from specloom.testing import fit, run
from specloom_rx.detector import RXGlobal
from specloom_rx.per_batch import RXPerBatch

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
AUC = {
    "abu/abu-airport-1.mat": 0.8221,
    "abu/abu-airport-4.mat": 0.9526,
    "abu/abu-urban-1.mat": 0.9907,
    "abu/abu-urban-4.mat": 0.9887,
    "sandiego/sandiego_plane.mat": 0.9403,
    "hydice/HYDICE_urban.mat": 0.9857,
    "envi_sandiego/SDData": 0.9106,
}


def scene(name):
    if name.endswith(".mat"):
        content = loadmat(DATA / name)
        return content["data"].astype(np.float32), content["map"] > 0
    bands = np.memmap(DATA / name, dtype="<i2", mode="r", shape=(189, 90, 90))
    with Image.open(DATA / f"{name}Gt.bmp") as picture:
        mask = np.asarray(picture) > 0
    return np.ascontiguousarray(bands.transpose(1, 2, 0), dtype=np.float32), mask


@pytest.mark.parametrize("name", AUC)
def test_published_auc_and_scores_of_spy(name):
    cube, mask = scene(name)
    batch = {"data": torch.from_numpy(cube)[None]}
    bare = run(fit(RXGlobal(eps=0.0, num_channels=cube.shape[2]), [batch]), batch)["scores"]
    wide = cube.astype(np.float64)
    np.testing.assert_allclose(bare[0, ..., 0], rx(wide, background=calc_stats(wide)), rtol=1e-5)
    assert round(roc_auc_score(mask.ravel(), bare.flatten()), 4) == AUC[name]
    usual = run(fit(RXGlobal(num_channels=cube.shape[2]), [batch]), batch)["scores"]
    assert roc_auc_score(mask.ravel(), usual.flatten()) == pytest.approx(AUC[name], abs=1e-3)
    alone = run(RXPerBatch(eps=0.0, num_channels=cube.shape[2]), batch)["scores"]
    np.testing.assert_allclose(alone, bare, rtol=1e-5)


def test_leaving_out_the_anomalies_raises_their_scores():
    cube, mask = scene("abu/abu-airport-4.mat")
    batch = {"data": torch.from_numpy(cube)[None], "mask": torch.from_numpy(mask)[None, ..., None]}
    node = fit(RXGlobal(cube.shape[2]), [batch])
    assert node.pixels == int((~mask).sum())
    scores = run(node, {"data": batch["data"]})["scores"].flatten()
    assert roc_auc_score(mask.ravel(), scores) > AUC["abu/abu-airport-4.mat"]


def test_a_changed_unit_of_a_band_changes_nothing():
    cube, _ = scene("hydice/HYDICE_urban.mat")
    units = 2.0 ** (torch.arange(cube.shape[2]) % 17 - 8)
    one = {"data": torch.from_numpy(cube)[None]}
    other = {"data": one["data"] * units}
    scores = [run(fit(RXGlobal(cube.shape[2]), [batch]), batch)["scores"] for batch in (one, other)]
    torch.testing.assert_close(*scores, rtol=1e-6, atol=0)
