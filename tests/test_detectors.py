"""Detectors in a run file: fits by jobs, and a scene in tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import specloom
from specloom.execution import run_folder
from specloom_jobs import Here
from specloom_predict import Predictor, predict

ROOT = Path(__file__).parents[1]
SYNTHETIC = ROOT / "configs/rx_statistical.yaml"
DETECTORS = {
    "RobustRX": "nodes.rx.type=rx.RobustRX",
    "CoresetNeighbours": "nodes.rx.type=neighbours.CoresetNeighbours",
    "Estimator": "nodes.rx.type=outliers.Estimator",
}


def load(name):
    settings = [DETECTORS[name], "data.config.scenes=16"]
    return specloom.load(SYNTHETIC, settings, device="cpu")


@pytest.mark.parametrize("name", DETECTORS)
def test_jobs_give_the_same_metrics(name):
    run = load(name)
    run.run()
    by_jobs = load(name)
    by_jobs.executor = Here()
    by_jobs.run()
    assert by_jobs.metrics == run.metrics
    assert not by_jobs.record.get("notes")


@pytest.mark.parametrize("name", ["CoresetNeighbours", "Estimator"])
def test_a_scene_in_tiles_has_the_scores_of_the_whole(name, tmp_path):
    run = load(name)
    run.run()
    run_folder.write(run, tmp_path / "run")
    cubes = [batch["cube"] for batch in run.source.batches("test")]
    scene = np.concatenate(list(np.concatenate(cubes)), axis=0)
    np.save(tmp_path / "scene.npy", scene)
    predictor = Predictor(tmp_path / "run", device="cpu")
    whole = predict(predictor, tmp_path / "scene.npy")
    made = predict(
        predictor, tmp_path / "scene.npy", tmp_path / "out", ["npy"], memory=0, tile_bytes=400_000
    )
    for output, array in whole.arrays.items():
        np.testing.assert_array_equal(made.arrays[output], array)
