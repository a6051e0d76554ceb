"""Calibration while cubes are read: values of a loop in float64, hostile references, tiles."""

import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from specloom import ConfigError, DataError
from specloom_cubes import Blocks, Folder, Reading, Scene, open_cube

sys.path.append(str(Path(__file__).parent))
captures = import_module("raw_captures")
C = captures.C
H = captures.H
W = captures.W
WAVELENGTHS = captures.WAVELENGTHS
counts = captures.counts
dark = captures.dark
loop = captures.loop
raw = captures.raw
white = captures.white
write = captures.write


def opened(folder, options=None, raw=raw, white=white, dark=dark, **fields):
    headers = write(
        folder,
        cube=(raw(), {"tint": 4.0} | fields),
        white=(white(), {"tint": 2.0}),
        dark=(dark(), {"tint": 8.0}),
    )
    stated = {"white": headers["white"], "dark": headers["dark"], **(options or {})}
    return open_cube(headers["cube"], reading=Reading(calibration=stated))


TIMES = {"exposures": {"raw": 1.0, "white": 1.0, "dark": 1.0}}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"times": (4, 2, 8)}),
        (TIMES, {}),
        ({"dark_kind": "current"}, {"times": (4, 2, 8), "current": True}),
        ({"exposures": {"raw": 3.0, "white": 5.0}}, {"times": (3, 5, 1)}),
        (TIMES | {"panel": 0.5}, {"panel": 0.5}),
        (TIMES | {"average": "median"}, {"average": np.median}),
    ],
)
def test_reflectance_is_that_of_a_loop(tmp_path, options, expected):
    cube = opened(tmp_path, options)
    assert cube.dtype == np.float32
    found = loop(raw(), white(), dark(), **expected)
    np.testing.assert_allclose(cube.clean(), found, rtol=1e-6)


def test_a_dark_of_the_white_reference_and_one_spectrum_for_all_columns(tmp_path):
    other = counts(5, 50, 60)
    headers = write(tmp_path, other=other)
    cube = opened(tmp_path, TIMES | {"white_dark": headers["other"]})
    found = loop(raw(), white(), dark(), white_dark=other)
    np.testing.assert_allclose(cube.clean(), found, rtol=1e-6)
    cube = opened(tmp_path, TIMES | {"per_column": False})
    mean = white().mean((0, 1)) - dark().mean((0, 1))
    np.testing.assert_allclose(cube.clean(), (raw() - dark().mean((0, 1))) / mean, rtol=1e-6)


def test_the_panel_may_be_a_spectrum(tmp_path):
    table = tmp_path / "panel.csv"
    table.write_text("wavelength_nm,panel\n1000,0.8\n400,0.98\n")
    cube = opened(tmp_path, TIMES | {"panel": str(table)})
    panel = np.interp(WAVELENGTHS, [400, 1000], [0.98, 0.8])
    found = loop(raw(), white(), dark(), panel=panel)
    np.testing.assert_allclose(cube.clean(), found, rtol=1e-6)
    table.write_text("wavelength_nm,panel\n500,0.8\n1000,0.98\n")
    with pytest.raises(DataError, match="has 500 to 1000 nm") as caught:
        opened(tmp_path, {"panel": str(table)})
    assert caught.value.fix == "give a spectrum that covers all bands, or the panel as a number"
    table.write_text("wavelength_nm,panel\n400,98\n1000,99\n")
    with pytest.raises(DataError, match="has values of 98 to 99") as caught:
        opened(tmp_path, {"panel": str(table)})
    assert caught.value.fix == "give its reflectance as a share, such as 0.99"
    table.write_text("wavelength_nm,one,other\n400,0.9,0.9\n1000,0.9,0.9\n")
    with pytest.raises(DataError, match="has 2 spectra"):
        opened(tmp_path, {"panel": str(table)})


