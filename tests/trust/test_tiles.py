"""Scenes in tiles: the results of the whole scene bit for bit, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from specloom import NodeError, Pipeline, Port, Run
from specloom.torch import TorchNode
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.scene import Scene
from specloom_deciders.binary import BinaryDecider
from specloom_deciders.quantile import QuantileBinaryDecider
from specloom_normalize.min_max import MinMaxNormalizer
from specloom_objects import (
    Closing,
    FillHoles,
    FuseRanks,
    Hysteresis,
    Label,
    MajorityVote,
    MinimumArea,
    Smooth,
)
from specloom_predict import tiled_run
from specloom_predict.tile_plan import plan_tiles
from specloom_predict.tiled_run import run_tiled
from specloom_rx.detector import RXGlobal
from specloom_rx.logit import ScoreToLogit
from specloom_training.statistical import StatisticalTrainer

HEIGHT, WIDTH, BANDS = 61, 47, 12


class Laplacian(TorchNode):
    """A node of a third party that sees the neighbours of each pixel."""

    inputs = {"data": Port("B H W C")}
    outputs = {"edges": Port("B H W C")}
    locality, halo = "halo", 1

    def forward(self, data):
        padded = torch.nn.functional.pad(data.movedim(3, 1), (1, 1, 1, 1), mode="replicate")
        around = (
            padded[:, :, :-2, 1:-1]
            + padded[:, :, 2:, 1:-1]
            + padded[:, :, 1:-1, :-2]
            + padded[:, :, 1:-1, 2:]
        )
        return {"edges": (around - 4 * padded[:, :, 1:-1, 1:-1]).movedim(1, 3)}


class Brightest(TorchNode):
    """A node that needs the whole cube."""

    inputs = {"data": Port("B H W C")}
    outputs = {"relative": Port("B H W C")}
    locality = "image"

    def forward(self, data):
        return {"relative": data / data.amax((1, 2, 3), keepdim=True)}


@pytest.fixture
def scene(tmp_path):
    random = np.random.default_rng(5)
    cube = random.normal(3, 1, (HEIGHT, WIDTH, BANDS)).astype(np.float32)
    cube[20:23, 30:33] += 4
    cube[7, 7] = np.nan
    np.save(tmp_path / "scene.npy", cube)
    return Scene(str(tmp_path / "scene.npy"))


def made(scene, *pairs, fit=True):
    pipeline = Pipeline("tiles")
    pipeline.connect(*pairs)
    if fit:
        StatisticalTrainer(pipeline=pipeline, datamodule=scene).fit()
    return Run(pipeline.graph(scene), scene, device="cpu")


def untiled(run, want):
    plan = run.plan("predict", want)
    with run.inference():
        (values,) = (plan(batch) for batch in run.batches("predict"))
    return {end: np.asarray(value) for end, value in values.items()}


@pytest.fixture
def detector(scene):
    data, rx, head = AnomalyDataNode([0]), RXGlobal(), ScoreToLogit()
    normalizer, binary, quantile = MinMaxNormalizer(), BinaryDecider(), QuantileBinaryDecider()
    return made(
        scene,
        (data.outputs.cube, normalizer.data),
        (normalizer.normalized, rx.data),
        (rx.scores, head.scores),
        (head.logits, binary.logits),
        (rx.scores, quantile.logits),
    )


@pytest.mark.parametrize("tile_bytes", [BANDS * 4, BANDS * 4 * 40, BANDS * 4 * WIDTH * 7, 1 << 30])
def test_tiles_give_the_scores_and_decisions_of_the_whole_scene_bit_for_bit(
    detector, scene, tile_bytes
):
    if tile_bytes == BANDS * 4:  # one pixel a tile is slow and shows nothing more on a large scene
        tile_bytes *= 13
    want = ["rx_global.scores", "binary_decider.decisions", "quantile_binary_decider.decisions"]
    expected = untiled(detector, want)
    found = run_tiled(detector, scene, (HEIGHT, WIDTH), want, tile_bytes=tile_bytes)
    for end in want:
        np.testing.assert_array_equal(found[end], expected[end], err_msg=end)
    assert np.isnan(found["rx_global.scores"][0, 7, 7, 0])
    assert found["quantile_binary_decider.decisions"].any()


@pytest.mark.parametrize("side", [3, 9, 20])
def test_neighbourhoods_across_the_borders_of_tiles_are_whole(scene, side):
    data, first, second, rx = AnomalyDataNode([0]), Laplacian(), Laplacian(), RXGlobal()
    run = made(
        scene, (data.outputs.cube, first.data), (first.edges, second.data), (second.edges, rx.data)
    )
    want = ["rx_global.scores", "laplacian_2.edges", "laplacian.edges"]
    assert plan_tiles(run.graph, want, HEIGHT, WIDTH).margin == 2
    expected = untiled(run, want)
    found = run_tiled(run, scene, (HEIGHT, WIDTH), want, tile_bytes=BANDS * 4 * side * side)
    for end in want:
        np.testing.assert_array_equal(found[end], expected[end], err_msg=end)


def test_a_quantile_needs_the_map_of_scores_and_not_the_cube(detector):
    plan = plan_tiles(detector.graph, ["quantile_binary_decider.decisions"], 1000, 2000)
    assert plan.whole == ["quantile_binary_decider"]
    assert plan.tiled == ["rx_global.scores"]
    assert plan.whole_bytes == {
        "rx_global.scores": 4 * 2_000_000,
        "quantile_binary_decider.decisions": 2_000_000,
    }


def test_a_node_that_needs_the_whole_cube_is_told_before_anything_is_read(scene, monkeypatch):
    data, brightest = AnomalyDataNode([0]), Brightest()
    run = made(scene, (data.outputs.cube, brightest.data), fit=False)
    want = ["brightest.relative"]
    found = run_tiled(run, scene, (HEIGHT, WIDTH), want, tile_bytes=5000)
    np.testing.assert_array_equal(found[want[0]], untiled(run, want)[want[0]])

    monkeypatch.setattr(Scene, "window", None)  # nothing is read
    with pytest.raises(NodeError) as caught:
        run_tiled(run, scene, (4000, 4000), want, memory=300_000_000)
    assert str(caught.value) == (
        "node 'brightest' (Brightest) needs the whole image: 4000 x 4000 pixels take 1.54 GB of "
        "memory (anomaly_data_node.cube 768 MB, brightest.relative 768 MB), more than the "
        "300 MB allowed\n"
        "  fix: allow more memory, cut the scene into cubes.Blocks, or use nodes that see one pixel"
    )


class Masked(TorchNode):
    """A node of a third party that reads cubes and decisions."""

    inputs = {"data": Port("B H W C"), "decisions": Port("B H W 1", dtype="bool")}
    outputs = {"masked": Port("B H W C")}
    locality = "pixel"

    def forward(self, data, decisions):
        return {"masked": data * decisions}


@pytest.fixture
def cleaner(scene):
    data, edges, rx = AnomalyDataNode([0]), Laplacian(), RXGlobal()
    hysteresis, fill = Hysteresis(low=15.0, high=24.0), FillHoles(connectivity=4)
    closing, area, vote = Closing(radius=2), MinimumArea(pixels=6), MajorityVote(radius=1)
    masked, label, quantile = Masked(), Label(), QuantileBinaryDecider()
    return made(
        scene,
        (data.outputs.cube, edges.data),
        (edges.edges, rx.data),
        (rx.scores, hysteresis.scores),
        (data.outputs.valid, hysteresis.valid),
        (hysteresis.decisions, fill.decisions),
        (fill.cleaned, closing.decisions),
        (closing.cleaned, area.decisions),
        (area.cleaned, vote.decisions),
        (vote.cleaned, label.decisions),
        (edges.edges, masked.data),
        (vote.cleaned, masked.decisions),
        (rx.scores, quantile.logits),
    )


CLEANED = [
    "hysteresis.decisions",
    "fill_holes.cleaned",
    "closing.cleaned",
    "minimum_area.cleaned",
    "majority_vote.cleaned",
    "label.labels",
    "masked.masked",
    "quantile_binary_decider.decisions",
]


@pytest.mark.parametrize("strip_rows", [1, 7, 1000])
@pytest.mark.parametrize("tile_bytes", [BANDS * 4 * 40, BANDS * 4 * WIDTH * 7, 1 << 30])
def test_objects_across_tiles_and_strips_are_those_of_the_scene(
    cleaner, scene, tile_bytes, strip_rows, monkeypatch
):
    expected = untiled(cleaner, CLEANED)
    monkeypatch.setattr(tiled_run, "STRIP_PIXELS", strip_rows * WIDTH)
    found = run_tiled(cleaner, scene, (HEIGHT, WIDTH), CLEANED, tile_bytes=tile_bytes)
    for end in CLEANED:
        np.testing.assert_array_equal(found[end], expected[end], err_msg=end)
        assert found[end].dtype == expected[end].dtype
        assert np.any(found[end] > 0), end
    assert found["label.labels"].max() > 1


def test_only_the_last_map_is_wanted_and_those_between_are_allocated_too(cleaner, scene):
    want = ["masked.masked"]
    expected = untiled(cleaner, want)
    allocated = []

    def allocate(end, shape, dtype):
        allocated.append(end)
        return np.empty(shape, dtype)

    # No map is in memory as a whole: not a byte is allowed for that.
    found = run_tiled(
        cleaner, scene, (HEIGHT, WIDTH), want, memory=0, allocate=allocate, tile_bytes=9999
    )
    np.testing.assert_array_equal(found[want[0]], expected[want[0]])
    assert sorted(allocated) == [
        "anomaly_data_node.valid",
        "closing.cleaned",
        "fill_holes.cleaned",
        "hysteresis.decisions",
        "masked.masked",
        "minimum_area.cleaned",
        "rx_global.scores",
    ]


def test_the_passes_over_the_tiles(cleaner):
    plan = plan_tiles(cleaner.graph, CLEANED, HEIGHT, WIDTH)
    assert plan.whole == ["quantile_binary_decider"]
    assert plan.whole_bytes.keys() == {"rx_global.scores", "quantile_binary_decider.decisions"}
    steps = [(step.made, step.margin, step.reads_scene, step.strips) for step in plan.steps]
    assert steps == [
        (["anomaly_data_node.valid", "rx_global.scores"], 1, True, ["hysteresis"]),
        ([], 0, False, ["fill_holes"]),
        (["closing.cleaned"], 4, False, ["minimum_area"]),
        (["majority_vote.cleaned", "masked.masked"], 1, True, ["label"]),
    ]


def test_what_reads_a_map_of_the_whole_image_runs_on_tiles_and_strips_again(scene, monkeypatch):
    data, rx, quantile = AnomalyDataNode([0]), RXGlobal(), QuantileBinaryDecider(quantile=0.9)
    closing, area, ranks = Closing(radius=2), MinimumArea(pixels=5), FuseRanks()
    smooth, second = Smooth(), QuantileBinaryDecider(quantile=0.8)
    run = made(
        scene,
        (data.outputs.cube, rx.data),
        (rx.scores, quantile.logits),
        (quantile.decisions, closing.decisions),
        (closing.cleaned, area.decisions),
        (data.outputs.valid, area.valid),
        (rx.scores, ranks.scores),
        (ranks.fused, smooth.scores),
        (smooth.smoothed, second.logits),
    )
    want = ["minimum_area.cleaned", "quantile_binary_decider_2.decisions"]
    plan = plan_tiles(run.graph, want, HEIGHT, WIDTH)
    assert plan.whole == ["quantile_binary_decider", "fuse_ranks", "quantile_binary_decider_2"]
    steps = [(step.made, step.strips, step.whole_read, step.whole_made) for step in plan.steps]
    scores = "rx_global.scores"
    first = ["fuse_ranks.fused", "quantile_binary_decider.decisions"]
    assert steps == [
        (["anomaly_data_node.valid", scores], [], [scores], first),
        (
            ["closing.cleaned", "smooth.smoothed"],
            ["minimum_area"],
            ["smooth.smoothed"],
            ["quantile_binary_decider_2.decisions"],
        ),
    ]
    assert not plan.steps[1].reads_scene
    assert plan.between == {"anomaly_data_node.valid", "closing.cleaned"}
    assert plan.whole_bytes.keys() == {scores, *first, "smooth.smoothed", want[1]}
    expected = untiled(run, want)
    monkeypatch.setattr(tiled_run, "STRIP_PIXELS", WIDTH * 4)
    for tile_bytes in (BANDS * 4 * 40, 1 << 30):
        found = run_tiled(run, scene, (HEIGHT, WIDTH), want, tile_bytes=tile_bytes)
        for end in want:
            np.testing.assert_array_equal(found[end], expected[end])
            assert 0 < found[end].mean() < 1


def test_what_reads_a_cube_of_the_whole_image_needs_the_whole_image(scene):
    data, brightest, edges, masked = AnomalyDataNode([0]), Brightest(), Laplacian(), Masked()
    fill = FillHoles()
    run = made(
        scene,
        (data.outputs.cube, brightest.data),
        (brightest.relative, edges.data),
        (data.outputs.valid, fill.decisions),
        (edges.edges, masked.data),
        (fill.cleaned, masked.decisions),
        fit=False,
    )
    want = ["masked.masked"]
    plan = plan_tiles(run.graph, want, HEIGHT, WIDTH)
    assert sorted(plan.whole) == ["brightest", "laplacian", "masked"]
    expected = untiled(run, want)
    found = run_tiled(run, scene, (HEIGHT, WIDTH), want, tile_bytes=5000)
    np.testing.assert_array_equal(found[want[0]], expected[want[0]])


# A process of its own: what is counted is its anonymous memory, at its highest, above the start.
SCRIPT = """
    import json, sys, threading, time
    from pathlib import Path
    import numpy as np
    import torch
    from specloom import Pipeline, Run
    from specloom_cubes.data_node import AnomalyDataNode
    from specloom_cubes.formats import open_cube
    from specloom_cubes.sources.memory import InMemory
    from specloom_cubes.sources.scene import Scene
    from specloom_objects import Closing, FillHoles, Hysteresis, MinimumArea
    from specloom_predict.tiled_run import run_tiled
    from specloom_normalize.min_max import MinMaxNormalizer
    from specloom_rx.detector import RXGlobal
    from specloom_training.statistical import StatisticalTrainer

    def resident():
        with open("/proc/self/status") as status:
            (line,) = (line for line in status if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024

    folder, height, width, bands = Path(sys.argv[1]), *map(int, sys.argv[2:])
    torch.set_num_threads(1)
    cube = np.memmap(folder / "scene.raw", np.float32, "r+", shape=(height, width, bands))
    small = np.array(cube[:64, :64])
    source = InMemory(train=[{"cube": small[None]}])
    data, normalizer, rx = AnomalyDataNode([0]), MinMaxNormalizer(), RXGlobal()
    pipeline = Pipeline("tiles")
    hysteresis, fill = Hysteresis(low=75.0, high=85.0), FillHoles()
    closing, area = Closing(radius=2), MinimumArea(pixels=4)
    pipeline.connect(
        (data.outputs.cube, normalizer.data), (normalizer.normalized, rx.data),
        (rx.scores, hysteresis.scores), (hysteresis.decisions, closing.decisions),
        (closing.cleaned, fill.decisions), (fill.cleaned, area.decisions),
    )
    StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
    scene = Scene(str(folder / "scene.hdr"))
    run = Run(pipeline.graph(scene), scene, device="cpu")
    plan = run.plan("predict", ["rx_global.scores"])  # every import has happened
    start, highest, done = resident(), 0, False

    def watch():
        global highest
        while not done:
            highest = max(highest, resident())
            time.sleep(0.002)

    def allocate(end, shape, dtype):
        return np.lib.format.open_memmap(folder / f"{end}.npy", "w+", dtype, shape)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    size = open_cube(folder / "scene.hdr").shape[:2]
    want = ["rx_global.scores", "minimum_area.cleaned"]
    found = run_tiled(run, scene, size, want, memory=0, allocate=allocate)
    seconds = time.perf_counter() - began
    done = True
    watcher.join()
    same = True
    with run.inference():
        for top, left in [(0, 0), (height // 3, width // 2), (height - 50, width - 70)]:
            part = np.s_[top : top + 50, left : left + 70]
            crop = plan({"cube": torch.tensor(np.array(cube[part])[None])})["rx_global.scores"]
            same &= np.array_equal(crop[0].numpy(), found["rx_global.scores"][0][part])
    made = {"scores": np.asarray(found[want[0]])}
    for node in (hysteresis, closing, fill):
        (value,) = node.forward(**made).values()
        made = {"decisions": value}
    cleaned = area.forward(**made)["cleaned"]
    same &= np.array_equal(cleaned, found[want[1]]) and 0 < cleaned.mean() < 0.5
    print(json.dumps({"above": highest - start, "same": bool(same), "seconds": seconds}))
"""
HEADER = """ENVI
samples = {width}
lines = {height}
bands = {bands}
header offset = 0
data type = 4
interleave = bip
byte order = 0
"""


def large_scene(folder: Path, height: int, width: int, bands: int) -> dict[str, float]:
    """Score a scene made on the fly, mapped from its file; what it took."""
    (folder / "scene.hdr").write_text(HEADER.format(height=height, width=width, bands=bands))
    random = np.random.default_rng(1)
    with (folder / "scene.raw").open("wb") as file:
        for top in range(0, height, 200):
            rows = min(200, height - top)
            random.random((rows, width, bands), np.float32).tofile(file)
    arguments = [str(folder), *map(str, (height, width, bands))]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "scene.raw").unlink()
    found: dict[str, float] = json.loads(done.stdout)
    return found


needs_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux's account of a process's memory"
)


@needs_linux
def test_a_scene_of_192_megabytes_takes_less_than_its_half_and_equals_its_crops(tmp_path):
    found = large_scene(tmp_path, 1000, 800, 60)
    assert found["same"]
    assert found["above"] < 96e6


@needs_linux
@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_scene_of_4000_x_4000_x_60_takes_at_most_300_megabytes(tmp_path):
    found = large_scene(tmp_path, 4000, 4000, 60)
    print(found)
    assert found["same"]
    assert found["above"] <= 300e6
