import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from specloom import DataError
from specloom_cubes.command import info
from specloom_cubes.rules import coco
from specloom_cubes.sources import Blocks, Folder, Scene

CUBE = np.arange(6 * 8 * 3, dtype=np.uint16).reshape(6, 8, 3)
ALL = {"split": (1.0, 0.0, 0.0)}
NAMES = [{"id": 0, "name": "husk"}, {"id": 1, "name": "stone"}, {"id": 2, "name": "metal"}]


def rectangle(image, category, left, top, right, bottom):
    outline = [left, top, right, top, right, bottom, left, bottom]
    return {"image_id": image, "category_id": category, "segmentation": [outline]}


def write(path, names, annotations):
    images = []
    for number, name in names.items():
        images.append({"id": number, "file_name": name, "height": 6, "width": 8})
    values = {"images": images, "categories": NAMES, "annotations": annotations}
    path.write_text(json.dumps(values))
    return path


def mask(category, left, top, right, bottom):
    labels = np.zeros((6, 8), int)
    labels[top:bottom, left:right] = category
    return labels


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b", "c"):
        np.save(tmp_path / f"{name}.npy", CUBE)
    return tmp_path


def masks_of(path, **options):
    source = Folder(path=str(path), **ALL, **options)
    return [batch.get("mask", [None])[0] for batch in source.batches("train")]


BOTH = [rectangle(7, 1, 1, 1, 4, 3), rectangle(3, 2, 2, 2, 6, 5)]


@pytest.mark.parametrize("name", ["annotations.json", "_annotations.coco.json", "all.json"])
def test_one_file_for_a_folder(folder, name):
    write(folder / name, {3: "b.png", 7: "A.JPG"}, BOTH)
    first, second, third = masks_of(folder)
    np.testing.assert_array_equal(first, mask(1, 1, 1, 4, 3))
    np.testing.assert_array_equal(second, mask(2, 2, 2, 6, 5))
    assert (third == -1).all()


