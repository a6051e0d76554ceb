"""What sources say of their splits, without reading pixels of cubes."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from specloom import DataError
from specloom_cubes.cube import Cube
from specloom_cubes.sources import Blocks, Folder, InMemory, Scene, Synthetic
from specloom_cubes.sources import description as description_module
from specloom_cubes.sources.description import (
    ClassCounts,
    MaskDescription,
    SplitDescription,
    class_counts,
    count_classes,
)

CUBE = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
MASK = np.array([[0, 1, 0], [2, 0, 0]], np.uint8)


def envi(path, extra="", cube=CUBE):
    """An ENVI pair; ``path`` is its header."""
    cube.astype("<i2").tofile(path.with_suffix(".img"))
    height, width, bands = cube.shape
    path.write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\ndata type = 2\n"
        f"interleave = bip\nbyte order = 0\n{extra}"
    )


@pytest.fixture
def folder(tmp_path):
    """Four cubes with wavelengths and no-data value, three of them with a mask."""
    header = "wavelength units = nm\nwavelength = {400, 500, 600, 700}\ndata ignore value = 3\n"
    for number in range(4):
        envi(tmp_path / f"c{number}.hdr", header + "bbl = {1, 1, 0, 1}\n")
        if number != 1:
            Image.fromarray(MASK).save(tmp_path / f"c{number}_gt.png")
    return tmp_path


@pytest.fixture
def no_pixels(monkeypatch):
    """A description reads no pixel of a cube."""
    monkeypatch.setattr(Cube, "read", lambda *a: pytest.fail("it read pixels"))


def test_the_splits_of_a_folder(folder, no_pixels):
    source = Folder(str(folder), split={"train": ["c0", "c1"], "test": ["c2", "c3"]})
    train = source.describe("train")
    assert train.line() == (
        "2 cubes, masks of 1 from *_gt.png (0: 4, 1: 1, 2: 1 pixels), 400 to 700 nm from the "
        "header, stored counts"
    )
    assert train.details() == [
        "cubes: c0, c1",
        "wavelengths: from the field 'wavelength' of the header",
        "bands: 3, and 1 bad ones are excluded",
        "excluded: no data, which is the value 3",
        "excluded: in images without a mask, so not measured: 6 pixels",
    ]
    values = source.describe("test").values()
    assert values["masks"] == {
        "source": "*_gt.png",
        "images": 2,
        "counted": 2,
        "classes": {"0": 8, "1": 2, "2": 2},
        "names": {},
        "without": [],
    }
    assert values["names"] == ["c2", "c3"]
    assert values["bands"] == {"used": 3, "bad": 1}
    assert values["excluded"] == [{"why": "no data, which is the value 3", "pixels": None}]
    assert values["wavelengths"] == {
        "least": 400.0,
        "greatest": 700.0,
        "from": "the field 'wavelength' of the header",
    }


def test_masks_in_a_folder_of_their_own_and_a_table_of_wavelengths(folder, tmp_path):
    labels = tmp_path / "labels"
    labels.mkdir()
    for mask in folder.glob("*_gt.png"):
        mask.rename(labels / mask.name)
    (tmp_path / "bands.csv").write_text("401\n501\n601\n701\n")
    table = str(tmp_path / "bands.csv")
    source = Folder(str(folder), "labels", split=(1.0, 0.0, 0.0), wavelengths=table)
    described = source.describe("train")
    assert described.masks.source == "labels/*_gt.png"
    assert (described.wavelengths, described.wavelengths_from) == ((401.0, 701.0), table)


def test_a_table_that_does_not_fit_is_an_error(folder, tmp_path, no_pixels):
    (tmp_path / "bands.csv").write_text("401\n501\n")
    source = Folder(str(folder), wavelengths=str(tmp_path / "bands.csv"))
    with pytest.raises(DataError, match="2"):
        source.describe("train")
    scene = Scene(str(folder / "c0.hdr"), wavelengths=str(tmp_path / "bands.csv"))
    with pytest.raises(DataError, match="2"):
        scene.describe("train")


def test_a_mask_of_another_size_is_an_error(folder):
    Image.fromarray(MASK.T).save(folder / "c0_gt.png")
    with pytest.raises(DataError, match="3 x 2, the cube is 2 x 3"):
        Folder(str(folder), split=(1.0, 0.0, 0.0)).describe("train")


def test_absent_files_are_no_error(tmp_path):
    assert Folder(str(tmp_path / "absent")).describe("train") is None
    assert Scene(str(tmp_path / "absent.npy")).describe("train") is None
    assert Blocks(str(tmp_path / "absent.npy")).describe("train") is None
    np.save(tmp_path / "x.npy", CUBE)
    assert Scene(str(tmp_path / "x.npy"), mask="absent.png").describe("test") is None


def test_a_scene_and_its_blocks(tmp_path, no_pixels):
    np.savez(tmp_path / "x.npz", cube=np.zeros((4, 4, 5)), gt=np.eye(4, dtype=np.uint8))
    np.save(tmp_path / "valid.npy", np.arange(16).reshape(4, 4))
    scene = Scene(str(tmp_path / "x.npz"), valid=str(tmp_path / "valid.npy"))
    described = scene.describe("test")
    assert described.line() == (
        "1 scene, masks from the array 'gt' of the scene's file (0: 12, 1: 4 pixels), "
        "no wavelengths, stored values"
    )
    assert described.values()["excluded"] == [{"why": "not valid by valid.npy", "pixels": 1}]
    blocks = Blocks(str(tmp_path / "x.npz"), block=2)
    counts = [blocks.describe(split).masks.classes for split in ("train", "val", "test")]
    assert sum(count.get(1, 0) for count in counts) == 4
    assert blocks.describe("train").line().startswith("2 blocks, masks from the array 'gt'")


def test_an_output_that_no_file_states(folder, tmp_path):
    np.save(tmp_path / "x.npy", CUBE)
    fix = {"wavelengths": "give the band centres: wavelengths: bands.csv under the data's config"}
    assert Scene(str(tmp_path / "x.npy")).absent_outputs() == fix
    assert Scene(str(tmp_path / "x.npy"), wavelengths="bands.csv").absent_outputs() == {}
    assert Scene(str(folder / "c0.hdr")).absent_outputs() == {}
    assert Folder(str(folder), pattern="*.hdr").absent_outputs() == {}
    assert Folder(str(folder), pattern="x.npy").absent_outputs() == fix
    assert Blocks(str(tmp_path / "x.npy"), block=1).absent_outputs() == fix


def test_masks_beyond_the_limit_are_counted_when_they_are_read(folder, monkeypatch):
    monkeypatch.setattr(description_module, "LEAST_COST", 1)
    source = Folder(str(folder), split=(1.0, 0.0, 0.0))
    source._class_counts = ClassCounts(pixels=13)
    described = source.describe("train")
    assert "(of the first 2: 0: 8, 1: 2, 2: 2 pixels)" in described.line()
    assert source.describe("train") == described
    for _ in range(2):
        list(source.batches("train"))
        assert source.describe("train").masks.classes == {0: 12, 1: 3, 2: 3}
    assert source.describe("train").masks.counted == 3


def test_a_scene_whose_mask_is_too_large_is_not_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("specloom_cubes.sources.scene.MOST_PIXELS", 5)
    np.save(tmp_path / "x.npy", CUBE)
    Image.fromarray(MASK).save(tmp_path / "gt.png")
    scene = Scene(str(tmp_path / "x.npy"), str(tmp_path / "gt.png"))
    assert scene.describe("test").masks == MaskDescription("gt.png", 1)
    scene.labels()
    assert scene.describe("test").masks.classes == {0: 4, 1: 1, 2: 1}


def test_a_synthetic_source_counts_the_scenes_that_were_made():
    source = Synthetic(scenes=4, height=16, width=16, bands=5)
    assert source.describe("train").line() == (
        "2 scenes, masks from the recipe, 430 to 910 nm from the recipe, synthetic reflectance"
    )
    made = np.concatenate([batch["mask"] for batch in source.batches("train")])
    assert source.describe("train").masks.classes == dict(sorted(count_classes(made).items()))
    assert source.describe("test").masks.counted == 0


def test_batches_in_memory():
    batch = {"cube": CUBE[None], "mask": MASK[None], "wavelengths": np.array([1, 2, 3, 9.0])}
    described = InMemory(train=[batch, {"cube": CUBE[None]}]).describe("train")
    assert described.line() == (
        "2 images, masks of 1 from memory (0: 4, 1: 1, 2: 1 pixels), 1 to 9 nm from memory, "
        "values in memory"
    )


def test_assumptions_and_scales_are_joined():
    described = SplitDescription("cube", ["a"], scale="physical values", scale_from="the header")
    assert described.line().endswith("physical values (scale from the header)")
    assumed = replace(described, assumptions=["rows come first", "nm"])
    assert assumed.line().endswith(", 2 assumptions (shown by -v)")
    assert assumed.details() == [
        "cubes: a",
        "scale: from the header",
        "assumed: rows come first",
        "assumed: nm",
    ]


def test_what_is_assumed_of_many_files_is_said_once(folder):
    for header in folder.glob("*.hdr"):
        header.write_text(header.read_text().replace("wavelength units = nm\n", ""))
        header.write_text(header.read_text().replace("400, 500, 600, 700", "0.4, 0.5, 0.6, 0.7"))
    described = Folder(str(folder), split=(1.0, 0.0, 0.0)).describe("train")
    assert len(described.assumptions) == 1
    assert described.assumptions[0].endswith("(and so for 3 more)")
    assert described.wavelengths == (pytest.approx(400), pytest.approx(700))


def test_many_names_and_classes_are_cut_in_lines_alone():
    names = [str(number) for number in range(25)]
    described = SplitDescription("cube", names)
    assert described.details()[0].endswith("18, 19, and 5 more")
    assert described.values()["names"] == names
    text = class_counts(dict.fromkeys(range(14), 1))
    assert text.endswith("11: 1 pixels, and 2 more classes")


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, bool, np.int64])
def test_classes_are_counted_as_numpy_does(dtype):
    labels = np.random.default_rng(0).integers(0, 2, (30, 40)).astype(dtype)
    numbers, counts = np.unique(labels, return_counts=True)
    expected = dict(zip(numbers.astype(int).tolist(), counts.tolist(), strict=True))
    assert count_classes(labels) == expected
    far = np.array([[-1, 2**31 - 1], [5, 5]])
    assert count_classes(far) == {-1: 1, 5: 2, 2**31 - 1: 1}
