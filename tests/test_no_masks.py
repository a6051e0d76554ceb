"""Data without masks: what can be done is done, and what cannot is reported before any work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import specloom
from specloom import DataError, Pipeline, Plugins, SpecloomError
from specloom.cli import cli

ROOT = Path(__file__).parents[1]
OWN = ROOT / "examples/own_cubes/run.yaml"
SCENE = ROOT / "configs/rx_scene.yaml"
MAKE = ROOT / "examples/own_cubes/make_cubes.py"

UNCALIBRATED = (
    "the threshold of decider stays uncalibrated: the data has no mask in the split 'val'"
)
UNMEASURED = "the evaluation of 'test' is skipped: the data has no mask in the split 'test'"


shown = pytest.mark.filterwarnings("default:.*the data has no mask")
"""The command line shows such a warning, as outside of tests."""


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Path:
    """Eight cubes with masks beside them."""
    folder = tmp_path_factory.mktemp("labelled") / "cubes"
    subprocess.run([sys.executable, MAKE, folder, "8"], check=True, capture_output=True)
    return folder


@pytest.fixture
def cubes(labelled, tmp_path) -> Path:
    """The same eight, whose masks a test may remove."""
    return Path(shutil.copytree(labelled, tmp_path / "cubes"))


def unmask(cubes: Path, *names: str) -> None:
    """Remove the masks of these cubes, or of all."""
    for mask in cubes.glob("*.png"):
        if not names or mask.stem in names:
            mask.unlink()


def members(cubes: Path) -> dict[str, list[str]]:
    """The names of the cubes in each split of the run file."""
    source = specloom.load(OWN, [f"data.config.path={cubes}"]).source
    names = list(source.cubes())
    return {split: [names[i] for i in numbers] for split, numbers in source._divided().items()}


def called(*arguments: object):
    return CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)


def plain(text: str) -> list[str]:
    """The lines that begin with a warning."""
    lines = text.splitlines()
    return [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]


def test_check_tells_beforehand_what_will_be_skipped(cubes):
    unmask(cubes)
    found = called("check", OWN, "--set", f"data.config.path={cubes}")
    assert found.exit_code == 0
    assert [line.split(": ", 1)[1] for line in plain(found.stderr)] == [UNCALIBRATED, UNMEASURED]
    assert all(line.startswith(f"{OWN}:") for line in plain(found.stderr))


def test_nothing_is_said_of_cubes_with_masks(cubes):
    found = called("check", OWN, "--set", f"data.config.path={cubes}")
    assert plain(found.stderr) == []


@shown
def test_a_folder_without_masks_is_fitted_saved_and_applied(cubes, tmp_path):
    unmask(cubes)
    out = tmp_path / "out"
    found = called("run", OWN, "--set", f"data.config.path={cubes}", "--out", out)
    assert found.exit_code == 0
    assert plain(found.stderr) == [UNCALIBRATED, UNMEASURED]
    assert json.loads((out / "metrics.json").read_text()) == {}
    record = json.loads((out / "run.json").read_text())
    assert record["skipped"] == [UNCALIBRATED, UNMEASURED]
    assert record["ended"]
    assert called("report", out).exit_code == 0
    assert "stays uncalibrated" in (out / "report.html").read_text()
    applied = called("predict", out, cubes, "--out", tmp_path / "applied")
    assert applied.exit_code == 0
    assert len([*(tmp_path / "applied").glob("belt_*")]) == 8


def test_without_masks_every_finite_pixel_is_fitted(cubes):
    unmask(cubes)
    run = specloom.load(OWN, [f"data.config.path={cubes}"])
    with pytest.warns(UserWarning, match="uncalibrated|skipped"):
        run.run()
    rx = run.graph.nodes["rx"]
    files = [cubes / f"{name}.hdr" for name in members(cubes)["train"]]
    pixels = np.concatenate([read(file) for file in files])
    expected = pixels[np.isfinite(pixels).all(1)].mean(0)
    assert np.allclose(rx.background_mean.numpy(), expected, atol=1e-5)
    assert run.graph.nodes["decider"].threshold == 0.5


def read(file: Path) -> np.ndarray:
    from specloom_cubes.formats import open_cube

    cube = open_cube(file)
    return cube.clean().reshape(-1, cube.shape[2]).astype("float64")


def test_a_split_without_masks_is_skipped_and_the_others_are_not(cubes):
    unmask(cubes, *members(cubes)["test"])
    run = specloom.load(OWN, [f"data.config.path={cubes}"])
    with pytest.warns(UserWarning, match="the data has no mask") as caught:
        run.run()
    assert [str(one.message) for one in caught] == [UNMEASURED]
    assert [*run.metrics] == ["val"]
    assert run.metrics["val"].keys() == {"decider/calibrated_f1"}


def test_masks_of_the_test_split_alone_are_enough_to_measure_it(cubes):
    parts = members(cubes)
    unmask(cubes, *parts["train"], *parts["val"])
    run = specloom.load(OWN, [f"data.config.path={cubes}"])
    with pytest.warns(UserWarning, match="the data has no mask") as caught:
        run.run()
    assert [str(one.message) for one in caught] == [UNCALIBRATED]
    assert 0.8 < run.metrics["test"]["metrics/roc_auc"] <= 1


def scene_without_mask(tmp_path: Path) -> Path:
    path = tmp_path / "scene.npy"
    np.save(path, np.random.default_rng(0).normal(size=(20, 20, 5)).astype("float32"))
    return path


@shown
@pytest.mark.parametrize("source", ["cubes.Scene", "cubes.Blocks"])
def test_a_scene_without_a_mask_is_fitted_and_saved(tmp_path, source):
    path, out = scene_without_mask(tmp_path), tmp_path / "out"
    sets = ["--set", f"data.config.cube={path}", "--set", f"data.type={source}"]
    found = called("run", SCENE, *sets, "--out", out)
    assert found.exit_code == 0
    assert plain(found.stderr)[-1:] == [UNMEASURED]
    assert Pipeline.load(out / "pipeline.yaml").nodes["rx"].fitted


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        (
            "configs/bands/mrmr_cir.yaml",
            [
                "is fitted with 'mask', which comes from data.mask",
                "and the data has no mask in the split 'train'",
                "fix: use training data that has it",
            ],
        ),
        (
            "configs/channel_selector.yaml",
            [
                "cannot be minimised: the data has no mask in the split 'train'",
                "fix: use training data with masks, or remove",
            ],
        ),
    ],
    ids=["fit", "gradient"],
)
def test_a_phase_that_needs_masks_is_refused_before_any_work(cubes, config, parts):
    unmask(cubes)
    document = yaml.safe_load((ROOT / config).read_text())
    document["data"] = {"type": "cubes.Folder", "config": {"path": str(cubes)}}
    copy = cubes / "run.yaml"
    copy.write_text(yaml.safe_dump(document))
    with pytest.raises(SpecloomError) as caught:
        specloom.load(copy, plugins=Plugins.for_file(ROOT / config))
    for part in parts:
        assert part in str(caught.value)


def test_a_monitor_of_a_split_without_masks_is_refused_before_any_work(cubes):
    unmask(cubes, *members(cubes)["val"])
    file = ROOT / "configs/channel_selector.yaml"
    document = yaml.safe_load(file.read_text())
    document["data"] = {"type": "cubes.Folder", "config": {"path": str(cubes)}}
    copy = cubes / "run.yaml"
    copy.write_text(yaml.safe_dump(document))
    with pytest.raises(specloom.SpecloomError) as caught:
        specloom.load(copy, plugins=Plugins.for_file(file))
    assert (
        "checkpoint monitors 'metrics/average_precision', which is not defined on the split 'val': "
        "the data has no mask in the split 'val'\n"
        "  fix: use validation data that has it, or monitor another value"
    ) in str(caught.value)


def test_what_was_fitted_is_kept_when_a_later_phase_fails(cubes, tmp_path, monkeypatch):
    from specloom_training.evaluate import Evaluate

    def fail(self, run):
        raise DataError("the disk is gone", fix="mount it")

    monkeypatch.setattr(Evaluate, "train", fail)
    out = tmp_path / "out"
    with pytest.raises(DataError, match="the disk is gone"):
        called("run", OWN, "--set", f"data.config.path={cubes}", "--out", out)
    saved = Pipeline.load(out / "pipeline.yaml")
    assert saved.nodes["rx"].fitted
    assert saved.nodes["decider"].threshold != 0.5
    assert json.loads((out / "run.json").read_text())["ended"] == ""
    assert not (out / "metrics.json").exists()


def test_in_python_a_split_without_masks_measures_nothing(cubes):
    from specloom_training.statistical import StatisticalTrainer

    unmask(cubes)
    run = specloom.load(OWN, [f"data.config.path={cubes}"])
    pipeline = Pipeline()
    pipeline.nodes = dict(run.graph.nodes)
    pipeline.connections = [
        link for link in run.graph.connections if not run.graph.connections.is_implied(link)
    ]
    trainer = StatisticalTrainer(pipeline=pipeline, datamodule=run.source)
    trainer.fit()
    with pytest.warns(UserWarning, match="the data has no mask") as caught:
        assert trainer.test() == {}
    assert [str(one.message) for one in caught] == [UNMEASURED]
