import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import specloom_cubes
from specloom import ConfigError, DataError, UnavailableError
from specloom_cubes.paths import expand
from specloom_cubes.sources import Folder, InMemory, Scene, SingleCu3sDataModule


def batch(height=3, width=4, bands=5):
    return {"cube": np.zeros((2, height, width, bands)), "mask": np.zeros((2, height, width), int)}


def test_in_memory():
    source = InMemory(train=[batch(), batch(height=6)], test=[batch()])
    assert source.sizes() == {"W": 4, "C": 5}
    assert list(source.splits()) == ["train", "test", "predict"]
    assert (source.count("train"), source.count("val"), source.count("predict")) == (2, 0, 1)
    assert [b["cube"].shape[1] for b in source.batches("train")] == [3, 6]
    assert not list(InMemory(train=[batch()], predict=[]).batches("predict"))
    assert InMemory().sizes() == {}
    with pytest.raises(ConfigError, match="there is no split 'valid'"):
        source.count("valid")


class Session:
    def __init__(self, path):
        assert isinstance(path, str)
        self.name = Path(path).stem

    def get_size(self):
        return 2 if self.name == "two" else 1

    def get_measurement(self, number):
        return self.name, number


class Context:
    def __init__(self, session):
        assert isinstance(session, Session)
        self.processing_mode = None

    def apply(self, measurement):
        name, number = measurement
        assert self.processing_mode == "as reflectance"
        array = np.full((3, 4, 2), len(name) * 10 + number, np.float32)
        image = SimpleNamespace(array=array, wavelength=[450, 850])
        return SimpleNamespace(data={"cube": image})


@pytest.fixture
def cuvis(monkeypatch):
    module = ModuleType("cuvis")
    module.SessionFile, module.ProcessingContext = Session, Context
    module.ProcessingMode = SimpleNamespace(Reflectance="as reflectance")
    monkeypatch.setitem(sys.modules, "cuvis", module)


@pytest.fixture
def folder(tmp_path):
    for name in ("one", "three", "two"):
        (tmp_path / f"{name}.cu3s").touch()
    np.save(tmp_path / "one.npy", np.eye(3, 4))
    return tmp_path


def test_cu3s(cuvis, folder):
    source = SingleCu3sDataModule(data_dir=str(folder), batch_size=2)
    source.setup(stage="fit")
    assert source.sizes() == {"H": 3, "W": 4, "C": 2}
    assert [source.count(split) for split in ("train", "val", "test", "predict")] == [1, 1, 1, 1]
    (train,) = source.batches("train")
    np.testing.assert_array_equal(train["cube"][:, 0, 0, 0], [30, 50])
    np.testing.assert_array_equal(train["mask"], [np.eye(3, 4), np.full((3, 4), -1)])
    assert train["wavelengths"].tolist() == [450, 850]
    (first,) = SingleCu3sDataModule(str(folder / "one.cu3s"), split=(1.0, 0.0, 0.0)).batches(
        "train"
    )
    np.testing.assert_array_equal(first["mask"], np.eye(3, 4)[None])
    (test,) = source.batches("test")
    np.testing.assert_array_equal(test["cube"][:, 0, 0, 0], [31])


def test_cu3s_says_which_splits_have_no_mask(cuvis, folder, tmp_path):
    source = SingleCu3sDataModule(data_dir=str(folder), batch_size=2)
    assert source.missing_outputs("train") == []
    assert source.missing_outputs("val") == ["mask"]
    (test,) = source.batches("test")
    assert "mask" not in test
    (folder / "one.npy").unlink()
    assert SingleCu3sDataModule(data_dir=str(folder)).missing_outputs("train") == ["mask"]
    assert SingleCu3sDataModule(data_dir=str(tmp_path / "absent")).missing_outputs("train") == []


@pytest.mark.parametrize("suffix", [".npy", ".png", ".bmp"])
def test_cu3s_of_several_measurements_and_one_mask(cuvis, folder, suffix):
    (folder / f"two{suffix}").touch()
    for source in (
        SingleCu3sDataModule(str(folder)),
        SingleCu3sDataModule(str(folder / "two.cu3s"), split=(1.0, 0.0, 0.0)),
    ):
        for call in (source.sizes, source.setup, lambda s=source: next(s.batches("train"))):
            with pytest.raises(DataError) as error:
                call()
            assert str(error.value) == (
                f"{folder}/two.cu3s holds 2 measurements and one mask, two{suffix}, lies beside "
                "it: nothing says which measurement it belongs to\n"
                "  fix: annotate them in a COCO file, or save each with a mask to a .cu3s file of "
                "its own"
            )


