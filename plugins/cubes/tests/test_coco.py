import json
import os
import resource
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from specloom import DataError
from specloom_cubes.masks import read_mask
from specloom_cubes.rules import coco, coco_runs

coco_mask = pytest.importorskip("pycocotools.mask")
sys.path.insert(0, str(Path(__file__).parent))
hostile = import_module("hostile_coco")
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

SIZE = (20, 30)


def write(path, annotations, images=None, categories=None):
    if images is None:
        images = [{"id": 1, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}]
    if categories is None:
        categories = [{"id": number, "name": f"class {number}"} for number in range(1, 5)]
    values = {"images": images, "categories": categories, "annotations": annotations}
    path.write_text(json.dumps(values))
    return path


def annotation(segmentation, category=1, image=1, **others):
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": segmentation,
        **others,
    }


def of_reference(segmentation, size=SIZE):
    """What pycocotools makes of a segmentation."""
    runs = segmentation
    if isinstance(segmentation, list) or isinstance(segmentation["counts"], list):
        runs = coco_mask.frPyObjects(segmentation, *size)
    if isinstance(runs, list):
        runs = coco_mask.merge(runs)
    return coco_mask.decode(runs)


def outlines(chance, size):
    """Random outlines, of points within and outside of the image, on and between the pixels."""
    height, width = size
    points = chance.uniform(-0.4, 1.4, (chance.integers(3, 9), 2)) * [width, height]
    kind = chance.integers(4)
    if kind == 1:
        points = np.round(points)
    if kind == 2:
        points = np.round(points * 2) / 2
    if kind == 3:
        points = np.round(points)[chance.integers(0, len(points), len(points))]
    return points.ravel().tolist()


def test_outlines_have_the_pixels_of_pycocotools(tmp_path):
    chance = np.random.default_rng(0)
    for _ in range(300):
        size = tuple(int(length) for length in chance.integers(1, 40, 2))
        shapes = [outlines(chance, size) for _ in range(chance.integers(1, 4))]
        image = [{"id": 1, "file_name": "a.png", "height": size[0], "width": size[1]}]
        path = write(tmp_path / "a.json", [annotation(shapes)], image)
        np.testing.assert_array_equal(
            coco.read_labels(path, size).classes, of_reference(shapes, size)
        )


def test_run_lengths_have_the_pixels_of_pycocotools(tmp_path):
    chance = np.random.default_rng(1)
    for number in range(300):
        size = tuple(int(length) for length in chance.integers(1, 50, 2))
        pixels = (chance.random(size) < chance.random()).astype(np.uint8)
        if number < 4:
            pixels[:] = number % 2
        packed = coco_mask.encode(np.asfortranarray(pixels))
        compressed = {"size": list(size), "counts": packed["counts"].decode()}
        counts = coco_runs.counts_of_string(compressed["counts"])
        plain = {"size": list(size), "counts": counts.tolist()}
        np.testing.assert_array_equal(of_reference(plain, size), pixels)
        for shape in (compressed, plain):
            path = write(tmp_path / "a.json", [annotation(shape, 3, iscrowd=1)], [{"id": 1}])
            np.testing.assert_array_equal(coco.read_labels(path, size).classes, 3 * pixels)


def test_run_lengths_of_a_large_image():
    size = (1500, 2000)
    pixels = np.ones(size, np.uint8)
    pixels[::7, 900:] = 0
    packed = coco_mask.encode(np.asfortranarray(pixels))
    runs = coco_runs.runs_of_counts(coco_runs.counts_of_string(packed["counts"].decode()), 3000000)
    painted = np.zeros(size[0] * size[1], np.uint8)
    for chosen in coco_runs.pixels_of(runs):
        painted[chosen] += 1
    np.testing.assert_array_equal(painted.reshape(size[1], size[0]).T, pixels)


def test_a_long_outline_is_drawn_in_pieces(monkeypatch):
    chance = np.random.default_rng(2)
    points = chance.uniform(0, 200, (150, 2))
    whole = coco_runs.runs_of_outline(points, 200, 200)
    monkeypatch.setattr(coco_runs, "CHUNK", 500)
    pieces = coco_runs.runs_of_outline(points, 200, 200)
    np.testing.assert_array_equal(whole, pieces)


