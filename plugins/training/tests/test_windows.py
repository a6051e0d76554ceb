"""Large images come in windows of rows: same bits, wherever windows end."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

import specloom
import specloom_cubes.sources.windows as cube_windows
import specloom_training.windows as fit_windows
from specloom_cubes import AnomalyDataNode
from specloom_cubes.cube import Cube
from specloom_jobs import Here
from specloom_rx import ScoreToLogit

ROOT = Path(__file__).parents[3]
SHAPE = (45, 61, 7)
SMALL = 9_000
"""Bytes of a window: ten rows, so that windows, parts of pixels and blocks end in other places."""

CONNECTIONS = [
    ["data.cube", "norm.data"],
    ["data.valid", "norm.valid"],
    ["norm.normalized", "selector.data"],
    ["data.valid", "selector.valid"],
    ["selector.selected", "pca.data"],
    ["data.valid", "pca.valid"],
    ["pca.projected", "rx.data"],
    ["data.valid", "rx.valid"],
    ["rx.scores", "logits.scores"],
    ["data.valid", "logits.valid"],
    ["logits.logits", "decider.logits"],
    ["decider.decisions", "metrics.decisions"],
    ["rx.scores", "metrics.logits"],
    ["data.mask", "metrics.targets"],
    ["data.labelled", "metrics.valid"],
]
NODES = {
    "data": {"type": "cubes.AnomalyDataNode", "config": {"normal_class_ids": [0]}},
    "norm": {"type": "normalize.MinMaxNormalizer"},
    "selector": {
        "type": "selectors.SoftChannelSelector",
        "config": {"n_select": 3, "init_method": "variance"},
    },
    "pca": {"type": "pca.TrainablePCA", "config": {"n_components": 4}},
    "rx": {"type": "rx.RXGlobal"},
    "logits": {"type": "rx.ScoreToLogit"},
    "decider": {"type": "deciders.BinaryDecider"},
    "metrics": {"type": "metrics.AnomalyDetectionMetrics"},
}


def made_scene():
    generator = np.random.default_rng(3)
    shapes = generator.normal(size=(4, SHAPE[2]))
    cube = 300 * generator.random((*SHAPE[:2], 4)) @ shapes + generator.normal(size=SHAPE)
    mask = np.zeros(SHAPE[:2], np.uint8)
    mask[10:14, 20:25] = 1
    return cube.astype(np.int16), mask


def write_envi(cube, interleave):
    axes = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}[interleave]
    np.ascontiguousarray(cube.transpose(axes)).tofile(f"{interleave}.img")
    height, width, bands = cube.shape
    Path(f"{interleave}.hdr").write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\ndata type = 2\n"
        f"interleave = {interleave}\nbyte order = 0\ndata ignore value = -5\n"
    )
    return f"{interleave}.hdr"


def write_mat(cube, name):
    scipy.io.savemat(f"{name}.mat", {"cube": cube}, do_compression=True)
    return f"{name}.mat"


WRITERS = {"bsq": write_envi, "bil": write_envi, "bip": write_envi, "mat": write_mat}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Scenes of one cube in several formats, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit_windows, "PART_VALUES", 7 * 1024)
    cube, mask = made_scene()
    np.save("mask.npy", mask)
    Path("cubes").mkdir()
    for name in ("a", "b", "c", "d"):
        np.save(f"cubes/{name}.npy", np.roll(cube, ord(name), 0))
        np.save(f"cubes/{name}_mask.npy", np.roll(mask, ord(name), 0))
    return cube


def run_of(data, splits=("test",)):
    phases = [{"type": "training.StatisticalTrainer"}]
    phases += [{"type": "training.Evaluate", "config": {"split": split}} for split in splits]
    file = {
        "specloom": 1,
        "data": data,
        "nodes": NODES,
        "connections": CONNECTIONS,
        "phases": phases,
    }
    return specloom.load(file, device="cpu")


def result(data, monkeypatch, size, *, executor=None):
    """Metrics, states, and what is stored of the data, with windows of so many bytes."""
    monkeypatch.setattr(cube_windows, "WINDOW_BYTES", size)
    run = run_of(data)
    run.executor = executor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run.run()
    states = {}
    for name, node in run.graph.nodes.items():
        for key, value in node.state().items():
            states[f"{name}.{key}"] = value
    for key, value in run.graph.fitted_on.items():
        states[f"fitted on {key}"] = value
    return run.metrics, states, run.record.get("domain")


def assert_equal(found, expected):
    assert found[0] == expected[0]
    assert found[1].keys() == expected[1].keys()
    for name, value in expected[1].items():
        assert torch.equal(found[1][name].nan_to_num(7), value.nan_to_num(7)), name
    assert found[2] == expected[2]


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_scene_in_windows_has_the_same_bits(name, here, monkeypatch):
    scene = {"cube": WRITERS[name](here, name), "mask": "mask.npy"}
    data = {"type": "cubes.Scene", "config": scene}
    expected = result(data, monkeypatch, 1 << 30)
    assert expected[0]["test"]["metrics/pixels"] > 2000
    found = result(data, monkeypatch, SMALL)
    assert_equal(found, expected)


def test_shares_of_jobs_come_in_windows_too(here, monkeypatch):
    data = {"type": "cubes.Scene", "config": {"cube": write_envi(here, "bip"), "mask": "mask.npy"}}
    expected = result(data, monkeypatch, 1 << 30, executor=Here())
    assert_equal(result(data, monkeypatch, SMALL, executor=Here()), expected)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_large_blocks_and_cubes_of_folders(batch_size, here, monkeypatch):
    write_envi(here, "bip")
    split = {"split": [0.5, 0.25, 0.25], "batch_size": batch_size}
    blocks = {"cube": "bip.hdr", "mask": "mask.npy", "block": 30, **split}
    for data in (
        {"type": "cubes.Blocks", "config": blocks},
        {"type": "cubes.Folder", "config": {"path": "cubes", **split}},
    ):
        expected = result(data, monkeypatch, 1 << 30)
        assert_equal(result(data, monkeypatch, 2_000), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.float32])
def test_pixels_are_sampled_in_every_type_of_numbers(dtype):
    image = np.random.default_rng(0).integers(0, 250, (1, 40, 30, 5)).astype(dtype)
    sampled = fit_windows.SampledPixels(40, 30)
    cube = torch.from_numpy(image)
    for first in (0, 25):
        rows = slice(first, min(first + 25, 40))
        sampled.add(rows, cube[:, rows], None)
    assert str(sampled.pixels.dtype) == f"torch.{np.dtype(dtype)}"
    expected = image[0, sampled.rows.numpy(), sampled.columns.numpy()]
    np.testing.assert_array_equal(sampled.pixels.numpy(), expected)


def test_no_whole_scene_is_read_where_windows_are_enough(here, monkeypatch):
    monkeypatch.setattr(cube_windows, "WINDOW_BYTES", SMALL)
    data = {"type": "cubes.Scene", "config": {"cube": write_envi(here, "bil"), "mask": "mask.npy"}}
    rows = []
    clean = Cube.clean

    def noted(cube, down=slice(None), across=slice(None)):
        pixels = clean(cube, down, across)
        rows.append(len(pixels))
        return pixels

    monkeypatch.setattr("specloom_cubes.cube.Cube.clean", noted)
    run_of(data, ["val", "test"]).run()
    assert max(rows) == 10
    # Two passes of the fit at least, and two evaluations, each of all rows; corners besides.
    assert sum(rows) >= 4 * SHAPE[0]


def test_a_node_that_needs_the_image_gets_all_of_it(here, monkeypatch):
    monkeypatch.setattr(cube_windows, "WINDOW_BYTES", SMALL)
    seen = []
    fit_update = ScoreToLogit.fit_update

    def noted(node, scores, valid=None):
        seen.append(tuple(scores.shape))
        fit_update(node, scores, valid)

    monkeypatch.setattr(ScoreToLogit, "fit_update", noted)
    data = {"type": "cubes.Scene", "config": {"cube": write_envi(here, "bip"), "mask": "mask.npy"}}
    run_of(data).run()
    assert seen == [(1, *SHAPE[:2], 1)]


def test_equal_pixels_of_windows_are_warned_of_as_those_of_the_whole(here, monkeypatch):
    cube = here.copy()
    cube[:, :20] = 0
    data = {"type": "cubes.Scene", "config": {"cube": write_envi(cube, "bsq"), "mask": "mask.npy"}}
    messages = []
    for size in (1 << 30, SMALL):
        monkeypatch.setattr(cube_windows, "WINDOW_BYTES", size)
        with pytest.warns(UserWarning, match="one and the same spectrum") as caught:
            run_of(data).run()
        messages.append([str(one.message) for one in caught if "spectrum" in str(one.message)])
    assert messages[0] == messages[1]
    assert len(messages[0]) == 1


def test_a_node_sees_the_corners_of_small_and_clean_images_without_a_warning(here, monkeypatch):
    monkeypatch.setattr(cube_windows, "WINDOW_BYTES", SMALL)
    node = AnomalyDataNode([0])
    source = specloom.load(
        {
            "specloom": 1,
            "data": {"type": "cubes.Scene", "config": {"cube": write_envi(here, "bip")}},
            "nodes": {"data": NODES["data"]},
            "connections": [],
            "phases": [],
        }
    ).source
    (image,) = source.windowed_batches("train")
    assert image.corners().shape == (4, SHAPE[2])
    np.testing.assert_array_equal(image.corners()[[0, 3]], here[[0, -1], [0, -1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rows, window in image:
            node.look_at_window(window, rows, image)


@pytest.mark.soak  # it writes three scenes of 2 GB
@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
def test_two_gigabytes_take_little_memory(interleave, tmp_path):
    script = ROOT / "benchmarks" / "large_scene.py"
    command = [sys.executable, str(script), "--interleave", interleave, "--folder", str(tmp_path)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    for line in found.stdout.splitlines():
        if "MiB" in line:
            assert int(line.split(":")[1].strip(" ,")) <= 300
