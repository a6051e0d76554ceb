"""The run file that ends in objects: its metrics, jobs, and a scene in tiles."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import specloom
from specloom.execution import run_folder
from specloom_jobs import Here
from specloom_predict import Predictor, predict, tiled_run

CONFIG = Path(__file__).parents[1] / "configs/objects.yaml"


@pytest.fixture(scope="module")
def run():
    run = specloom.load(CONFIG, device="cpu")
    run.run()
    return run


def test_objects_are_found_and_single_pixels_are_not(run):
    metrics = run.metrics["test"]
    assert metrics["found/object_precision"] == 1
    assert metrics["found/object_recall"] > 0.7
    assert metrics["regions/aupro"] > 0.95
    assert metrics["regions/false_alarm_rate_at_tpr"] < 0.1
    assert metrics["images/anomalous_images"] + metrics["images/clean_images"] == 8
    assert metrics["images/escape_rate"] <= metrics["images/escape_rate_high"] < 1
    raw = specloom.load(CONFIG, ["nodes.large.config.pixels=1"], device="cpu")
    raw.run()
    assert raw.metrics["test"]["found/object_precision"] < 0.8


def test_jobs_give_the_same_metrics(run):
    by_jobs = specloom.load(CONFIG, device="cpu")
    by_jobs.executor = Here()
    by_jobs.run()
    assert by_jobs.metrics == run.metrics
    assert "in_this_process" not in by_jobs.record


def test_a_scene_in_tiles_and_strips_has_the_decisions_of_the_whole(run, tmp_path, monkeypatch):
    run_folder.write(run, tmp_path / "run")
    cubes = [batch["cube"] for batch in run.source.batches("test")]
    scene = np.concatenate(list(np.concatenate(cubes)), axis=0)
    np.save(tmp_path / "scene.npy", scene)
    predictor = Predictor(tmp_path / "run", device="cpu")
    whole = predict(predictor, tmp_path / "scene.npy")
    assert 5 < whole.arrays["decisions"].sum() < whole.arrays["decisions"].size / 10
    monkeypatch.setattr(tiled_run, "STRIP_PIXELS", scene.shape[1] * 5)
    # 60 kB are a few pixels at each side of the margin; no map is in memory as a whole.
    made = predict(
        predictor,
        tmp_path / "scene.npy",
        tmp_path / "out",
        ["npy", "csv"],
        memory=0,
        tile_bytes=60_000,
    )
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(made.arrays[name], array)
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(made.files)
    with made.files["decisions_objects.csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["pixels"]) for row in rows) == whole.arrays["decisions"].sum()
    assert min(int(row["pixels"]) for row in rows) >= 4
    with made.files["decisions_spectra.csv"].open(newline="") as file:
        spectra = list(csv.reader(file))
    assert len(spectra) == len(rows) + 1
    assert len(spectra[0]) == scene.shape[2] + 1
