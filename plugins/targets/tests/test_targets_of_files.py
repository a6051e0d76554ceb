"""Targets from tables, libraries and pixels: bands, units, scales, names, saved state."""

import numpy as np
import pytest
import torch
from spectral import envi

from specloom import ConfigError, DataError, IntegrityError
from specloom.testing import fit, run
from specloom_cubes import Spectra, read_spectra
from specloom_targets import (
    ACE,
    CEM,
    OSP,
    MatchedFilter,
    SpectralAngle,
    match_wavelengths,
    write_spectra,
)

GRID = np.linspace(400.0, 900.0, 26)  # 20 nm apart
ALL = [MatchedFilter, ACE, CEM, OSP, SpectralAngle]


def curve(nm, centre, width=120.0):
    return 0.1 + np.exp(-(((nm - centre) / width) ** 2))


def library(nm, unit="", scale=1.0):
    values = scale * np.stack([curve(nm, 500.0), curve(nm, 700.0)])
    return Spectra(("blue", "red"), values, nm, unit=unit, source="library")


def scene(scale=1.0):
    generator = torch.Generator().manual_seed(1)
    data = 0.3 + 0.05 * torch.randn(1, 20, 20, len(GRID), generator=generator)
    data[0, 3, 4] = torch.from_numpy(curve(GRID, 500.0)).float()
    data[0, 5, 6] = torch.from_numpy(curve(GRID, 700.0)).float()
    return scale * data


def batch_of(data, nm=GRID):
    batch = {"data": data}
    if nm is not None:
        batch["wavelengths"] = torch.from_numpy(nm).float()
    return batch


def fitted(cls, path, data=None, nm=GRID, **parameters):
    data = scene() if data is None else data
    node = cls(num_channels=data.shape[-1], targets=path, **parameters)
    return fit(node, [batch_of(data, nm)])


def scored(node, data):
    return run(node, {"data": data})


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("ending", [".csv", ".sli"])
def test_several_targets_and_the_best_with_its_name(cls, ending, tmp_path):
    path = tmp_path / f"library{ending}"
    write_spectra(library(GRID), path)
    data = scene()
    node = fitted(cls, path)
    got = scored(node, data)
    assert got["scores"].shape == (1, 20, 20, 2)
    assert got["target_info"] == {"names": ["blue", "red"]}
    assert torch.equal(got["best_score"], got["scores"].amax(-1, keepdim=True))
    assert torch.equal(got["best"], got["scores"].argmax(-1, keepdim=True))
    assert int(got["best"][0, 3, 4]) == 0
    assert int(got["best"][0, 5, 6]) == 1
    assert "2 targets (blue, red), 400 pixels" in node.fit_summary()
    for number, name in enumerate(["blue", "red"]):
        if cls is OSP:
            continue  # the other one is undesired
        alone = scored(fitted(cls, path, names=[name]), data)
        torch.testing.assert_close(alone["scores"][..., 0], got["scores"][..., number])


@pytest.mark.parametrize("cls", ALL)
def test_a_fitted_node_needs_no_file(cls, tmp_path):
    path = tmp_path / "library.csv"
    write_spectra(library(GRID), path)
    node = fitted(cls, path)
    path.unlink()
    twin = cls(num_channels=len(GRID), targets=path)
    twin.build({"num_channels": len(GRID)})
    (problem,) = twin.missing()
    assert f"there is no file {path}" in str(problem)
    twin.restore(node.state())
    assert list(twin.missing()) == []
    want = scored(node, scene())
    got = scored(twin, scene())
    assert got.keys() == want.keys()
    for name in ("scores", "best_score", "best"):
        assert torch.equal(got[name], want[name])
    assert got["target_info"] == want["target_info"]
    assert twin.fit_summary() == node.fit_summary()


def test_a_state_that_does_not_fit_together_is_refused(tmp_path):
    path = tmp_path / "library.csv"
    write_spectra(library(GRID), path)
    state = dict(fitted(MatchedFilter, path).state())
    for change, message in (
        ({"filters": state["filters"][:1]}, "different numbers of targets"),
        ({"spectra": state["spectra"][:, 1:]}, "was saved with shape"),
        ({"name_bytes": state["name_bytes"][:3]}, "names of the targets cannot be read"),
    ):
        twin = MatchedFilter(num_channels=len(GRID), targets=path)
        twin.build({"num_channels": len(GRID)})
        with pytest.raises(IntegrityError, match=message):
            twin.restore({**state, **change})


