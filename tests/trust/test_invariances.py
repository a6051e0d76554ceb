"""What must not matter does not: batches, order of scenes, units of the data, order of bands."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import specloom
from specloom import Run
from specloom.testing import fit
from specloom.testing import run as run_node
from specloom_cubes.formats import open_cube
from specloom_cubes.sources.memory import InMemory
from specloom_cubes.sources.synthetic import Synthetic
from specloom_rx.detector import RXGlobal

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
SPLITS = ("train", "val", "test")


def made():
    """Single scenes by split."""
    source = Synthetic(
        scenes=20, height=24, width=24, bands=16, batch_size=1, anomaly_fraction=0.05
    )
    return {split: list(source.batches(split)) for split in SPLITS}


SCENES = made()


def grouped(scenes, size):
    """The scenes in batches of some size."""
    return [
        {
            "cube": np.concatenate([scene["cube"] for scene in scenes[i : i + size]]),
            "mask": np.concatenate([scene["mask"] for scene in scenes[i : i + size]]),
            "wavelengths": scenes[i]["wavelengths"],
        }
        for i in range(0, len(scenes), size)
    ]


def shuffled(scenes, seed):
    return [scenes[i] for i in np.random.default_rng(seed).permutation(len(scenes))]


def run_on(splits):
    config = ROOT / "configs/rx_statistical.yaml"
    loaded = specloom.load(config, ["data.config.bands=16"], device="cpu")
    return Run(loaded.graph, InMemory(**splits), loaded.phases, device="cpu")


def decided(run, batches):
    """Decisions for each batch's images, put back together."""
    plan = run.plan("predict", ["decider.decisions"])
    with run.inference():
        parts = [plan(run.runtime.adopt(batch, run.graph.batch)) for batch in batches]
    return torch.cat([part["decider.decisions"] for part in parts]).numpy()[..., 0]


def again(run, test):
    """The metrics of other test batches under the same fit."""
    other = Run(run.graph, InMemory(test=test), device="cpu")
    dict(run.phases)["training.Evaluate"].train(other)
    return other.metrics["test"]


@pytest.fixture(scope="module")
def ran():
    run = run_on({split: grouped(SCENES[split], 4) for split in SPLITS})
    run.run()
    return run


@pytest.mark.parametrize("size", [1, 2, 5])
def test_batches_change_no_decision_and_no_metric(ran, size):
    want = decided(ran, grouped(SCENES["test"], 4))
    assert want.any()
    np.testing.assert_array_equal(decided(ran, grouped(SCENES["test"], size)), want)
    assert again(ran, grouped(SCENES["test"], size)) == pytest.approx(
        ran.metrics["test"], abs=1e-12
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_test_scenes_changes_no_decision_and_no_metric(ran, seed):
    order = np.random.default_rng(seed).permutation(len(SCENES["test"]))
    scenes = [SCENES["test"][i] for i in order]
    want = decided(ran, grouped(SCENES["test"], 4))
    np.testing.assert_array_equal(decided(ran, grouped(scenes, 2)), want[order])
    assert again(ran, grouped(scenes, 2)) == pytest.approx(ran.metrics["test"], abs=1e-12)


@pytest.mark.parametrize(("size", "seed"), [(1, 0), (2, 1), (5, 2), (10, 3)])
def test_a_whole_run_on_other_batches_in_another_order_decides_the_same(ran, size, seed):
    train, val = (grouped(shuffled(SCENES[split], seed), size) for split in ("train", "val"))
    run = run_on({"train": train, "val": val, "test": grouped(SCENES["test"], size)})
    run.run()
    test = grouped(SCENES["test"], 4)
    np.testing.assert_array_equal(decided(run, test), decided(ran, test))
    assert run.metrics["test"] == pytest.approx(ran.metrics["test"], abs=1e-6)
    nodes, others = ran.graph.nodes, run.graph.nodes
    assert nodes["rx"].pixels == others["rx"].pixels
    white = nodes["rx"].whitening
    gap = white.T @ (others["rx"].covariance - nodes["rx"].covariance) @ white
    assert torch.linalg.matrix_norm(gap, 2) < 1e-6


def quantile_decisions(cube, path):
    """Decisions of global RX on one scene of whole numbers below 2**24, which float32 holds."""
    assert np.abs(cube).max() < 2**24
    np.save(path, cube)
    run = specloom.load(ROOT / "configs/rx_scene.yaml", [f"data.config.cube={path}"], device="cpu")
    dict(run.phases)["training.StatisticalTrainer"].train(run)
    return decided(run, run.source.batches("predict"))[0]


def counts():
    """A scene of 12-bit counts with a few odd pixels."""
    random = np.random.default_rng(5)
    mixed = random.normal(size=(50, 60, 3)) @ random.normal(size=(3, 20))
    cube = 1500 + 200 * mixed + 15 * random.normal(size=mixed.shape)
    cube[random.random((50, 60)) < 0.01, 7:9] += 120
    return cube.round().astype(np.int32)


def san_diego():
    return np.ascontiguousarray(open_cube(DATA / "envi_sandiego/SDData").array).astype(np.int32)


WHOLE = {"counts": counts, **({"SDData": san_diego} if DATA.is_dir() else {})}


@pytest.mark.parametrize("scene", WHOLE)
@pytest.mark.parametrize(("factor", "offset"), [(1000, 0), (1, 10_000), (1000, -50_000)])
def test_the_unit_of_the_data_changes_no_decision(scene, factor, offset, tmp_path):
    cube, path = WHOLE[scene](), tmp_path / "scene.npy"
    want = quantile_decisions(cube, path)
    assert 0 < want.mean() <= 0.0101
    np.testing.assert_array_equal(quantile_decisions(cube * factor + offset, path), want)


@pytest.mark.parametrize("scene", WHOLE)
def test_the_order_of_bands_hardly_changes_scores(scene):
    cube = torch.from_numpy(WHOLE[scene]())[None].double()
    bands = cube.shape[-1]
    order = torch.randperm(bands, generator=torch.Generator().manual_seed(0))
    scores = [
        run_node(fit(RXGlobal(bands, eps=eps), [{"data": data}]), {"data": data})["scores"]
        for eps in (0.0, 1e-6)
        for data in (cube, cube[..., order])
    ]
    assert scores[0].dtype == torch.float64
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-9, atol=0)
    torch.testing.assert_close(scores[2], scores[3], rtol=1e-9, atol=0)
    single = [one.float() for one in scores[:2]]
    torch.testing.assert_close(*single, rtol=1.2e-7, atol=0)
