"""Bands by wavelength, resampling and bins: a loop in float64, SPy, real scenes, hostile grids."""

import math
import os
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from spectral import BandResampler

from specloom import ConfigError, DataError
from specloom_cubes import (
    Blocks,
    Folder,
    OneCube,
    Reading,
    Scene,
    bands_within,
    bin_map,
    gaussian_map,
    open_cube,
    response_map,
)
from specloom_cubes.processing.selecting import bin_valid

sys.path.append(str(Path(__file__).parent))
captures = import_module("raw_captures")
write = captures.write

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[4] / "shared/data/hsi"))
SANDIEGO = DATA / "envi_sandiego/SDData.hdr"


def loop(spectrum, source, target, fwhm):
    """Resampling, value by value."""
    steps = np.empty(len(source))
    steps[np.argsort(source)] = np.gradient(np.sort(source))
    result = []
    order = np.argsort(source)
    for centre, width in zip(target, fwhm, strict=True):
        if width < np.interp(centre, source[order], steps[order]):
            result.append(np.interp(centre, source[order], spectrum[order]))
            continue
        total, weights = 0.0, 0.0
        for value, place, step in zip(spectrum, source, steps, strict=True):
            sigma = width / (2 * math.sqrt(2 * math.log(2)))
            weight = math.exp(-(((place - centre) / sigma) ** 2) / 2) * step
            total += weight * value
            weights += weight
        result.append(total / weights)
    return np.array(result)


SOURCE = np.array([400, 410, 421, 430, 445, 450, 460, 471, 480, 495.0])
TARGET = np.array([410, 433.3, 470.0, 488])
WIDTHS = np.array([20, 30.0, 25, 15])


@pytest.mark.parametrize(
    "order", [slice(None), slice(None, None, -1), [3, 1, 0, 2, 9, 8, 7, 6, 5, 4]]
)
def test_gaussian_bands_are_those_of_a_loop(order):
    source = SOURCE[order]
    spectrum = np.random.default_rng(0).uniform(0.1, 0.9, len(source))
    found = gaussian_map(source, TARGET, WIDTHS)
    assert found.notes == ()
    np.testing.assert_allclose(
        found.matrix @ spectrum, loop(spectrum, source, TARGET, WIDTHS), rtol=1e-12
    )
    np.testing.assert_allclose(found.matrix.sum(1), 1, rtol=1e-12)
    turned = gaussian_map(source, TARGET[::-1], WIDTHS[::-1])
    np.testing.assert_array_equal(turned.matrix, found.matrix[::-1])


def test_narrow_bands_are_interpolated_with_a_note():
    target = np.array([425.0, 452.5, 490.0])
    found = gaussian_map(SOURCE, target, np.array([2.0, 3.0, 40.0]))
    spectrum = np.random.default_rng(1).uniform(0, 1, len(SOURCE))
    np.testing.assert_allclose(
        (found.matrix @ spectrum)[:2], np.interp(target[:2], SOURCE, spectrum), rtol=1e-12
    )
    (note,) = found.notes
    assert note.startswith("2 of 3 bands are narrower than the spacing of the source")


def test_widths_are_the_spacing_where_they_are_not_stated():
    target = np.array([420.0, 450.0, 480.0])
    found = gaussian_map(SOURCE, target)
    np.testing.assert_array_equal(found.fwhm, [30, 30, 30])
    np.testing.assert_array_equal(found.matrix, gaussian_map(SOURCE, target, found.fwhm).matrix)


def test_a_constant_spectrum_stays_and_one_band_is_enough():
    for source in (SOURCE, SOURCE[:1]):
        target = source[:1] + 1
        found = gaussian_map(source, target, np.array([20.0])).matrix @ np.full(len(source), 0.3)
        np.testing.assert_allclose(found, 0.3, rtol=1e-12)


@pytest.mark.parametrize("centre", [389.9, 505.1])
def test_a_band_outside_of_the_source_is_an_error(centre):
    gaussian_map(SOURCE, np.array([390.1, 504.9]), np.array([20.0, 20.0]))
    with pytest.raises(DataError, match=r"1 of 1 bands, .* lie outside the source") as caught:
        gaussian_map(SOURCE, np.array([centre]), np.array([20.0]))
    assert "remove these bands from the target grid" in caught.value.fix


