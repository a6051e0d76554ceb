"""What ``specloom check`` warns of by the names and headers of a folder's cubes."""

import numpy as np
import pytest
from PIL import Image

from specloom import DataError
from specloom_cubes.class_lists import class_list_notes
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources import Blocks, Folder, Scene

CUBE = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
MASK = np.eye(4, 5, dtype=np.uint8)


def notes(folder, **options):
    return Folder(str(folder), split=(1.0, 0.0, 0.0), **options).notes()


def save(folder, *names, cube=CUBE):
    for name in names:
        np.save(folder / f"{name}.npy", cube)


def test_one_cube_of_four_without_a_mask(tmp_path):
    save(tmp_path, "a", "b", "c", "d")
    for name in "abc":
        Image.fromarray(MASK).save(tmp_path / f"{name}.png")
    (note,) = notes(tmp_path)
    assert note == (
        "of 4 cubes 3 have masks, and these have none: d.npy; their pixels are unlabelled\n"
        "  fix: add the masks, named like the cubes, or leave it where that is as it should be"
    )
    assert notes(tmp_path, find_mask=False) == []
    Image.fromarray(MASK).save(tmp_path / "d.png")
    assert notes(tmp_path) == []


def test_pictures_that_are_the_mask_of_no_cube(tmp_path):
    save(tmp_path, "a", "b")
    assert notes(tmp_path) == []
    for name in "123456":
        Image.fromarray(MASK).save(tmp_path / f"truth{name}.png")
    (note,) = notes(tmp_path)
    assert f"no cube in {tmp_path} has a mask, and 6 pictures there have the name of no" in note
    assert "truth1.png, truth2.png, truth3.png and 3 more" in note
    assert "fix: name each mask like its cube" in note


def test_the_folder_of_a_capture(tmp_path):
    save(tmp_path, "scene", "DARKREF_scene", "WHITEREF_scene")
    (note,) = Scene(str(tmp_path / "scene.npy")).notes()
    assert f"{tmp_path} is a folder of a capture, with the reference frames DARKREF_scene" in note
    assert "fix: write calibration: capture, or ignore this where counts will do" in note
    assert Blocks(str(tmp_path / "scene.npy"), block=2).notes() == [note]
    assert note in notes(tmp_path)


def test_cubes_of_different_scales(tmp_path):
    save(tmp_path, "a", "b")
    save(tmp_path, "c", cube=CUBE / 1000)
    (note,) = notes(tmp_path)
    assert note == (
        "the cubes have different scales: stored counts in a.npy, b.npy; stored values in c.npy\n"
        "  fix: use cubes of one scale, or convert them to one"
    )


def all_bad(folder):
    CUBE.astype("<i2").tofile(folder / "x.img")
    (folder / "x.hdr").write_text(
        "ENVI\nsamples = 5\nlines = 4\nbands = 6\ndata type = 2\ninterleave = bip\n"
        "byte order = 0\nbbl = {0, 0, 0, 0, 0, 0}\n"
    )
    return folder / "x.hdr"


@pytest.mark.parametrize("source", [Scene, Blocks, Folder])
def test_a_header_that_marks_all_bands_bad(source, tmp_path):
    header = all_bad(tmp_path)
    path = tmp_path if source is Folder else header
    with pytest.raises(DataError, match="marks all of its 6 bands as bad"):
        source(str(path)).sizes()


def described(images=2, counted=2, **classes):
    """Values of a description whose masks have these classes, such as ``c1=5``."""
    numbers = {name[1:]: count for name, count in classes.items()}
    return {"masks": {"images": images, "counted": counted, "classes": numbers}}


def texts(splits, normal, anomalous=None):
    return [note.what for note in class_list_notes(splits, normal, anomalous)]


def test_classes_that_fit_the_lists():
    splits = {"train": described(c0=90, c1=10), "test": described(c0=80, c1=20)}
    assert texts(splits, [0]) == []
    assert texts(splits, [0], [1]) == []
    assert texts({}, [0]) == []
    assert texts({"train": described(0, 0)}, [0]) == []


