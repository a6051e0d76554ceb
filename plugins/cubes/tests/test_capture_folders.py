"""Captures in the layouts of the makers' folders, written by the tests."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from specloom import DataError
from specloom_cubes import Folder, Reading, files_of_reading, open_cube
from specloom_cubes.processing.captures import find_references, is_named_as_reference

sys.path.append(str(Path(__file__).parent))
captures = import_module("raw_captures")
C = captures.C
H = captures.H
W = captures.W
counts = captures.counts
dark = captures.dark
loop = captures.loop
raw = captures.raw
white = captures.white
write = captures.write

CAPTURE = Reading(calibration="capture")


def check(header, expected):
    np.testing.assert_allclose(open_cube(header, reading=CAPTURE).clean(), expected, rtol=1e-6)


def test_specim(tmp_path):
    parts = {
        "belt_1": (raw(), {"tint": 3.0}),
        "WHITEREF_belt_1": (white(), {"tint": 1.5}),
        "DARKREF_belt_1": (dark(), {"tint": 3.0}),
        "WHITEREF_other": (counts(8), {"tint": 1.5}),
        "DARKREF_other": (counts(9), {"tint": 3.0}),
    }
    headers = write(tmp_path / "capture", **parts)
    check(headers["belt_1"], loop(raw(), white(), dark(), times=(3, 1.5, 3)))
    assert find_references(Path(headers["belt_1"]).with_suffix(".raw")).layout == "Specim"


def without_endings(folder, **names):
    """ENVI pairs whose data files have no ending, as Headwall's cameras write them."""
    for name, values in names.items():
        write(folder, **{name: values})
        (folder / f"{name}.raw").rename(folder / name)
    return folder


def test_headwall(tmp_path):
    folder = without_endings(
        tmp_path, raw_0=raw(), whiteReference=white()[:1], darkReference=dark()[:1]
    )
    check(folder / "raw_0.hdr", loop(raw(), white()[:1], dark()[:1]))
    assert find_references(folder / "raw_0").layout == "Headwall"
    other = without_endings(
        tmp_path / "named", plant=raw(), plant_whiteReference=white(), plant_darkReference=dark()
    )
    check(other / "plant.hdr", loop(raw(), white(), dark()))


def test_resonon(tmp_path):
    fields = {"bit_depth": 12, "gain": 0.0}
    parts = {
        "Pika_L_1": (tmp_path / "flight", raw(), 5.0),
        "white_panel": (tmp_path, white(), 2.5),
        "dark": (tmp_path, dark(), 5.0),
    }
    for name, (folder, values, shutter) in parts.items():
        write(folder, **{name: (values, fields | {"shutter": shutter})})
        (folder / f"{name}.raw").rename(folder / f"{name}.bil")
        (folder / f"{name}.hdr").rename(folder / f"{name}.bil.hdr")
    header = tmp_path / "flight/Pika_L_1.bil.hdr"
    check(header, loop(raw(), white(), dark(), times=(5, 2.5, 5)))
    found = find_references(header.with_suffix(""))
    assert (found.layout, found.white.name) == ("Resonon", "white_panel.bil.hdr")
    cube = open_cube(header, reading=CAPTURE)
    assert cube.valid_from == "saturation at 4095 (12 bits of the header)"


def hyspex(folder, name, values, background, time, present=1):
    """A HySpex file: the binary header with the background, then the counts line by line."""
    write(folder, **{name: values})
    head = bytearray(2181)
    head[:6] = b"HYSPEX"
    size = 2181 + 8 * (2 * C + 2 * W * C)
    for place, number in (
        (8, size),
        (1961, C),
        (1965, W),
        (1977, time),
        (2009, present),
    ):
        head[place : place + 4] = number.to_bytes(4, "little")
    arrays = [np.arange(C), np.ones(C), np.ones((C, W)), background.T]
    body = b"".join(np.asarray(array, "<f8").tobytes() for array in arrays)
    data = folder / f"{name}.hyspex"
    data.write_bytes(bytes(head) + body + (folder / f"{name}.raw").read_bytes())
    (folder / f"{name}.raw").unlink()
    header = folder / f"{name}.hdr"
    header.write_text(header.read_text() + f"header offset = {size}\n")
    return header


