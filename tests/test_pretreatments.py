"""Pretreatments in a graph: folded into the maps behind them, streamed, and in tiles."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.io import loadmat

import specloom
from specloom import LazyAffine, LazyLinear
from specloom.execution import run_folder
from specloom.testing import fit, fit_shares, run
from specloom_jobs import Here
from specloom_mixer import LearnableChannelMixer
from specloom_pca import MNF, TrainablePCA
from specloom_predict import Predictor, predict
from specloom_pretreatments import (
    EMSC,
    MSC,
    SNV,
    Absorbance,
    ALSBaseline,
    ContinuumRemoval,
    Detrend,
    MeanCentring,
    RobustScaling,
    SavitzkyGolay,
    UnitNorm,
    UnitVariance,
    ZScore,
)
from specloom_report.commands.graph import graph
from specloom_rx import RobustRX, RXGlobal, SubspaceRX

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
SYNTHETIC = ROOT / "configs/rx_statistical.yaml"
LINEAR = {
    "smoothed": partial(SavitzkyGolay, 11, 2),
    "derivative": partial(SavitzkyGolay, 9, 2, 1),
    "detrended": Detrend,
    "centred": MeanCentring,
    "unit variance": UnitVariance,
    "z-scores": ZScore,
    "robust": RobustScaling,
}
READERS = {
    "PCA": partial(TrainablePCA, 5),
    "whitened PCA": partial(TrainablePCA, 5, whiten=True),
    "MNF": partial(MNF, 5),
    "RXGlobal": RXGlobal,
    "RobustRX": RobustRX,
    "SubspaceRX": SubspaceRX,
    "mixer": partial(LearnableChannelMixer, normalize_output=False, init_method="pca"),
}

FIT_TOLERANCES = {"MNF": 1e-8, "RobustRX": 1e-8, "mixer": 1e-6}
"""Folded fits add in another order: MNF inverts a noise covariance that may be nearly singular,
RobustRX whitens it for a threshold, and the weights of a mixer are float32."""

few_directions = pytest.mark.filterwarnings("ignore:.*(support|pixels for a covariance)")


def built(make, channels):
    """A node as a graph would have it."""
    node = make()
    node.build({"C": channels, "num_channels": channels, "input_channels": channels})
    return node


def scene(bands=24):
    """Mixtures of smooth spectra with noise, float64."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.rand(1, 40, 40, 3, generator=generator, dtype=torch.float64)
    band = torch.linspace(0, 3, bands, dtype=torch.float64)
    spectra = torch.stack([1 + band.sin(), 2 + band.cos(), 1.5 + (2 * band).sin()])
    noise = torch.randn(1, 40, 40, bands, generator=generator, dtype=torch.float64)
    return shares @ spectra + 0.2 * noise


def both_forms(node, cube):
    """The values of a pretreatment and its map, after a fit if it fits."""
    if getattr(node, "fit_passes", 0):
        fit(node, [{"data": cube}])
    with torch.no_grad():
        return node.forward(cube)["treated"], node.forward_lazy(cube)["treated"]


def result(node, data):
    """What a fitted reader makes of data, as one tensor."""
    made = run(node, {"data": data})
    for name in ("projected", "scores", "rgb"):
        if name in made:
            return made[name]
    raise AssertionError(sorted(made))


def largest_gap(got, want):
    return float((got - want).abs().max() / want.abs().max())


@few_directions
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("pretreatment", ["derivative", "detrended", "z-scores"])
def test_folded_equals_unfolded(pretreatment, reader):
    cube = scene()
    values, lazy = both_forms(built(LINEAR[pretreatment], 24), cube)
    assert isinstance(lazy, LazyAffine | LazyLinear)
    plain = fit(built(READERS[reader], 24), [{"data": values}])
    folded = fit(built(READERS[reader], 24), [{"data": lazy}])
    want = result(plain, values)
    assert largest_gap(result(plain, lazy), want) <= 1e-12
    assert largest_gap(result(folded, lazy), want) <= FIT_TOLERANCES.get(reader, 1e-12)


@pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
@few_directions
@pytest.mark.parametrize("reader", ["whitened PCA", "MNF", "RXGlobal"])
@pytest.mark.parametrize("pretreatment", ["smoothed", "derivative"])
def test_folded_equals_unfolded_on_a_scene(pretreatment, reader):
    """Condition numbers are those of real data; ``abu-airport-1`` is the hardest here."""
    values = loadmat(DATA / "abu/abu-airport-1.mat")["data"][:20, :, ::2].astype(np.float64)
    cube = torch.from_numpy(values)[None]
    channels = cube.shape[-1]
    values, lazy = both_forms(built(LINEAR[pretreatment], channels), cube)
    plain = fit(built(READERS[reader], channels), [{"data": values}])
    assert largest_gap(result(plain, lazy), result(plain, values)) <= 1e-12


