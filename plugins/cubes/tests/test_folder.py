import os
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scipy.io
from PIL import Image

from specloom import DataError
from specloom_cubes.sources import Folder
from specloom_cubes.sources import folder as folder_module

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
real = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")
ALL = {"split": (1.0, 0.0, 0.0)}
CUBE = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
MASK = np.array([[0, 1, 0], [2, 0, 0]], np.uint8)


def envi(path, cube=CUBE, extra=""):
    """An ENVI pair; ``path`` is its data file."""
    cube.astype("<i2").tofile(path)
    height, width, bands = cube.shape
    path.with_name(path.stem + ".hdr").write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\ndata type = 2\n"
        f"interleave = bip\n{extra}"
    )


def only(folder, **options):
    """All batches of a folder in one split."""
    return list(Folder(path=str(folder), **ALL, **options).batches("train"))


@pytest.fixture
def many(tmp_path):
    for number in range(8):
        np.save(tmp_path / f"{'ab'[number % 2]}_{number}.npy", CUBE + 100 * number)
        np.save(tmp_path / f"{'ab'[number % 2]}_{number}_gt.npy", MASK + number)
    return tmp_path


def test_cubes_with_their_masks_in_the_order_of_names(many):
    folder = Folder(path=str(many), batch_size=3, **ALL)
    assert list(folder.cubes()) == ["a_0", "a_2", "a_4", "a_6", "b_1", "b_3", "b_5", "b_7"]
    assert folder.sizes() == {"H": 2, "W": 3, "C": 4}
    assert (list(folder.splits()), folder.count("train")) == (["train"], 3)
    batches = list(folder.batches("train"))
    assert [len(batch["cube"]) for batch in batches] == [3, 3, 2]
    cubes, masks = (np.concatenate([b[name] for b in batches]) for name in ("cube", "mask"))
    for at, number in enumerate([0, 2, 4, 6, 1, 3, 5, 7]):
        np.testing.assert_array_equal(cubes[at], CUBE + 100 * number)
        np.testing.assert_array_equal(masks[at], MASK + number)
    assert (cubes.dtype, masks.dtype) == (np.int16, np.int32)


