"""A threshold for a false-alarm rate: in the terminal, the results and the saved pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import specloom
from specloom import Pipeline
from specloom.cli import cli

ROOT = Path(__file__).parents[1]
STATISTICAL = ROOT / "configs/rx_statistical.yaml"
SMALL = ("data.config.scenes=12", "data.config.height=32", "data.config.width=32")


def run(out: Path, calibrate: str, *more: str):
    overrides = [*SMALL, f"phases.1.config={calibrate}", *more]
    options = [word for one in overrides for word in ("--set", one)]
    arguments = ["run", str(STATISTICAL), *options, "--out", str(out)]
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


@pytest.mark.filterwarnings("ignore:.*the threshold of decider for a false-alarm rate")
@pytest.mark.parametrize("method", ["empirical", "chi_square", "peaks_over_threshold"])
def test_a_run_reports_the_threshold_everywhere(tmp_path, method):
    out = tmp_path / "out"
    found = run(out, f"{{decider: decider, false_alarm_rate: 4e-3, method: {method}, tail: 0.1}}")
    assert found.exit_code == 0, found.output
    (one,) = json.loads((out / "run.json").read_text())["calibrations"]
    assert (one["decider"], one["split"], one["method"]) == ("decider", "val", method)
    assert one["extrapolated"] == (one["expected_exceedances"] < 10)
    line = f"fitted decider: {one['summary']}"
    assert line in found.stderr.splitlines()
    low, high = one["interval"]
    assert f"for 0.004 of the normal pixels (95% interval {low:.2g} to {high:.2g})" in line
    metrics = json.loads((out / "metrics.json").read_text())["val"]
    assert metrics["decider/threshold"] == one["threshold"]
    assert metrics["decider/false_alarm_rate"] == 0.004
    assert metrics["decider/false_alarm_rate_low"] == low
    assert metrics["decider/exceedances"] == one["exceedances"]
    shown = f"<li>decider on val: {one['summary']}</li>"
    assert shown in (out / "report.html").read_text()
    decider = Pipeline.load(out / "pipeline.yaml").graph().nodes["decider"]
    assert decider.logit_threshold == one["threshold"]


def test_a_threshold_by_a_metric_is_reported_too(tmp_path):
    out = tmp_path / "out"
    found = run(out, "{decider: decider, metric: iou}")
    (one,) = json.loads((out / "run.json").read_text())["calibrations"]
    assert one["thresholds"].keys() == {"logit_threshold"}
    assert f"fitted decider: {one['summary']}" in found.stderr.splitlines()
    metrics = json.loads((out / "metrics.json").read_text())["val"]
    assert metrics["metrics/iou"] == metrics["decider/calibrated_iou"] == one["value"]


def test_a_scene_has_the_same_pixels_in_all_splits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("scene.npz", cube=rng.normal(10, 1, (40, 30, 6)).astype("float32"))
    phases = (
        "[{type: training.StatisticalTrainer}, {type: training.Calibrate, config: {decider: "
        "decider, false_alarm_rate: 0.01}}, {type: training.Evaluate, config: {split: test}}]"
    )
    overrides = [
        "data.config.cube=scene.npz",
        f"phases={phases}",
    ]
    loaded = specloom.load(ROOT / "configs/rx_scene.yaml", overrides)
    with pytest.raises(specloom.DataError) as caught:
        loaded.run()
    assert caught.value.what == (
        "the threshold of decider is calibrated on 'val', and the test split has 1 of the same "
        "images, by their pixels: its metrics would be too good"
    )
    assert caught.value.where.endswith("rx_scene.yaml:11")
