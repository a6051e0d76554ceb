"""Sessions of many measurements, against a stand-in of the camera maker's package."""

import json
import sys
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from specloom import ConfigError, DataError, SpecloomWarning
from specloom_cubes.sources import SingleCu3sDataModule

HEIGHT, WIDTH, BANDS = 6, 8, 3
NAMES = [{"id": 0, "name": "Unlabeled"}, {"id": 1, "name": "Lentils_black"}]
NAMES += [{"id": 2, "name": "Stone"}]


class ProcessingMode(Enum):
    Raw = "raw"
    Reflectance = "reflectance"


class SessionFile:
    """A session whose file holds an array (measurements, H, W, C)."""

    opened: list[str] = []

    def __init__(self, path):
        assert isinstance(path, str)
        self.opened.append(path)
        with Path(path).open("rb") as file:
            self.cubes = np.load(file)
        self.memory = np.zeros(self.cubes.shape[1:], np.float32)

    def get_size(self):
        return len(self.cubes)

    def get_measurement(self, number):
        if not 0 <= number < len(self.cubes):
            raise IndexError(number)
        return SimpleNamespace(number=number, data={})


class ProcessingContext:
    def __init__(self, session):
        self.session = session
        self.processing_mode = ProcessingMode.Raw

    def apply(self, measurement):
        """As the maker's package may: into memory that the next measurement overwrites."""
        memory = self.session.memory
        memory[:] = self.session.cubes[measurement.number]
        if self.processing_mode is ProcessingMode.Reflectance:
            memory /= 2
        image = SimpleNamespace(array=memory, wavelength=[450, 550, 650])
        return SimpleNamespace(data={"cube": image})


@pytest.fixture(autouse=True)
def cuvis(monkeypatch):
    module = ModuleType("cuvis")
    module.SessionFile = SessionFile
    module.ProcessingContext = ProcessingContext
    module.ProcessingMode = ProcessingMode
    monkeypatch.setitem(sys.modules, "cuvis", module)
    monkeypatch.setattr(SessionFile, "opened", [])


def write_session(path, count, first=0):
    values = first + np.arange(count, dtype=np.float32)
    cubes = np.broadcast_to(values[:, None, None, None], (count, HEIGHT, WIDTH, BANDS))
    with path.open("wb") as file:
        np.save(file, cubes)
    return path


def write_annotations(path, numbers, category=2):
    images = []
    annotations = []
    for number in numbers:
        images.append(
            {"id": number, "file_name": f"{number:03}.png", "height": HEIGHT, "width": WIDTH}
        )
        outline = [0, 0, number % WIDTH + 1, 0, number % WIDTH + 1, 2, 0, 2]
        annotations.append({"image_id": number, "category_id": category, "segmentation": [outline]})
    values = {"images": images, "annotations": annotations, "categories": NAMES}
    path.write_text(json.dumps(values))
    return path


def expected_mask(number, category=2):
    mask = np.zeros((HEIGHT, WIDTH), int)
    mask[:2, : number % WIDTH + 1] = category
    return mask


@pytest.fixture
def folder(tmp_path):
    write_session(tmp_path / "Lentils_000.cu3s", 40)
    write_annotations(tmp_path / "Lentils_000.json", [0, 3, 7, 30, 35])
    return tmp_path


def test_the_form_of_the_documents(folder):
    source = SingleCu3sDataModule(data_dir=str(folder), batch_size=4, num_workers=0)
    source.setup(stage="fit")
    assert source.sizes() == {"H": HEIGHT, "W": WIDTH, "C": BANDS}
    assert list(source.splits()) == ["train", "val", "test", "predict"]
    assert [source.items(split) for split in source.splits()] == [20, 10, 10, 10]
    batches = list(source.batches("train"))
    assert [len(batch["cube"]) for batch in batches] == [4] * 5
    cubes = np.concatenate([batch["cube"] for batch in batches])
    masks = np.concatenate([batch["mask"] for batch in batches])
    for number in range(20):
        assert (cubes[number] == number / 2).all()
        expected = np.full((HEIGHT, WIDTH), -1)
        if number in (0, 3, 7):
            expected = expected_mask(number)
        np.testing.assert_array_equal(masks[number], expected)
    assert batches[0]["wavelengths"].tolist() == [450, 550, 650]
    assert source.missing_outputs("val") == ["mask"]
    assert "mask" not in next(source.batches("val"))
    assert source.missing_outputs("test") == []