def test_classes_in_no_list():
    splits = {"train": described(c0=90, c3=10), "test": described(c0=80, c1=20, c7=1000)}
    assert texts(splits, [0], [1]) == [
        "these classes of the masks are in neither list, and excluded: 3 (10 pixels), "
        "7 (1,000 pixels)"
    ]


def test_unlabelled_pixels_are_in_no_list_and_need_none():
    splits = {"test": {"masks": {"images": 1, "counted": 1, "classes": {"-1": 9, "0": 8, "1": 2}}}}
    assert texts(splits, [0], [1]) == []


def test_no_mask_holds_a_normal_class():
    splits = {"train": described(c1=90, c2=10)}
    assert texts(splits, [0]) == [
        "no mask holds a normal class: normal_class_ids is [0], the masks hold 1, 2"
    ]
    assert texts({"train": described(images=3, counted=2, c1=90, c2=10)}, [1]) == []


def test_no_anomaly_in_a_split_that_is_measured():
    splits = {"train": described(c0=9), "val": described(c0=9), "test": described(c0=9)}
    assert texts(splits, [0]) == [
        "no pixel of the splits 'val' and 'test' is anomalous: nothing can be measured"
    ]
    splits["val"] = described(c0=9, c1=1)
    assert texts(splits, [0]) == [
        "no pixel of the split 'test' is anomalous: nothing can be measured"
    ]
    splits["test"] = described(images=9, counted=2, c0=9)
    assert texts(splits, [0]) == []


def test_the_pixels_of_splits_are_added_but_for_the_same_images():
    one = {**described(c0=90, c3=10), "names": ["a"]}
    other = {**described(c0=90, c3=10), "names": ["b"]}
    assert "3 (20 pixels)" in texts({"train": one, "val": other, "test": other}, [0], [1])[0]


def test_most_pixels_are_anomalous():
    scene = described(c0=4000, c1=6000)
    splits = {"train": scene, "val": scene, "test": scene}
    assert texts(splits, [0]) == ["6,000 of 10,000 pixels with a class are anomalous"]
    assert texts(splits, [0, 1]) == [
        "no pixel of the splits 'val' and 'test' is anomalous: nothing can be measured"
    ]


def test_the_data_node_compares_its_lists():
    node = AnomalyDataNode([0], [1])
    (note,) = node.data_notes({"train": described(c0=9, c5=1)})
    assert note.fix == "add each to normal_class_ids or anomaly_class_ids if it counts"


def test_numbers_for_no_label_that_count_as_anomalies():
    (note,) = AnomalyDataNode([0]).data_notes({"train": described(c0=90, c1=5, c255=3)})
    assert note.what == (
        "no list names these classes of the masks, which often mean 'no label', and they count as "
        "anomalies: 255 (3 pixels)"
    )
    assert note.fix == (
        "name the anomalies in anomaly_class_ids, so that other classes are excluded"
    )
    assert "0 (9 pixels)" in texts({"train": described(c0=9, c1=90)}, [1])[0]
    assert texts({"train": described(c0=90, c255=5)}, [0]) == []
    assert texts({"train": described(c0=90, c1=5, c2=3)}, [0]) == []


def test_captures_in_several_folders_are_one_note(tmp_path):
    for number in range(3):
        folder = tmp_path / f"capture_{number}"
        folder.mkdir()
        np.save(folder / "scene.npy", np.zeros((4, 5, 6), np.uint16))
        np.save(folder / "DARKREF_scene.npy", np.zeros((4, 5, 6), np.uint16))
    (note,) = Folder(str(tmp_path), pattern="**/*.npy").notes()
    assert note == (
        f"{tmp_path / 'capture_0'} is a folder of a capture, with the reference frames "
        "DARKREF_scene.npy, and so are 2 more: these cubes are raw counts of the sensor\n"
        "  fix: write calibration: capture, or ignore this where counts will do"
    )
