"""Hostile spectra: constant, zero, negative, one band, NaN, wavelengths in any order."""

import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from specloom import ConfigError, DataError, NodeError
from specloom.testing import fit, run
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
built = scenes.built
spectra = scenes.spectra
treated = scenes.treated
wavelengths = scenes.wavelengths


CONSTANT = torch.full((1, 1, 1, 20), 0.3)


@pytest.mark.parametrize("node", [SNV(), MSC(), EMSC(1)], ids=lambda node: type(node).__name__)
def test_a_constant_spectrum_is_not_defined_and_counted(node):
    cube = spectra(1, 4, 5, 20)
    cube[0, 1, 2] = 0.3
    cube[0, 3, 3] = torch.nan
    others = {"wavelengths": wavelengths(20)} if isinstance(node, EMSC) else {}
    got = treated(node, cube, **others)
    lost = got.isnan().all(-1)[0]
    assert bool(lost[1, 2])
    assert bool(lost[3, 3])
    # In the random spectra some slopes are negative, too.
    assert node.undefined_pixels == int(lost.sum()) - 1
    assert bool((got.isnan().any(-1) == got.isnan().all(-1)).all())
    if isinstance(node, SNV):
        assert node.undefined_pixels == 1


def test_a_spectrum_of_zeros_has_no_norm():
    cube = spectra(1, 2, 3, 8)
    cube[0, 0, 0] = 0
    cube[0, 0, 1, 2] = torch.inf
    node = UnitNorm()
    got = treated(node, cube)
    assert got[0, 0, :2].isnan().all()
    assert node.undefined_pixels == 1
    torch.testing.assert_close(got[0, 1].norm(dim=-1), torch.ones(3))


@pytest.mark.parametrize("factor", [1e-12, 1e12])
@pytest.mark.parametrize("node", [SNV(), UnitNorm()], ids=lambda node: type(node).__name__)
def test_the_unit_of_the_data_does_not_count(node, factor):
    cube = spectra(1, 3, 3, 12)
    agree(treated(node, cube * factor), treated(node, cube))


@pytest.mark.parametrize("node", [SNV(), UnitNorm()], ids=lambda node: type(node).__name__)
def test_squares_out_of_range_are_not_defined_and_counted(node):
    for factor in (1e-30, 1e30):
        before = node.undefined_pixels
        assert treated(node, spectra(1, 2, 2, 12) * factor).isnan().all()
        assert node.undefined_pixels == before + 4


def test_a_large_offset_costs_snv_and_msc_no_digits():
    cube = 5000 + spectra(1, 5, 5, 30, low=-1, high=1)
    rows = cube.reshape(-1, 30).double().numpy()
    want = (rows - rows.mean(1, keepdims=True)) / rows.std(1, ddof=1, keepdims=True)
    agree(treated(SNV(), cube), want)
    design = np.column_stack([np.ones(30), rows.mean(0) - 5000])
    slope = np.linalg.lstsq(design, rows.T, rcond=None)[0][1][:, None]
    centred = (rows - rows.mean(1, keepdims=True)) / slope
    want = np.where(slope > 0, centred + rows.mean(), np.nan)
    agree(treated(MSC(), cube), want)


def test_reflectance_of_a_zero_white_has_no_absorbance():
    cube = torch.tensor([0.5, 1.0, 2.0, 0.0, -0.1, torch.inf, torch.nan])[None, None, None]
    cube = cube.expand(1, 1, 2, 7).clone()
    cube[0, 0, 1] = torch.tensor([0.1, 0.2, 0.3, 0.0, 0.4, 0.5, 0.6])
    node = Absorbance()
    got = treated(node, cube)[0, 0]
    torch.testing.assert_close(got[0, :3], torch.tensor([0.30103, 0.0, -0.30103]))
    assert got[0, 3:].isnan().all()
    assert got[1].isnan().tolist() == [False, False, False, True, False, False, False]
    # The first pixel is not finite.
    assert node.undefined_pixels == 1


