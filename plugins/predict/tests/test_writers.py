"""What maps are in files: element types, bands, pictures, objects."""

import csv
import sys
import warnings

import numpy as np
import pytest
import rasterio
import spectral
from PIL import Image

from specloom import UnavailableError
from specloom_cubes.formats import open_cube
from specloom_objects import ObjectTable
from specloom_pictures import ColourScale, Spread
from specloom_predict.georeference import Geometry
from specloom_predict.writers import colours, envi, geotiff, layout, objects, pictures
from specloom_predict.writers.colours import scale_of, spread_of
from specloom_predict.writers.layout import Map

RNG = np.random.default_rng(3)
COLUMNS = ["label", "pixels", "area", "unit", "row", "column", "x", "y", "top", "left", "bottom"]
COLUMNS += ["right", "mean_score", "max_score", "surround_score", "contrast"]
KINDS = {
    "bool": "uint8",
    "uint8": "uint8",
    "int8": "int16",
    "int16": "int16",
    "uint16": "uint16",
    "int32": "int32",
    "int64": "int64",
    "float16": "float32",
    "float32": "float32",
    "float64": "float64",
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_BYTES", 64)
    monkeypatch.setattr(geotiff, "TILE", 16)


def tiff(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return file.read().transpose(1, 2, 0), file.descriptions


@pytest.mark.parametrize("shape", [(40, 33), (7, 5, 3), (2, 3, 2, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_kept(tmp_path, kind, shape):
    values = (RNG.normal(0, 50, shape) if kind != "bool" else RNG.random(shape) > 0.5).astype(kind)
    one = Map("out", values)
    assert envi.write(tmp_path / "x.img", one, Geometry(), "of {a\nfile}") == []
    assert geotiff.write(tmp_path / "x.tif", one, Geometry(), "of a file") == []
    expected = values.reshape(*shape[:2], -1).astype(KINDS[kind])
    names = ["out"] if len(shape) == 2 else [f"out {at}" for at in range(expected.shape[2])]
    image = spectral.io.envi.open(str(tmp_path / "x.hdr"))
    assert image.metadata["band names"] == names
    assert image.metadata["description"] == "of  a file"
    read, described = tiff(tmp_path / "x.tif")
    assert described == tuple(names)
    for found in (np.asarray(image.open_memmap()), read, open_cube(tmp_path / "x.hdr").array):
        assert found.dtype == KINDS[kind]
        np.testing.assert_array_equal(found, expected)


def test_names_cannot_break_a_header(tmp_path):
    envi.write(tmp_path / "x.img", Map("a, b}\nbands = 9", np.zeros((2, 3))), Geometry(), "")
    cube = open_cube(tmp_path / "x.hdr")
    assert (cube.shape, cube.metadata["band names"]) == ((2, 3, 1), "a  b bands = 9")


def test_geotiff_without_rasterio(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(UnavailableError) as error:
        geotiff.write(tmp_path / "x.tif", Map("x", np.zeros((2, 3))), Geometry(), "")
    assert str(error.value) == (
        "writing GeoTIFF needs the package rasterio, which cannot be imported (import of rasterio "
        "halted; None in sys.modules)\n"
        "  fix: pip install rasterio, or leave geotiff out of --format"
    )
    utm = {"map info": "UTM, 1, 1, 0, 0, 1, 1"}
    assert (
        envi.write(tmp_path / "x.img", Map("x", np.zeros((2, 3))), Geometry(header=utm), "") == []
    )


def map_within(picture, shape):
    """The colours of the map in a picture with a colour bar, a pixel for each."""
    times = max(1, pictures.MIN_SIDE // max(shape))
    top = 2 * colours.MARGIN + colours.FONT_SIZE
    rows = slice(top, top + shape[0] * times, times)
    return picture[rows, colours.MARGIN : colours.MARGIN + shape[1] * times : times]


def test_scores_in_colours(tmp_path):
    values = np.linspace(0, 1, 2000).reshape(40, 50)
    values[0, 0], values[0, 1], values[39, 49] = np.nan, -np.inf, 1e6
    finite = values[np.isfinite(values)]
    scale = scale_of([spread_of(values)])
    assert (scale.low, scale.high) == tuple(np.percentile(finite, (1, 99.9)))
    assert not scale.log
    pictures.write_scores(tmp_path / "x.png", values, scale, "scores")
    with Image.open(tmp_path / "x.png") as picture:
        limits = f"{scale.low!r} (dark blue) to {scale.high!r} (yellow), linear"
        assert picture.text == {"Limits": limits}
        whole = np.asarray(picture).astype(int)
    found = map_within(whole, (40, 50))
    assert found.shape == (40, 50, 3)
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 1].tolist() == [0x00, 0x22, 0x4E]
    assert found[39, 49].tolist() == [0xFE, 0xE8, 0x38]
    light = found.reshape(-1, 3)[2:] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(light) > -1).all()  # it grows lighter, so it can be printed in grey
    top = 2 * colours.MARGIN + colours.FONT_SIZE
    bar = whole[top : -colours.MARGIN, colours.MARGIN + 450 + colours.GAP + 2]
    assert bar[0].tolist() == [0xFE, 0xE8, 0x38]
    assert bar[-1].tolist() == [0x00, 0x22, 0x4E]
    right = whole[:, colours.MARGIN + 450 + colours.GAP + colours.BAR_WIDTH + colours.TICK + 1 :]
    assert (right == 0).any()  # the values beside the bar


def test_a_heavy_tail_is_shown_by_logarithms():
    values = np.concatenate([np.full(10_000, 60.0) + RNG.normal(0, 5, 10_000), [5000.0] * 100])
    scale = scale_of([spread_of(values)])
    assert scale.log
    assert scale.high == 5000
    assert scale.shade(np.array([scale.low, np.sqrt(scale.low * 5000), 5000.0, 1e9])).tolist() == [
        0,
        pytest.approx(0.5),
        1,
        1,
    ]
    assert scale.shade(np.array([-1.0, 0.0])).tolist() == [0, 0]
    assert np.isnan(scale.shade(np.array([np.nan]))).all()
    assert scale.ticks() == [scale.low, 50, 100, 200, 500, 1000, 2000, 5000]
    assert not scale_of([spread_of(values - 60)]).log  # it begins below 0


@pytest.mark.parametrize("draw", [RNG.normal, RNG.exponential])
def test_a_common_tail_is_no_heavy_one(draw):
    assert not scale_of([spread_of(10 + draw(size=100_000))]).log


def test_one_scale_for_several_cubes():
    spreads = [Spread(1, 5, 9), Spread(2, 6, 12), Spread(4, 7, 10), None]
    assert scale_of(spreads) == ColourScale(2, 12)
    assert scale_of([*spreads, Spread(2, 6, 47)]) == ColourScale(2, 47, log=True)
    assert scale_of([None]) == ColourScale(0, 0)


@pytest.mark.parametrize("values", [np.zeros((3, 4)), np.full((3, 4), np.nan)])
def test_scores_without_a_range(tmp_path, values):
    scale = scale_of([spread_of(values)])
    assert scale == ColourScale(0, 0)
    pictures.write_scores(tmp_path / "x.png", values, scale, "scores")
    with Image.open(tmp_path / "x.png") as picture:
        found = map_within(np.asarray(picture), (3, 4))
    expected = [255, 255, 255] if np.isnan(values).all() else [0x00, 0x22, 0x4E]
    assert (found == expected).all()


def test_decisions_have_a_table_of_colours(tmp_path):
    decisions = RNG.random((20, 30)) > 0.8
    geotiff.write(tmp_path / "x.tif", Map("decisions", decisions), Geometry(), "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "x.tif") as file:
            table = file.colormap(1)
            np.testing.assert_array_equal(file.read(1), decisions)
    assert table[1][:3] == pictures.DECIDED
    assert table[0][:3] == (235, 235, 235)


def maxima(values, factor):
    height, width = values.shape
    rows = range(0, height, factor)
    columns = range(0, width, factor)
    found = [[values[r : r + factor, c : c + factor] for c in columns] for r in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.array([[np.nanmax(one) for one in row] for row in found])


@pytest.mark.parametrize("kind", ["bool", "float32"])
def test_overviews_hold_maxima(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(geotiff, "OVERVIEW_SIDE", 32)
    values = RNG.random((70, 131)) > 0.99
    if kind == "float32":
        values = RNG.normal(size=(70, 131)).astype(np.float32)
        values[:9, :9] = np.nan
    geotiff.write(tmp_path / "x.tif", Map("out", values), Geometry(), "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "x.tif") as file:
            assert file.overviews(1) == [2, 4, 8]
            np.testing.assert_array_equal(file.read(1), values)
        for level, factor in enumerate([2, 4, 8]):
            with rasterio.open(tmp_path / "x.tif", overview_level=level) as file:
                np.testing.assert_array_equal(file.read(1), maxima(values, factor))


def test_in_overviews_a_decision_counts_for_more_than_an_unjudged_pixel(tmp_path, monkeypatch):
    monkeypatch.setattr(geotiff, "OVERVIEW_SIDE", 32)
    decisions = np.zeros((40, 40), bool)
    decisions[1, 1] = True
    unjudged = np.zeros((40, 40), bool)
    unjudged[0, 0] = True
    unjudged[2:4, 2:4] = True
    unjudged[8, 8] = True
    one = Map("decisions", decisions, unjudged)
    geotiff.write(tmp_path / "x.tif", one, Geometry(), "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "x.tif", overview_level=0) as file:
            found = file.read(1)
    assert found[0, 0] == 1
    assert found[1, 1] == 255  # none of its pixels could be assessed
    assert found[4, 4] == 0
    assert (found == 0).sum() == 398


def test_small_files_have_no_overviews(tmp_path):
    geotiff.write(tmp_path / "x.tif", Map("out", np.zeros((512, 20))), Geometry(), "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "x.tif") as file:
            assert file.overviews(1) == []


def test_decisions_over_a_grey_picture(tmp_path):
    pixels = RNG.normal(5, 1, (9, 8, 40)).astype(np.float32)
    pixels[2, 3], pixels[..., 7] = np.nan, np.nan
    np.save(tmp_path / "x.npy", pixels)
    grey = pictures.grey_of(open_cube(tmp_path / "x.npy"), bands=40)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.nanmean(pixels.astype(float), -1)
    low, high = np.nanpercentile(mean, (2, 98))
    expected = np.nan_to_num(np.clip((mean - low) / (high - low), 0, 1)) * 255
    np.testing.assert_allclose(grey, expected, atol=0.51)
    decisions = RNG.random((9, 8)) > 0.8
    pictures.write_decisions(tmp_path / "x.png", Map("decisions", decisions), grey)
    with Image.open(tmp_path / "x.png") as picture:
        times = pictures.MIN_SIDE // 9
        colours = np.asarray(picture).astype(int)[::times, ::times]
    assert (colours[decisions] == pictures.DECIDED).all()
    assert colours[~decisions].max() <= pictures.LIGHTEST_GREY


def test_large_maps_lose_no_object_in_pictures(tmp_path, monkeypatch):
    decisions = np.zeros((50, 31), bool)
    decisions[17, 23] = decisions[49, 30] = True
    monkeypatch.setattr(pictures, "MAX_SIDE", 10)
    small = pictures.shrink(decisions)
    assert small.shape == (10, 7)
    assert np.argwhere(small).tolist() == [[3, 4], [9, 6]]
    scores = np.full((50, 31), np.nan)
    scores[7, 7] = 3.0
    assert pictures.shrink(scores)[1, 1] == 3
    np.save(tmp_path / "x.npy", RNG.normal(size=(50, 31, 4)))
    assert pictures.grey_of(open_cube(tmp_path / "x.npy")).shape == (10, 7)


def test_tables_of_objects(tmp_path):
    decisions = np.zeros((5, 6), bool)
    decisions[0, 0] = decisions[1, 1] = decisions[4, 2:6] = True
    pixels = RNG.normal(size=(5, 6, 3)).astype(np.float32)
    pixels[4, 2, 0] = np.nan
    np.save(tmp_path / "x.npy", pixels)
    cube = open_cube(tmp_path / "x.npy")
    geometry = Geometry((2.0, 0, 10, 0, -2.0, 50), "EPSG:32633", "metre")
    table = objects.measure(decisions, None, cube, geometry)
    names, notes = objects.write(tmp_path, "out", table)
    assert (names, notes) == (["out_objects.csv", "out_spectra.csv"], [])
    with (tmp_path / names[0]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [row["pixels"] for row in rows] == ["2", "4"]  # a corner joins
    assert [row["area"] for row in rows] == ["8.0", "16.0"]
    assert [rows[1][key] for key in ("row", "column", "x", "y")] == ["4.0", "3.5", "18.0", "41.0"]
    assert {row["mean_score"] for row in rows} == {""}
    with (tmp_path / names[1]).open(newline="") as file:
        header, *spectra = csv.reader(file)
    assert header == ["label", "band 0", "band 1", "band 2"]
    expected = [np.nanmean(pixels[decisions][part], axis=0) for part in (slice(2), slice(2, 6))]
    np.testing.assert_allclose(np.array(spectra, float)[:, 1:], expected, rtol=1e-6)


def test_tables_without_objects(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 4, 2), np.float32))
    table = objects.measure(np.zeros((3, 4), bool), None, open_cube(tmp_path / "x.npy"), Geometry())
    for name in objects.write(tmp_path, "out", table)[0]:
        assert len((tmp_path / name).read_text().splitlines()) == 1


def test_a_note_says_that_small_objects_have_no_spectrum(tmp_path):
    table = ObjectTable({"label": [1, 2, 3]}, np.zeros((1, 2)), [2], ["band 0", "band 1"])
    _, notes = objects.write(tmp_path, "out", table)
    assert notes == ["out_spectra.csv has the spectra of the 1 largest of 3 objects"]


def test_three_bands_are_a_picture_in_colour(tmp_path):
    values = np.zeros((600, 500, 3), np.float32)
    values[:, 250:, 0] = 1
    values[300:, :, 2] = 7
    values[0, 0] = np.nan
    pictures.write_colours(tmp_path / "float.png", values)
    found = np.asarray(Image.open(tmp_path / "float.png"))
    assert found.shape == (600, 500, 3)
    assert found[10, 400].tolist() == [255, 128, 0]  # a band that does not vary is grey
    assert found[500, 100].tolist() == [0, 128, 255]
    assert found[0, 0].tolist() == [128, 128, 128]
    bytes_ = RNG.integers(0, 255, (600, 600, 3), np.uint8)
    pictures.write_colours(tmp_path / "bytes.png", bytes_)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "bytes.png")), bytes_)
