"""A camera above an unevenly lit belt: reflectance, RX and the domain measure, before and after."""

import json
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import specloom
from specloom import DataError
from specloom.testing import fit, run
from specloom_cubes import Reading, Synthetic, open_cube, write_captures
from specloom_cubes.synthetic.camera import PANEL, LineCamera
from specloom_predict import Predictor
from specloom_reflectance import Reflectance
from specloom_rx import RXGlobal

SCENES = 8
SIZE = 64
BANDS = 61
SEED = 7
CALIBRATION = {"panel": PANEL, "dark_kind": "offset"}


def scenes(bands=BANDS):
    return Synthetic(SCENES, SIZE, SIZE, bands, batch_size=1, seed=SEED, split=(1.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captures")
    return write_captures(folder, SCENES, SIZE, BANDS, SEED)


def test_reflectance_is_within_a_thousandth_of_the_truth(tmp_path):
    source = scenes()
    truth = next(source.batches("train"))["cube"][0].astype(float)
    camera = LineCamera(SIZE, source.wavelengths, noise=False, seed=SEED)
    rng = np.random.default_rng(0)
    full = np.full((32, SIZE, BANDS), PANEL)
    raw = camera.expose(truth, 2.0, rng)
    np.save(tmp_path / "white.npy", camera.expose(full, 1.0, rng))
    np.save(tmp_path / "dark.npy", camera.expose(0 * full, 2.0, rng))
    node = Reflectance(
        white=tmp_path / "white.npy",
        dark=tmp_path / "dark.npy",
        panel=PANEL,
        exposures={"raw": 2.0, "white": 1.0, "dark": 2.0},
        dark_kind="offset",
        num_channels=BANDS,
    )
    node.prepare("cpu")
    found = run(node, {"data": torch.as_tensor(raw.astype(np.float32))[None]})["reflectance"][0]
    # Light below 0, which noise makes in a synthetic scene, reaches no sensor.
    error = np.abs(found.numpy() - truth.clip(0))
    assert error.max() < 1e-3
    uneven = camera.light()
    assert uneven.max() / uneven.min() > 1.8


def auc(cubes, masks):
    """The ROC-AUC of RX that is fitted on all cubes."""
    batches = [{"data": torch.as_tensor(cube, dtype=torch.float32)[None]} for cube in cubes]
    node = fit(RXGlobal(num_channels=BANDS), batches)
    scores = [run(node, one)["scores"].flatten().numpy() for one in batches]
    is_anomalous = np.concatenate([mask.ravel() >= 2 for mask in masks])
    return roc_auc_score(is_anomalous, np.concatenate(scores))


def test_rx_finds_more_in_reflectance_than_in_counts(captures):
    counts = [open_cube(header).clean() for header in captures]
    reading = Reading(calibration=CALIBRATION)
    reflectance = [open_cube(header, reading=reading).clean() for header in captures]
    masks = [np.load(header.with_name(f"{header.stem}_gt.npy")) for header in captures]
    truth = [batch["cube"][0] for batch in scenes().batches("train")]
    of_counts = auc(counts, masks)
    of_reflectance = auc(reflectance, masks)
    of_truth = auc(truth, masks)
    assert of_counts < 0.88
    assert of_reflectance > 0.93
    assert of_reflectance - of_counts > 0.08
    assert abs(of_reflectance - of_truth) < 0.03


RUN = """
specloom: 1
data:
  type: cubes.Folder
  config:
    path: {path}
    pattern: "**/scene_*.hdr"
    split: [1.0, 0.0, 0.0]
    calibration: {calibration}
    bands: {bands}
nodes:
  data: {{type: cubes.AnomalyDataNode, config: {{normal_class_ids: [0, 1]}}}}
  rx: {{type: rx.RXGlobal}}
connections:
  - [data.cube, rx.data]
  - [data.valid, rx.valid]
phases:
  - {{type: training.StatisticalTrainer}}
outputs: {{scores: rx.scores}}
"""


def predictor(folder, captures, calibration=None, bands=None):
    """What is fitted on the captures, ready for others."""
    file = folder / "run.yaml"
    parts = {"calibration": calibration, "bands": bands}
    stated = {name: json.dumps(part) for name, part in parts.items()}
    file.write_text(RUN.format(path=captures[0].parents[2], **stated))
    run = specloom.load(file, device="cpu")
    run.run()
    return Predictor(run)


def measured(predictor, headers):
    """The domain measure of each capture, and the ROC-AUC of all."""
    found = [predictor.predict(header) for header in headers]
    masks = [np.load(header.with_name(f"{header.stem}_gt.npy")) >= 2 for header in headers]
    scores = np.concatenate([np.ravel(one["scores"]) for one in found])
    labels = np.concatenate([mask.ravel() for mask in masks])
    return [one.domain for one in found], roc_auc_score(labels, scores)


@pytest.fixture(scope="module")
def in_other_light(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dim")
    return write_captures(folder, 3, SIZE, BANDS, SEED + 1, light=0.5, edge=0.8)


def test_reflectance_is_alike_in_other_light_and_counts_are_not(captures, in_other_light, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # counts in a folder of a capture
        of_counts, auc_of_counts = measured(predictor(tmp_path, captures), in_other_light)
    calibrated = predictor(tmp_path, captures, CALIBRATION)
    of_reflectance, auc_of_reflectance = measured(calibrated, in_other_light)
    assert all("too dark" in one.reasons[0] for one in of_counts)
    assert all(one.level > 1 for one in of_counts)
    assert all(one.is_like and one.level < 0.6 for one in of_reflectance)
    assert auc_of_reflectance > auc_of_counts
    assert auc_of_reflectance > 0.95


def test_a_pipeline_of_one_camera_runs_on_another_through_resampling(captures, tmp_path):
    grid = tmp_path / "grid.csv"
    rows = [f"{centre},12" for centre in range(440, 905, 10)]
    grid.write_text("\n".join(["wavelength_nm,fwhm_nm", *rows]) + "\n")
    fitted = predictor(tmp_path, captures, CALIBRATION, {"resample": str(grid)})
    fine = write_captures(tmp_path / "fine", 3, SIZE, 91, SEED + 2)
    domains, auc_of_fine = measured(fitted, fine)
    assert all(one.is_like for one in domains)
    assert auc_of_fine > 0.9
    assert not fitted.predict(fine[0]).notes
    # Nine bands do not hold what the fitted spectra show; smooth spectra hide that from the domain
    # measure, so the resampling reports it.
    coarse = write_captures(tmp_path / "coarse", 3, SIZE, 9, SEED + 2)
    _, auc_of_coarse = measured(fitted, coarse)
    assert auc_of_coarse < 0.85
    (note,) = fitted.predict(coarse[0]).notes
    assert "47 of 47 bands are narrower than the spacing of the source" in note
    assert "resample to bands that are as wide" in note
    native = predictor(tmp_path, captures, CALIBRATION)
    with pytest.raises(DataError, match="has 91 bands, the pipeline was made for 61"):
        native.predict(fine[0])


NODES = """
specloom: 1
data:
  type: cubes.Scene
  config: {{cube: {cube}, find_mask: false}}
nodes:
  data: {{type: cubes.AnomalyDataNode, config: {{normal_class_ids: [0, 1]}}}}
  saturation: {{type: reflectance.Saturation, config: {{bits: 16}}}}
  dead: {{type: reflectance.DeadPixels}}
  reflectance: {{type: reflectance.Reflectance, config: {config}}}
  resample: {{type: reflectance.Resample, config: {{centres: {centres}, fwhm: 12}}}}
  rx: {{type: rx.RXGlobal}}
connections:
  - [data.cube, saturation.data]
  - [data.valid, saturation.valid]
  - [data.cube, dead.data]
  - [saturation.valid, dead.valid]
  - [dead.repaired, reflectance.data]
  - [saturation.valid, reflectance.valid]
  - [reflectance.reflectance, resample.data]
  - [data.wavelengths, resample.wavelengths]
  - [resample.resampled, rx.data]
  - [reflectance.valid, rx.valid]
phases:
  - {{type: training.StatisticalTrainer}}
outputs: {{scores: rx.scores}}
"""


def test_nodes_calibrate_a_capture_and_a_saved_pipeline_needs_no_reference(captures, tmp_path):
    header = captures[3]
    references = {}
    for name in ("white", "dark"):
        found = header.with_name(f"{name.upper()}REF_{header.name}")
        for file in (found, found.with_suffix(".raw")):
            (tmp_path / file.name).write_bytes(file.read_bytes())
        references[name] = str(tmp_path / found.name)
    config = references | CALIBRATION | {"exposures": {"raw": 2, "white": 1, "dark": 2}}
    file = tmp_path / "nodes.yaml"
    centres = [float(centre) for centre in range(440, 905, 10)]
    text = NODES.format(cube=header, config=json.dumps(config), centres=centres)
    file.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # counts in a folder of a capture
        run = specloom.load(file, device="cpu")
        run.run()
        run.save(tmp_path / "saved")
        whole = Predictor(run).predict(header)["scores"]
        for path in references.values():
            (tmp_path / path).unlink()
        tiled = Predictor(tmp_path / "saved").predict(header, tile_bytes=1 << 14)["scores"]
    np.testing.assert_array_equal(whole, tiled)
    mask = np.load(header.with_name(f"{header.stem}_gt.npy")) >= 2
    assert mask.any()
    assert roc_auc_score(mask.ravel(), np.ravel(whole)) > 0.9