def test_parts_equal_the_whole(tmp_path):
    cube = opened(tmp_path)
    whole = cube.clean()
    np.testing.assert_array_equal(cube.clean(slice(2, 5), slice(1, 4)), whole[2:5, 1:4])
    np.testing.assert_array_equal(cube.clean(slice(5, None), slice(4, None)), whole[5:, 4:])
    everywhere = slice(None)
    np.testing.assert_array_equal(
        cube.valid(slice(1, 3), slice(2, 5)), cube.valid(everywhere, everywhere)[1:3, 2:5]
    )


def hostile_white():
    values = white()
    values[:, 0] = 0
    values[:, 1, 2] = dark().mean(0)[1, 2].astype(int) - 1
    return values


def test_a_white_reference_that_is_not_above_the_dark_gives_nan_and_is_counted(tmp_path):
    cube = opened(tmp_path, TIMES, white=hostile_white)
    found = cube.clean()
    np.testing.assert_allclose(found, loop(raw(), hostile_white(), dark()), rtol=1e-6)
    assert np.isnan(found[:, 0]).all()
    assert np.isnan(found[:, 1]).sum() == H
    assert np.isfinite(found[:, 2:]).all()
    (note,) = cube.check()
    assert f"{C + 1} of {W} x {C} elements of the sensor" in note
    assert "columns 0 (4 bands), 1 (1 bands)" in note
    assert "exclude these bands, or take the white reference again" in note
    cube = opened(tmp_path, TIMES | {"least": 3400.0})
    low = (white().mean(0) - dark().mean(0)) <= 3400
    assert 0 < low.sum() < low.size
    np.testing.assert_array_equal(np.isnan(cube.clean()[0]), low)


def test_clipping_is_off_by_default(tmp_path):
    def dark_and_bright():
        values = raw()
        values[0], values[1] = 1, 60_000
        return values

    found = opened(tmp_path, TIMES, raw=dark_and_bright).clean()
    assert found[0].max() < 0
    assert found[1].min() > 10
    clipped = opened(tmp_path, TIMES | {"clip": 1.2}, raw=dark_and_bright).clean()
    np.testing.assert_array_equal(clipped, found.clip(0, np.float32(1.2)))
    cut = opened(tmp_path, TIMES | {"clip": 1.2}, white=hostile_white).clean()
    assert np.isnan(cut[:, 0]).all()


def saturated_raw():
    values = raw()
    values[1, 2, 3] = 4095
    values[3, 4, 0] = 65535
    return values


def saturated_white():
    values = white()
    values[:2, 1, 1] = 4095
    return values


@pytest.mark.parametrize(
    ("stated", "fields", "invalid", "source"),
    [
        (None, {}, 1, "saturation at 65535 (the largest uint16)"),
        (None, {"bit_depth": 12}, 2, "saturation at 4095 (12 bits of the header)"),
        (4095, {}, 2, "saturation at 4095 (stated)"),
        ([65535, 65535, 65535, 4000], {}, 2, "saturation at 4000 (stated)"),
    ],
)
def test_saturated_pixels_are_not_valid(tmp_path, stated, fields, invalid, source):
    options = TIMES | ({} if stated is None else {"saturation": stated})
    cube = opened(tmp_path, options, raw=saturated_raw, **fields)
    valid = cube.valid(slice(None), slice(None))
    assert (~valid).sum() == invalid
    assert not valid[3, 4]
    assert cube.valid_from == source


def test_saturated_values_of_the_white_reference_do_not_count(tmp_path):
    cube = opened(tmp_path, TIMES | {"saturation": 4095.0}, white=saturated_white)
    found = loop(raw(), saturated_white(), dark())
    without = loop(raw(), saturated_white()[2:], dark())
    found[:, 1, 1] = without[:, 1, 1]
    np.testing.assert_allclose(cube.clean(), found, rtol=1e-6)
    assert any("2 values of the white reference are saturated (stated)" in n for n in cube.check())