def test_splits(many):
    folder = Folder(path=str(many))
    assert [folder.count(split) for split in ("train", "val", "test", "predict")] == [4, 2, 2, 2]
    folder = Folder(path=str(many), group="^[ab]", split=(0.5, 0.0, 0.5))
    kinds = [{int(b["cube"].min()) // 100 % 2 for b in folder.batches(s)} for s in folder.splits()]
    assert sorted(map(sorted, kinds[:2])) == [[0], [1]]
    folds = [Folder(path=str(many), folds=4, fold=fold) for fold in range(4)]
    tested = [int(b["cube"].min()) // 100 for f in folds for b in f.batches("test")]
    assert sorted(tested) == list(range(8))
    ids = {"train": ["a_4", "a_0"], "test": ["b_1"]}
    folder = Folder(path=str(many), split=ids)
    assert list(folder.splits()) == ["train", "test", "predict"]
    assert [int(b["cube"].min()) for b in folder.batches("train")] == [0, 400]


@pytest.mark.parametrize(
    "name",
    ["x.png", "x_gt.png", "x-mask.bmp", "xGt.bmp", "X_LABELS.PNG", "x.npy", "x_mask.npy", "x.mat"],
)
@pytest.mark.parametrize("data", ["x.img", "x", "x.raw"])
def test_masks_beside_an_envi_pair(tmp_path, name, data):
    envi(tmp_path / data)
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, MASK)
    elif path.suffix == ".mat":
        scipy.io.savemat(path, {"gt": MASK})
    else:
        Image.fromarray(MASK).save(path)
    (tmp_path / "notes.txt").write_text("not a cube")
    (batch,) = only(tmp_path)
    np.testing.assert_array_equal(batch["cube"], CUBE[None])
    np.testing.assert_array_equal(batch["mask"], MASK[None])


@pytest.mark.parametrize("where", ["labels", "images/labels", "elsewhere/labels"])
def test_masks_in_a_folder_of_their_own(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / where).mkdir(parents=True)
    for n in (1, 2):
        np.save(tmp_path / f"images/{n}.npy", CUBE)
        np.save(tmp_path / f"images/{n}_gt.npy", MASK * 0)
        np.save(tmp_path / where / f"{n}.npy", MASK * n)
    options = {"masks": where if "else" in where else "labels", "pattern": "**/[0-9].npy"}
    first, second = only(tmp_path / "images", **options)
    np.testing.assert_array_equal(first["mask"], MASK[None])
    np.testing.assert_array_equal(second["mask"], 2 * MASK[None])


def test_cubes_with_their_masks_in_one_file(tmp_path):
    for n in (1, 2):
        scipy.io.savemat(
            tmp_path / f"{n}.mat", {"hsi": CUBE, "dark": CUBE, "gt": MASK * n, "roi": MASK}
        )
    options = {"cube_variable": "hsi", "mask_variable": "gt"}
    (batch,) = only(tmp_path, batch_size=2, **options)
    np.testing.assert_array_equal(batch["mask"], [MASK, 2 * MASK])
    (batch,) = only(tmp_path, batch_size=2, cube_variable="hsi", find_mask=False)
    assert set(batch) == {"cube"}


@pytest.mark.parametrize("batch_size", [1, 2])
def test_cubes_without_a_mask_are_unlabelled_where_others_have_one(tmp_path, batch_size):
    for n in (1, 2):
        np.save(tmp_path / f"{n}.npy", CUBE)
    assert all(set(batch) == {"cube"} for batch in only(tmp_path, batch_size=batch_size))
    np.save(tmp_path / "2_gt.npy", MASK)
    masks = np.concatenate([batch["mask"] for batch in only(tmp_path, batch_size=batch_size)])
    np.testing.assert_array_equal(masks, [MASK * 0 - 1.0, MASK])


def test_cubes_of_several_formats_and_sizes(tmp_path):
    envi(tmp_path / "a.img", extra="wavelength = {400, 500, 600, 700}\n")
    np.save(tmp_path / "b.npy", np.zeros((5, 3, 4), np.float32))
    scipy.io.savemat(
        tmp_path / "c.mat", {"x": CUBE[:, :2], "wavelengths": [400.4, 500, 600, 699.6]}
    )
    folder = Folder(path=str(tmp_path), **ALL)
    assert folder.sizes() == {"C": 4}
    batches = list(folder.batches("train"))
    assert [batch["cube"].shape for batch in batches] == [(1, 2, 3, 4), (1, 5, 3, 4), (1, 2, 2, 4)]
    for batch in batches:
        np.testing.assert_array_equal(batch["wavelengths"], np.float32([400, 500, 600, 700]))


def test_a_table_of_wavelengths_takes_the_place_of_those_in_the_files(tmp_path):
    envi(tmp_path / "a.img", extra="wavelength = {400, 500, 600, 700}\n")
    envi(tmp_path / "b.img", extra="wavelength = {1, 2, 3, 4}\n")
    (tmp_path / "nm.csv").write_text("wavelength_nm\n410\n510\n610\n710\n")
    for batch in only(tmp_path, wavelengths=str(tmp_path / "nm.csv")):
        np.testing.assert_array_equal(batch["wavelengths"], [410, 510, 610, 710])


def test_pixels_are_read_again_on_each_pass(many, monkeypatch):
    numbers = count()
    monkeypatch.setattr(
        "specloom_cubes.cube.Cube.clean",
        lambda cube, rows, cols: np.full(cube.shape, next(numbers)),
    )
    folder = Folder(path=str(many), find_mask=False, batch_size=2, **ALL)
    for first in (0, 2):
        batch = folder.read("train", [0, 1])
        assert batch["cube"][:, 0, 0, 0].tolist() == [first, first + 1]


@real
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("scale", ["physical", "stored"])
def test_the_ten_enmap_tiles(batch_size, scale):
    root = DATA / "enmap_potsdam"
    folder = Folder(str(root / "images"), masks="labels", batch_size=batch_size, scale=scale)
    assert folder.sizes() == {"H": 32, "W": 32, "C": 218}
    files, seen = list(folder.cubes().values()), 0
    assert len(files) == 10
    known = {}
    for path in files:
        with rasterio.open(path) as file, rasterio.open(root / "labels" / path.name) as labels:
            good = [band for band in file.indexes if file.tags(band)["bbl"] == "1"]
            pixels = file.read(good).transpose(1, 2, 0)
            if scale == "physical":
                scales = np.array(file.scales)[np.array(good) - 1]
                assert set(scales) == {1e-4}
                pixels = (pixels * scales).astype(np.float32)
            known[pixels.tobytes()] = labels.read(1)
            nm = np.float32([float(file.tags(band)["wavelength"]) for band in good])
    for split in ("train", "val", "test"):
        for batch in folder.batches(split):
            np.testing.assert_array_equal(batch["wavelengths"], nm)
            for cube, mask in zip(batch["cube"], batch["mask"], strict=True):
                np.testing.assert_array_equal(mask, known.pop(cube.tobytes()))
                seen += 1
    assert seen == 10


@real
def test_the_four_wheat_grains():
    folder = Folder(str(DATA / "wheat_grains"), group="^(var[0-9]+)_", split=(0.5, 0.0, 0.5))
    assert folder.sizes() == {"H": 200, "W": 200, "C": 10}
    assert [folder.count(split) for split in ("train", "test")] == [2, 2]
    for batch in folder.batches("train"):
        assert set(batch) == {"cube"}
        assert batch["cube"].dtype == np.float64


def counted(monkeypatch, *places):
    """How often each function of a module, or method of a class, is called."""
    calls = {name: 0 for _, name in places}

    def counting(owner, name):
        real = getattr(owner, name)

        def call(*args, **kwargs):
            calls[name] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    for owner, name in places:
        counting(owner, name)
    return calls


LISTING = [
    (Path, "glob"),
    (Path, "iterdir"),
    (folder_module, "find_cubes"),
    (folder_module, "find_masks"),
    (folder_module, "divide"),
]


@pytest.mark.parametrize("ending", [".npy", ".img", ".IMG"])
def test_a_read_neither_lists_nor_divides_again(tmp_path, monkeypatch, ending):
    for number in range(6):
        if ending == ".npy":
            np.save(tmp_path / f"{number}.npy", CUBE + number)
        else:
            envi(tmp_path / f"{number}{ending}", CUBE + number)
        np.save(tmp_path / f"{number}_gt.npy", MASK)
    calls = counted(monkeypatch, *LISTING)
    folder = Folder(path=str(tmp_path))
    first = folder.read("train", [0])
    assert calls["find_cubes"] == calls["find_masks"] == calls["divide"] == 1
    before, opened = dict(calls), counted(monkeypatch, (folder_module, "open_cube"))
    for _ in range(3):
        again = folder.read("train", [0])
        folder.items("val")
        folder.count("test")
        folder.splits()
        folder.sizes()
    assert calls == before
    assert opened == {"open_cube": 3}
    np.testing.assert_array_equal(again["cube"], first["cube"])


def test_files_that_come_after_the_listing_are_left_out(many):
    folder, before = Folder(path=str(many), **ALL), only(many)
    folder.sizes()
    np.save(many / "a_1.npy", CUBE)
    after = list(folder.batches("train"))
    assert len(after) == len(before) == 8
    for one, other in zip(after, before, strict=True):
        np.testing.assert_array_equal(one["cube"], other["cube"])
        np.testing.assert_array_equal(one["mask"], other["mask"])


@pytest.mark.parametrize("gone", ["a_2.npy", "a_2_gt.npy"])
def test_files_that_go_after_the_listing(many, gone):
    folder = Folder(path=str(many), **ALL)
    folder.read("train", [0])
    (many / gone).unlink()
    kind = "mask file" if "gt" in gone else "file"
    with pytest.raises(DataError) as error:
        folder.read("train", [1])
    assert str(error.value) == (
        f"there is no {kind} {many}/{gone}\n  fix: check the path; it is relative to where you run"
    )
    np.testing.assert_array_equal(folder.read("train", [2])["cube"][0], CUBE + 400)


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ((3, 3, 4), "3 rows, and had 2"),
        ((2, 5, 4), "5 columns, and had 3"),
        ((2, 3, 5), "5 bands, and had 4"),
    ],
)
def test_cubes_that_are_of_another_size_after_the_listing(many, shape, what):
    folder = Folder(path=str(many), **ALL)
    folder.read("train", [0])
    np.save(many / "a_2.npy", np.zeros(shape, np.int16))
    with pytest.raises(DataError) as error:
        folder.read("train", [0, 1])
    assert str(error.value) == (
        f"{many}/a_2.npy has {what} when the folder was listed\n"
        "  fix: do not change the folder while it is read; start again"
    )
