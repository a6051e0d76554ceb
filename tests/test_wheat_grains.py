"""Grains on a ground of exact zeros: what an evaluation says of them, and a run file for them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from specloom.cli import cli
from specloom_cubes import open_cube

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi")) / "wheat_grains"
CONFIG = ROOT / "configs/wheat_grains.yaml"
pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there"),
    pytest.mark.filterwarnings("always::UserWarning"),  # the console shows them
]


def run(folder, out, *settings):
    arguments = ["run", str(CONFIG), "--out", str(out), "--set", f"data.config.path={folder}"]
    for setting in settings:
        arguments += ["--set", setting]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stderr


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """The grains with masks: one pixel in fifty of a grain is called an anomaly, by chance."""
    folder = tmp_path_factory.mktemp("wheat") / "wheat"
    shutil.copytree(DATA, folder)
    generator = np.random.default_rng(0)
    for header in sorted(folder.glob("*.hdr")):
        pixels = np.asarray(open_cube(str(header)).clean())
        is_grain = (pixels != 0).any(-1)
        is_anomalous = is_grain & (generator.random(is_grain.shape) < 0.02)
        np.save(header.with_name(f"{header.stem}_gt.npy"), is_anomalous.astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def on_noise(tmp_path_factory):
    """The grains on a ground of noise, each with a picture of where the grain is."""
    folder = tmp_path_factory.mktemp("noise") / "wheat"
    folder.mkdir()
    generator = np.random.default_rng(1)
    for header in sorted(DATA.glob("*.hdr")):
        pixels = np.asarray(open_cube(str(header)).clean()).copy()
        is_ground = (pixels == 0).all(-1)
        pixels[is_ground] = generator.normal(scale=0.01, size=(is_ground.sum(), 10))
        np.save(folder / f"{header.stem}.npy", pixels)
        roi = np.where(is_ground, 0, 255).astype(np.uint8)
        Image.fromarray(roi).save(folder / f"{header.stem}_roi.png")
    return folder


def predict(run, cubes, out, *options):
    arguments = ["predict", str(run), str(cubes), "--out", str(out), *options]
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def test_the_ground_that_a_file_states_is_no_part_of_fit_decisions_and_prediction(
    tmp_path, on_noise
):
    """With the same pixels as a ground of zeros that its value excludes."""
    cubes = tmp_path / "cubes"
    shutil.copytree(on_noise, cubes)
    no_value = "nodes.data.config.background=null"
    text = run(cubes, tmp_path / "run", no_value, "data.config.valid='*_roi.png'")
    assert "fitted rx: 10 bands, 25471 pixels (54529 excluded)" in text
    out = tmp_path / "out"
    result = predict(tmp_path / "run", cubes, out)
    assert result.exit_code == 0, result.output
    assert "4 cubes predicted, 0 up to date, 0 failed" in result.stderr
    for cube in sorted(cubes.glob("*.npy")):
        is_grain = np.asarray(Image.open(cube.with_name(f"{cube.stem}_roi.png"))) > 0
        folder = out / cube.stem
        assert not np.load(folder / "decisions.npy").squeeze()[~is_grain].any()
        assert np.array_equal(np.isfinite(np.load(folder / "scores.npy").squeeze()), is_grain)
        record = json.loads((folder / "predict.json").read_text())
        assert record["unjudged"] == int((~is_grain).sum())
        assert record["domain"]["reasons"] == []


def test_a_new_cube_whose_file_is_missing_or_changed(tmp_path, on_noise):
    cubes = tmp_path / "cubes"
    shutil.copytree(on_noise, cubes)
    no_value = "nodes.data.config.background=null"
    run(cubes, tmp_path / "run", no_value, "data.config.valid='*_roi.png'")
    first, second, *_ = sorted(cubes.glob("*.npy"))
    out = tmp_path / "out"
    assert predict(tmp_path / "run", first, out).exit_code == 0
    assert "1 up to date" in predict(tmp_path / "run", first, out).stderr
    roi = cubes / f"{first.stem}_roi.png"
    Image.fromarray(np.full((200, 200), 255, np.uint8)).save(roi)
    assert "1 cube predicted, 0 up to date" in predict(tmp_path / "run", first, out).stderr
    record = json.loads((out / first.stem / "predict.json").read_text())
    assert record["unjudged"] == 0
    missing = cubes / f"{second.stem}_roi.png"
    missing.unlink()
    for options in ([], ["--dry-run"]):
        result = predict(tmp_path / "run", second, out, *options)
        assert result.exit_code == 2
        assert (
            f"{second}: no file *_roi.png says which pixels count of: {second.stem}\n"
            f"  fix: add {missing.name}, or change valid (on the command line --valid)\n"
        ) in result.stderr


def test_files_of_valid_pixels_among_the_inputs_are_no_cubes(tmp_path, on_noise):
    """Arrays too, as a pattern of the shell names them with the cubes."""
    cubes = tmp_path / "cubes"
    cubes.mkdir()
    for cube in sorted(on_noise.glob("*.npy")):
        shutil.copy(cube, cubes / cube.name)
        roi = np.asarray(Image.open(cube.with_name(f"{cube.stem}_roi.png")))
        np.save(cubes / f"{cube.stem}_roi.npy", roi)
    no_value = "nodes.data.config.background=null"
    run(cubes, tmp_path / "run", no_value, "data.config.valid='*_roi.npy'")
    files = sorted(str(path) for path in cubes.glob("*.npy"))
    assert len(files) == 8
    for inputs in ([str(cubes)], files):
        out = tmp_path / f"out{len(inputs)}"
        arguments = ["predict", str(tmp_path / "run"), *inputs, "--out", str(out), "--dry-run"]
        result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert "4 cubes to predict, 0 up to date, 0 failed" in result.stderr


def test_a_file_for_one_scene_says_nothing_of_other_cubes(tmp_path, on_noise):
    cube = sorted(on_noise.glob("*.npy"))[0]
    roi = on_noise / f"{cube.stem}_roi.png"
    data = f"{{type: cubes.Scene, config: {{cube: {cube}, valid: {roi}}}}}"
    phases = "[{type: training.StatisticalTrainer}]"
    out = tmp_path / "run"
    settings = [f"data={data}", f"phases={phases}", "nodes.data.config.background=null"]
    arguments = ["run", str(CONFIG), "--out", str(out)]
    for setting in settings:
        arguments += ["--set", setting]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    result = predict(out, cube, tmp_path / "out")
    assert (
        f"note: {cube}: {roi} excluded pixels from the fit, and says nothing of other cubes: "
        "theirs all count"
    ) in result.stderr
    fix = "fix: use --valid with the files of these cubes, such as '*_roi.png', where * is"
    assert fix in result.stderr


def test_the_ground_is_no_part_of_fit_decisions_and_prediction(tmp_path):
    text = run(DATA, tmp_path / "run")
    assert "fitted rx: 10 bands, 25471 pixels (54529 excluded)" in text
    assert "one and the same spectrum" not in text
    header = sorted(DATA.glob("var4*.hdr"))[0]
    arguments = ["predict", str(tmp_path / "run"), str(header), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (folder,) = [path.parent for path in (tmp_path / "out").rglob("valid.npy")]
    pixels = np.asarray(open_cube(str(header)).clean())
    is_ground = (pixels == 0).all(-1)
    assert np.array_equal(np.load(folder / "valid.npy").squeeze(), ~is_ground)
    assert not np.load(folder / "decisions.npy").squeeze()[is_ground].any()


def test_a_ground_that_counts_is_warned_of(tmp_path):
    text = run(DATA, tmp_path / "run", "nodes.data.config.background=null")
    assert "27,173 of 40,000 pixels of an image have one and the same spectrum" in text
    assert "fix: set background: 0 at the data node" in text


def test_a_high_recall_of_scores_that_say_nothing_is_warned_of(tmp_path, labelled):
    text = run(labelled, tmp_path / "run", "nodes.decider.config.threshold=0.005")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())["test"]
    assert metrics["metrics/recall"] > 0.99
    assert metrics["metrics/roc_auc"] < 0.6
    assert "of the pixels are decided as anomalies" in text
    assert "fix: calibrate the threshold with training.Calibrate" in text