def test_responses_weight_the_bands_of_the_source():
    grid = np.array([400.0, 450.0, 500.0])
    responses = np.array([[1.0, 0, 0], [0, 2, 0]])
    found = response_map(SOURCE, grid, responses, ("blue", "green"))
    steps = np.gradient(SOURCE)
    for row, response in zip(found.matrix, responses, strict=True):
        weights = np.interp(SOURCE, grid, response) * steps
        np.testing.assert_allclose(row, weights / weights.sum(), rtol=1e-12)
    assert found.wavelengths[1] == 450
    with pytest.raises(DataError, match="of the response of band 'red'") as caught:
        response_map(SOURCE, np.array([600.0, 700, 800]), np.array([[0, 1.0, 0]]), ("red",))
    assert "remove this band" in caught.value.fix
    with pytest.raises(DataError, match="band 'bad' is negative, not finite or 0 everywhere"):
        response_map(SOURCE, grid, np.array([[0, -1.0, 0]]), ("bad",))


def test_bins_are_means():
    found = bin_map(5, 2, np.array([1.0, 3, 5, 7, 9]) * 100, np.full(5, 200.0))
    np.testing.assert_array_equal(
        found.matrix, [[0.5, 0.5, 0, 0, 0], [0, 0, 0.5, 0.5, 0], [0, 0, 0, 0, 1]]
    )
    np.testing.assert_array_equal(found.wavelengths, [200, 600, 900])
    np.testing.assert_array_equal(found.fwhm, [400, 400, 200])


def test_ranges_have_their_limits():
    centres = np.array([900.0, 500, 450, 400])
    np.testing.assert_array_equal(bands_within(centres, [(450, 500)]), [False, True, True, False])
    np.testing.assert_array_equal(
        bands_within(centres, [], [(400, 449), (900, 900)]), [False, True, True, False]
    )


@pytest.fixture(scope="module")
def scene():
    return open_cube(SANDIEGO)


def grid_file(folder, centres, widths=None):
    rows = ["wavelength_nm" if widths is None else "wavelength_nm,fwhm_nm"]
    for at, centre in enumerate(centres):
        rows.append(f"{centre}" if widths is None else f"{centre},{widths[at]}")
    path = folder / "grid.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


COARSE = np.arange(450.0, 2400, 50)


def test_a_real_scene_is_resampled_as_by_a_loop_and_unlike_spy(scene, tmp_path):
    path = grid_file(tmp_path, COARSE, np.full(len(COARSE), 60.0))
    cube = open_cube(SANDIEGO, reading=Reading(bands={"resample": str(path)}))
    assert cube.shape == (*scene.shape[:2], len(COARSE))
    np.testing.assert_array_equal(cube.wavelengths, COARSE)
    part = (slice(3, 5), slice(10, 12))
    stored = scene.clean(*part).astype(float)
    found = cube.clean(*part)
    widths = np.full(len(COARSE), 60.0)
    for row in range(2):
        for column in range(2):
            expected = loop(stored[row, column], scene.good_wavelengths, COARSE, widths)
            np.testing.assert_allclose(found[row, column], expected, rtol=1e-6)
    np.testing.assert_array_equal(cube.clean()[part], found)
    # SPy weights by the overlap of two Gaussians within their widths at half maximum, that of the
    # source's band too: other weights, and none in the gap of the bad bands.
    spy = BandResampler(scene.good_wavelengths, COARSE, scene.fwhm[scene.good_bands], widths)
    theirs = np.stack([spy(spectrum) for spectrum in stored.reshape(-1, stored.shape[2])])
    without = np.isnan(theirs).any(0)
    np.testing.assert_array_equal(COARSE[without], [1850, 1900])
    gap = np.abs(found.reshape(theirs.shape) / theirs - 1)[:, ~without]
    assert 1e-6 < np.median(gap) < 0.01
    assert gap.max() < 0.2