def test_exposures_that_differ_or_are_not_known_are_reported(tmp_path):
    (note,) = opened(tmp_path).check()
    assert "dark was taken at exposure 8, the cube at 4 and the white reference at 2" in note
    assert "dark_kind: current" in note
    assert opened(tmp_path, {"dark_kind": "offset"}).check() == []
    (note,) = opened(tmp_path, {"exposures": {"raw": 2.0}}).check()
    assert "not all known: those that are not are taken as equal" in note
    headers = write(tmp_path, cube=raw(), white=white(), dark=dark())
    stated = {"white": headers["white"], "dark": headers["dark"]}
    cube = open_cube(headers["cube"], reading=Reading(calibration=stated))
    np.testing.assert_allclose(cube.clean(), loop(raw(), white(), dark()), rtol=1e-6)
    assert "not all known" in cube.check()[0]


def test_a_dark_of_another_exposure_than_the_white_reference_is_reported(tmp_path):
    headers = write(tmp_path, same=(dark(), {"tint": 2.0}), other=(dark(), {"tint": 5.0}))
    options = {"dark_kind": "offset", "white_dark": headers["same"]}
    assert opened(tmp_path, options).check() == []
    (note,) = opened(tmp_path, {**options, "white_dark": headers["other"]}).check()
    assert note == (
        f"{tmp_path / 'cube.raw'}: white_dark was taken at exposure 5, the white reference at 2: "
        "it is used as it is\n"
        "  fix: name a dark of the white reference's exposure, or leave white_dark out"
    )
    times = {"raw": 4.0, "white": 2.0, "dark": 4.0, "white_dark": 3.0}
    (note,) = opened(tmp_path, {**options, "exposures": times}).check()
    assert "white_dark was taken at exposure 3, the white reference at 2" in note


def test_saturation_has_one_count_for_each_band(tmp_path):
    with pytest.raises(DataError) as caught:
        opened(tmp_path, {"saturation": [4095.0, 4095.0]})
    assert str(caught.value) == (
        f"saturation has 2 counts, {tmp_path / 'cube.raw'} has 4 bands\n"
        "  fix: write one count for all bands, or one for each"
    )


def test_bins_that_are_no_pair_of_counts():
    for binning in (3, "22", (2,), (2, 0), (2, 1.5)):
        with pytest.raises(ConfigError) as caught:
            Reading(binning=binning)
        assert caught.value.fix == "write binning: [rows, columns], 1 or more each"


def test_bands_that_are_no_ranges():
    with pytest.raises(ConfigError, match="bands is 3"):
        Reading(bands=3)
    with pytest.raises(ConfigError, match="bands has ranges 3"):
        Reading(bands={"ranges": 3})


def test_no_data_and_bad_bands_of_the_cube(tmp_path):
    cube = opened(
        tmp_path, TIMES, data_ignore_value=int(raw()[2, 2, 2]), bbl="{1, 0, 1, 1}", bit_depth=12
    )
    found = loop(raw(), white(), dark())[..., [0, 2, 3]]
    found[raw()[..., [0, 2, 3]] == raw()[2, 2, 2]] = np.nan
    np.testing.assert_allclose(cube.clean(), found, rtol=1e-6)
    np.testing.assert_array_equal(cube.good_wavelengths, WAVELENGTHS[[0, 2, 3]])


def test_references_of_another_size_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"white reference .* has 5 columns x 3 bands") as caught:
        opened(tmp_path, white=lambda: white()[..., :3])
    assert caught.value.fix == "use the references of this capture, with the same binning"


