"""Values on published scenes are those of SciPy, scikit-learn, Spectral Python and chemotools."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import spectral
import torch
from scipy.signal import detrend, savgol_filter
from scipy.sparse import diags
from scipy.sparse.linalg import spsolve
from sklearn.preprocessing import Normalizer, RobustScaler, StandardScaler

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

sys.path.insert(0, str(Path(__file__).parent))
scenes = import_module("pretreatment_scenes")
agree = scenes.agree
rows_of = scenes.rows_of
treated = scenes.treated
wavelengths = scenes.wavelengths


@pytest.fixture(scope="module", params=scenes.SCENES)
def cube(request):
    return scenes.scene(request.param)


def test_snv(cube):
    rows = rows_of(cube)
    want = (rows - rows.mean(1, keepdims=True)) / rows.std(1, ddof=1, keepdims=True)
    agree(treated(SNV(), cube), want)


def test_msc_is_the_regression_on_the_mean_spectrum(cube):
    rows = rows_of(cube)
    design = np.column_stack([np.ones(rows.shape[1]), rows.mean(0)])
    intercept, slope = np.linalg.lstsq(design, rows.T, rcond=None)[0][..., None]
    want = np.where(slope > 0, (rows - intercept) / slope, np.nan)
    node = MSC()
    agree(treated(node, cube), want)
    assert node.undefined_pixels == int((slope <= 0).sum())


@pytest.mark.parametrize("degree", [0, 2, 4])
def test_emsc_is_the_regression_on_polynomials_and_the_mean_spectrum(cube, degree):
    rows = rows_of(cube)
    nm = wavelengths(rows.shape[1])
    scaled = (2 * (nm - nm.min()) / (nm.max() - nm.min()) - 1).numpy()
    powers = np.vander(scaled, degree + 1)
    design = np.column_stack([rows.mean(0), powers])
    found = np.linalg.lstsq(design, rows.T, rcond=None)[0]
    factor = found[0][:, None]
    want = np.where(factor > 0, (rows - (powers @ found[1:]).T) / factor, np.nan)
    node = EMSC(degree)
    agree(treated(node, cube, wavelengths=nm), want)
    assert node.undefined_pixels == int((factor <= 0).sum())


@pytest.mark.parametrize(
    ("window", "degree", "derivative"), [(11, 2, 0), (7, 3, 1), (15, 4, 2), (5, 0, 0), (1, 0, 0)]
)
def test_savitzky_golay_is_that_of_scipy(cube, window, degree, derivative):
    want = savgol_filter(rows_of(cube), window, degree, derivative, axis=1, mode="interp")
    agree(treated(SavitzkyGolay(window, degree, derivative), cube), want)


@pytest.mark.parametrize("step", [2.5, -2.5])
@pytest.mark.parametrize("derivative", [1, 2])
def test_derivatives_are_per_nanometre_also_for_falling_wavelengths(cube, step, derivative):
    channels = cube.shape[-1]
    nm = 900 + step * torch.arange(channels, dtype=torch.float64)
    node = SavitzkyGolay(9, 3, derivative, per="nm")
    want = savgol_filter(rows_of(cube), 9, 3, derivative, delta=step, axis=1)
    agree(treated(node, cube, wavelengths=nm), want)


@pytest.mark.parametrize("degree", [0, 1])
def test_detrending_is_that_of_scipy(cube, degree):
    kind = ["constant", "linear"][degree]
    agree(treated(Detrend(degree), cube), detrend(rows_of(cube), axis=1, type=kind))


def test_detrending_over_wavelength_is_that_of_numpy(cube):
    rows = rows_of(cube)
    nm = wavelengths(rows.shape[1])
    scaled = (nm - 1000).numpy() / 1000
    found = np.polynomial.polynomial.polyfit(scaled, rows.T, 3)
    want = rows - np.polynomial.polynomial.polyval(scaled, found)
    agree(treated(Detrend(3, per="nm"), cube, wavelengths=nm), want)


def test_unit_norm_and_scaling_are_those_of_scikit_learn(cube):
    rows = rows_of(cube)
    # A band that is constant becomes 0 here, and stays in scikit-learn.
    varies = rows.std(0) > 0
    agree(treated(UnitNorm(), cube), Normalizer().fit_transform(rows))
    agree(treated(MeanCentring(), cube), StandardScaler(with_std=False).fit_transform(rows))
    used = cube[..., torch.from_numpy(varies)]
    rows = rows[:, varies]
    agree(treated(UnitVariance(), used), StandardScaler(with_mean=False).fit_transform(rows))
    agree(treated(ZScore(), used), StandardScaler().fit_transform(rows))


def test_robust_scaling_is_that_of_scikit_learn(cube):
    rows = rows_of(cube)
    low, high = np.quantile(rows, [0.1, 0.9], axis=0)
    varies = torch.from_numpy(high > low)
    want = RobustScaler(quantile_range=(10, 90)).fit_transform(rows[:, varies.numpy()])
    agree(treated(RobustScaling((0.1, 0.9)), cube[..., varies]), want)


def test_absorbance(cube):
    rows = rows_of(cube)
    with np.errstate(divide="ignore", invalid="ignore"):
        want = np.where(rows > 0, -np.log10(rows), np.nan)
    node = Absorbance()
    agree(treated(node, cube), want)
    assert node.undefined_pixels == int((rows <= 0).any(1).sum())


def spectral_python(rows, nm):
    with np.errstate(divide="ignore", invalid="ignore"):
        return spectral.remove_continuum(rows, nm)


def test_continuum_removal_is_that_of_spectral_python(cube):
    rows = rows_of(cube)
    nm = wavelengths(rows.shape[1])
    node = ContinuumRemoval()
    got = treated(node, cube, wavelengths=nm)
    agree(got, spectral_python(rows, nm.numpy()))
    assert node.undefined_pixels == int(np.isnan(got.numpy()).any(-1).sum())


def als_of_a_loop(rows, smoothness, asymmetry, iterations):
    """The code of Eilers and Boelens, with SciPy's sparse solver."""
    bands = rows.shape[1]
    second = diags([1.0, -2.0, 1.0], [0, 1, 2], shape=(bands - 2, bands))
    penalty = smoothness * (second.T @ second)
    left = np.empty_like(rows)
    for number, row in enumerate(rows):
        weights = np.ones(bands)
        for _ in range(iterations):
            baseline = spsolve((diags(weights) + penalty).tocsc(), weights * row)
            weights = np.where(row > baseline, asymmetry, 1 - asymmetry)
        left[number] = row - baseline
    return left


