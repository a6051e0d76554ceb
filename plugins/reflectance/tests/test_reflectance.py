"""The nodes: values of loops in float64, golden values of PlantCV, hostile data, saved state."""

import json
import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from specloom import ConfigError, DataError, LazyAffine, LazyLinear, NodeError
from specloom.graph.ported import build
from specloom.testing import fit, fit_shares, run
from specloom_reflectance import (
    BinBands,
    DeadPixels,
    Highlights,
    NoisyBands,
    Reflectance,
    Resample,
    Saturation,
)
from specloom_rx import RXGlobal

HERE = Path(__file__).parent
sys.path.append(str(HERE / "golden"))
golden = import_module("make")


def references(folder, white, dark):
    np.save(folder / "white.npy", white)
    np.save(folder / "dark.npy", dark)
    return {"white": folder / "white.npy", "dark": folder / "dark.npy"}


def calibrated(folder, raw, white, dark, **params):
    params = {"exposures": {"raw": 1.0, "white": 1.0, "dark": 1.0}} | params
    node = Reflectance(**references(folder, white, dark), **params)
    build(node, {"num_channels": raw.shape[-1]})
    node.prepare("cpu")
    return node


def batch(values):
    return torch.as_tensor(np.asarray(values, np.float32))[None]


def test_calibration_is_that_of_plantcv(tmp_path):
    raw, white, dark = golden.captures()
    node = calibrated(tmp_path, raw, white, dark, clip=1.0)
    found = run(node, {"data": batch(raw)})["reflectance"][0]
    expected = np.array(json.loads((HERE / "golden/plantcv.json").read_text()))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (expected == 1).any()
    assert (expected == 0).any()


def loop(raw, white, dark, panel, ratio):
    result = np.empty(raw.shape)
    for place in np.ndindex(raw.shape):
        _, column, band = place
        level = dark[:, column, band].mean()
        bottom = white[:, column, band].mean() - level
        value = panel * (raw[place] - level) / bottom * ratio if bottom > 0 else np.nan
        result[place] = value
    return result


def test_reflectance_is_that_of_a_loop_in_float64(tmp_path):
    raw, white, dark = golden.captures()
    times = {"raw": 4.0, "white": 2.0, "dark": 4.0}
    node = calibrated(
        tmp_path, raw, white, dark, panel=0.5, exposures=times, dark_kind="offset", saturation=4000
    )
    made = run(node, {"data": batch(raw)})
    np.testing.assert_allclose(made["reflectance"][0], loop(raw, white, dark, 0.5, 0.5), rtol=1e-6)
    np.testing.assert_array_equal(made["valid"][0, ..., 0], (raw < 4000).all(-1))
    integers = run(node, {"data": torch.as_tensor(raw)[None]})["reflectance"]
    assert integers.dtype == torch.float32
    assert torch.equal(integers, made["reflectance"])


def test_hostile_references_are_nan_counted_and_contained(tmp_path):
    raw, white, dark = golden.captures()
    white[:, 0] = 0
    white[:, 1, 2] = dark[:, 1, 2].mean() - 1
    with pytest.warns(UserWarning, match=r"5 of 5 x 4 elements .* columns 0 \(4 bands\), 1 \(1"):
        node = calibrated(tmp_path, raw, white, dark)
    found = run(node, {"data": batch(raw)})["reflectance"][0]
    np.testing.assert_allclose(found, loop(raw, white, dark, 1, 1), rtol=1e-6)
    hostile = batch(raw)
    hostile[0, 2, 3, 1] = torch.nan
    hostile[0, 3, 4, 1] = torch.inf
    made = run(node, {"data": hostile})
    changed = torch.zeros(raw.shape, dtype=torch.bool)
    changed[2, 3, 1] = changed[3, 4, 1] = True
    assert torch.equal(made["reflectance"][0][~changed].nan_to_num(), found[~changed].nan_to_num())
    assert not made["valid"][0, 2, 3]


def test_one_band_and_one_line(tmp_path):
    raw, white, dark = golden.captures()
    parts = raw[..., :1], white[:1, :, :1], dark[:1, :, :1]
    node = calibrated(tmp_path, *parts)
    found = run(node, {"data": batch(parts[0])})["reflectance"][0]
    np.testing.assert_allclose(found, loop(*parts, 1, 1), rtol=1e-6)


