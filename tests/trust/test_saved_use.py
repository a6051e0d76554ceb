"""A saved pipeline does what its run did, to the last bit, or says why it cannot."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import specloom
from specloom import IntegrityError, NodeError, Pipeline, Run, SpecloomError
from specloom.execution import run_folder
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory
from specloom_cubes.sources.scene import Scene
from specloom_cubes.sources.synthetic import Synthetic
from specloom_normalize.min_max import MinMaxNormalizer
from specloom_training.statistical import StatisticalTrainer

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
NOT_FITTED = "\n  fix: fit it in a phase before, or load a fitted pipeline"
OTHER_CAMERA = "\n  fix: use data of the camera that the graph was fitted on, or resample it"


def small_run() -> Run:
    sizes = ("scenes=12", "height=32", "width=32", "bands=12")
    sets = [f"data.config.{one}" for one in sizes]
    return specloom.load(ROOT / "configs/rx_statistical.yaml", sets, device="cpu")


def scenes(bands=12, first=430.0, last=910.0):
    """Test scenes of any camera, with all that the data node may take."""
    made = Synthetic(scenes=12, height=32, width=32, bands=bands, wavelength_range=(first, last))
    return InMemory(test=list(made.batches("test")))


def used(pipeline: Pipeline, source) -> list[dict[str, torch.Tensor]]:
    """What a loaded pipeline gives for test scenes, in the way of a fresh process."""
    run = Run(pipeline.graph(source), source, device="cpu")
    plan = run.plan("predict", pipeline.outputs.values())
    with run.inference():
        return [plan(batch) for batch in run.batches("predict")]


def same(one, other) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys()
        and all(torch.equal(a[k].nan_to_num(-1.0), b[k].nan_to_num(-1.0)) for k in a)
        for a, b in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A finished run, and the file of its pipeline."""
    folder, run = tmp_path_factory.mktemp("fitted"), small_run()
    run.run()
    run_folder.write(run, folder)
    return run, folder / "pipeline.yaml"


@pytest.fixture
def saved(fitted, tmp_path):
    """A copy of the pipeline that may be damaged."""
    return Path(shutil.copytree(fitted[1].parent, tmp_path / "copy")) / "pipeline.yaml"


def test_a_pipeline_without_a_fit_refuses_to_run_also_when_loaded(tmp_path):
    run, path = small_run(), tmp_path / "pipeline.yaml"
    with pytest.raises(NodeError) as caught:
        run.plan("predict", run.graph.outputs.values())
    file = ROOT / "configs/rx_statistical.yaml"
    line = 1 + file.read_text().splitlines().index(
        "  normalizer: {type: normalize.MinMaxNormalizer}"
    )
    what = "node 'normalizer' (MinMaxNormalizer) is not fitted"
    assert str(caught.value) == f"{file}:{line}: {what}{NOT_FITTED}"
    run_folder.write(run, tmp_path)
    with pytest.raises(NodeError) as caught:
        used(Pipeline.load(path), scenes())
    assert str(caught.value) == f"{what}{NOT_FITTED}"


def test_one_node_without_a_fit_is_enough(tmp_path, fitted):
    run = small_run()
    StatisticalTrainer(nodes=["normalizer", "rx"]).train(run)
    run_folder.write(run, tmp_path)
    with pytest.raises(NodeError, match=r"node 'logits' \(ScoreToLogit\) is not fitted"):
        used(Pipeline.load(tmp_path / "pipeline.yaml"), scenes())


def test_a_loaded_pipeline_gives_what_the_run_gave(fitted):
    run, path = fitted
    plan = run.plan("predict", run.graph.outputs.values())
    with run.inference():
        first = [plan(batch) for batch in run.batches("predict")]
    again = used(Pipeline.load(path), scenes())
    assert same(first, again)
    state, back = run.graph.state(), Pipeline.load(path).graph().state()
    assert state.keys() == back.keys()
    assert all(torch.equal(state[name], back[name]) for name in state)


def test_saving_what_was_loaded_writes_the_same_bytes(fitted, tmp_path):
    run, path = fitted
    again = tmp_path / "pipeline.yaml"
    Pipeline.load(path).save_to_file(again, run.metadata)
    for suffix in (".yaml", ".safetensors"):
        assert again.with_suffix(suffix).read_bytes() == path.with_suffix(suffix).read_bytes()


@pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
@pytest.mark.parametrize("name", ["abu/abu-airport-1.mat", "envi_sandiego/SDData"])
def test_real_scenes_are_scored_as_in_their_run(name, tmp_path):
    settings = {"cube": str(DATA / name)}
    if name.endswith("SDData"):
        settings["mask"] = f"{DATA / name}Gt.bmp"
    sets = [f"data.config.{key}={value}" for key, value in settings.items()]
    run = specloom.load(ROOT / "configs/rx_scene.yaml", sets, device="cpu")
    run.run()
    run_folder.write(run, tmp_path)
    plan = run.plan("predict", run.graph.outputs.values())
    with run.inference():
        first = [plan(batch) for batch in run.batches("predict")]
    assert first[0]["rx.scores"].isfinite().all()
    assert same(first, used(Pipeline.load(tmp_path / "pipeline.yaml"), Scene(**settings)))


def test_another_number_of_bands_is_refused_before_a_pixel_is_read(fitted):
    pipeline, path = Pipeline.load(fitted[1]), fitted[1]
    with pytest.raises(SpecloomError) as caught:
        pipeline.graph(scenes(bands=13))
    lines = path.read_text().splitlines()
    line = next(i for i, text in enumerate(lines) if "normalizer.normalized" in text) + 1
    assert str(caught.value) == (
        f"{path}:{line}: normalizer.normalized has C = 13 (the data), but rx.data wants "
        "num_channels = 12 (num_channels: 12 of rx)\n"
        "  fix: make these agree: the data; num_channels: 12 of rx"
    )


def test_another_number_of_bands_is_refused_also_where_no_node_is_told_it(tmp_path):
    data, normalizer = AnomalyDataNode([0], name="data"), MinMaxNormalizer(name="scaled")
    pipeline = Pipeline("scaling")
    pipeline.connect((data.outputs.cube, normalizer.data))
    StatisticalTrainer(pipeline=pipeline, datamodule=cubes(5)).fit()
    pipeline.save_to_file(tmp_path / "p.yaml")
    for made in (pipeline, Pipeline.load(tmp_path / "p.yaml")):
        with pytest.raises(SpecloomError) as caught:
            made.graph(cubes(6))
        assert "MinMaxNormalizer was built for C = 5, here C is 6\n  fix: make a new node" in str(
            caught.value
        )


def cubes(bands):
    batch = {"cube": np.random.default_rng(0).random((1, 4, 5, bands), np.float32)}
    return InMemory(train=[batch], test=[batch])


@pytest.mark.parametrize("shift", [0.0, 0.49, -0.49])
def test_wavelengths_within_half_a_nanometre_are_taken(fitted, shift):
    pipeline = Pipeline.load(fitted[1])
    scene_source = scenes()
    assert same(used(pipeline, scene_source), used(pipeline, shifted(scene_source, shift)))


def test_no_wavelengths_are_taken(fitted):
    scene_source = scenes()
    bare = InMemory(test=[{"cube": batch["cube"]} for batch in scene_source.test])
    assert same(used(Pipeline.load(fitted[1]), scene_source), used(Pipeline.load(fitted[1]), bare))


@pytest.mark.parametrize("shift", [0.51, -0.6, 40.0])
def test_other_wavelengths_are_refused(fitted, shift):
    wrong = shifted(scenes(), shift)
    with pytest.raises(SpecloomError) as caught:
        used(Pipeline.load(fitted[1]), wrong)
    assert str(caught.value) == (
        f"band 0 is at {430 + shift:.2f} nm, before at 430.00 nm (more than 0.5 nm apart)"
        + OTHER_CAMERA
    )


def shifted(source, by):
    """The scenes of a camera whose bands lie elsewhere, the first one furthest."""
    moved = np.linspace(by, 0, 12)
    return InMemory(test=[b | {"wavelengths": b["wavelengths"] + moved} for b in source.test])


def test_a_flipped_byte_is_found(saved):
    weights = saved.with_suffix(".safetensors")
    data = bytearray(weights.read_bytes())
    data[-3] ^= 4
    weights.write_bytes(data)
    with pytest.raises(IntegrityError, match="its SHA-256 differs"):
        Pipeline.load(saved)


def test_weights_of_another_run_are_found(saved, tmp_path):
    run = small_run()
    StatisticalTrainer(split="val").train(run)
    run_folder.write(run, tmp_path / "other")
    shutil.copy(tmp_path / "other/pipeline.safetensors", saved.parent)
    with pytest.raises(IntegrityError, match="its SHA-256 differs"):
        Pipeline.load(saved)


def test_an_edited_parameter_is_found(saved):
    text = saved.read_text()
    assert text.count("normal_class_ids:\n      - 0\n") == 1
    saved.write_text(text.replace("normal_class_ids:\n      - 0\n", "normal_class_ids:\n"))
    with pytest.raises(IntegrityError, match="was changed after it was saved"):
        Pipeline.load(saved)


def test_missing_weights_are_told(saved):
    saved.with_suffix(".safetensors").unlink()
    with pytest.raises(IntegrityError, match="is missing\n  fix: copy it from where"):
        Pipeline.load(saved)
