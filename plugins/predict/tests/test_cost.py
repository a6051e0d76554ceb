"""The cost of a cube does not depend on how many there are; a repeated call costs little."""

import time

import numpy as np
import pytest

from specloom import Pipeline, Plugins
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.folder import Folder
from specloom_cubes.sources.memory import InMemory
from specloom_predict import predict_all

SIZES = (100, 1_000, 10_000)
WARM = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pipeline, and as many tiny cubes as the largest size."""
    root = tmp_path_factory.mktemp("many")
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube", "decisions": "data.valid"}
    pipeline.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 2, 3), np.float32)}]))
    pipeline.save_to_file(root / "pipeline.yaml")
    (root / "in").mkdir()
    for number in range(max(SIZES)):
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


@pytest.mark.soak
def test_a_cube_costs_the_same_among_ten_and_ten_thousand(folder, tmp_path):
    cubes = sorted((folder / "in").iterdir())
    pipeline = folder / "pipeline.yaml"
    start_up, _ = seconds_of(predict_all, pipeline, cubes[:WARM], tmp_path / "warm")
    start_up, _ = seconds_of(predict_all, pipeline, cubes[:WARM], tmp_path / "start")
    costs = {}
    for size in SIZES:
        out = tmp_path / str(size)
        seconds, summary = seconds_of(predict_all, pipeline, cubes[:size], out)
        assert len(summary.done) == size
        costs[size] = (seconds - start_up) / (size - WARM)
    print({size: f"{1e3 * cost:.2f} ms" for size, cost in costs.items()})
    assert max(costs.values()) < 1.2 * min(costs.values())
    seconds, summary = seconds_of(predict_all, pipeline, cubes, out)
    print(f"repeated: {seconds:.2f} s")
    assert len(summary.skipped) == max(SIZES)
    assert seconds < 0.1 * costs[max(SIZES)] * max(SIZES)


@pytest.mark.soak
def test_reading_a_cube_of_a_folder_costs_the_same_in_any_folder(folder, tmp_path):
    costs = []
    for size in (100, max(SIZES)):
        source = Folder(str(folder / "in"), pattern=f"{'0' * (5 - len(str(size - 1)))}*.npy")
        source.read("train", [0])
        numbers = range(0, source.items("train"), source.items("train") // 50)
        seconds, _ = seconds_of(read_each, source, numbers)
        costs.append(seconds / len(numbers))
    print([f"{1e3 * cost:.2f} ms" for cost in costs])
    assert costs[1] < 1.5 * costs[0]