def test_bands_are_selected_binned_and_resampled_in_this_order(scene, tmp_path):
    selection = {"ranges": [[500, 1000]], "exclude": [[700, 800]], "water_vapour": True}
    cube = open_cube(SANDIEGO, reading=Reading(bands=selection))
    centres = scene.wavelengths
    wanted = (centres >= 500) & (centres <= 1000) & ~((centres >= 700) & (centres <= 800))
    np.testing.assert_array_equal(cube.good_wavelengths, centres[wanted])
    np.testing.assert_array_equal(cube.clean(), scene.clean()[..., wanted])
    binned = open_cube(SANDIEGO, reading=Reading(bands=selection | {"binning": 3}))
    expected = scene.clean()[..., wanted][..., :3].astype(float).mean(-1)
    np.testing.assert_allclose(binned.clean()[..., 0], expected, rtol=1e-6)
    path = grid_file(tmp_path, [550.0, 600, 650])
    both = open_cube(SANDIEGO, reading=Reading(bands=selection | {"resample": str(path)}))
    found = both.clean(slice(0, 1), slice(0, 1))[0, 0]
    spectrum = scene.clean(slice(0, 1), slice(0, 1))[0, 0][wanted].astype(float)
    np.testing.assert_allclose(
        found, loop(spectrum, centres[wanted], [550, 600, 650], [50] * 3), rtol=1e-6
    )
    dry = open_cube(SANDIEGO, reading=Reading(bands={"water_vapour": True}))
    left = dry.good_wavelengths
    assert not ((left >= 1340) & (left <= 1450)).any()
    assert len(left) < len(centres)


def test_the_grid_may_be_that_of_another_cube_or_measured_responses(scene, tmp_path):
    headers = write(tmp_path, camera=captures.raw())
    cube = open_cube(SANDIEGO, reading=Reading(bands={"resample": headers["camera"]}))
    np.testing.assert_allclose(cube.wavelengths, captures.WAVELENGTHS)
    table = tmp_path / "responses.csv"
    table.write_text("wavelength_nm,blue,red\n450,1,0\n500,1,0\n501,0,0\n600,0,1\n700,0,1\n")
    found = open_cube(SANDIEGO, reading=Reading(bands={"responses": str(table)}))
    assert found.shape[2] == 2
    assert 450 < found.wavelengths[0] < 500
    assert np.isfinite(found.clean()).all()


def test_sources_give_the_resampled_cube(scene, tmp_path):
    grid = COARSE[:17]
    path = grid_file(tmp_path, grid, np.full(len(grid), 60.0))
    stated = {"resample": str(path)}
    source = Scene(str(SANDIEGO), bands=stated)
    assert source.sizes()["C"] == len(grid)
    batch = source.read("test", [0])
    np.testing.assert_array_equal(batch["wavelengths"], grid.astype(np.float32))
    assert source.read_options()["bands"] == stated
    blocks = Blocks(str(SANDIEGO), block=30, bands=stated)
    assert blocks.sizes()["C"] == len(grid)
    ticket = next(iter(blocks.tickets("test")))
    rows, columns = slice(*ticket["rows"]), slice(*ticket["columns"])
    found = blocks.read_ticket(ticket)["cube"][0]
    np.testing.assert_array_equal(found, batch["cube"][0][rows, columns])


def test_cubes_of_two_cameras_share_a_folder_on_one_grid(tmp_path):
    rng = np.random.default_rng(0)
    for name, bands in (("a", 61), ("b", 45)):
        centres = np.linspace(430, 910, bands)
        spectra = 1000 + 500 * np.sin(centres / 80)
        values = (spectra + rng.normal(0, 1, (6, 5, bands))).astype(np.uint16)
        captures.write_raw(tmp_path / f"{name}.raw", values, centres)
    grid = grid_file(tmp_path, np.arange(450.0, 900, 25), np.full(18, 30.0))
    folder = Folder(str(tmp_path), pattern="*.hdr", bands={"resample": str(grid)})
    assert folder.sizes()["C"] == 18
    cubes = [folder.read_ticket(ticket)["cube"][0] for ticket in folder.tickets("train")]
    np.testing.assert_allclose(
        cubes[0].mean((0, 1)), 1000 + 500 * np.sin(np.arange(450, 900, 25) / 80), rtol=0.02
    )
    with pytest.raises(DataError, match="has 61 bands"):
        Folder(str(tmp_path), pattern="*.hdr").sizes()