def test_hyspex(tmp_path):
    own, of_white = dark().mean(0), counts(4, 60, 70).mean(0)
    header = hyspex(tmp_path, "meadow_raw", raw(), own, 6000)
    hyspex(tmp_path, "WhiteRef_1", white(), of_white, 2000)
    expected = loop(raw(), white(), own[None], white_dark=of_white[None], times=(6000, 2000, 6000))
    check(header, expected)
    cube = open_cube(header, reading=CAPTURE)
    assert cube.check() == []
    assert find_references(header.with_suffix(".hyspex")).dark is None


def test_a_hyspex_file_without_background_needs_a_dark(tmp_path):
    header = hyspex(tmp_path, "meadow", raw(), dark().mean(0), 6000, present=0)
    hyspex(tmp_path, "white", white(), dark().mean(0), 6000)
    with pytest.raises(DataError, match="has no dark in its binary header") as caught:
        open_cube(header, reading=CAPTURE)
    assert caught.value.fix == "name the file of one: calibration: {dark: FILE}"
    headers = write(tmp_path / "elsewhere", mine=dark())
    stated = {"dark": headers["mine"], "exposures": {"raw": 1, "white": 1, "dark": 1}}
    cube = open_cube(header, reading=Reading(calibration=stated))
    np.testing.assert_allclose(cube.clean(), loop(raw(), white(), dark()), rtol=1e-6)


def test_a_damaged_hyspex_file_is_an_error(tmp_path):
    header = hyspex(tmp_path, "meadow", raw(), dark().mean(0), 6000)
    hyspex(tmp_path, "white", white(), dark().mean(0), 6000)
    data = header.with_suffix(".hyspex")
    head = bytearray(data.read_bytes())
    head[1965:1969] = (10**6).to_bytes(4, "little")
    data.write_bytes(bytes(head))
    with pytest.raises(DataError, match="is shorter than its binary header says"):
        open_cube(header, reading=CAPTURE)


def test_a_folder_without_references_says_what_it_looked_for(tmp_path):
    headers = write(tmp_path, belt=raw(), dark=dark())
    with pytest.raises(DataError) as caught:
        open_cube(headers["belt"], reading=CAPTURE)
    assert "has no white reference of a capture: neither WHITEREF_belt (Specim)" in str(
        caught.value
    )
    assert caught.value.fix == "name the files: calibration: {white: FILE, dark: FILE}"


def test_several_references_are_not_guessed_from(tmp_path):
    headers = write(tmp_path, belt=raw(), dark=dark(), white_1=white(), white_2=white())
    with pytest.raises(
        DataError, match=r"has several white references: white_1\.hdr, white_2\.hdr"
    ):
        open_cube(headers["belt"], reading=CAPTURE)
    stated = Reading(calibration={"white": headers["white_2"]})
    found = open_cube(headers["belt"], reading=stated).clean()
    np.testing.assert_allclose(found, loop(raw(), white(), dark()), rtol=1e-6)


def test_references_are_no_cubes_of_a_folder(tmp_path):
    write(tmp_path, belt=raw(), white=white(), dark=dark())
    names = {"train": ["belt"]}
    folder = Folder(str(tmp_path), pattern="*.hdr", split=names, calibration="capture")
    assert list(folder.cubes()) == ["belt"]
    assert len(Folder(str(tmp_path), pattern="*.hdr").cubes()) == 3


def test_the_folder_above_is_that_of_a_relative_path(tmp_path, monkeypatch):
    headers = write(tmp_path / "flight", belt=raw())
    write(tmp_path, white=white(), dark=dark())
    monkeypatch.chdir(tmp_path / "flight")
    check(Path(headers["belt"]).name, loop(raw(), white(), dark()))