def test_processes_share_the_band_centres(tmp_path):
    path = tmp_path / "library.csv"
    write_spectra(library(np.linspace(380.0, 920.0, 28)), path)
    data = scene()
    whole = fitted(ACE, path, data)
    nodes = [ACE(num_channels=len(GRID), targets=path) for _ in range(2)]
    for node, part in zip(nodes, (data[:, :7], data[:, 7:]), strict=True):
        node.build({"num_channels": len(GRID)})
        node.fit_start(0)
        node.fit_update(**batch_of(part))
    nodes[0].fit_merge(nodes[1].fit_state())
    nodes[0].fit_end()
    torch.testing.assert_close(scored(nodes[0], data)["scores"], scored(whole, data)["scores"])
    other = ACE(num_channels=len(GRID), targets=path)
    other.build({"num_channels": len(GRID)})
    other.fit_start(0)
    other.fit_update(**batch_of(data))
    with pytest.raises(DataError, match="wavelengths of the data differ by up to 5 nm"):
        other.fit_update(**batch_of(data, GRID + 5))


def test_spectra_on_the_same_grid_stay_as_they_are():
    one = library(GRID)
    assert match_wavelengths(one, GRID + 0.4) is one.values


def test_coarser_spectra_are_interpolated_linearly():
    one = library(np.array([950.0, 390.0, 620.0, 700.0, 500.0]))
    got = match_wavelengths(one, GRID)
    order = np.argsort(one.wavelengths)
    for values, matched in zip(one.values, got, strict=True):
        want = np.interp(GRID, one.wavelengths[order], values[order])
        np.testing.assert_allclose(matched, want, rtol=1e-12)


def test_finer_spectra_are_weighted_by_the_width_of_each_band():
    fine = np.arange(380.0, 921.0)
    one = Spectra(("sharp",), np.where(np.abs(fine - 500) < 3, 1.0, 0.0)[None], fine)
    widths = np.full(len(GRID), 20.0)
    got = match_wavelengths(one, GRID, widths)[0]
    for band, centre in enumerate(GRID):
        sigma = widths[band] / 2.3548200450309493
        weights = []
        for nm in fine:
            distance = (nm - centre) / sigma
            weights.append(np.exp(-(distance**2) / 2) if abs(distance) <= 3 else 0.0)
        want = np.dot(weights, one.values[0]) / np.sum(weights)
        assert got[band] == pytest.approx(want, rel=1e-9)
    # Without widths these are the distances of the band centres: here the same.
    np.testing.assert_allclose(match_wavelengths(one, GRID)[0], got)
    # A constant stays one, also at the ends and on an uneven grid.
    uneven = np.sort(np.random.default_rng(0).uniform(390, 910, 300))
    uneven[[0, -1]] = 395, 905
    flat = Spectra(("flat",), np.full((1, 300), 0.7), uneven)
    np.testing.assert_allclose(match_wavelengths(flat, GRID), 0.7)


def test_nothing_is_extrapolated():
    one = library(np.linspace(450.0, 850.0, 21))
    message = r"6 of 26 bands of the scene, 400 to 900 nm, lie outside library, .* 450 to 850 nm"
    with pytest.raises(DataError, match=message):
        match_wavelengths(one, GRID)


def test_bands_without_centres_must_be_as_many(tmp_path):
    values = library(GRID).values
    path = tmp_path / "table.csv"
    write_spectra(Spectra(("blue", "red"), values), path)
    assert torch.equal(fitted(SpectralAngle, path).spectra, torch.from_numpy(values))
    with pytest.raises(DataError, match="states no wavelengths; the scene has 25 bands"):
        fitted(SpectralAngle, path, scene()[..., 1:], GRID[1:])
    write_spectra(library(GRID), path)
    fitted(SpectralAngle, path, nm=None)
    with pytest.raises(DataError, match=r"wavelengths of the scene are not known; .* 25 bands"):
        fitted(SpectralAngle, path, scene()[..., 1:], None)
    with pytest.raises(DataError, match="wavelengths of the scene are not known"):
        match_wavelengths(library(GRID), None)


def test_other_scales_warn_and_are_refused(tmp_path):
    path = tmp_path / "table.csv"
    write_spectra(library(GRID, scale=3.0), path)
    fitted(SpectralAngle, path)
    write_spectra(library(GRID, scale=20.0), path)
    with pytest.warns(UserWarning, match=r"'red' of .*table.csv is 23.* times larger than"):
        fitted(SpectralAngle, path)
    for scale, word in ((1e4, "larger"), (1e-4, "smaller")):
        write_spectra(library(GRID, scale=scale), path)
        with pytest.raises(DataError, match=rf"times {word} than the data .*\n.*unit of the data"):
            fitted(SpectralAngle, path)