@pytest.mark.parametrize(
    ("node", "message", "fix"),
    [
        (SNV(), "SNV: one band has no standard deviation", "use data of two bands or more"),
        (MSC(), "MSC: one band has no slope", "use data of two bands or more"),
        (EMSC(), "EMSC: degree is 2, but the data have 1 bands", "use data of more bands"),
        (Detrend(), "Detrend: degree is 1, but the data have 1 bands", "use data of more bands"),
        (
            SavitzkyGolay(),
            "SavitzkyGolay: window is 11, but the data have 1 bands",
            "set window to an odd number up to 1",
        ),
        (
            ALSBaseline(),
            "ALSBaseline: 1 bands have no second difference",
            "use data of three bands or more",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_one_band_is_refused_where_it_has_no_result(node, message, fix):
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        built(node, 1)
    assert fix in str(error.value)


def test_one_band_has_a_result_elsewhere():
    cube = spectra(1, 3, 4, 1)
    torch.testing.assert_close(treated(UnitNorm(), cube), torch.ones_like(cube))
    nm = torch.tensor([500.0])
    assert torch.equal(treated(ContinuumRemoval(), cube, wavelengths=nm), torch.ones_like(cube))
    assert torch.equal(treated(SavitzkyGolay(1, 0), cube), cube)
    assert torch.equal(treated(SavitzkyGolay(1, 0, per="nm"), cube, wavelengths=nm), cube)
    for node in (MeanCentring(), ZScore(), UnitVariance(), RobustScaling(), Absorbance()):
        assert treated(node, cube).isfinite().all()


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_the_order_of_the_bands_does_not_count(order):
    cube = spectra(1, 6, 7, 30)
    nm = wavelengths(30)
    places = torch.arange(29, -1, -1)
    if order == "shuffled":
        places = torch.randperm(30, generator=torch.Generator().manual_seed(2))
    for make in (ContinuumRemoval, lambda: EMSC(2), lambda: Detrend(2, per="nm")):
        want = treated(make(), cube, wavelengths=nm)[..., places]
        got = treated(make(), cube[..., places], wavelengths=nm[places])
        agree(got, want)


@pytest.mark.parametrize(
    "node",
    [SavitzkyGolay(5), Detrend(), ALSBaseline(), EMSC(), ContinuumRemoval()],
    ids=lambda node: type(node).__name__,
)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_pixel_that_is_not_finite_is_lost_alone(node, value):
    cube = spectra(1, 8, 9, 20)
    others = {}
    if isinstance(node, EMSC | ContinuumRemoval):
        others["wavelengths"] = wavelengths(20)
    clean = treated(node, cube, **others)
    spoilt = cube.clone()
    spoilt[0, 2, 3, 19] = value
    before = getattr(node, "undefined_pixels", 0)
    got = run(node, {"data": spoilt, **others})["treated"]
    assert got[0, 2, 3].isnan().all()
    if isinstance(node, EMSC | ContinuumRemoval):
        # The pixel that is not finite is not among those that are counted.
        assert node.undefined_pixels - before == int(got.isnan().all(-1).sum()) - 1
    got[0, 2, 3] = clean[0, 2, 3]
    np.testing.assert_array_equal(got, clean)


def test_a_band_that_is_not_finite_is_lost_alone_where_bands_are_scaled():
    cube = spectra(1, 8, 9, 5)
    node = ZScore()
    clean = treated(node, cube)
    spoilt = cube.clone()
    spoilt[0, 2, 3, 4] = torch.inf
    got = run(node, {"data": spoilt})["treated"]
    assert got.isnan().sum() == 1
    assert got[0, 2, 3, 4].isnan()
    got[0, 2, 3, 4] = clean[0, 2, 3, 4]
    assert torch.equal(got, clean)


@pytest.mark.parametrize(("node", "what"), [(ZScore(), "ZScore"), (UnitVariance(), "UnitVariance")])
def test_a_band_that_is_constant_becomes_0_with_a_warning(node, what):
    cube = spectra(1, 8, 9, 14)
    cube[..., 1:13] = 1000.1
    with pytest.warns(UserWarning, match="do not vary") as found:
        got = treated(node, cube)
    assert str(found[0].message) == (
        f"{what}: 12 of 14 bands do not vary over the 72 pixels of the fit, and become 0: "
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ..."
    )
    assert not got[..., 1:13].any()
    assert got[..., 0].any()


def test_outliers_do_not_move_a_robust_scaling():
    cube = spectra(1, 20, 20, 4)
    spoilt = cube.clone()
    spoilt[0, 0, :5] = 1e9
    want = treated(RobustScaling(), cube)
    got = treated(RobustScaling(), spoilt)
    assert float((got - want)[0, 1:].abs().max()) < 0.1


def test_a_fit_needs_spectra_with_a_shape():
    with pytest.raises(NodeError, match="MSC: the mean spectrum of 6 pixels is constant"):
        treated(MSC(), torch.full((1, 2, 3, 5), 0.5))
    line = torch.linspace(0, 1, 9).expand(1, 2, 3, 9).clone()
    nm = torch.linspace(400, 800, 9, dtype=torch.float64)
    message = "EMSC: the mean spectrum of 6 pixels is a polynomial of degree 2"
    with pytest.raises(NodeError, match=message) as error:
        treated(EMSC(2), line, wavelengths=nm)
    assert "fit other spectra, or lower degree" in str(error.value)
    with pytest.raises(NodeError, match="was given no usable pixel to learn from"):
        fit(built(ZScore(), 3), [{"data": torch.full((1, 2, 2, 3), torch.nan)}])


WRONG_WAVELENGTHS = {
    "not finite": ([400, float("nan"), 500, 550], "wavelengths are not finite"),
    "equal": ([400, 450, 450, 500], "two bands have the wavelength 450 nm"),
    "too few": ([400, 450, 500], "3 wavelengths for 4 bands"),
}


@pytest.mark.parametrize("wrong", WRONG_WAVELENGTHS)
def test_wrong_wavelengths_are_refused(wrong):
    values, message = WRONG_WAVELENGTHS[wrong]
    node = built(ContinuumRemoval(), 4)
    batch = {"data": spectra(1, 2, 2, 4), "wavelengths": torch.tensor(values)}
    with pytest.raises(DataError, match=f"ContinuumRemoval: {message}") as error:
        run(node, batch)
    assert "correct the wavelengths of the data" in str(error.value)


def test_derivatives_per_nanometre_need_a_uniform_grid():
    node = built(SavitzkyGolay(5, 2, 1, per="nm"), 20)
    cube = spectra(1, 2, 2, 20)
    message = "per is 'nm', and the bands are 8.32 to 14 nm apart, which is not uniform within 5 %"
    with pytest.raises(DataError, match=message) as error:
        run(node, {"data": cube, "wavelengths": wavelengths(20)})
    assert "resample the data to a uniform grid, or set per: band" in str(error.value)
    for other in (node, built(Detrend(per="nm"), 20)):
        with pytest.raises(ConfigError, match="no wavelengths are connected") as missing:
            run(other, {"data": cube})
        assert "connect wavelengths, or set per: band" in str(missing.value)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (SavitzkyGolay(4), "window is 4"),
        (SavitzkyGolay(5, 5), "degree is 5, and window 5"),
        (SavitzkyGolay(5, 2, 3), "derivative is 3, and degree 2"),
        (Detrend(-1), "degree is -1"),
        (EMSC(19), "degree is 19, but the data have 20 bands"),
        (ALSBaseline(0.0), "smoothness is 0.0"),
        (ALSBaseline(asymmetry=1.0), "asymmetry is 1.0"),
        (ALSBaseline(iterations=0), "iterations is 0"),
        (RobustScaling((0.8, 0.2)), r"quantiles are \(0.8, 0.2\)"),
    ],
)
def test_parameters_are_checked(node, message):
    with pytest.raises(ConfigError, match=f"{type(node).__name__}: {message}"):
        built(node, 20)


@pytest.mark.parametrize("cls", [SavitzkyGolay, Detrend])
def test_a_unit_that_is_none(cls):
    with pytest.raises(ConfigError, match=f"{cls.__name__}: per should be 'band' or 'nm', got"):
        cls(per="um")


def test_gradients_are_those_of_finite_differences():
    cube = spectra(1, 1, 2, 7).double().requires_grad_()
    nm = wavelengths(7)
    nodes = [SNV(), UnitNorm(), Absorbance(), SavitzkyGolay(5, 2, 1), Detrend(), ALSBaseline(10.0)]
    for node in nodes:
        built(node, 7)
        assert torch.autograd.gradcheck(lambda x, node=node: node.forward(data=x)["treated"], cube)
    for node in (MSC(), EMSC(1), ContinuumRemoval()):
        others = {} if isinstance(node, MSC) else {"wavelengths": nm}
        treated(node, spectra(1, 5, 5, 7, seed=1).double(), **others)
        cube = torch.linspace(0.2, 0.8, 7).double() + 0.05 * spectra(1, 1, 2, 7, seed=3).double()
        if not isinstance(node, ContinuumRemoval):
            cube = node.reference + 0.05 * cube
        cube.requires_grad_()

        def apply(x, node=node, others=others):
            return node.forward(data=x, **others)["treated"]

        assert torch.autograd.gradcheck(apply, cube)