def test_one_spectrum_for_all_columns_is_left_to_the_reader(tmp_path):
    raw, white, dark = golden.captures()
    node = calibrated(tmp_path, raw, white, dark, per_column=False)
    assert node.locality == "pixel"
    lazy = node.forward_lazy(data=batch(raw))["reflectance"]
    assert isinstance(lazy, LazyAffine)
    values = lazy.data.double() * lazy.scale + lazy.offset
    mean = white.mean((0, 1)) - dark.mean((0, 1))
    np.testing.assert_allclose(values[0], (raw - dark.mean((0, 1))) / mean, rtol=1e-12)
    node = calibrated(tmp_path, raw, white, dark)
    assert node.locality == "image"
    assert isinstance(node.forward_lazy(data=batch(raw))["reflectance"], torch.Tensor)


def test_a_saved_calibration_needs_no_files(tmp_path):
    raw, white, dark = golden.captures()
    node = calibrated(tmp_path, raw, white, dark)
    state = dict(node.state())
    absent = {"white": tmp_path / "gone.hdr", "dark": tmp_path / "gone_too.hdr"}
    other = Reflectance(**absent)
    build(other, {"num_channels": 4})
    assert [error.fix for error in other.missing()] == ["correct white", "correct dark"]
    with pytest.raises(NodeError, match="has no references"):
        other.forward(data=batch(raw))
    other.restore(state)
    assert list(other.missing()) == []
    other.prepare("cpu")
    one = run(node, {"data": batch(raw)})["reflectance"]
    assert torch.equal(run(other, {"data": batch(raw)})["reflectance"], one)


def test_references_that_do_not_fit(tmp_path):
    raw, white, dark = golden.captures()
    node = calibrated(tmp_path, raw, white, dark)
    with pytest.raises(NodeError, match="the data have 4 columns, the references 5") as caught:
        run(node, {"data": batch(raw[:, :4])})
    assert "per_column: false" in caught.value.fix
    other = Reflectance(**references(tmp_path, white, dark), dark_kind="offset")
    build(other, {"num_channels": 3})
    with pytest.raises(DataError, match="the references have 4 bands, the data 3"):
        other.prepare("cpu")
    with pytest.raises(ConfigError, match="saturation has 2 levels for 4 bands"):
        calibrated(tmp_path, raw, white, dark, saturation=[1.0, 2.0])
    with pytest.raises(ConfigError, match="has panel 99"):
        calibrated(tmp_path, raw, white, dark, panel=99.0)


def test_exposures_that_differ_or_are_not_known_are_warned_of(tmp_path):
    raw, white, dark = golden.captures()
    with pytest.warns(UserWarning, match="exposure times of the cube and its references are not"):
        calibrated(tmp_path, raw, white, dark, exposures=None)
    times = {"raw": 4.0, "white": 2.0, "dark": 4.0}
    with pytest.warns(UserWarning, match="the dark was taken at exposure 4, the cube at 4"):
        calibrated(tmp_path, raw, white, dark, exposures=times)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrated(tmp_path, raw, white, dark, exposures=times, dark_kind="current")


def made(node, **sizes):
    build(node, sizes)
    return node


def test_saturation_by_level_bits_and_type():
    data = torch.tensor([[[[1.0, 2], [4095, 2], [3, 4094], [torch.nan, 0]]]])
    for params in ({"level": 4095}, {"bits": 12}, {"level": [4095, 5000]}):
        node = made(Saturation(**params), num_channels=2)
        found = run(node, {"data": data})["valid"][..., 0]
        assert found.tolist() == [[[True, False, True, False]]]
    valid = torch.tensor([[[[False], [True], [True], [True]]]])
    found = run(node, {"data": data, "valid": valid})["valid"][..., 0]
    assert found.tolist() == [[[False, False, True, False]]]
    node = made(Saturation(), num_channels=2)
    integers = torch.tensor([[[[1, 255], [254, 0]]]], dtype=torch.uint8)
    assert run(node, {"data": integers})["valid"][..., 0].tolist() == [[[False, True]]]
    with pytest.raises(NodeError, match=r"data come as torch\.float32") as caught:
        run(node, {"data": data})
    assert "set level" in caught.value.fix
    with pytest.raises(ConfigError, match="level and bits are set"):
        made(Saturation(level=3, bits=4), num_channels=2)
    with pytest.raises(ConfigError, match="bits is 0"):
        made(Saturation(bits=0), num_channels=2)
    with pytest.raises(ConfigError, match="level has 3 levels for 2 bands"):
        made(Saturation(level=[1, 2, 3]), num_channels=2)
    for level in (0, -1, float("nan"), [1, float("nan")]):
        with pytest.raises(ConfigError, match="level is ") as refused:
            made(Saturation(level=level), num_channels=2)
        assert refused.value.fix == "set level above 0"