def test_cu3s_opens_each_session_once_to_list_it(cuvis, folder, monkeypatch):
    source, sized = SingleCu3sDataModule(data_dir=str(folder)), []
    monkeypatch.setattr(
        Session, "get_size", lambda self: sized.append(self.name) or 1 + (self.name == "two")
    )
    for _ in range(3):
        source.read("train", [1])
        source.count("test")
    assert sized == ["one", "three", "two"]


def test_cu3s_divides_each_split_once(cuvis, folder, monkeypatch):
    from specloom_cubes.sources import cu3s

    source, divided = SingleCu3sDataModule(data_dir=str(folder)), []
    original = cu3s.split_ranges
    monkeypatch.setattr(
        cu3s,
        "split_ranges",
        lambda *arguments: divided.append(arguments[0]) or original(*arguments),
    )
    for _ in range(3):
        source.read("train", [1])
    assert divided == [4]


def test_cu3s_of_an_empty_folder(cuvis, tmp_path):
    source = SingleCu3sDataModule(data_dir=str(tmp_path))
    assert source.sizes() == {}
    with pytest.raises(DataError, match=r"holds no .cu3s file"):
        next(source.batches("train"))


def test_without_cuvis(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "cuvis", None)
    source = SingleCu3sDataModule(data_dir=str(folder))
    for call in (source.sizes, lambda: next(source.batches("train")), source.setup):
        with pytest.raises(UnavailableError) as error:
            call()
        assert "reading .cu3s needs the package cuvis" in str(error.value)
        assert "pip install cuvis, or export to ENVI or MATLAB" in str(error.value)


def test_the_hook_opens_what_is_ours_and_leaves_the_rest(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 4)))
    (tmp_path / "x.txt").write_text("")
    assert specloom_cubes.open_known_cube(str(tmp_path / "x.npy")).shape == (2, 3, 4)
    assert specloom_cubes.open_known_cube(str(tmp_path / "x.txt")) is None
    assert specloom_cubes.open_known_cube(str(tmp_path)) is None


@pytest.mark.parametrize("root", ["~", "$SCENES", "${SCENES}"])
def test_home_and_variables_in_every_path(tmp_path, monkeypatch, root):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCENES", str(tmp_path))
    cube = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    (tmp_path / "many" / "masks").mkdir(parents=True)
    np.save(tmp_path / "x.npy", cube)
    np.save(tmp_path / "mask.npy", np.eye(2, 3, dtype=np.uint8))
    (tmp_path / "nm.csv").write_text("nm\n400\n500\n600\n700\n")
    np.save(tmp_path / "many" / "a.npy", cube)
    np.save(tmp_path / "many" / "masks" / "a.npy", np.eye(2, 3, dtype=np.uint8))
    scene = Scene(f"{root}/x.npy", mask=f"{root}/mask.npy", wavelengths=f"{root}/nm.csv")
    assert scene.notes() == []
    (batch,) = scene.batches("train")
    np.testing.assert_array_equal(batch["cube"][0], cube)
    assert batch["mask"].sum() == 2
    assert batch["wavelengths"].tolist() == [400, 500, 600, 700]
    (ticket,) = scene.tickets("train")
    assert ticket["cube"] == f"{tmp_path}/x.npy"
    folder = Folder(f"{root}/many", masks=f"{root}/many/masks", split={"train": ["a"]})
    (batch,) = folder.batches("train")
    assert batch["mask"].sum() == 2


def test_a_name_that_has_these_signs_stays_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCENES", "elsewhere")
    np.save("$SCENES.npy", np.zeros((2, 3, 4)))
    assert expand("$SCENES.npy") == Path("$SCENES.npy")
    assert expand("$SCENES.hdr") == Path("elsewhere.hdr")
    assert expand("$NONE/~x") == Path("$NONE/~x")
    assert expand("~nosuchuser/x") == Path("~nosuchuser/x")