def test_the_later_of_two_annotations_wins(tmp_path):
    below = [[2, 2, 12, 2, 12, 12, 2, 12]]
    above = [[6, 6, 20, 6, 20, 16, 6, 16]]
    path = write(tmp_path / "a.json", [annotation(below, 2), annotation(above, 1)])
    labels = coco.read_labels(path, SIZE)
    expected = 2 * of_reference(below).astype(np.int32)
    over = of_reference(above).astype(bool)
    assert labels.overlapping == (expected[over] == 2).sum() == 36
    expected[over] = 1
    np.testing.assert_array_equal(labels.classes, expected)
    assert labels.classes.dtype == np.int32
    assert labels.notes == (
        f"{path}: annotations of several categories (1 class 1, 2 class 2) cover 36 pixels of "
        "image 'a.png': the later one in the file counts",
    )
    assert dict(labels.names) == {number: f"class {number}" for number in range(1, 5)}


def test_holes(tmp_path):
    ring = np.zeros(SIZE, np.uint8)
    ring[3:15, 4:20] = 1
    ring[6:10, 8:12] = 0
    packed = coco_mask.encode(np.asfortranarray(ring))
    runs = {"size": list(SIZE), "counts": packed["counts"].decode()}
    keyhole = [[4, 3, 20, 3, 20, 15, 4, 15, 4, 3, 8, 6, 8, 10, 12, 10, 12, 6, 8, 6]]
    for shape in (runs, keyhole):
        labels = coco.read_labels(write(tmp_path / "a.json", [annotation(shape)]), SIZE)
        np.testing.assert_array_equal(labels.classes, of_reference(shape))
        np.testing.assert_array_equal(labels.classes, ring)
    # The outlines of one annotation are united, as pycocotools has it; a hole is class 0 again.
    outer = [4, 3, 20, 3, 20, 15, 4, 15]
    inner = [8, 6, 12, 6, 12, 10, 8, 10]
    united = write(tmp_path / "b.json", [annotation([outer, inner])])
    assert coco.read_labels(united, SIZE).classes[7, 9] == 1
    categories = [{"id": 0, "name": "background"}, {"id": 1, "name": "stone"}]
    cut = write(
        tmp_path / "c.json", [annotation([outer]), annotation([inner], 0)], categories=categories
    )
    np.testing.assert_array_equal(coco.read_labels(cut, SIZE).classes, ring)


def test_the_form_of_cuvis_ai_states_columns_first(tmp_path):
    pixels = np.zeros(SIZE, np.uint8)
    pixels[5:9, 2:6] = 1
    packed = coco_mask.encode(np.asfortranarray(pixels))
    counts = coco_runs.counts_of_string(packed["counts"].decode()).tolist()
    one = annotation([], 2, mask={"size": [SIZE[1], SIZE[0]], "counts": counts})
    labels = coco.read_labels(write(tmp_path / "a.json", [one]), SIZE)
    np.testing.assert_array_equal(labels.classes, 2 * pixels)


def test_annotations_without_an_area_are_reported(tmp_path):
    annotations = [
        {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]},
        annotation([[3, 3, 5, 5]]),
        annotation([[2, 2, 12, 2, 12, 9]]),
    ]
    path = write(tmp_path / "a.json", annotations)
    labels = coco.read_labels(path, SIZE)
    assert labels.notes == (
        f"{path}: 2 of 3 annotations of image 'a.png' have no area (a box alone, a point or a "
        "line): they are excluded",
    )
    with pytest.warns(UserWarning, match="2 of 3 annotations of image 'a.png' have no area"):
        read_mask(path, SIZE)
    np.testing.assert_array_equal(labels.classes, of_reference([[2, 2, 12, 2, 12, 9]]))


