"""``specloom info`` of folders and of several files."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from specloom import DataError
from specloom_cubes.command import info

CUBE = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
MASK = np.array([[0, 0, 2, 0], [0, 2, 0, 0], [1, 0, 0, 0]], np.uint8)
CENTRES = "400, 500, 600, 700, 800"


def envi(path, cube=CUBE, centres=CENTRES, extra=""):
    cube.astype("<i2").tofile(path.with_suffix(".img"))
    height, width, bands = cube.shape
    path.write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\ndata type = 2\n"
        f"interleave = bip\nbyte order = 0\nwavelength units = nm\nwavelength = {{{centres}}}\n"
        f"{extra}"
    )


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        envi(tmp_path / f"c{number}.hdr")
        Image.fromarray(MASK).save(tmp_path / f"c{number}.png")
    return tmp_path


def lines(*arguments, exit_code=0):
    done = CliRunner().invoke(info, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == exit_code, done.output
    return done.output.splitlines()


def test_a_folder_is_a_table_with_a_line_each(folder):
    found = lines(folder)
    classes = "(0: 9, 1: 1, 2: 2 pixels)"
    assert found == [
        "file    rows x columns  bands  stored as  wavelengths          scale          mask",
        *(
            f"c{number}.hdr  3 x 4           5      int16      400.00 to 800.00 nm  stored counts"
            f"  c{number}.png {classes}"
            for number in range(3)
        ),
    ]
    files = [folder / f"c{number}.hdr" for number in range(3)]
    assert lines(*files) == found


def test_what_differs_is_named_with_its_files(folder):
    envi(folder / "c1.hdr", CUBE[:, :3], "401, 501, 601, 701, 801")
    envi(folder / "c2.hdr", extra="bbl = {1, 1, 1, 0, 1}\ndata gain values = {2, 2, 2, 2, 2}\n")
    (folder / "c1.png").unlink()
    np.save(folder / "d.npy", CUBE.astype(np.float32)[..., :4])
    found = [line for line in lines(folder) if line.startswith("differ")]
    assert found == [
        "differ in size: 3 x 4 (c0.hdr, c2.hdr, d.npy); 3 x 3 (c1.hdr)",
        "differ in bands: 5 (c0.hdr, c1.hdr, c2.hdr); 4 (d.npy)",
        "differ in bad bands: 0 (c0.hdr, c1.hdr, d.npy); 1 (c2.hdr)",
        "differ in type: int16 (c0.hdr, c1.hdr, c2.hdr); float32 (d.npy)",
        "differ in scale: stored counts (c0.hdr, c1.hdr); stored times 2 (c2.hdr); "
        "stored values (d.npy)",
        "differ in masks: *.png (c0.hdr, c2.hdr); none (c1.hdr, d.npy)",
        "differ in wavelengths: 400.00 to 800.00 nm (c0.hdr); 401.00 to 801.00 nm (c1.hdr); "
        "400.00 to 800.00 nm (c2.hdr); not stated (d.npy)",
    ]


def test_half_a_nanometre_is_no_difference(folder):
    envi(folder / "c1.hdr", centres="400.4, 500, 600, 700, 799.6")
    assert not any(line.startswith("differ") for line in lines(folder))


def test_what_is_assumed_and_what_is_remarkable_follow(folder):
    for header in folder.glob("*.hdr"):
        text = header.read_text().replace("wavelength units = nm\n", "")
        header.write_text(text.replace(CENTRES, "0.4, 0.5, 0.6, 0.7, 0.8"))
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(folder / "WHITEREF_c.tif")
    found = lines(folder)
    assert any(line.startswith("assumed (") and "states no unit" in line for line in found)
    assert any(line.startswith("WARNING: ") and "WHITEREF_c.tif" in line for line in found)


def test_a_file_that_cannot_be_read_does_not_hide_the_others(folder):
    (folder / "c1.img").write_bytes(b"short")
    found = lines(folder, exit_code=2)
    assert [line.split()[0] for line in found[:3]] == ["file", "c0.hdr", "c2.hdr"]
    assert found[-1].startswith(f"ERROR: {folder}/c1.hdr: ")
    assert "; fix: " in found[-1]
    assert found[-1].count(f"{folder}/c1.hdr") == 1
    records = json.loads("\n".join(lines("--json", folder, exit_code=2)))
    assert [list(one) for one in records if "error" in one] == [["file", "error", "fix"]]


def test_both_files_of_a_pair_are_one_cube(folder):
    pair = [folder / "c0.hdr", folder / "c0.img", folder / "c1.hdr"]
    found = lines(*pair)
    assert [line.split()[0] for line in found[:3]] == ["file", "c0.hdr", "c1.hdr"]


def test_json_is_a_list_of_several_and_the_same_keys_as_of_one(folder):
    one = json.loads("\n".join(lines("--json", "--no-statistics", folder / "c0.hdr")))
    several = json.loads("\n".join(lines("--json", folder / "c0.hdr", folder / "c1.hdr")))
    assert isinstance(one, dict)
    assert several[0] == one
    assert [entry["file"] for entry in several] == [str(folder / f"c{n}.hdr") for n in range(2)]
    alone = folder / "alone"
    alone.mkdir()
    np.save(alone / "x.npy", CUBE)
    assert len(json.loads("\n".join(lines("--json", alone)))) == 1


def test_pixels_of_several_files_are_read_on_request(folder, monkeypatch):
    found = json.loads("\n".join(lines("--json", "--statistics", folder)))
    assert [one["statistics"]["maximum"] for one in found] == [59, 59, 59]
    monkeypatch.setattr("specloom_cubes.cube.Cube.read", lambda *a: pytest.fail("it read"))
    lines(folder)


def test_a_folder_without_cubes(tmp_path):
    with pytest.raises(DataError, match="holds no cube"):
        lines(tmp_path)


def test_one_file_shows_where_things_were_read_and_what_was_assumed(folder):
    extra = "data gain values = {0.5, 0.5, 0.5, 0.5, 0.5}\ndata offset values = {-1,-1,-1,-1,-1}\n"
    envi(folder / "c0.hdr", extra=extra)
    text = "\n".join(lines(folder / "c0.hdr"))
    assert "from the field 'wavelength' of the header" in text
    assert (
        "stored times 0.5 plus -1, from the field 'data gain values' and the field "
        "'data offset values' of the header" in text
    )
    header = (folder / "c0.hdr").read_text().replace("wavelength units = nm\n", "")
    (folder / "c0.hdr").write_text(header.replace(CENTRES, "0.4, 0.5, 0.6, 0.7, 0.8"))
    assert any(line.strip().startswith("assumed ") for line in lines(folder / "c0.hdr"))