def test_what_is_looked_for_is_the_reference_that_is_missing(tmp_path):
    headers = write(tmp_path, belt=raw(), white=white())
    with pytest.raises(DataError) as caught:
        open_cube(headers["belt"], reading=CAPTURE)
    assert str(caught.value) == (
        f"the folder of {tmp_path / 'belt.raw'} has no dark reference of a capture: neither "
        "DARKREF_belt (Specim), darkReference (Headwall), nor a cube named after dark\n"
        "  fix: name the files: calibration: {white: FILE, dark: FILE}"
    )


def test_a_hyspex_file_that_states_no_exposure(tmp_path):
    header = hyspex(tmp_path, "meadow", raw(), dark().mean(0), 0)
    hyspex(tmp_path, "white", white(), dark().mean(0), 0)
    cube = open_cube(header, reading=CAPTURE)
    np.testing.assert_allclose(cube.clean(), loop(raw(), white(), dark()), rtol=1e-6)
    assert "not all known" in cube.check()[0]


@pytest.mark.parametrize(
    "name",
    [
        "dark.hdr",
        "WHITE.bil.hdr",
        "DARKREF_belt.hdr",
        "WHITEREF_dark_chocolate.hdr",
        "belt_dark.hdr",
        "belt-white-2.hdr",
        "white_panel.bil.hdr",
        "darkReference",
        "plant_whiteReference.hdr",
        "dark_reference_belt.raw",
        "Dark_Current-0001.bil",
        "darkframe.hyspex",
        "white_2024-05-01_10ms.hdr",
        "dark0003.hdr",
        "white ref.hdr",
    ],
)
def test_names_of_references(name):
    assert is_named_as_reference(Path(name))


@pytest.mark.parametrize(
    "name",
    [
        "dark_chocolate.hdr",
        "white_wheat_01.hdr",
        "dark-red-kidney.bil",
        "darkness.hdr",
        "whiteboard.hdr",
        "snowwhite.hdr",
        "belt.hdr",
        "white_dwarf.raw",
        "darkrefuse.hdr",
        "darkroom_2024.hdr",
    ],
)
def test_names_of_cubes_that_only_begin_like_references(name):
    assert not is_named_as_reference(Path(name))


def test_dark_chocolate_is_calibrated_with_the_dark(tmp_path):
    write(tmp_path, dark_chocolate=raw(), white_chocolate=raw(), white=white(), dark=dark())
    split = {"train": ["dark_chocolate", "white_chocolate"]}
    folder = Folder(str(tmp_path), pattern="*.hdr", split=split, calibration="capture")
    assert list(folder.cubes()) == ["dark_chocolate", "white_chocolate"]
    check(tmp_path / "dark_chocolate.hdr", loop(raw(), white(), dark()))


def names(files, folder):
    return sorted(file.relative_to(folder).as_posix() for file in files)


def test_the_files_that_the_values_of_a_cube_depend_on(tmp_path):
    folder = tmp_path / "capture"
    headers = write(folder, belt_1=raw(), WHITEREF_belt_1=white(), DARKREF_belt_1=dark())
    belt = Path(headers["belt_1"])
    found = ["DARKREF_belt_1.hdr", "DARKREF_belt_1.raw", "WHITEREF_belt_1.hdr"]
    found = [f"capture/{name}" for name in [*found, "WHITEREF_belt_1.raw"]]
    assert names(files_of_reading(belt, CAPTURE), tmp_path) == found
    assert files_of_reading(belt, Reading()) == []
    other = write(tmp_path / "other", belt_1=white())["belt_1"]
    named = Reading(calibration={"white": str(other)}, bands={"resample": str(tmp_path / "g.csv")})
    expected = ["g.csv", "other/belt_1.hdr", "other/belt_1.raw", *found[:2]]
    assert names(files_of_reading(belt, named), tmp_path) == sorted(expected)
    (folder / "WHITEREF_belt_1.hdr").unlink()
    assert files_of_reading(belt, CAPTURE) == []
    of_hyspex = hyspex(tmp_path, "meadow_raw", raw(), dark().mean(0), 6000)
    hyspex(tmp_path, "WhiteRef_1", white(), dark().mean(0), 2000)
    expected = ["WhiteRef_1.hdr", "WhiteRef_1.hyspex"]
    assert names(files_of_reading(of_hyspex, CAPTURE), tmp_path) == expected