def test_one_file_that_is_named(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = write(elsewhere / "x.json", {3: "b.npy", 7: "c"}, BOTH)
    _, second, third = masks_of(folder, masks=str(path))
    np.testing.assert_array_equal(second, mask(2, 2, 2, 6, 5))
    np.testing.assert_array_equal(third, mask(1, 1, 1, 4, 3))
    write(path, {3: "x.npy"}, [])
    with pytest.raises(DataError, match="holds no mask of any cube in"):
        masks_of(folder, masks=str(path))
    path.write_text("{}")
    with pytest.raises(DataError, match="is no COCO file that can be used: it has no images"):
        masks_of(folder, masks=str(path))


@pytest.mark.parametrize("ending", [".json", "_gt.json", "_mask.json", "-labels.json"])
def test_one_file_for_each_cube(folder, ending):
    write(folder / f"a{ending}", {1: "whatever.png"}, [rectangle(1, 1, 0, 0, 2, 2)])
    write(folder / f"c{ending}", {3: "b.png", 7: "c.png"}, BOTH)
    first, second, third = masks_of(folder)
    np.testing.assert_array_equal(first, mask(1, 0, 0, 2, 2))
    assert (second == -1).all()
    np.testing.assert_array_equal(third, mask(1, 1, 1, 4, 3))


def test_a_folder_of_masks(folder):
    (folder / "labels").mkdir()
    write(folder / "labels/instances.json", {3: "a.png", 7: "b.png"}, BOTH)
    first, second, third = masks_of(folder, masks="labels")
    np.testing.assert_array_equal(first, mask(2, 2, 2, 6, 5))
    np.testing.assert_array_equal(second, mask(1, 1, 1, 4, 3))
    assert (third == -1).all()


def test_folders_in_file_names(tmp_path):
    for name in ("x/a", "y/a"):
        (tmp_path / name).parent.mkdir()
        np.save(tmp_path / f"{name}.npy", CUBE)
    write(tmp_path / "all.json", {3: "x/a.png", 7: "y\\a.png"}, BOTH)
    first, second = masks_of(tmp_path, pattern="**/*")
    np.testing.assert_array_equal(first, mask(2, 2, 2, 6, 5))
    np.testing.assert_array_equal(second, mask(1, 1, 1, 4, 3))
    write(tmp_path / "all.json", {3: "x/a.png", 7: "a.png"}, BOTH)
    with pytest.raises(DataError) as error:
        masks_of(tmp_path, pattern="**/*")
    path = tmp_path / "all.json"
    assert error.value.what == f"{path} has several images of the cube a.npy: x/a.png, a.png"
    assert error.value.fix == "remove all but one, or write their folders in file_name"


def test_other_json_is_no_mask(folder):
    (folder / "a.json").write_text('{"exposure": 5}')
    (folder / "b.json").write_text("damaged")
    (folder / ".hidden.json").write_text('{"images": 1, "annotations": 1}')
    assert masks_of(folder) == [None, None, None]
    write(folder / "c.json", {1: "c.png"}, [])
    assert masks_of(folder, find_mask=False) == [None, None, None]


def test_a_file_that_annotates_no_cube_is_reported(folder):
    path = write(folder / "all.json", {3: "a_rgb.png", 7: "b_rgb.png"}, [])
    with pytest.warns(UserWarning, match="annotates no cube here") as warned:
        assert masks_of(folder) == [None, None, None]
    assert [str(one.message) for one in warned] == [
        f"{path} annotates no cube here: its images are a_rgb.png, b_rgb.png\n"
        "  fix: give each image the name of its cube, whatever the ending, or remove the file"
    ]


def test_names_that_are_numbers(tmp_path):
    for name in ("1", "2"):
        np.save(tmp_path / f"{name}.npy", CUBE)
    write(tmp_path / "all.json", {2: "1", 1: "2"}, [rectangle(2, 1, 1, 1, 4, 3)])
    first, second = masks_of(tmp_path)
    np.testing.assert_array_equal(first, mask(1, 1, 1, 4, 3))
    assert not second.any()


def test_the_picture_that_was_annotated_is_no_mask(folder):
    Image.fromarray(np.full((6, 8, 3), 77, np.uint8)).save(folder / "a.png")
    write(folder / "all.json", {7: "a.png"}, [rectangle(7, 1, 1, 1, 4, 3)])
    np.testing.assert_array_equal(masks_of(folder)[0], mask(1, 1, 1, 4, 3))
    write(folder / "all.json", {7: "a.jpg"}, [])
    with pytest.raises(DataError) as error:
        masks_of(folder)
    assert error.value.what == "a.npy has several masks: a.png, all.json"
    assert error.value.fix == "remove all but one, or name the one as masks:"


def test_two_files_for_one_cube(folder):
    write(folder / "one.json", {7: "a.png"}, [])
    write(folder / "two.json", {7: "a.png"}, [])
    with pytest.raises(DataError, match=r"a.npy has several masks: one.json, two.json"):
        masks_of(folder)


def test_a_scene(folder):
    path = write(folder / "all.json", {3: "b.png", 7: "a.jpg"}, BOTH)
    for cube, chosen in (("a", mask(1, 1, 1, 4, 3)), ("b", mask(2, 2, 2, 6, 5))):
        scene = Scene(cube=str(folder / f"{cube}.npy"), mask=str(path))
        np.testing.assert_array_equal(scene.labels()[0], chosen)
    for image in ("b.png", "3"):
        scene = Scene(str(folder / "a.npy"), str(path), mask_variable=image)
        np.testing.assert_array_equal(scene.labels()[0], mask(2, 2, 2, 6, 5))
    with pytest.raises(DataError, match=r"all.json annotates 2 images: b.png, a.jpg"):
        Scene(cube=str(folder / "c.npy"), mask=str(path)).labels()
    write(path, {1: "any.png"}, [rectangle(1, 1, 0, 0, 2, 2)])
    blocks = Blocks(cube=str(folder / "c.npy"), mask=str(path), block=2, split=(1.0, 0.0, 0.0))
    assert sum(int(batch["mask"].sum()) for batch in blocks.batches("train")) == 4


def test_info_shows_the_names_of_classes(folder):
    write(folder / "all.json", {7: "a.jpg"}, [rectangle(7, 1, 1, 1, 4, 3)])
    cube = str(folder / "a.npy")
    result = CliRunner().invoke(info, [cube])
    assert "all.json (class 0 husk: 42 px, class 1 stone: 6 px); cubes.Folder" in result.output
    (shown,) = json.loads(CliRunner().invoke(info, [cube, "--json"]).output)["masks"]
    assert Path(shown["file"]) == folder / "all.json"
    assert shown["classes"] == {"0": 42, "1": 6}
    assert shown["names"] == {"0": "husk", "1": "stone", "2": "metal"}


def test_what_a_split_holds_has_the_names_of_classes(folder):
    path = write(folder / "all.json", {7: "a.jpg"}, [rectangle(7, 1, 1, 1, 4, 3)])
    described = Folder(path=str(folder), **ALL).describe("train")
    assert described.line() == (
        "3 cubes, masks of 1 from all.json (0 husk: 42, 1 stone: 6 pixels), no wavelengths, "
        "stored counts, 3 assumptions (shown by -v)"
    )
    assert described.values()["masks"]["names"] == {"0": "husk", "1": "stone", "2": "metal"}
    described = Scene(cube=str(folder / "a.npy"), mask=str(path)).describe("test")
    assert "masks from all.json (0 husk: 42, 1 stone: 6 pixels)" in described.line()
    write(folder / "a.json", {1: "x"}, [])
    path.unlink()
    described = Folder(path=str(folder), **ALL).describe("train")
    assert "masks of 1 from *.json (0 husk: 48 pixels)" in described.line()


def test_notes_of_a_folder_whose_coco_file_is_named(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "x.json"
    write(path, {7: "a"}, [rectangle(7, 1, 1, 1, 4, 3)])
    (note,) = Folder(path=str(folder), masks=str(path), **ALL).notes()
    assert note.startswith("of 3 cubes 1 have masks, and these have none: b.npy, c.npy")


def test_names_that_differ_between_files_are_no_names(folder):
    for name, first in (("a", "husk"), ("b", "shell")):
        write(folder / f"{name}.json", {1: "x"}, [])
        values = json.loads((folder / f"{name}.json").read_text())
        values["categories"][0]["name"] = first
        (folder / f"{name}.json").write_text(json.dumps(values))
    files = [folder / "a.json", folder / "b.json", folder / "a.png"]
    assert coco.names_of_classes(files) == {1: "stone", 2: "metal"}