@pytest.mark.parametrize(
    ("categories", "name"),
    [
        ([{"id": 0, "name": "stone"}], "0 stone"),
        ([{"id": 0, "name": "belt background"}], None),
        ([{"id": 0, "name": "unlabeled"}], None),
    ],
)
def test_annotations_with_the_number_of_the_background_are_noted(tmp_path, categories, name):
    square = [[2, 2, 6, 2, 6, 6, 2, 6]]
    categories = [*categories, {"id": 1, "name": "leaf"}]
    annotations = [annotation(square, category=0), annotation(square, category=1)]
    path = write(tmp_path / "a.json", annotations, categories=categories)
    notes = coco.read_labels(path, SIZE).notes
    note = (
        f"{path}: 1 annotations of image 'a.png' have category {name}, whose number is that of "
        "pixels without annotation\n  fix: number the categories from 1 on"
    )
    assert (note in notes) is (name is not None)


def test_an_image_without_annotations_is_background(tmp_path):
    labels = coco.read_labels(write(tmp_path / "a.json", []), SIZE)
    assert not labels.classes.any()


OUTLINE = [[2, 2, 12, 2, 12, 9]]
DAMAGED = [
    (annotation([[2, 2, 12, 2, 12]]), "annotations[0]: an outline has 5 numbers, not two a point"),
    (annotation([[2, 2, 12, None, 1, 1]]), "annotations[0]: null in an outline is no number"),
    (
        annotation([[2, 2, 1e9, 2, 12, 9]]),
        "annotations[0]: an outline has a point at 1000000000.0, far outside of an image of "
        "20 x 30 pixels",
    ),
    (
        annotation([[2, 2, float("nan"), 2, 12, 9]]),
        "annotations[0]: an outline has a point at NaN, far outside of an image of 20 x 30 pixels",
    ),
    (annotation("x"), 'annotations[0]: its segmentation is "x", not outlines or run lengths'),
    (annotation([["x"]]), "annotations[0]: an outline has 1 numbers, not two a point"),
    (annotation([5, [1]]), "annotations[0]: a list of 1 in an outline is no number"),
    (annotation([{}]), "annotations[0]: an object of 0 is no outline"),
    (
        annotation({"size": [30, 20], "counts": [600]}),
        "annotations[0]: its run lengths are of size a list of 2, the cube is 20 x 30",
    ),
    (
        annotation({"size": [20, 30], "counts": [10, 20]}),
        "annotations[0]: its run lengths sum to 30, the image has 600 pixels",
    ),
    (
        annotation({"size": [20, 30], "counts": [10, 2000]}),
        "annotations[0]: a run length is 2000, the image has 600 pixels",
    ),
    (annotation({"size": [20, 30], "counts": [-5]}), "annotations[0]: -5 is no run length"),
    (annotation({"size": [20, 30], "counts": [1.5]}), "annotations[0]: 1.5 is no run length"),
    (
        annotation({"size": [20, 30], "counts": 5}),
        "annotations[0]: its run lengths are 5, neither a list nor a string",
    ),
    (
        annotation({"size": [20, 30], "counts": "T3X"}),
        "annotations[0]: its run lengths are cut off",
    ),
    (
        annotation({"size": [20, 30], "counts": "T3 X1"}),
        "annotations[0]: its run lengths contain ' ', which is no character of them",
    ),
    (
        annotation({"size": [20, 30], "counts": "T3é"}),
        "annotations[0]: its run lengths contain letters that are not ASCII",
    ),
    (
        annotation({"size": [20, 30], "counts": "oooooooooo1"}),
        "annotations[0]: a run length has 11 characters, more than 7",
    ),
]


