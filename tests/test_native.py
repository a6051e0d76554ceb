"""Both engines beside each other, in every plugin that uses kernels: real scenes, and bits."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from scipy.io import loadmat

from specloom import LazyAffine
from specloom.cli import cli
from specloom.testing import fit, run
from specloom_mrmr import SupervisedFullSpectrumBandSelector
from specloom_native import engine
from specloom_normalize import MinMaxNormalizer
from specloom_pca import TrainablePCA
from specloom_registry.provenance import run_record
from specloom_rx import RXGlobal
from specloom_statistics import Moments, RunningExtremes, RunningVariance, engine_identity

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", ROOT / "../shared/data/hsi"))
SCENES = (
    "abu/abu-airport-1.mat",
    "abu/abu-airport-4.mat",
    "abu/abu-urban-1.mat",
    "abu/abu-urban-4.mat",
    "sandiego/sandiego_plane.mat",
    "hydice/HYDICE_urban.mat",
)
ENGINES = ("1", "avx2", "0")
each_engine = pytest.mark.parametrize("setting", ENGINES)
on_scenes = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
kernels = pytest.mark.skipif(engine().library is None, reason=engine().reason)


def correlated(count, bands, seed=0):
    """Rows whose neighbouring bands are alike, as those of spectra are."""
    random = np.random.default_rng(seed)
    steps = random.standard_normal((count, bands)).cumsum(1)
    return torch.from_numpy(100 + steps + 0.1 * random.standard_normal((count, bands))).float()


def exact_scatter(rows):
    """Mean and scatter of rows; products in float64 of values centred with more digits."""
    wide = rows.astype(np.longdouble)
    mean = wide.mean(0)
    centred = (wide - mean).astype(np.float64)
    scatter = np.zeros((rows.shape[1], rows.shape[1]), np.longdouble)
    for start in range(0, len(rows), 500):
        part = centred[start : start + 500]
        scatter += part.T @ part
    return mean, scatter


@on_scenes
@pytest.mark.parametrize("name", SCENES)
def test_the_whitened_error_on_real_scenes_is_small(name, monkeypatch):
    cube = loadmat(DATA / name)["data"]
    rows = cube.reshape(-1, cube.shape[2]).astype(np.float32)
    mean, scatter = exact_scatter(rows)
    scale = 1 / np.sqrt(scatter.diagonal())
    matrix = (scatter * np.outer(scale, scale)).astype(np.float64)
    values, vectors = np.linalg.eigh(matrix)
    whitening = vectors / np.sqrt(values)
    for setting in ENGINES:
        monkeypatch.setenv("SPECLOOM_NATIVE", setting)
        moments = Moments(rows.shape[1])
        moments.update(torch.from_numpy(rows))
        found = moments.moments()
        gap = (found.scatter.numpy() - scatter) * np.outer(scale, scale)
        error = np.abs(whitening.T @ gap.astype(np.float64) @ whitening).max()
        assert error <= 1e-6, (setting, error)
        np.testing.assert_allclose(found.mean.numpy(), mean.astype(np.float64), rtol=1e-13)


@on_scenes
@pytest.mark.parametrize("name", SCENES[:2])
def test_scores_on_real_scenes_agree(name, monkeypatch):
    cube = torch.from_numpy(loadmat(DATA / name)["data"].astype(np.float32))[None]
    batch = {"data": cube}
    scores = {}
    for setting in ENGINES:
        monkeypatch.setenv("SPECLOOM_NATIVE", setting)
        scores[setting] = run(fit(RXGlobal(cube.shape[3]), [batch]), batch)["scores"]
    assert torch.equal(scores["1"], scores["avx2"])
    torch.testing.assert_close(scores["1"], scores["0"], rtol=1e-5, atol=1e-5)


SHAPES = [(0, 5), (1, 5), (2, 1), (200, 1), (300, 61), (3000, 188), (2000, 224), (9000, 61)]


@each_engine
@pytest.mark.parametrize(("count", "bands"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int16])
def test_sums_equal_those_of_numpy(count, bands, dtype, setting, monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", setting)
    rows = correlated(count, bands).to(dtype)
    keep = torch.from_numpy(np.random.default_rng(1).random(count) < 0.8)
    if dtype.is_floating_point and count > 2:
        rows[1, bands - 1] = torch.nan
        rows[2, 0] = torch.inf
    used = keep & rows.double().isfinite().all(1)
    wide = rows[used].double()
    moments = Moments(bands)
    variance = RunningVariance(bands)
    extremes = RunningExtremes(bands)
    for statistics in (moments, variance, extremes):
        statistics.update(rows, keep)
        assert statistics.count == len(wide)
        assert statistics.left_out == count - len(wide)
    if len(wide):
        mean, scatter = exact_scatter(wide.numpy())
        largest = float(scatter.diagonal().max()) or 1.0
        atol = 1e-11 * largest
        np.testing.assert_allclose(moments.mean(), mean.astype(float), rtol=1e-13)
        np.testing.assert_allclose(moments.moments().scatter, scatter.astype(float), atol=atol)
        diagonal = scatter.diagonal().astype(float)
        np.testing.assert_allclose(variance.moments().scatter, diagonal, atol=atol)
        assert torch.equal(extremes.low, wide.amin(0))
        assert torch.equal(extremes.high, wide.amax(0))


@each_engine
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads_change_no_bit(setting, threads, monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", setting)
    rows = correlated(40_000, 61)
    cube = rows.view(1, 200, 200, 61)
    monkeypatch.setenv("SPECLOOM_THREADS", "1")
    expected = results_of(cube)
    monkeypatch.setenv("SPECLOOM_THREADS", str(threads))
    for name, value in results_of(cube).items():
        assert torch.equal(value, expected[name]), name


def results_of(cube):
    """What every node that uses kernels gives."""
    bands = cube.shape[3]
    batch = {"data": cube}
    found = {}
    rx = fit(RXGlobal(bands), [batch])
    pca = fit(TrainablePCA(3, num_channels=61), [batch])
    scaling = MinMaxNormalizer(per_channel=True)
    scaling.build({"C": bands})
    fit(scaling, [batch])
    found |= {f"rx.{key}": value for key, value in rx.state().items()}
    found |= {f"pca.{key}": value for key, value in pca.state().items()}
    found["scores"] = run(rx, batch)["scores"]
    found["projected"] = run(pca, batch)["projected"]
    found["normalized"] = run(scaling, batch)["normalized"]
    mask = cube[..., :1] > 100.5
    selector = fit(
        SupervisedFullSpectrumBandSelector(cube.shape[3]), [{"cube": cube, "mask": mask}]
    )
    found["auc"] = selector.auc_scores.clone()
    found["fisher"] = selector.fisher_scores.clone()
    return found


@each_engine
def test_tiles_and_batches_change_no_bit_of_what_a_pixel_gives(setting, monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", setting)
    cube = correlated(2 * 40 * 50, 61).view(2, 40, 50, 61)
    rx = fit(RXGlobal(61), [{"data": cube}])
    pca = fit(TrainablePCA(3, num_channels=61), [{"data": cube}])
    for node, port in ((rx, "scores"), (pca, "projected")):
        whole = run(node, {"data": cube})[port]
        for tile in (cube[:1], cube[:, 3:21, 7:8], cube[1:, ::2, ::3]):
            part = run(node, {"data": tile})[port]
            if tile.shape[0] == 2:
                assert torch.equal(part, whole[:, 3:21, 7:8])
            elif tile.shape[1] == 40:
                assert torch.equal(part, whole[:1])
            else:
                assert torch.equal(part, whole[1:, ::2, ::3])


@kernels
@pytest.mark.parametrize("bands", [1, 61, 188])
def test_the_engines_agree_on_mapped_and_offset_data(bands, monkeypatch):
    rows = correlated(5000, bands) + 1e4
    rows[7] = torch.nan
    cube = rows.view(1, 50, 100, bands)
    scale = torch.linspace(0.5, 2, bands, dtype=torch.float64)
    mapped = LazyAffine(cube, scale, torch.tensor(-3.0, dtype=torch.float64), torch.float64)
    found = {}
    for setting in ("0", "1"):
        monkeypatch.setenv("SPECLOOM_NATIVE", setting)
        rx = fit(RXGlobal(bands), [{"data": mapped}])
        found[setting] = run(rx, {"data": mapped})["scores"]
        found[f"{setting} mean"] = rx.background_mean
    torch.testing.assert_close(found["1 mean"], found["0 mean"], rtol=1e-13, atol=0)
    assert torch.equal(found["0"].isnan(), found["1"].isnan())
    torch.testing.assert_close(found["1"], found["0"], rtol=1e-6, atol=1e-6, equal_nan=True)


@kernels
def test_mrmr_counts_the_same_values_in_both_engines(monkeypatch):
    rows = correlated(30_000, 20)
    rows[:, 3] = rows[:, 3].round()  # a band whose bins are no even grid
    rows[:, 4] = rows[:, 4].exp().clamp(max=1e30)
    rows[5, 5] = torch.nan
    cube = rows.view(1, 300, 100, 20)
    mask = cube[..., :1] > 101
    valid = torch.rand(mask.shape, generator=torch.Generator().manual_seed(0)) < 0.9
    batch = {"cube": cube, "mask": mask, "valid": valid}
    found = {}
    for setting in ("0", "1"):
        monkeypatch.setenv("SPECLOOM_NATIVE", setting)
        node = fit(SupervisedFullSpectrumBandSelector(cube.shape[3]), [batch])
        found[setting] = {key: value.clone() for key, value in node.state().items()}
    for key in ("selected_indices", "auc_scores", "auc_bounds", "mi_scores", "class_pixels"):
        assert torch.equal(found["0"][key], found["1"][key]), key
    torch.testing.assert_close(
        found["1"]["fisher_scores"], found["0"]["fisher_scores"], rtol=1e-9, atol=0
    )


@each_engine
def test_a_constant_band_is_constant_in_each_engine(setting, monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", setting)
    rows = correlated(3000, 5)
    rows[:, 2] = 1e4 + 0.1
    moments = Moments(5)
    moments.update(rows)
    assert moments.covariance()[2, 2] == 0


@kernels
def test_runs_record_the_engine_and_reproduce_names_another(tmp_path, monkeypatch):
    out = tmp_path / "run"
    small = ["data.config.scenes=12", "data.config.height=32", "data.config.width=32"]
    sets = [argument for one in small for argument in ("--set", one)]
    config = str(ROOT / "configs/rx_statistical.yaml")
    monkeypatch.setenv("SPECLOOM_NO_REPORT", "1")
    result = CliRunner().invoke(cli, ["run", config, "--out", str(out), *sets])
    assert result.exit_code == 0, result.output
    record = json.loads((out / "run.json").read_text())
    assert record["kernels"] == engine_identity()
    assert record["kernels"].split()[1] == engine().key
    monkeypatch.setenv("SPECLOOM_NATIVE", "0")
    assert engine_identity() == "pure"
    before = run_record.circumstances(record)
    after = run_record.circumstances(record | {"kernels": engine_identity()})
    name, key = record["kernels"].split()
    assert run_record.changes(before, after) == [
        f"other kernels: {name} {key[:15]} -> pure; last digits may differ"
    ]
