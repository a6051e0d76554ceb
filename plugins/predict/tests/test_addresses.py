"""Inputs that are no files: a plugin opens them by its hook, or a message says that none does."""

import dataclasses
import json

import numpy as np
import pytest

from specloom import Pipeline, Plugins, impl
from specloom_cubes import AnomalyDataNode, InMemory, open_cube
from specloom_predict import Predictor, many, predict, predict_all

PIXELS = np.random.default_rng(2).normal(size=(6, 5, 3)).astype(np.float32)


class Store:
    """A plugin that opens what it calls ``mem://…``."""

    def __init__(self, folder):
        self.folder = folder
        self.opened = []

    @impl
    def open_cube(self, address):
        self.opened.append(address)
        if not address.startswith("mem://"):
            return None
        return open_cube(self.folder / address.removeprefix("mem://"))


@pytest.fixture
def run(tmp_path):
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube"}
    pipeline.graph(InMemory(predict=[{"cube": PIXELS[None]}]))
    (tmp_path / "run").mkdir()
    pipeline.save_to_file(tmp_path / "run/pipeline.yaml")
    return tmp_path / "run"


@pytest.fixture
def store(tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    np.save(tmp_path / "store/scene.npy", PIXELS)
    found = Store(tmp_path / "store")

    class WithStore(Predictor):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.run.plugins.add("store", found)

    monkeypatch.setattr(many, "Predictor", WithStore)
    return found


def test_a_plugin_opens_an_address(run, store, tmp_path):
    out = tmp_path / "out"
    for _ in range(2):  # nothing says that it was not changed
        summary = predict_all(run, ["mem://scene.npy"], out)
        assert (summary.failed, len(summary.done), summary.skipped) == ([], 1, [])
        assert summary.done[0]["input"] == "mem://scene.npy"
        np.testing.assert_array_equal(np.load(out / "scene/scores.npy"), PIXELS)
    assert store.opened == ["mem://scene.npy"] * 2
    assert json.loads((out / "scene/predict.json").read_text())["input"] == "mem://scene.npy"


def test_files_are_opened_without_plugins(run, store, tmp_path):
    summary = predict_all(run, [store.folder / "scene.npy"], tmp_path / "out")
    assert (len(summary.done), store.opened) == (1, [])


def test_nothing_opens_an_address(run, store, tmp_path):
    summary = predict_all(run, ["s3://bucket/a/x.hdr", "mem://scene.npy"], tmp_path / "out")
    assert (len(summary.done), summary.exit_code, summary.unexpected) == (1, 2, None)
    assert [(name, str(error)) for name, error in summary.failed] == [
        (
            "s3://bucket/a/x.hdr",
            "nothing opens the address s3://bucket/a/x.hdr\n"
            "  fix: copy the file to this machine and give its path",
        )
    ]
    assert not (tmp_path / "out/x").exists()


def test_an_open_cube_and_a_file_give_the_same(run, tmp_path):
    np.save(tmp_path / "x.npy", PIXELS)
    cube = open_cube(tmp_path / "x.npy")
    renamed = dataclasses.replace(cube, metadata={"source": "elsewhere"})
    for one in (tmp_path / "x.npy", str(tmp_path / "x.npy"), cube, renamed):
        np.testing.assert_array_equal(predict(run, one).arrays["scores"], PIXELS)
