"""The run file of a known target: its metrics, jobs, and a scene in tiles without its files."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio

import specloom
from specloom.execution import run_folder
from specloom_cubes import Spectra
from specloom_jobs import Here
from specloom_predict import Predictor, predict
from specloom_targets import write_spectra

CONFIG = Path(__file__).parents[1] / "configs/targets.yaml"
SMALL = ["data.config.scenes=12", "data.config.height=40", "data.config.width=40"]


@pytest.fixture(scope="module")
def run():
    run = specloom.load(CONFIG, SMALL, device="cpu")
    run.run()
    return run


def test_the_target_is_found(run):
    assert run.metrics["test"]["metrics/roc_auc"] > 0.99
    assert run.metrics["test"]["metrics/average_precision"] > 0.9
    assert run.graph.nodes["filter"].target_names == ["plastic"]


def test_jobs_give_the_same_metrics(run):
    by_jobs = specloom.load(CONFIG, SMALL, device="cpu")
    by_jobs.executor = Here()
    by_jobs.run()
    for name, value in run.metrics["test"].items():
        assert by_jobs.metrics["test"][name] == pytest.approx(value, abs=1e-9), name
    assert not by_jobs.record.get("notes")


def test_a_scene_in_tiles_scores_as_the_whole_without_the_file_of_targets(run, tmp_path):
    filter_ = run.graph.nodes["filter"]
    centres = np.linspace(430, 910, 61)
    spectra = np.stack([filter_.spectra[0].numpy(), np.linspace(0.1, 0.5, 61)])
    table = tmp_path / "table.csv"
    write_spectra(Spectra(("plastic", "sand"), spectra, centres), table)
    options = [
        f"nodes.filter.config.targets={table}",
        'nodes.filter.config.names=["plastic", "sand"]',
        "outputs.best=filter.best",
        "outputs.all=filter.scores",
    ]
    of_file = specloom.load(CONFIG, [*SMALL, *options], device="cpu")
    of_file.run()
    run_folder.write(of_file, tmp_path / "run")
    table.unlink()
    cubes = [batch["cube"] for batch in of_file.source.batches("test")]
    np.save(tmp_path / "scene.npy", np.concatenate(list(np.concatenate(cubes)), axis=0))
    predictor = Predictor(tmp_path / "run", device="cpu")
    whole = predict(predictor, tmp_path / "scene.npy")
    height, width = whole.arrays["best"].shape
    assert whole.arrays["all"].shape == (height, width, 2)
    out = tmp_path / "out"
    made = predict(predictor, tmp_path / "scene.npy", out, ["npy"], memory=0, tile_bytes=60_000)
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(made.arrays[name], array)
    files = predict(predictor, tmp_path / "scene.npy", tmp_path / "files", ["envi", "geotiff"])
    assert "band names = {all plastic, all sand}" in files.files["all.hdr"].read_text("utf-8")
    assert "band names = {best}" in files.files["best.hdr"].read_text("utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        file = rasterio.open(files.files["all.tif"])
    with file:
        assert file.descriptions == ("all plastic", "all sand")
