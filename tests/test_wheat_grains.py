"""Grains on a ground of exact zeros: what an evaluation says of them, and a run file for them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

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