def test_highlights_are_whiter_than_the_panel_in_every_band():
    data = torch.tensor([[[[0.95, 1.2], [1.5, 0.2], [0.3, 0.4], [torch.nan, 2.0]]]])
    node = made(Highlights(), C=2)
    assert run(node, {"data": data})["valid"][..., 0].tolist() == [[[False, True, True, False]]]
    with pytest.raises(ConfigError, match="level is 0"):
        made(Highlights(level=0), C=2)


COLUMNS, BANDS = 24, 20
DEAD = ((3, 4), (3, 5), (0, 0))
HOT = ((10, 11), (23, 19))


def lines(seed=0, images=3, rows=40):
    """Counts of a smooth scene on a sensor with dead and hot elements."""
    rng = np.random.default_rng(seed)
    curve = 1000 + 300 * np.sin(np.arange(BANDS) / 4) + 5 * np.arange(COLUMNS)[:, None]
    scene = curve * rng.uniform(0.6, 1.4, (images, rows, COLUMNS, 1))
    counts = scene + rng.normal(0, 5, (images, rows, COLUMNS, BANDS))
    truth = counts.copy()
    for column, band in DEAD:
        counts[:, :, column, band] = 77
    for column, band in HOT:
        counts[:, :, column, band] += 2500
    return torch.as_tensor(counts, dtype=torch.float32), truth


def test_dead_and_hot_elements_are_found_and_become_the_median_around_them():
    counts, truth = lines()
    node = fit(made(DeadPixels(), num_channels=BANDS), [{"data": one[None]} for one in counts])
    found = {tuple(place) for place in node.bad.nonzero().tolist()}
    assert found == {*DEAD, *HOT}
    assert "5 of 24 x 20 elements are bad" in node.fit_summary()
    repaired = run(node, {"data": counts})["repaired"].numpy()
    for image, row in ((0, 0), (2, 39)):
        for column, band in found:
            around = []
            for one in range(max(column - 1, 0), min(column + 2, COLUMNS)):
                for other in range(max(band - 1, 0), min(band + 2, BANDS)):
                    if (one, other) not in found:
                        around.append(counts[image, row, one, other])
            assert repaired[image, row, column, band] == pytest.approx(np.median(around), rel=1e-6)
    good = np.ones((COLUMNS, BANDS), bool)
    for column, band in found:
        good[column, band] = False
    np.testing.assert_array_equal(repaired[..., good], counts.numpy()[..., good])
    error = np.abs(repaired[..., ~good] / truth[..., ~good] - 1)
    assert np.median(error) < 0.2  # neighbouring columns see other light


def test_sensor_statistics_merge_and_leave_out_what_is_not_usable():
    counts, _ = lines()
    batches = [{"data": one[None]} for one in counts]
    whole = fit(made(DeadPixels(), num_channels=BANDS), batches)
    shares = [made(DeadPixels(), num_channels=BANDS) for _ in range(2)]
    fit_shares(shares, [batches[1:], batches[:1]])
    for node in shares:
        assert torch.equal(node.bad, whole.bad)
    spoilt = []
    for one in batches:
        data = one["data"].clone()
        data[0, 5, 7, 3] = torch.nan
        data[0, 6] = 1e9
        valid = torch.ones(1, 40, COLUMNS, 1, dtype=torch.bool)
        valid[0, 6] = False
        spoilt.append({"data": data, "valid": valid})
    node = fit(made(DeadPixels(), num_channels=BANDS), spoilt)
    assert torch.equal(node.bad, whole.bad)
    assert node.left_out == 3 * (1 + COLUMNS)
    state = dict(whole.state())
    fresh = made(DeadPixels(), num_channels=BANDS)
    fresh.restore(state)
    one = run(whole, {"data": counts})["repaired"]
    assert torch.equal(run(fresh, {"data": counts})["repaired"], one)