@pytest.mark.parametrize(("one", "said"), DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_annotations(tmp_path, one, said):
    path = write(tmp_path / "a.json", [one])
    with pytest.raises(DataError) as error:
        coco.read_labels(path, SIZE)
    assert error.value.what == f"{path}: {said}"
    assert error.value.fix == "correct the annotation, or export the file again"


FORMS = [
    ([], "it holds a list of 0, not an object"),
    ({"images": []}, "it has no annotations"),
    ({"annotations": []}, "it has no images"),
    ({"images": 5, "annotations": []}, "images is 5, not a list"),
    ({"images": [5], "annotations": []}, "images[0] is 5, not an object"),
    ({"images": [{"id": "x"}], "annotations": []}, 'images[0].id is "x", not a whole number'),
    ({"images": [{"id": True}], "annotations": []}, "images[0].id is true, not a whole number"),
    ({"images": [{"id": 1}, {"id": 1}], "annotations": []}, "two images have the id 1"),
    (
        {"images": [{"id": 1, "file_name": 5}], "annotations": []},
        "images[0].file_name is 5, not a text",
    ),
    (
        {"images": [{"id": 1, "height": 5}], "annotations": []},
        "images[0].width is null, not a whole number",
    ),
    (
        {"images": [], "annotations": [annotation(OUTLINE)]},
        "annotations[0].image_id is 1, which no image has",
    ),
    (
        {"images": [{"id": 1}], "annotations": [annotation(OUTLINE, -1)]},
        "annotations[0].category_id is -1: class numbers are 0 or more",
    ),
    (
        {
            "images": [{"id": 1}],
            "annotations": [annotation(OUTLINE, 5)],
            "categories": [{"id": 1, "name": "stone"}],
        },
        "annotations[0].category_id is 5, which no category has",
    ),
    (
        {"images": [], "annotations": [], "categories": [{"id": -1, "name": "x"}]},
        "categories[0].id is -1: class numbers are 0 or more",
    ),
    (
        {"images": [], "annotations": [], "categories": [{"id": 1}]},
        "categories[0].name is null, not a text",
    ),
    (
        {
            "images": [],
            "annotations": [],
            "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}],
        },
        "the categories 'a' and 'b' have the id 1",
    ),
]


@pytest.mark.parametrize(("values", "said"), FORMS, ids=range(len(FORMS)))
def test_files_of_another_form(tmp_path, values, said):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(values))
    with pytest.raises(DataError) as error:
        coco.read_coco(path)
    assert error.value.what == f"{path} is no COCO file that can be used: {said}"
    assert error.value.fix == "export the annotations again, as COCO"


