"""Predictions use the scale that the pipeline was fitted with."""

import json

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from specloom import ConfigError, Pipeline, Plugins
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_cubes.sources.scene import Scene
from specloom_predict import predict, predict_all
from specloom_predict.command import predict as command
from specloom_predict.predictor import Predictor

STORED = np.random.default_rng(3).integers(0, 9000, (6, 5, 3)).astype(np.uint16)
PHYSICAL = (STORED * 1e-4 - 0.1).astype(np.float32)


@pytest.fixture
def scene(tmp_path):
    with rasterio.open(
        tmp_path / "scene.tif",
        "w",
        driver="GTiff",
        height=6,
        width=5,
        count=3,
        dtype="uint16",
        transform=rasterio.Affine(30, 0, 366015, 0, -30, 5809965),
    ) as file:
        file.write(STORED.transpose(2, 0, 1))
        file.scales = [1e-4] * 3
        file.offsets = [-0.1] * 3
    return tmp_path / "scene.tif"


def saved(folder, source):
    """A pipeline of a data node alone, whose cube stands for scores."""
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube"}
    pipeline.graph(source)
    pipeline.save_to_file(folder / "pipeline.yaml")
    return folder / "pipeline.yaml"


@pytest.mark.parametrize(("scale", "want"), [("physical", PHYSICAL), ("stored", STORED)])
def test_the_scale_of_the_fit(tmp_path, scene, scale, want):
    file = saved(tmp_path, Scene(str(scene), scale=scale))
    assert f"reading:\n  scale: {scale}\n" in file.read_text()
    made = predict(file, scene)
    np.testing.assert_array_equal(made.arrays["scores"], want)
    assert made.notes == ()
    again = tmp_path / "again.yaml"
    Pipeline.load(file).save_to_file(again)
    np.testing.assert_array_equal(predict(again, scene).arrays["scores"], want)


def test_a_pipeline_in_memory_has_the_scale_of_its_source(scene):
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube"}
    pipeline.graph(Scene(str(scene)))
    np.testing.assert_array_equal(predict(pipeline, scene).arrays["scores"], PHYSICAL)


def test_a_pipeline_without_a_scale_gets_stored_values_and_a_note(tmp_path, scene):
    source = InMemory(predict=[{"cube": np.zeros((1, 2, 2, 3), np.float32)}])
    file = saved(tmp_path, source)
    assert "reading" not in file.read_text()
    made = predict(file, scene)
    np.testing.assert_array_equal(made.arrays["scores"], STORED)
    assert made.notes == (
        "scene.tif states a scale (the scales and offsets of the bands), which is not applied: "
        "the pipeline was saved without one; --scale physical applies it",
    )
    made = predict(file, scene, scale="physical")
    np.testing.assert_array_equal(made.arrays["scores"], PHYSICAL)
    assert made.notes == ()
    np.save(tmp_path / "plain.npy", STORED)
    assert predict(file, tmp_path / "plain.npy").notes == ()


def test_a_scale_that_is_none(tmp_path, scene):
    file = saved(tmp_path, Scene(str(scene)))
    with pytest.raises(ConfigError) as error:
        Predictor(file, scale="reflectance")
    assert error.value.what == "scale is 'reflectance'"
    assert error.value.fix == "use one of: physical, stored"


def test_results_with_another_scale_are_made_again(tmp_path, scene):
    file = saved(tmp_path, Scene(str(scene)))
    out = tmp_path / "out"
    assert len(predict_all(file, [scene], out).done) == 1
    assert len(predict_all(file, [scene], out).skipped) == 1
    result = CliRunner().invoke(
        command, [str(file), str(scene), "--out", str(out), "--scale", "stored", "--json"]
    )
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert len(made["done"]) == 1
    np.testing.assert_array_equal(np.load(out / "scene" / "scores.npy"), STORED)