def test_annotations_of_no_session_are_noted(folder):
    path = write_annotations(folder / "all.json", [0, 1])
    note = (
        f"{path} is no mask: it has the name of no session beside it\n"
        "  fix: give each session a COCO file of its name, or remove the file"
    )
    assert note in SingleCu3sDataModule(data_dir=str(folder)).notes()
    session = str(folder / "Lentils_000.cu3s")
    assert note not in SingleCu3sDataModule(cu3s_file_path=session).notes()
    path.write_text("{}")
    assert note not in SingleCu3sDataModule(data_dir=str(folder)).notes()


def test_a_session_stays_open(folder):
    write_session(folder / "Lentils_001.cu3s", 5)
    source = SingleCu3sDataModule(data_dir=str(folder), batch_size=4, split=(1.0, 0.0, 0.0))
    assert sum(1 for _ in source.batches("train")) == 12
    names = [path.rpartition("_")[2] for path in SessionFile.opened]
    assert names == ["000.cu3s", "001.cu3s", "000.cu3s", "001.cu3s"]


def test_the_form_of_cuvis_ai(folder, tmp_path):
    annotations = write_annotations(tmp_path / "other.json", [1, 2], category=1)
    source = SingleCu3sDataModule(
        cu3s_file_path=str(folder / "Lentils_000.cu3s"),
        annotation_json_path=str(annotations),
        train_ids=[2, 0, 30],
        val_ids=[1],
        test_ids=[5],
        batch_size=2,
        processing_mode="Raw",
    )
    assert list(source.splits()) == ["train", "val", "test", "predict"]
    first, second = source.batches("train")
    assert first["cube"][:, 0, 0, 0].tolist() == [2, 0]
    assert second["cube"][:, 0, 0, 0].tolist() == [30]
    np.testing.assert_array_equal(first["mask"][0], expected_mask(2, 1))
    assert (first["mask"][1] == -1).all()
    (val,) = source.batches("val")
    np.testing.assert_array_equal(val["mask"][0], expected_mask(1, 1))
    (predicted,) = source.batches("predict")
    assert predicted["cube"][0, 0, 0].tolist() == [5, 5, 5]
    assert "mask" not in predicted


def test_lists_for_some_splits(folder):
    source = SingleCu3sDataModule(data_dir=str(folder), train_ids=[0, 3])
    assert list(source.splits()) == ["train"]
    assert source.count("train") == 2


def test_a_session_of_one_measurement_has_an_image_of_any_id(tmp_path):
    session = write_session(tmp_path / "one.cu3s", 1)
    write_annotations(tmp_path / "one.json", [5])
    (batch,) = SingleCu3sDataModule(str(session), train_ids=[0]).batches("train")
    np.testing.assert_array_equal(batch["mask"][0], expected_mask(5))


def refusal(**parameters):
    """The error of a source with these parameters, when its sizes are inferred."""
    with pytest.raises((ConfigError, DataError)) as error:
        SingleCu3sDataModule(**parameters).sizes()
    return error.value


def test_images_that_are_no_measurements(folder):
    path = write_annotations(folder / "Lentils_000.json", [1, 40])
    error = refusal(data_dir=str(folder))
    session = folder / "Lentils_000.cu3s"
    assert error.what == (
        f"{path} annotates an image with the id 40, and {session} has the measurements 0 to 39"
    )
    assert error.fix == "give each image the number of its measurement, from 0, as its id"


def test_a_picture_beside_annotations(folder):
    (folder / "Lentils_000.png").touch()
    error = refusal(data_dir=str(folder))
    session = folder / "Lentils_000.cu3s"
    assert error.what == f"{session} has several masks: Lentils_000.png, Lentils_000.json"
    assert error.fix == "remove one, or name the COCO file as annotation_json_path"


def test_json_of_another_kind_is_no_mask(folder):
    (folder / "Lentils_000.json").write_text('{"camera": "X"}')
    assert SingleCu3sDataModule(data_dir=str(folder)).missing_outputs("train") == ["mask"]


def test_annotations_that_are_not_there(folder):
    absent = folder / "x.json"
    error = refusal(data_dir=str(folder), annotation_json_path=str(absent))
    assert error.what == f"there is no COCO file {absent}"
    assert error.fix == "check the path; it is relative to where you run"