@pytest.mark.parametrize(
    ("calibration", "what", "fix"),
    [
        ("auto", "calibration is 'auto'", "write calibration: capture"),
        ({"wite": "a"}, "calibration has no 'wite'", "did you mean 'white'?"),
        ({"white": 3}, "calibration has white 3", "write white: FILE"),
        ({"panel": 99}, "calibration has panel 99", "as a share"),
        ({"average": "max"}, "average 'max'", "write average: mean or median"),
        ({"dark_kind": "x"}, "dark_kind 'x'", "write dark_kind: offset or current"),
        ({"exposures": 3}, "exposures 3", "write exposures: {raw"),
        ({"exposures": {"rew": 3}}, "exposures has no 'rew'", "did you mean 'raw'?"),
        ({"exposures": {"raw": 0}}, "exposures has raw 0", "write a time above 0"),
        ({"least": -1}, "least -1", "write a count, 0 or more"),
        ({"clip": 0}, "clip 0", "write a number above 0"),
        ({"per_column": 1}, "per_column 1", "write true or false"),
        ({"saturation": []}, "saturation []", "write the count from which"),
        ({"saturation": float("nan")}, "saturation nan", "write the count from which"),
        (3, "calibration is 3", "write names with values, such as white"),
    ],
)
def test_what_is_wrong_in_a_calibration_is_an_error(calibration, what, fix):
    with pytest.raises(ConfigError) as caught:
        Reading(calibration=calibration)
    assert what in str(caught.value)
    assert fix in caught.value.fix


def test_sources_calibrate_and_tell_predictions_how(tmp_path):
    headers = write(
        tmp_path / "capture",
        cube=(raw(), {"tint": 1.0, "bit depth": 12}),
        WHITEREF_cube=(white(), {"tint": 1.0}),
        DARKREF_cube=(dark(), {"tint": 1.0}),
    )
    expected = loop(raw(), white(), dark())
    options = {"calibration": "capture"}
    scene = Scene(headers["cube"], **options)
    assert scene.notes() == []
    batch = scene.read("test", [0])
    np.testing.assert_allclose(batch["cube"][0], expected, rtol=1e-6)
    assert batch["valid"].all()
    assert scene.read_options() == {"scale": "physical", "calibration": "capture"}
    folder = Folder(str(tmp_path), pattern="**/*.hdr", split={"train": ["capture/cube"]}, **options)
    assert list(folder.cubes()) == ["capture/cube"]
    assert folder.notes() == []
    np.testing.assert_array_equal(next(folder.batches("train"))["cube"], batch["cube"])
    assert folder.read_options() == scene.read_options()
    blocks = Blocks(headers["cube"], block=3, split=(1.0, 0.0, 0.0), **options)
    for ticket in blocks.tickets("train"):
        rows, columns = slice(*ticket["rows"]), slice(*ticket["columns"])
        found = blocks.read_ticket(ticket)["cube"][0]
        np.testing.assert_array_equal(found, batch["cube"][0][rows, columns])


def test_paths_in_tickets_are_absolute(tmp_path, monkeypatch):
    write(tmp_path, cube=raw(), white=white(), dark=dark())
    monkeypatch.chdir(tmp_path)
    stated = {"white": "white.hdr", "dark": "dark.hdr"} | TIMES
    scene = Scene("cube.hdr", calibration=stated)
    (ticket,) = scene.tickets("test")
    assert ticket["calibration"]["white"] == str(tmp_path / "white.hdr")
    folder = Folder(".", pattern="*.hdr", split={"train": ["cube"]}, calibration=stated)
    assert list(folder.cubes()) == ["cube"]
    (ticket,) = folder.tickets("train")
    assert ticket["reading"]["calibration"]["dark"] == str(tmp_path / "dark.hdr")
    monkeypatch.chdir("/")
    expected = loop(raw(), white(), dark())
    np.testing.assert_allclose(folder.read_ticket(ticket)["cube"][0], expected, rtol=1e-6)


def test_what_is_to_be_known_is_warned_of_once(tmp_path):
    headers = write(tmp_path, cube=raw(), white=white(), dark=dark())
    stated = {"white": headers["white"], "dark": headers["dark"]}
    scene = Scene(headers["cube"], calibration=stated)
    with pytest.warns(UserWarning, match="exposure times of the cube"):
        scene.read("train", [0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene.read("train", [0])