def test_columns_of_a_sensor_must_agree():
    counts, _ = lines()
    node = made(DeadPixels(), num_channels=BANDS)
    with pytest.raises(NodeError, match="an image has 23 columns, others have 24"):
        fit(node, [{"data": counts}, {"data": counts[:, :, :-1]}])
    node = fit(made(DeadPixels(), num_channels=BANDS), [{"data": counts}])
    with pytest.raises(NodeError, match="the data have 23 columns, it was fitted on 24"):
        run(node, {"data": counts[:, :, :-1]})
    with pytest.raises(ConfigError, match="hot is -1"):
        made(DeadPixels(hot=-1), num_channels=BANDS)


def noisy(seed=0):
    rng = np.random.default_rng(seed)
    signal = np.linspace(50, 100, 8) * (1 + 0.001 * rng.normal(size=(2, 30, 30, 1)))
    noise = np.array([0.5, 0.5, 30, 0.5, 0.5, 40, 50, 0.5])
    return torch.as_tensor(signal + noise * rng.normal(size=(2, 30, 30, 8)), dtype=torch.float32)


CENTRES = torch.tensor([400.0, 500, 600, 900, 1400, 1500, 1600, 1700])


def test_noisy_bands_are_found_by_differences_and_interpolated():
    data = noisy()
    node = made(NoisyBands(), num_channels=8)
    fit(node, [{"data": data, "wavelengths": CENTRES}])
    pixels = data.double()
    differences = pixels[:, :, 1:] - pixels[:, :, :-1]
    ratio = pixels.mean((0, 1, 2)) / (differences.var((0, 1, 2), unbiased=False) / 2).sqrt()
    made_values = run(node, {"data": data})
    np.testing.assert_allclose(made_values["ratio"], ratio, rtol=1e-9)
    assert "3 of 8 bands are bad (600-600 nm, 1500-1600 nm)" in node.fit_summary()
    cleaned = made_values["cleaned"].double()
    good = [0, 1, 3, 4, 7]
    assert torch.equal(made_values["cleaned"][..., good], data[..., good])
    expected = (pixels[..., 1] * 300 + pixels[..., 3] * 100) / 400
    np.testing.assert_allclose(cleaned[..., 2], expected, rtol=1e-6)
    lazy = node.forward_lazy(data=data)["cleaned"]
    assert isinstance(lazy, LazyLinear)
    node = fit(made(NoisyBands(replace="zero"), num_channels=8), [{"data": data}])
    assert (run(node, {"data": data})["cleaned"][..., [2, 5, 6]] == 0).all()
    assert "bands are bad (band 2, bands 5-6)" in node.fit_summary()


def test_a_band_of_zeros_is_bad_and_pixels_without_neighbours_are_an_error():
    data = noisy()
    data[..., 3] = 0
    data[..., 4] = -1
    node = fit(made(NoisyBands(), num_channels=8), [{"data": data}])
    assert node.ratios[3:5].tolist() == [0, 0]
    assert "bands are bad (bands 2-6)" in node.fit_summary()
    node = made(NoisyBands(), num_channels=8)
    with pytest.raises(NodeError, match="no usable pixel has a usable right neighbour") as caught:
        fit(node, [{"data": data[:, :, :1]}])
    assert caught.value.fix == "fit images of two columns or more"
    assert not node.fitted


def test_bands_of_water_vapour_are_bad_on_request():
    node = made(NoisyBands(least_ratio=0, water_vapour=True), num_channels=8)
    fit(node, [{"data": noisy(), "wavelengths": CENTRES}])
    assert "1 of 8 bands are bad (1400-1400 nm)" in node.fit_summary()
    node = made(NoisyBands(water_vapour=True), num_channels=8)
    with pytest.raises(NodeError, match="band centres are not known"):
        fit(node, [{"data": noisy()}])
    node = made(NoisyBands(least_ratio=1e9), num_channels=8)
    with pytest.raises(NodeError, match="every band has a ratio of mean and noise below 1e"):
        fit(node, [{"data": noisy()}])
    with pytest.raises(ConfigError, match="least_ratio is -1"):
        made(NoisyBands(least_ratio=-1), num_channels=8)