def test_baselines_are_those_of_a_sparse_solver(cube):
    rows = rows_of(cube)[:40]
    want = als_of_a_loop(rows, 1e4, 0.02, 6)
    got = treated(ALSBaseline(1e4, 0.02, 6), cube[:, :1, :40])
    scale = np.abs(rows).max(1, keepdims=True)
    agree(got.numpy().reshape(40, -1) / scale, want / scale)


GOLDEN_CUBE = torch.tensor(scenes.GOLDEN["spectra"], dtype=torch.float64)[None, None]
UNIFORM = torch.linspace(900, 1700, 60, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "node", "others"),
    [
        ("MSC", MSC(), {}),
        ("EMSC", EMSC(2), {"wavelengths": UNIFORM}),
        ("SavitzkyGolay", SavitzkyGolay(9, 2, 1), {}),
        ("AsLs", ALSBaseline(1e3, 0.01, 50), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_spectra_are_those_of_chemotools(name, node, others):
    got = treated(node, GOLDEN_CUBE, **others)[0, 0]
    want = np.array(scenes.GOLDEN[name])
    if name == "SavitzkyGolay":
        # Its ends are mirrored, not those of the first and last polynomial.
        got = got[:, 4:-4]
        want = want[:, 4:-4]
    agree(got, want, 1e-9 if name != "AsLs" else 1e-6)


def test_snv_is_that_of_chemotools_divided_by_n_minus_1():
    want = np.array(scenes.GOLDEN["SNV"]) * np.sqrt(59 / 60)
    agree(treated(SNV(), GOLDEN_CUBE)[0, 0], want, 1e-12)