def test_pixels_are_binned_with_their_masks_and_valid_pixels(tmp_path):
    values = captures.raw()
    np.save(tmp_path / "cube.npy", values)
    mask = np.zeros(values.shape[:2], np.uint8)
    mask[0, :2] = 3
    mask[1, 0] = 3
    np.save(tmp_path / "cube_gt.npy", mask)
    valid = np.ones(values.shape[:2], np.uint8)
    valid[3, 3] = 0
    np.save(tmp_path / "valid.npy", valid)
    source = Scene(
        str(tmp_path / "cube.npy"),
        str(tmp_path / "cube_gt.npy"),
        valid=str(tmp_path / "valid.npy"),
        binning=(2, 2),
    )
    assert source.sizes() == {"H": 3, "W": 2, "C": 4}
    batch = source.read("test", [0])
    blocks = values[:, :4].reshape(3, 2, 2, 2, 4).astype(float)
    np.testing.assert_allclose(batch["cube"][0], blocks.mean((1, 3)), rtol=1e-6)
    np.testing.assert_array_equal(batch["mask"][0], [[3, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(batch["valid"][0], [[True, True], [True, False], [True, True]])
    folder = Folder(str(tmp_path), pattern="cube.npy", split={"test": ["cube"]}, binning=(2, 2))
    found = next(folder.batches("test"))
    np.testing.assert_array_equal(found["mask"], batch["mask"])
    np.testing.assert_array_equal(found["cube"], batch["cube"])
    cube = open_cube(tmp_path / "cube.npy", reading=Reading(binning=(2, 2)))
    np.testing.assert_array_equal(cube.clean(slice(1, 3), slice(1, 2)), batch["cube"][0][1:3, 1:2])


@pytest.mark.parametrize(
    ("reading", "what"),
    [
        ({"bands": {"range": [[1, 2]]}}, "bands has no 'range'"),
        ({"bands": {"ranges": [[5, 2]]}}, "bands has ranges [5, 2]"),
        ({"bands": {"binning": 0}}, "bands has binning 0"),
        ({"bands": {"resample": 3}}, "bands has resample 3"),
        ({"bands": {"resample": "a", "responses": "b"}}, "bands has resample and responses"),
        ({"binning": (0, 2)}, "binning is [0, 2]"),
    ],
)
def test_what_is_wrong_in_a_selection_is_an_error(reading, what):
    with pytest.raises(ConfigError) as caught:
        Reading(**reading)
    assert what in str(caught.value)
    assert caught.value.fix


def test_bands_that_cannot_be_selected(scene, tmp_path):
    np.save(tmp_path / "plain.npy", captures.raw())
    plain = tmp_path / "plain.npy"
    with pytest.raises(DataError, match="selected by wavelength, and it states none") as caught:
        open_cube(plain, reading=Reading(bands={"ranges": [[400, 500]]}))
    assert "wavelengths: bands.csv" in caught.value.fix
    with pytest.raises(DataError, match="is resampled, and states no wavelengths"):
        open_cube(plain, reading=Reading(bands={"resample": str(SANDIEGO)}))
    with pytest.raises(DataError, match=r"no band of .* is left"):
        open_cube(SANDIEGO, reading=Reading(bands={"ranges": [[100, 200]]}))
    with pytest.raises(DataError, match="fewer than a bin of 200 x 1"):
        open_cube(plain, reading=Reading(binning=(200, 1)))
    table = grid_file(tmp_path, captures.WAVELENGTHS)
    wanted = Reading(bands={"ranges": [[500, 700]]}, wavelengths=str(table))
    found = open_cube(plain, reading=wanted)
    np.testing.assert_array_equal(found.good_wavelengths, [550, 650])
    other = tmp_path / "other.csv"
    other.write_text("name\nred\n")
    with pytest.raises(DataError, match="has no column of band centres"):
        open_cube(SANDIEGO, reading=Reading(bands={"resample": str(other)}))


@pytest.mark.parametrize("binning", [None, (2, 3)])
def test_one_cube_has_the_validity_arrays_of_its_file_in_bins(tmp_path, binning):
    file = tmp_path / "cube.npz"
    valid = np.random.default_rng(0).uniform(size=(7, 9)) < 0.9
    np.savez(file, cube=np.ones((7, 9, 4), np.float32), valid_mask=valid)
    cube = open_cube(file, "cube", Reading(binning=binning))
    source = OneCube(cube)
    (whole,) = source.batches("predict")
    want = valid
    if binning is not None:
        want = bin_valid(valid, *binning)
    assert 0 < want.sum() < want.size
    np.testing.assert_array_equal(whole["valid"][0], want)
    part = source.window(slice(1, 3), slice(1, 3))["valid"][0]
    np.testing.assert_array_equal(part, want[1:3, 1:3])
    (scene,) = Scene(str(file), cube_variable="cube", binning=binning).batches("train")
    np.testing.assert_array_equal(scene["valid"], whole["valid"])