def test_resampling_is_that_of_a_loop_and_left_to_readers():
    rng = np.random.default_rng(3)
    data = torch.as_tensor(rng.uniform(0, 1, (2, 4, 5, 8)), dtype=torch.float32)
    centres = [450.0, 700.0, 1550.0]
    node = made(Resample(centres=centres, fwhm=[150.0, 400, 300]), num_channels=8, num_bands=3)
    values = run(node, {"data": data, "wavelengths": CENTRES})
    assert values["wavelengths"].tolist() == centres
    steps = np.gradient(CENTRES.double().numpy())
    for band, (centre, width) in enumerate(zip(centres, (150.0, 400, 300), strict=True)):
        sigma = width / (2 * np.sqrt(2 * np.log(2)))
        weights = np.exp(-(((CENTRES.double().numpy() - centre) / sigma) ** 2) / 2) * steps
        expected = (data.double().numpy() * weights).sum(-1) / weights.sum()
        if width < np.interp(centre, CENTRES, steps):
            expected = np.apply_along_axis(
                lambda x, centre=centre: np.interp(centre, CENTRES.numpy(), x), -1, data.double()
            )
        np.testing.assert_allclose(values["resampled"][..., band], expected, rtol=1e-6)
    reverse = run(node, {"data": data.flip(-1), "wavelengths": CENTRES.flip(0)})["resampled"]
    torch.testing.assert_close(reverse, values["resampled"], rtol=1e-6, atol=0)
    lazy = node.forward_lazy(data=data, wavelengths=CENTRES)["resampled"]
    assert isinstance(lazy, LazyLinear)
    folded = LazyAffine(data, torch.full((8,), 2.0), torch.full((8,), 1.0), torch.float32)
    found = node.forward(data=folded, wavelengths=CENTRES)["resampled"]
    torch.testing.assert_close(found, 2 * values["resampled"] + 1, rtol=1e-6, atol=0)
    hostile = data.clone()
    hostile[0, 1, 2, 3] = torch.nan
    found = run(node, {"data": hostile, "wavelengths": CENTRES})["resampled"]
    assert found[0, 1, 2].isnan().all()
    assert int(found.isnan().sum()) == 3