def test_another_stated_unit_is_refused(tmp_path):
    for ending in (".csv", ".sli"):
        path = tmp_path / f"library{ending}"
        write_spectra(library(GRID, unit="reflectance"), path)
        assert read_spectra(path).unit == "reflectance"
        fitted(SpectralAngle, path, unit="Reflectance")
        fitted(SpectralAngle, path)
        with pytest.raises(DataError, match=r"are in 'reflectance', the data in 'radiance'"):
            fitted(SpectralAngle, path, unit="radiance")


def test_pixels_of_a_cube(tmp_path):
    data = scene()
    path = tmp_path / "scene.npy"
    np.save(path, data[0].numpy())
    node = fitted(MatchedFilter, path, data, target_pixels=[(3, 4), (5, 6)])
    assert node.target_names == ["3,4", "5,6"]
    torch.testing.assert_close(node.spectra[1], data[0, 5, 6].double())
    torch.testing.assert_close(scored(node, data)["scores"][0, 3, 4, 0], torch.tensor(1.0))
    named = fitted(MatchedFilter, path, data, target_pixels=[(3, 4)], names=["blue"])
    assert named.target_names == ["blue"]
    with pytest.raises(DataError, match=r"has 20 rows and 20 columns, so no pixel 20,0"):
        fitted(MatchedFilter, path, data, target_pixels=[(20, 0)])
    with pytest.raises(ConfigError, match="2 names for 1 pixels"):
        fitted(MatchedFilter, path, data, target_pixels=[(3, 4)], names=["a", "b"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"target_pixels": [(0, 0)]}, "target_pixels is set without a cube"),
        ({"names": []}, "names is empty"),
        ({"names": ["a", "a"]}, "names has a name twice"),
        ({"names": ["a", "b"]}, "2 names for the one target of the mask"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        MatchedFilter(num_channels=3, **wrong).build({"num_channels": 3})


def test_unknown_names_and_holes_are_refused(tmp_path):
    path = tmp_path / "library.csv"
    write_spectra(library(GRID), path)
    with pytest.raises(ConfigError, match=r"has no spectrum 'bleu'\n.*blue"):
        fitted(ACE, path, names=["bleu"])
    twice = library(GRID)
    write_spectra(Spectra(("blue", "blue"), twice.values, GRID), path)
    with pytest.raises(ConfigError, match=r"has 2 spectra 'blue'\n.*rename them"):
        fitted(ACE, path, names=["blue"])
    spoilt = library(GRID)
    spoilt.values[1, 3] = np.nan
    write_spectra(spoilt, path)
    with pytest.raises(DataError, match=r"spectrum 'red' .* has values that are not finite"):
        fitted(ACE, path)
    fitted(ACE, path, names=["blue"])


def test_the_mask_names_its_target():
    data = scene()
    mask = torch.zeros(1, 20, 20, 1, dtype=torch.bool)
    mask[0, 3, 4] = True
    node = fit(ACE(num_channels=26, names=["paint"]), [{"data": data, "mask": mask}])
    assert node.target_names == ["paint"]
    valid = torch.ones_like(mask)
    valid[0, 3, 4] = False
    valid[0, :, 0] = False
    mask[0, 5, 6] = True
    node = fit(ACE(num_channels=26), [{"data": data, "mask": mask, "valid": valid}])
    torch.testing.assert_close(node.spectra[0], data[0, 5, 6].double())
    assert node.pixels == 400 - 20 - 2


def test_a_library_reads_as_another_package_wrote_it(tmp_path):
    header = {
        "wavelength units": "Micrometers",
        "wavelength": (GRID / 1000).tolist(),
        "spectra names": ["blue", "red"],
    }
    own = library(GRID)
    envi.SpectralLibrary(own.values, header).save(str(tmp_path / "library"))
    for name in ("library.sli", "library.hdr"):
        got = read_spectra(tmp_path / name)
        assert got.names == own.names
        np.testing.assert_allclose(got.values, own.values, rtol=1e-6)
        np.testing.assert_allclose(got.wavelengths, GRID)
    write_spectra(own, tmp_path / "mine.sli")
    back = envi.open(str(tmp_path / "mine.hdr"))
    assert back.names == list(own.names)
    np.testing.assert_array_equal(back.spectra, own.values)
    np.testing.assert_array_equal(back.bands.centers, GRID)