def test_files_that_are_no_json(tmp_path):
    path = tmp_path / "a.json"
    for data in (b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"images": ' + b"9" * 5000 + b"}"):
        path.write_bytes(data)
        with pytest.raises(DataError, match="cannot be read as JSON: ") as error:
            coco.read_coco(path)
        assert error.value.fix == "export the annotations again"
    with pytest.raises(DataError, match="there is no COCO file"):
        coco.read_coco(tmp_path / "b.json")


def test_files_that_are_too_large(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(coco.MAX_FILE + 2**20)
    with pytest.raises(DataError) as error:
        coco.read_coco(path)
    assert error.value.what == f"{path} has 257 MiB, more than 256"
    assert error.value.fix == "split it, so that there is a file for each cube"
    assert not coco.is_coco(path)
    path.write_bytes(b"[" + b"{}," * 2**21 + b"{}]")
    with pytest.raises(DataError) as error:
        coco.read_coco(path)
    assert error.value.what == f"{path} would take 756 MiB of memory, more than 700"


def test_bounds_of_an_image(tmp_path, monkeypatch):
    path = write(tmp_path / "a.json", [annotation(OUTLINE)] * 11)
    monkeypatch.setattr(coco, "MAX_ANNOTATIONS", 10)
    with pytest.raises(DataError) as error:
        coco.read_labels(path, SIZE)
    assert error.value.what == f"{path}: image 'a.png' has 11 annotations, more than 10"
    assert error.value.fix == "save the mask as a PNG of class numbers"
    monkeypatch.undo()
    monkeypatch.setattr(coco, "MAX_STEPS", 500)
    with pytest.raises(DataError, match=r"outlines of its image are longer than 100 pixels in all"):
        coco.read_labels(path, SIZE)
    monkeypatch.undo()
    monkeypatch.setattr(coco, "MAX_PAINTED", -4750)
    with pytest.raises(DataError, match=r"the annotations of its image overlap over -4750 pixels"):
        coco.read_labels(path, SIZE)
    monkeypatch.undo()
    for name, shape, said in (
        ("MAX_VALUES", [[0] * 12], "an outline has 12 numbers, more than 10"),
        (None, {"size": [20, 30], "counts": [0] * 12}, "it has 12 run lengths, more than 10"),
        (
            None,
            {"size": [20, 30], "counts": "0" * 12},
            "its run lengths have 12 characters, more than 10",
        ),
    ):
        if name is not None:
            monkeypatch.setattr(coco, name, 10)
            monkeypatch.setattr(coco_runs, name, 10)
        with pytest.raises(DataError, match=said):
            coco.read_labels(write(tmp_path / "b.json", [annotation(shape)]), SIZE)


def test_an_image_of_another_size(tmp_path):
    path = write(tmp_path / "a.json", [])
    with pytest.raises(DataError) as error:
        coco.read_labels(path, (30, 20))
    assert error.value.what == (
        f"{path}: image 'a.png' is 20 x 30, the cube is 30 x 20: transposed, it would fit"
    )
    with pytest.raises(DataError, match="annotate a picture of the cube's own size"):
        coco.read_labels(path, (31, 20))


def test_which_image(tmp_path):
    images = [{"id": 4, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}, {"id": 10}]
    path = write(tmp_path / "all.json", [annotation(OUTLINE, 2, 9)], images)
    assert coco.read_labels(path, SIZE, "b.png").classes.max() == 2
    assert coco.read_labels(path, SIZE, "9").classes.max() == 2
    assert coco.read_labels(path, SIZE, "10").classes.max() == 0
    with pytest.raises(DataError) as error:
        coco.read_labels(path, SIZE)
    assert error.value.what == f"{path} annotates 3 images: a.png, b.png, 10"
    assert error.value.fix == "name one as mask_variable, by its file_name or id"
    with pytest.raises(DataError) as error:
        coco.read_labels(path, SIZE, "b.pgn")
    assert error.value.what == f"{path} annotates no image 'b.pgn'"
    assert error.value.fix == "did you mean 'b.png'?"
    twice = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.png"}]
    path = write(tmp_path / "two.json", [], twice)
    with pytest.raises(DataError) as error:
        coco.read_labels(path, SIZE, "a.png")
    assert error.value.what == f"{path} has several images 'a.png', with the ids 1, 2"
    assert error.value.fix == "name one by its id, as in #1"
    crossed = [{"id": 1, "file_name": "2"}, {"id": 2, "file_name": "1"}]
    path = write(tmp_path / "crossed.json", [annotation(OUTLINE, 2, 2)], crossed)
    assert coco.read_labels(path, SIZE, "#2").classes.max() == 2
    with pytest.raises(DataError, match=r"has several images '2', with the ids 1, 2"):
        coco.read_labels(path, SIZE, "2")


def test_class_names(tmp_path):
    path = write(tmp_path / "a.json", [], categories=[{"id": 3, "name": "stone"}])
    assert coco.class_names(path) == {3: "stone"}
    assert coco.class_names(tmp_path / "a.png") == {}


def test_class_names_can_be_printed(tmp_path):
    categories = [{"id": 1, "name": "a\x1b[31m\nb"}, {"id": 2, "name": "x" * 100}]
    path = write(tmp_path / "a.json", [], categories=categories)
    assert coco.class_names(path) == {1: "a?[31m?b", 2: f"{'x' * 60}…"}


def test_a_changed_file_is_read_again(tmp_path):
    path = write(tmp_path / "a.json", [])
    assert not coco.read_labels(path, SIZE).classes.any()
    write(path, [annotation(OUTLINE)])
    os.utime(path, ns=(1, 1))
    assert coco.read_labels(path, SIZE).classes.any()


def read_hostile(path, data):
    """Read a file as a mask; a message, or the class numbers that it has."""
    path.write_bytes(data)
    try:
        return coco.read_labels(path, hostile.SIZE).classes
    except DataError as error:
        return str(error)


def run_hostile(folder, count, seed):
    start = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {"read": 0, "refused": 0}
    for data in hostile.hostile_files(count, seed):
        outcome = read_hostile(folder / "a.json", data)
        if isinstance(outcome, str):
            assert "\n  fix: " in outcome
            outcomes["refused"] += 1
            continue
        assert outcome.shape == hostile.SIZE
        assert outcome.min() >= 0
        outcomes["read"] += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 2**20  # kilobytes
    assert time.monotonic() - start < max(10, count * 0.05)
    return outcomes


def test_hostile_files(tmp_path):
    outcomes = run_hostile(tmp_path, 100, seed=0)
    assert outcomes["refused"] > 50
    assert outcomes["read"] > 5
