"""The cost of a cube does not depend on how many there are; a repeated call costs little."""

import itertools
import os
import time

import numpy as np
import pytest

from specloom import Pipeline, Plugins, impl
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.folder import Folder
from specloom_cubes.sources.memory import InMemory
from specloom_predict import Predictor, many, predict_all

COUNT = 10_000
BLOCK = 500
ALONE = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pipeline, and many tiny cubes."""
    root = tmp_path_factory.mktemp("many")
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube", "decisions": "data.valid"}
    pipeline.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 2, 3), np.float32)}]))
    pipeline.save_to_file(root / "pipeline.yaml")
    (root / "in").mkdir()
    for number in range(COUNT):
        np.save(root / f"in/{number:05}.npy", np.full((8, 8, 3), number, np.float32))
    return root


def seconds_of(work, *arguments):
    """The processor time of a call, and what it returns."""
    started = time.process_time()
    found = work(*arguments)
    return time.process_time() - started, found


def read_each(source, numbers):
    for number in numbers:
        source.read("train", [number])


class Watching:
    """Takes the time of each block of cubes, and that of a few cubes alone beside it.

    Other programs on the machine make both slower, so that only their ratio says something.

    Args:
        alone: Predicts a few cubes into a folder of its own.
    """

    def __init__(self, alone):
        self.alone = alone
        self.ratios = []
        self.started = None

    @impl
    def progress(self, what, done):
        if what != "inputs" or done % BLOCK != 0:
            return
        seconds = time.process_time()
        if self.started is not None:
            reference, _ = seconds_of(self.alone)
            self.ratios.append((seconds - self.started) / reference)
        self.started = time.process_time()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_cube_costs_the_same_among_few_and_among_ten_thousand(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # the disk is not what is measured
    cubes = sorted((folder / "in").iterdir())
    pipeline = folder / "pipeline.yaml"
    numbers = itertools.count()

    def alone():
        for _ in range(5):
            predict_all(pipeline, cubes[:ALONE], tmp_path / f"alone-{next(numbers)}")

    alone()
    watching = Watching(alone)

    class Watched(Predictor):
        def __init__(self, *more):
            super().__init__(*more)
            if len(watching.ratios) == 0 and watching.started is None:
                self.run.plugins.manager.register(watching)

    monkeypatch.setattr(many, "Predictor", Watched)
    summary = predict_all(pipeline, cubes, tmp_path / "out")
    assert len(summary.done) == COUNT
    ratios = np.array(watching.ratios)
    quarters = ratios[: 4 * (len(ratios) // 4)].reshape(4, -1)
    costs = np.median(quarters, axis=1)
    print("cost of a block in each quarter:", (costs / costs[0]).round(3))
    assert costs.max() < 1.2 * costs.min()
    first, _ = seconds_of(predict_all, pipeline, cubes[:BLOCK], tmp_path / "block")
    seconds, summary = seconds_of(predict_all, pipeline, cubes, tmp_path / "out")
    print(f"{BLOCK} cubes: {first:.2f} s, {COUNT} repeated: {seconds:.2f} s")
    assert len(summary.skipped) == COUNT
    assert seconds < 0.1 * first * COUNT / BLOCK


@pytest.mark.soak
def test_reading_a_cube_of_a_folder_costs_the_same_in_any_folder(folder, tmp_path):
    costs = []
    for size in (100, COUNT):
        source = Folder(str(folder / "in"), pattern=f"{'0' * (5 - len(str(size - 1)))}*.npy")
        source.read("train", [0])
        numbers = range(0, source.items("train"), source.items("train") // 50)
        seconds, _ = seconds_of(read_each, source, numbers)
        costs.append(seconds / len(numbers))
    print([f"{1e3 * cost:.2f} ms" for cost in costs])
    assert costs[1] < 1.5 * costs[0]