def test_parameters_that_exclude_each_other(folder):
    session = str(folder / "Lentils_000.cu3s")
    for places in ({}, {"data_dir": str(folder), "cu3s_file_path": session}):
        error = refusal(**places)
        assert error.what == (
            "SingleCu3sDataModule: either data_dir or cu3s_file_path says where the measurements "
            "are"
        )
        assert error.fix == "write one of the two"
    error = refusal(cu3s_file_path=session, split=(1.0, 0.0, 0.0), val_ids=[1])
    assert error.what == (
        "SingleCu3sDataModule: split and train_ids, val_ids, test_ids exclude each other"
    )
    assert error.fix == "remove split, or the lists"
    error = refusal(data_dir=session, num_workers=-1)
    assert error.what == "SingleCu3sDataModule: num_workers is -1"
    error = refusal(data_dir=session, batch_size=0)
    assert error.what == "SingleCu3sDataModule: batch_size is 0"


LISTS = [
    (
        {"train_ids": [40]},
        "train_ids has 40, and {session} has the measurements 0 to 39",
        "correct the number; they are counted from 0",
    ),
    ({"val_ids": [4, 4]}, "val_ids has 4 twice", "list it once"),
    (
        {"train_ids": [1, 2], "test_ids": [2]},
        "measurement 2 is in train_ids and in test_ids",
        "list it once: what was trained on is no test",
    ),
]


@pytest.mark.parametrize(("lists", "what", "fix"), LISTS, ids=range(len(LISTS)))
def test_lists_that_cannot_be(folder, lists, what, fix):
    session = folder / "Lentils_000.cu3s"
    error = refusal(cu3s_file_path=str(session), **lists)
    assert error.what == f"SingleCu3sDataModule: {what.format(session=session)}"
    assert error.fix == fix


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({"train_ids": [1]}, "train_ids, val_ids and test_ids are"),
        ({"annotation_json_path": "x.json"}, "annotation_json_path is"),
    ],
)
def test_what_is_of_one_session(folder, parameters, what):
    write_session(folder / "Lentils_001.cu3s", 5)
    error = refusal(data_dir=str(folder), **parameters)
    assert error.what == f"SingleCu3sDataModule: {what} of one session, and {folder} holds 2"
    assert error.fix == "name the session as cu3s_file_path"


def test_what_has_no_effect_is_reported_once(folder):
    source = SingleCu3sDataModule(
        data_dir=str(folder), num_workers=2, train_ids=[0], val_ids=[1, 5], test_ids=[5, 1]
    )
    expected = [
        "SingleCu3sDataModule: num_workers: 2 has no effect: measurements are read in this "
        "process\n  fix: write num_workers: 0",
        "SingleCu3sDataModule: measurement 1 is in val_ids and in test_ids: what is chosen on it "
        "is also tested on it\n  fix: list it once",
    ]
    assert source.notes() == expected
    with pytest.warns(SpecloomWarning) as warned:
        next(source.batches("train"))
    assert [str(one.message) for one in warned] == expected
    next(source.batches("train"))
    absent = SingleCu3sDataModule(cu3s_file_path=str(folder / "x.cu3s"))
    (note,) = absent.notes()
    assert note.startswith(f"there is no {folder}/x.cu3s, the session of the data")


def test_sessions_in_a_folder_within(tmp_path):
    within = tmp_path / "measurements/day"
    within.mkdir(parents=True)
    write_session(within / "a.cu3s", 4)
    with pytest.raises(DataError) as error:
        SingleCu3sDataModule(data_dir=str(tmp_path)).items("train")
    assert error.value.what == f"{tmp_path} holds no .cu3s file"
    assert error.value.fix == f"write data_dir: {within}"
    assert SingleCu3sDataModule(data_dir=str(within)).items("train") == 2


def test_what_a_split_holds(folder):
    source = SingleCu3sDataModule(data_dir=str(folder), train_ids=[0, 1, 3], test_ids=[2])
    described = source.describe("train")
    assert described.line() == (
        "3 measurements, masks of 2 from Lentils_000.json (0 Unlabeled: 86, 2 Stone: 10 pixels), "
        "450 to 650 nm from the session, values of the mode Reflectance"
    )
    assert "measurements: Lentils_000.cu3s[0], Lentils_000.cu3s[1]" in described.details()[0]
    assert described.masks.unmasked_pixels == HEIGHT * WIDTH
    assert source.describe("test").line().startswith("1 measurement, no masks, 450 to 650 nm")
    (folder / "empty").mkdir()
    assert SingleCu3sDataModule(data_dir=str(folder / "empty")).describe("train") is None
