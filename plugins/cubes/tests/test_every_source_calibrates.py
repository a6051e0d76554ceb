"""Every source of cubes calibrates, selects bands and bins pixels, by one implementation."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from specloom import ConfigError, DataError
from specloom_cubes import Blocks, Folder, InMemory, Reading, Scene, Scenes, SingleCu3sDataModule
from specloom_cubes.processing.selecting import bin_labels

sys.path.append(str(Path(__file__).parent))
captures = import_module("raw_captures")
SIZES = {"H": 3, "W": 2, "C": 3}
MASK = np.arange(captures.H * captures.W, dtype=np.int32).reshape(captures.H, captures.W) % 3


class Session:
    """A session of two measurements of the capture."""

    def __init__(self, path):
        assert Path(path).suffix == ".cu3s"

    def get_size(self):
        return 2

    def get_measurement(self, number):
        return number


class Context:
    def __init__(self, session):
        self.processing_mode = None

    def apply(self, number):
        assert self.processing_mode == "raw"
        image = SimpleNamespace(array=captures.raw(), wavelength=list(captures.WAVELENGTHS))
        return SimpleNamespace(data={"cube": image})


@pytest.fixture(autouse=True)
def cuvis(monkeypatch):
    module = ModuleType("cuvis")
    module.SessionFile = Session
    module.ProcessingContext = Context
    module.ProcessingMode = SimpleNamespace(Raw="raw", Reflectance="reflectance")
    monkeypatch.setitem(sys.modules, "cuvis", module)


@pytest.fixture
def references(tmp_path):
    names = captures.write(tmp_path / "references", white=captures.white(), dark=captures.dark())
    return {**names, "dark_kind": "offset", "exposures": {"raw": 1.0, "white": 1.0, "dark": 1.0}}


def batch():
    return {
        "cube": captures.raw()[None],
        "mask": MASK[None],
        "valid": np.ones((1, captures.H, captures.W), bool),
        "wavelengths": captures.WAVELENGTHS,
    }


def sources(folder, **options):
    """Each source with the same capture, and the split to read."""
    names = captures.write(folder, cube=captures.raw())
    np.save(folder / "cube_gt.npy", MASK)
    session = folder / "cube.cu3s"
    session.write_bytes(b"")
    mask = str(folder / "cube_gt.npy")
    split = {"train": ["cube"], "val": [], "test": []}
    return {
        "Scene": Scene(names["cube"], mask, **options),
        "Scenes": Scenes([names["cube"]] * 2, [mask] * 2, **options),
        "Blocks": Blocks(names["cube"], mask, block=3, split=[1.0, 0.0, 0.0], **options),
        "Folder": Folder(str(folder), pattern="*.hdr", split=split, **options),
        "InMemory": InMemory(train=[batch(), batch()], **options),
        "SingleCu3sDataModule": SingleCu3sDataModule(
            cu3s_file_path=str(session),
            processing_mode="Raw",
            train_ids=[0, 1],
            annotation_json_path=None,
            **options,
        ),
    }


NAMES = ("Scene", "Scenes", "Folder", "InMemory", "SingleCu3sDataModule")


@pytest.mark.parametrize("name", NAMES)
def test_counts_become_the_reflectance_of_a_loop(tmp_path, references, name):
    source = sources(tmp_path / "data", calibration=references)[name]
    want = captures.loop(captures.raw(), captures.white(), captures.dark())
    for found in source.batches("train"):
        assert found["cube"].dtype == np.float32
        np.testing.assert_allclose(found["cube"][0], want, rtol=1e-6)
        np.testing.assert_array_equal(found["wavelengths"], captures.WAVELENGTHS)
    assert source.read_options()["calibration"] == references


@pytest.mark.parametrize("name", NAMES)
def test_bands_and_pixels_are_binned_with_their_masks(tmp_path, references, name):
    options = {
        "calibration": references,
        "bands": {"ranges": [[400, 700]]},
        "binning": (2, 2),
    }
    folder = tmp_path / "data"
    source = sources(folder, **options)[name]
    assert source.sizes() == SIZES
    reflectance = captures.loop(captures.raw(), captures.white(), captures.dark())
    blocks = reflectance[:, :4, :3].reshape(3, 2, 2, 2, 3)
    found = next(iter(source.batches("train")))
    np.testing.assert_allclose(found["cube"][0], blocks.mean((1, 3)), rtol=1e-6)
    np.testing.assert_array_equal(found["wavelengths"], captures.WAVELENGTHS[:3])
    if name != "SingleCu3sDataModule":
        np.testing.assert_array_equal(found["mask"][0], bin_labels(MASK, 2, 2))
    described = source.describe("train")
    assert described.bands == 3
    read_options = dict(source.read_options())
    read_options.pop("scale", None)
    assert read_options == {**options, "binning": [2, 2]}


def test_blocks_are_those_of_the_scene(tmp_path, references):
    made = sources(tmp_path / "data", calibration=references)
    whole = next(iter(made["Scene"].batches("train")))["cube"][0]
    parts = [found["cube"][0] for found in made["Blocks"].batches("train")]
    np.testing.assert_array_equal(parts[0], whole[:3, :3])


def test_saturated_pixels_of_arrays_and_sessions_are_not_valid(tmp_path, references):
    darker = captures.write(tmp_path / "darker", white=captures.white() - 1500)
    options = {"calibration": {**references, "white": darker["white"], "saturation": 2900.0}}
    made = sources(tmp_path / "data", **options)
    want = (captures.raw() < 2900).all(-1)
    assert 0 < want.sum() < want.size
    for name in NAMES:
        found = next(iter(made[name].batches("train")))
        np.testing.assert_array_equal(found["valid"][0], want)


def test_images_are_read_alone_as_in_their_batch(tmp_path, references):
    joined = {name: np.concatenate([value, value]) for name, value in batch().items()}
    joined["wavelengths"] = captures.WAVELENGTHS
    source = InMemory(train=[joined], calibration=references, binning=(2, 2))
    whole = next(iter(source.batches("train")))
    assert source.sizes() == {"H": 3, "W": 2, "C": 4}
    for number in range(2):
        alone = source.read("train", [number])
        for name in ("cube", "mask", "valid"):
            np.testing.assert_array_equal(alone[name][0], whole[name][number])


def test_a_ticket_of_a_session_is_read_anywhere(tmp_path, references, monkeypatch):
    folder = tmp_path / "data"
    monkeypatch.chdir(tmp_path)
    relative = {name: value for name, value in references.items() if name in ("white", "dark")}
    relative = {name: str(Path(path).relative_to(tmp_path)) for name, path in relative.items()}
    source = sources(folder, calibration=relative)["SingleCu3sDataModule"]
    with pytest.warns(UserWarning, match="the exposure times of the cube"):
        want = next(iter(source.batches("train")))
    (ticket, _) = source.tickets("train")
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(source.read_ticket(ticket)["cube"], want["cube"])


def test_arrays_lie_in_no_folder_of_a_capture():
    for calibration in ("capture", {"white": "white.hdr"}):
        with pytest.raises(ConfigError, match="arrays lie in no folder of a capture") as caught:
            InMemory(train=[batch()], calibration=calibration).sizes()
        assert caught.value.fix == "name the files: calibration: {white: FILE, dark: FILE}"


def test_a_session_is_not_calibrated_twice(tmp_path, references):
    session = tmp_path / "a.cu3s"
    session.write_bytes(b"")
    source = SingleCu3sDataModule(cu3s_file_path=str(session), calibration=references)
    with pytest.raises(ConfigError) as caught:
        source.sizes()
    assert str(caught.value) == (
        "SingleCu3sDataModule: calibration is of raw counts, and processing_mode is Reflectance\n"
        "  fix: write processing_mode: Raw, or remove calibration"
    )


def test_references_of_another_camera_are_an_error(tmp_path, references):
    narrow = captures.write(tmp_path / "narrow", white=captures.white()[:, :3])
    calibration = {**references, "white": narrow["white"]}
    for name in NAMES:
        with pytest.raises(DataError, match="has 3 columns x 4 bands"):
            sources(tmp_path / "data", calibration=calibration)[name].sizes()


@pytest.mark.parametrize("name", NAMES)
def test_the_lines_of_the_dark_are_an_output_in_the_unit_of_the_cube(tmp_path, references, name):
    options = {
        "calibration": {**references, "dark_frames": True, "clip": 1.0},
        "bands": {"ranges": [[400, 700]]},
        "binning": (3, 2),
    }
    found = next(iter(sources(tmp_path / "data", **options)[name].batches("train")))
    frames = captures.loop(captures.dark(), captures.white(), captures.dark())
    assert (frames < 0).any()
    blocks = frames[:, :4, :3].reshape(3, 3, 2, 2, 3)
    np.testing.assert_allclose(found["dark"][0], blocks.mean((1, 3)), rtol=1e-5, atol=1e-8)


def test_dark_frames_of_a_batch_have_one_size(tmp_path, references):
    folder = tmp_path / "data"
    for number in range(2):
        parts = {f"DARKREF_c{number}": captures.dark()[number:]}
        parts |= {f"WHITEREF_c{number}": captures.white(), f"c{number}": captures.raw()}
        captures.write(folder, **parts)
    calibration = {"dark_kind": "offset", "exposures": references["exposures"]}
    calibration["dark_frames"] = True
    split = {"train": ["c0", "c1"], "val": [], "test": []}
    source = Folder(str(folder), split=split, calibration=calibration, batch_size=2)
    with pytest.raises(DataError, match="dark frames of 8, 9 lines cannot share a batch") as caught:
        next(iter(source.batches("train")))
    assert caught.value.fix == "use batch_size: 1"
    source = Folder(str(folder), split=split, calibration=calibration)
    assert [len(found["dark"][0]) for found in source.batches("train")] == [9, 8]


@pytest.mark.parametrize("value", [1, "yes"])
def test_dark_frames_is_true_or_false(value):
    with pytest.raises(ConfigError, match="calibration has dark_frames") as caught:
        Reading(calibration={"dark_frames": value})
    assert caught.value.fix == "write true or false"