def test_a_chain_of_pretreatments_is_one_map():
    cube = scene()
    scaling = built(ZScore, 24)
    smoothing = built(partial(SavitzkyGolay, 7, 2, 1), 24)
    centring = built(MeanCentring, 24)
    scaled, lazily_scaled = both_forms(scaling, cube)
    smoothed, _ = both_forms(smoothing, scaled)
    fit(centring, [{"data": smoothed}])
    want = run(centring, {"data": smoothed})["treated"]
    with torch.no_grad():
        lazy = smoothing.forward_lazy(lazily_scaled)["treated"]
        made = centring.forward_lazy(lazy)["treated"]
    assert isinstance(made, LazyLinear)
    assert made.data is cube
    torch.testing.assert_close(run(centring, {"data": lazy})["treated"], want)
    computed = made.data @ made.matrix.T + made.offset
    torch.testing.assert_close(computed, want, rtol=0, atol=1e-12 * float(want.abs().max()))


def settings(*nodes):
    """Settings that put pretreatments before RX in the synthetic run, one after the other."""
    found = [
        "data.config.scenes=4",
        "phases=[{type: training.StatisticalTrainer}]",
        "nodes.normalizer=null",
        "nodes.rx.config={shrinkage: 0.001}",
    ]
    before = "data.cube"
    for number, node in enumerate(nodes):
        found.append(f"nodes.pre{number}={node}")
        found.append(f"connections+=[{before}, pre{number}.data]")
        before = f"pre{number}.treated"
    found.append(f"connections+=[{before}, rx.data]")
    return found


ALL = {
    "SNV": SNV,
    "MSC": MSC,
    "EMSC": partial(EMSC, 1),
    "UnitNorm": UnitNorm,
    "Absorbance": Absorbance,
    "ContinuumRemoval": ContinuumRemoval,
    "ALSBaseline": partial(ALSBaseline, iterations=3),
    **LINEAR,
}


@pytest.mark.parametrize("name", ALL)
def test_neither_batch_nor_tile_nor_order_changes_a_bit(name):
    """Blocks of several sizes, and their ends."""
    node = built(ALL[name], 24)
    generator = torch.Generator().manual_seed(1)
    cubes = 0.1 + torch.rand(3, 45, 60, 24, generator=generator)
    others = {}
    if name in ("EMSC", "ContinuumRemoval"):
        others["wavelengths"] = torch.linspace(400, 1000, 24, dtype=torch.float64)
    batches = [{"data": cube[None], **others} for cube in cubes]
    if getattr(node, "fit_passes", 0):
        fit(node, batches)
        reverse = fit(built(ALL[name], 24), batches[::-1])
        first = built(ALL[name], 24)
        second = built(ALL[name], 24)
        fit_shares([first, second], [batches[:1], batches[1:]])
        together = fit(built(ALL[name], 24), [{"data": cubes, **others}])
        for other in (reverse, first, second, together):
            for key, value in node.state().items():
                torch.testing.assert_close(other.state()[key], value, rtol=1e-11, atol=1e-12)
    whole = run(node, {"data": cubes, **others})["treated"]
    for number, batch in enumerate(batches):
        np.testing.assert_array_equal(run(node, batch)["treated"][0], whole[number])
    tile = run(node, {"data": cubes[:, 7:40, 11:58], **others})["treated"]
    np.testing.assert_array_equal(tile, whole[:, 7:40, 11:58])


def test_a_plan_shows_what_is_folded_and_scores_are_the_same(tmp_path):
    derivative = "{type: pretreatments.SavitzkyGolay, config: {window: 7, derivative: 1}}"
    scaled = "{type: pretreatments.ZScore}"
    made = specloom.load(SYNTHETIC, settings(scaled, derivative), device="cpu")
    made.run()
    folder = tmp_path / "run"
    run_folder.write(made, folder)
    shown = CliRunner().invoke(graph, [str(folder), "--plan", "predict"])
    assert shown.exit_code == 0, shown.output
    assert "folded into the nodes behind them: pre0, pre1" in shown.output
    batch = next(iter(made.batches("test")))
    scores = {}
    with made.inference():
        for fold in (True, False):
            plan = made.plan("predict", ["rx.scores"], fold=fold)
            scores[fold] = plan(batch)["rx.scores"]
    torch.testing.assert_close(scores[True], scores[False], rtol=1e-3, atol=1e-3)


def test_jobs_and_tiles_give_the_same(tmp_path):
    nodes = ("{type: pretreatments.SNV}", "{type: pretreatments.Detrend}")
    made = specloom.load(SYNTHETIC, settings(*nodes), device="cpu")
    made.run()
    by_jobs = specloom.load(SYNTHETIC, settings(*nodes), device="cpu")
    by_jobs.executor = Here()
    by_jobs.run()
    want = made.graph.nodes["rx"].state()
    for key, value in by_jobs.graph.nodes["rx"].state().items():
        torch.testing.assert_close(value, want[key], rtol=1e-9, atol=1e-12)
    run_folder.write(made, tmp_path / "run")
    cubes = [batch["cube"] for batch in made.source.batches("test")]
    np.save(tmp_path / "scene.npy", np.concatenate(list(np.concatenate(cubes)), axis=0))
    predictor = Predictor(tmp_path / "run", device="cpu")
    whole = predict(predictor, tmp_path / "scene.npy")
    tiles = predict(
        predictor, tmp_path / "scene.npy", tmp_path / "out", ["npy"], memory=0, tile_bytes=400_000
    )
    np.testing.assert_array_equal(tiles.arrays["scores"], whole.arrays["scores"])