def test_narrow_bands_warn_and_bands_outside_are_refused():
    data = torch.rand(1, 2, 2, 8)
    node = made(Resample(centres=[450.0], fwhm=5.0), num_channels=8, num_bands=1)
    with pytest.warns(UserWarning, match="1 of 1 bands are narrower than the spacing"):
        node.forward(data=data, wavelengths=CENTRES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        node.forward(data=data, wavelengths=CENTRES)
    node = made(Resample(centres=[300.0], fwhm=100.0), num_channels=8, num_bands=1)
    with pytest.raises(DataError, match="lie outside the source, which has 400 to 1700 nm"):
        node.forward(data=data, wavelengths=CENTRES)


def test_a_grid_that_does_not_fit_the_data_is_an_error_of_the_node(tmp_path):
    responses = tmp_path / "responses.csv"
    responses.write_text("wavelength_nm,dead\n400,0\n1700,0\n")
    data = {"data": torch.rand(1, 3, 2, 8), "wavelengths": CENTRES}
    for params in ({"responses": responses}, {"centres": [5000.0]}):
        node = made(Resample(**params, name="camera"), num_channels=8, num_bands=1)
        with pytest.raises(DataError, match=r"^node 'camera' \(Resample\): ") as caught:
            run(node, data)
        assert caught.value.fix


def test_a_grid_comes_from_a_table_and_is_saved(tmp_path):
    table = tmp_path / "grid.csv"
    table.write_text("wavelength_nm,fwhm_nm\n500,150\n650,450\n")
    responses = tmp_path / "responses.csv"
    responses.write_text("wavelength_nm,blue,red\n400,1,0\n600,1,0\n700,0,1\n900,0,1\n")
    data = torch.rand(1, 3, 2, 8)
    for params in ({"grid": table}, {"responses": responses}):
        assert Resample.sizes(params, {}) == {"num_bands": 2}
        node = made(Resample(**params), num_channels=8, num_bands=2)
        assert node.num_bands == 2
        assert list(node.missing()) == []
        expected = run(node, {"data": data, "wavelengths": CENTRES})["resampled"]
        (name,) = params
        other = Resample(**{name: tmp_path / "gone.csv"}, num_bands=2)
        build(other, {"num_channels": 8, "num_bands": 2})
        (error,) = other.missing()
        assert error.fix == f"correct {name}"
        other.restore(dict(node.state()))
        assert list(other.missing()) == []
        found = run(other, {"data": data, "wavelengths": CENTRES})["resampled"]
        assert torch.equal(found, expected)
    with pytest.raises(DataError, match="there is no file"):
        Resample(grid=tmp_path / "gone.csv", num_channels=8)
    assert Resample(centres=[450.0, 600], fwhm=200, num_channels=8).num_bands == 2
    missing = made(Resample(grid=tmp_path / "gone.csv", num_bands=2), num_channels=8, num_bands=2)
    with pytest.raises(NodeError, match="has no grid"):
        missing.forward(data=data, wavelengths=CENTRES)


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({}, "no grid is set"),
        ({"grid": "a", "centres": [500.0]}, "grid and centres are set"),
        ({"grid": "a", "fwhm": 3.0}, "fwhm is set without centres"),
        ({"centres": [500.0], "fwhm": [1.0, 2.0]}, "for 1 centres"),
        ({"centres": [500.0], "fwhm": float("inf")}, "fwhm is inf for 1 centres"),
        ({"centres": []}, "centres is empty"),
        ({"centres": [-500.0]}, "not a positive number"),
        ({"centres": [500.0], "num_bands": 2}, "num_bands is 2, the grid has 1 bands"),
    ],
)
def test_grids_that_cannot_be_used(params, what):
    node = Resample(**params)
    with pytest.raises(ConfigError, match=what) as caught:
        build(node, {"num_channels": 8, "num_bands": params.get("num_bands", 1)})
    assert caught.value.fix


def test_bins_of_bands_are_means():
    data = torch.rand(2, 3, 4, 7)
    node = made(BinBands(size=3), num_channels=7)
    values = run(node, {"data": data, "wavelengths": torch.arange(7.0) * 100 + 400})
    parts = [data[..., :3], data[..., 3:6], data[..., 6:]]
    expected = torch.stack([part.double().mean(-1) for part in parts], -1)
    np.testing.assert_allclose(values["binned"], expected, rtol=1e-6)
    assert values["wavelengths"].tolist() == [500, 800, 1000]
    with pytest.raises(ConfigError, match="num_bins is 4, the data make 3 bins"):
        made(BinBands(size=3, num_bins=4), num_channels=7)
    with pytest.raises(ConfigError, match="size is 0"):
        build(BinBands(size=0), {"num_channels": 7, "num_bins": 7})


def test_rx_takes_the_maps_of_bands_in():
    rng = np.random.default_rng(5)
    mixed = rng.normal(size=(2, 30, 20, 8)) @ rng.normal(size=(8, 8))
    data = torch.as_tensor(mixed + 10)
    resample = made(Resample(centres=[450.0, 550, 800, 1450], fwhm=400.0), num_channels=8)
    bins = made(BinBands(size=2), num_channels=4)
    values = run(resample, {"data": data, "wavelengths": CENTRES})["resampled"]
    values = run(bins, {"data": values})["binned"]
    lazy = resample.forward_lazy(data=data, wavelengths=CENTRES)["resampled"]
    lazy = bins.forward_lazy(data=lazy)["binned"]
    assert isinstance(lazy, LazyLinear)
    assert lazy.data is data
    plain = fit(RXGlobal(num_channels=2), [{"data": values}])
    folded = fit(RXGlobal(num_channels=2), [{"data": lazy}])
    expected = run(plain, {"data": values})["scores"]
    np.testing.assert_allclose(run(folded, {"data": lazy})["scores"], expected, rtol=1e-10)
