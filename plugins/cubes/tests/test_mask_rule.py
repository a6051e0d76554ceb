"""Which file or array is the mask of a cube, and what is not."""

import json
from pathlib import Path, PurePath

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io
from click.testing import CliRunner
from PIL import Image
from rasterio.enums import ColorInterp

from specloom import DataError
from specloom_cubes import Blocks, Folder, OneCube, Scene, find_cubes, open_cube
from specloom_cubes.command import info
from specloom_cubes.formats.variable import Variable
from specloom_cubes.masks import read_mask
from specloom_cubes.rules.masks import is_noise, is_reference, own_arrays, role_of

no_place = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
SHAPE = (24, 20)
RNG = np.random.default_rng(0)
CUBE = RNG.integers(0, 4000, (*SHAPE, 8)).astype("<u2")
MASK = np.zeros(SHAPE, np.uint8)
MASK[10:13, 3:6] = 1
VALID = np.ones(SHAPE, np.uint8)
VALID[:, 15:] = 0
MANY = RNG.integers(0, 300, SHAPE)
ONLY_TRAIN = (1.0, 0.0, 0.0)


def h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def mat(path, **arrays):
    scipy.io.savemat(path, arrays)
    return path


SAVED = pytest.mark.parametrize(
    ("save", "suffix"), [(h5, ".h5"), (npz, ".npz"), (mat, ".mat")], ids=["h5", "npz", "mat"]
)


def described(*arguments):
    done = CliRunner().invoke(info, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def envi(folder, name, cube=CUBE):
    height, width, bands = cube.shape
    cube.tofile(folder / f"{name}.dat")
    (folder / f"{name}.hdr").write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\ndata type = 12\n"
        "interleave = bip\nbyte order = 0\n"
    )


def preview(path, cube=CUBE):
    scaled = cube[..., [5, 3, 1]] / cube.max() * 255
    Image.fromarray(scaled.astype(np.uint8)).save(path)


@SAVED
@pytest.mark.parametrize(
    ("arrays", "found"),
    [
        ({"gt": MASK}, "gt"),
        ({"gt": MASK, "valid": VALID}, "gt"),
        ({"something": MASK}, "something"),
        ({"something": MASK > 0}, "something"),
        ({"something": MASK.astype("i8"), "zenith": MANY.astype("f4") / 7}, "something"),
        ({"map": MASK.astype("f8")}, "map"),  # as MATLAB saves every number
        ({"hsi_gt": MASK.astype("f8"), "elevation": MANY.astype("i4")}, "hsi_gt"),
        ({"something": MASK.astype("f8")}, None),
        ({"gt": MASK / 3}, None),
        ({"something": MANY}, None),
        ({"map": MANY}, None),
        ({"labels": MANY}, "labels"),
        ({"elevation": MANY.astype("f4")}, None),
        ({"elevation": MASK + 30}, None),
        ({"distance_map": MASK}, None),
        ({"cloud_mask": MASK}, None),
        ({"quality": VALID}, None),
        ({"good_pixels": VALID}, None),
        ({"ones": VALID * 0 + 1}, None),
        ({"mask": VALID * 0 + 1}, "mask"),
    ],
)
def test_the_array_of_class_numbers_is_the_mask(tmp_path, save, suffix, arrays, found):
    path = save(tmp_path / f"x{suffix}", cube=CUBE, **arrays)
    scene = Scene(str(path), cube_variable="cube")
    assert list(scene.missing_outputs("test")) == ([] if found else ["mask"])
    folder = Folder(str(tmp_path), cube_variable="cube", split=ONLY_TRAIN)
    assert list(folder.missing_outputs("train")) == ([] if found else ["mask"])
    classes = {mask["variable"] for mask in described(path)["masks"] if mask["classes"]}
    assert classes == ({found} if found else set())
    if found:
        for source in (scene, folder):
            np.testing.assert_array_equal(source.read("train", [0])["mask"][0], arrays[found])


@SAVED
def test_a_plane_is_the_mask_where_it_is_named(tmp_path, save, suffix):
    path = str(save(tmp_path / f"x{suffix}", cube=CUBE, elevation=MASK + 30.0, valid=MASK))
    (batch,) = Scene(path, mask_variable="elevation").batches("test")
    np.testing.assert_array_equal(batch["mask"][0], MASK + 30)
    (batch,) = Folder(str(tmp_path), mask_variable="valid", split=ONLY_TRAIN).batches("train")
    assert set(batch) == {"cube", "mask"}
    np.testing.assert_array_equal(batch["mask"][0], MASK)


def test_what_is_not_taken_as_the_mask_is_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    h5(tmp_path / "x.h5", cube=CUBE, zenith=MANY / 7, something=MANY)
    count = len(np.unique(MANY))
    note = (
        f"x.h5 has no mask; not taken as one: something (it holds {count} distinct values), "
        "zenith (its name says that it holds something else)\n"
        "  fix: name the mask with mask or mask_variable, or write find_mask: false if none is"
    )
    scene = Scene("x.h5")
    assert scene.notes() == [note]
    with pytest.warns(UserWarning, match="has no mask") as warned:
        next(scene.batches("test"))
    assert [str(one.message) for one in warned] == [note]
    folder = Folder(".", split=ONLY_TRAIN)
    assert folder.notes() == [note]
    with pytest.warns(UserWarning, match="has no mask") as warned:
        list(folder.batches("train"))
    assert [str(one.message) for one in warned] == [note]
    list(folder.batches("train"))  # it warns once
    for silent in (Scene("x.h5", find_mask=False), Folder(".", split=ONLY_TRAIN, find_mask=False)):
        assert silent.notes() == []
        assert set(next(silent.batches("train"))) == {"cube"}


def test_the_mask_among_the_arrays_of_a_file_that_is_named(tmp_path):
    np.save(tmp_path / "x.npy", CUBE)
    npz(tmp_path / "x_gt.npz", first=MASK, valid=VALID, elevation=MASK + 30)
    (batch,) = Folder(str(tmp_path), split=ONLY_TRAIN).batches("train")
    np.testing.assert_array_equal(batch["mask"][0], MASK)
    npz(tmp_path / "x_gt.npz", only=MASK * 2.0)
    (batch,) = Folder(str(tmp_path), split=ONLY_TRAIN).batches("train")
    np.testing.assert_array_equal(batch["mask"][0], MASK * 2)
    npz(tmp_path / "x_gt.npz", first=MASK, second=MASK)
    with pytest.raises(DataError, match="several arrays that may be the mask: first"):
        list(Folder(str(tmp_path), split=ONLY_TRAIN).batches("train"))


@SAVED
@pytest.mark.parametrize("name", ["valid", "valid_mask", "goodPixels", "isvalid"])
def test_an_array_of_valid_pixels_excludes_the_others(tmp_path, save, suffix, name):
    path = save(tmp_path / f"x{suffix}", cube=CUBE, gt=MASK, **{name: VALID})
    sources = [Scene(str(path)), Folder(str(tmp_path), split=ONLY_TRAIN)]
    for source in sources:
        batch = source.read("train", [0])
        np.testing.assert_array_equal(batch["valid"][0], VALID > 0)
        np.testing.assert_array_equal(batch["mask"][0], MASK)
        excluded = source.describe("train").excluded[0]
        assert f"not valid by the array '{name}' of the file" in excluded.line()
    blocks = Blocks(str(path), block=10, split=ONLY_TRAIN)
    found = blocks.read("train", [1])["valid"][0]
    np.testing.assert_array_equal(found, VALID[:10, 10:20] > 0)
    np.testing.assert_array_equal(
        OneCube(open_cube(path)).window(slice(2, 5), slice(12, 18))["valid"][0],
        VALID[2:5, 12:18] > 0,
    )
    problems = {mask["variable"]: mask.get("problem") for mask in described(path)["masks"]}
    assert problems[name] == "it excludes 120 of 480 pixels, which are not valid"


def geotiff(path, bands, *, mask=None, alpha=None, nodata=None):
    """A TIFF (bands, H, W) as GDAL writes it, with its mask inside."""
    planes = list(bands)
    if alpha is not None:
        planes.append(alpha)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=SHAPE[1],
            height=SHAPE[0],
            count=len(planes),
            dtype=planes[0].dtype,
            nodata=nodata,
            photometric="minisblack",
        ) as file,
    ):
        if alpha is not None:
            colours = [ColorInterp.gray, *[ColorInterp.undefined] * (len(bands) - 1)]
            file.colorinterp = [*colours, ColorInterp.alpha]
        file.write(np.stack(planes))
        if mask is not None:
            file.write_mask(mask)


@no_place
@pytest.mark.parametrize("kind", ["mask", "alpha"])
def test_the_mask_of_a_tiff_excludes_pixels(tmp_path, kind):
    bands = CUBE.transpose(2, 0, 1)
    opaque = VALID.astype(np.uint16) * 65535
    stated = {"mask": {"mask": VALID > 0}, "alpha": {"alpha": opaque}}[kind]
    geotiff(tmp_path / "x.tif", bands, **stated)
    np.save(tmp_path / "x_gt.npy", MASK)
    with rasterio.open(tmp_path / "x.tif") as reference:
        known = reference.dataset_mask()
        if kind == "alpha":  # which GDAL takes as the mask of 1 and 3 bands only
            known = reference.read(reference.count)
        np.testing.assert_array_equal(known > 0, VALID > 0)
    scene = Scene(str(tmp_path / "x.tif"), str(tmp_path / "x_gt.npy"))
    folder = Folder(str(tmp_path), split=ONLY_TRAIN)
    for source in (scene, folder):
        batch = source.read("train", [0])
        assert batch["cube"].shape == (1, *SHAPE, 8)
        np.testing.assert_array_equal(batch["valid"][0], VALID > 0)
        np.testing.assert_array_equal(batch["mask"][0], MASK)
    one_cube = OneCube(open_cube(tmp_path / "x.tif"))
    found = one_cube.window(slice(2, 5), slice(12, 18))["valid"][0]
    np.testing.assert_array_equal(found, VALID[2:5, 12:18] > 0)
    named = Scene(str(tmp_path / "x.tif"), valid=str(tmp_path / "x_gt.npy"))
    np.testing.assert_array_equal(named.read("test", [0])["valid"][0], (VALID & MASK) > 0)


@no_place
def test_what_the_tiff_of_a_mask_marks_invalid_is_unlabelled(tmp_path):
    geotiff(tmp_path / "m.tif", [MASK], mask=VALID > 0)
    np.testing.assert_array_equal(
        read_mask(tmp_path / "m.tif", SHAPE), np.where(VALID, MASK.astype(int), -1)
    )
    geotiff(tmp_path / "n.tif", [np.where(VALID, MASK, 255)], nodata=255)
    np.testing.assert_array_equal(
        read_mask(tmp_path / "n.tif", SHAPE), np.where(VALID, MASK.astype(int), -1)
    )


def test_an_array_of_invalid_pixels_and_one_that_the_user_names(tmp_path):
    path = str(npz(tmp_path / "x.npz", cube=CUBE, bad_pixels=MASK, roi=VALID, gt=MASK * 2))
    scene = Scene(path, mask_variable="gt")
    np.testing.assert_array_equal(scene.read("test", [0])["valid"][0], MASK == 0)
    scene = Scene(path, mask_variable="gt", valid_variable="roi")
    np.testing.assert_array_equal(scene.read("test", [0])["valid"][0], VALID > 0)
    scene = Scene(path, mask_variable="gt", find_mask=False)
    assert set(scene.read("test", [0])) == {"cube", "mask"}


def test_cubes_whose_files_say_nothing_of_validity_are_valid(tmp_path):
    npz(tmp_path / "a.npz", cube=CUBE)
    npz(tmp_path / "b.npz", cube=CUBE, valid=VALID)
    (batch,) = Folder(str(tmp_path), split=ONLY_TRAIN, batch_size=2).batches("train")
    np.testing.assert_array_equal(batch["valid"], [VALID * 0 + 1, VALID])


@pytest.mark.parametrize(("mask", "reported"), [(MASK, False), (VALID, True), (1 - MASK, True)])
def test_a_mask_that_may_be_one_of_valid_pixels_is_reported(tmp_path, mask, reported):
    path = npz(tmp_path / "x.npz", cube=CUBE, mask=mask * 255)
    notes = described(path)["remarks"]
    assert len(notes) == reported
    if reported:
        what = f"the mask mask has {mask.sum()} of 480 pixels in class 255"
        assert notes[0].startswith(f"{what}: it may be inverted, or a mask of valid pixels")


def test_a_preview_beside_its_cube_is_no_mask(tmp_path):
    for number in range(3):
        cube = np.roll(CUBE, number)
        envi(tmp_path, f"REFLECTANCE_{number}", cube)
        preview(tmp_path / f"REFLECTANCE_{number}.png", cube)
    folder = Folder(str(tmp_path), split=ONLY_TRAIN)
    assert list(folder.missing_outputs("train")) == ["mask"]
    (note,) = folder.notes()
    assert f"{tmp_path}/REFLECTANCE_0.hdr and 2 more has no mask; not taken as one: " in note
    assert "REFLECTANCE_0.png (a picture of " in note
    with pytest.warns(UserWarning, match="not taken as one: REFLECTANCE_0.png"):
        assert set(folder.read("train", [0])) == {"cube"}
    (mask,) = described(tmp_path / "REFLECTANCE_0.hdr")["masks"]
    assert mask["classes"] is None
    assert mask["problem"].startswith("a picture of ")
    assert mask["file"] == f"{tmp_path}/REFLECTANCE_0.png"
    Image.fromarray(MASK).save(tmp_path / "REFLECTANCE_0_mask.png")
    folder = Folder(str(tmp_path), split=ONLY_TRAIN)
    np.testing.assert_array_equal(folder.read("train", [0])["mask"][0], MASK)


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_an_array_of_many_values_beside_its_cube_is_no_mask(tmp_path, suffix):
    envi(tmp_path, "x")
    Image.fromarray(MANY.astype(np.uint16)).save(tmp_path / "m.tif")
    if suffix == ".tif":
        Path(tmp_path, "m.tif").rename(tmp_path / "x.tif")
    else:
        Path(tmp_path, "m.tif").unlink()
        np.save(tmp_path / "x.npy", MANY)
    folder = Folder(str(tmp_path), split=ONLY_TRAIN)
    assert list(folder.missing_outputs("train")) == ["mask"]
    assert f"x{suffix} (an array of {len(np.unique(MANY))} distinct values)" in folder.notes()[0]


def test_a_preview_in_a_tiff_is_neither_cube_nor_mask(tmp_path):
    envi(tmp_path, "x")
    preview(tmp_path / "x.tif")
    Image.fromarray(MASK).save(tmp_path / "x_gt.png")
    folder = Folder(str(tmp_path), split=ONLY_TRAIN)
    assert list(folder.cubes().values()) == [tmp_path / "x.hdr"]
    np.testing.assert_array_equal(folder.read("train", [0])["mask"][0], MASK)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("x_mask.jpg", "is a JPG picture: its compression changes the class numbers"),
        ("x_gt.JPEG", "is a JPEG picture: its compression changes the class numbers"),
        ("labels/x.jpg", "is a JPG picture: its compression changes the class numbers"),
        ("x_mask.gif", "is a GIF picture, which is not read"),
        ("labels/x.pgm", "is a PGM picture, which is not read"),
    ],
)
def test_a_mask_that_a_picture_cannot_hold_is_refused(tmp_path, name, what):
    envi(tmp_path, "x")
    Path(tmp_path, name).parent.mkdir(exist_ok=True)
    Image.fromarray(MASK * 255).save(tmp_path / name)
    masks = "labels" if "labels" in name else None
    folder = Folder(str(tmp_path), masks=masks, split=ONLY_TRAIN)
    with pytest.raises(DataError, match=what):
        folder.missing_outputs("train")
    assert what in folder.notes()[-1]
    with pytest.raises(DataError, match=what):
        next(Scene(str(tmp_path / "x.hdr"), str(tmp_path / name)).batches("test"))
    if masks is None:
        assert what in described(tmp_path / "x.hdr")["remarks"][-1]
        folder = Folder(str(tmp_path), find_mask=False, split=ONLY_TRAIN)
        assert set(folder.read("train", [0])) == {"cube"}


def test_a_picture_with_loss_beside_a_cube_is_a_preview(tmp_path):
    envi(tmp_path, "x")
    preview(tmp_path / "x.jpg")
    folder = Folder(str(tmp_path), split=ONLY_TRAIN)
    assert list(folder.missing_outputs("train")) == ["mask"]
    assert "x.jpg (a JPG picture, which cannot hold class numbers)" in folder.notes()[0]


def test_masks_that_fit_no_cube_are_reported(tmp_path):
    (tmp_path / "labels").mkdir()
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", CUBE)
    for name in ("a", "c_mask", "d"):
        np.save(tmp_path / f"labels/{name}.npy", MASK)
    notes = Folder(str(tmp_path), masks="labels").notes()
    assert notes[0] == (
        "2 masks have the name of no cube: c_mask.npy, d.npy\n"
        "  fix: name each mask like its cube, with _gt or _mask after it if you like"
    )
    assert "of 2 cubes 1 have masks, and these have none: b.npy" in notes[1]
    np.save(tmp_path / "labels/a.npy", MASK[:5])
    notes = Folder(str(tmp_path), masks="labels").notes()
    assert "a.npy is 5 x 20, the cube is 24 x 20" in notes[-1]


def test_flaws_of_masks_are_reported_before_and_in_a_run(tmp_path):
    np.save(tmp_path / "x.npy", CUBE)
    soft = MASK * 255
    soft[9, 3:6] = 130
    Image.fromarray(soft).save(tmp_path / "x_mask.png")
    what = "x_mask.png has 9 px of 255 and 3 px of 1 grey levels between 0 and 255"
    folder = Folder(str(tmp_path), split=ONLY_TRAIN)
    scene = Scene(str(tmp_path / "x.npy"), str(tmp_path / "x_mask.png"))
    for source in (folder, scene):
        assert what in source.notes()[0]
        with pytest.warns(UserWarning, match=what):
            source.read("train", [0])
        source.read("train", [0])  # it warns once
    assert what in described(tmp_path / "x.npy")["remarks"][0]


SYSTEM = [
    ".hidden.npy",
    "._x.npy",
    ".ipynb_checkpoints/x-checkpoint.npy",
    "x-checkpoint.npy",
    "__MACOSX/x.npy",
    "@eaDir/x.npy",
    "~$x.npy",
    "Thumbs.db",
    ".DS_Store",
    "desktop.ini",
]


@pytest.mark.parametrize("name", SYSTEM)
def test_files_of_systems_are_neither_cubes_nor_masks(tmp_path, name):
    assert is_noise(PurePath(name))
    np.save(tmp_path / "x.npy", CUBE)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        np.save(file, CUBE)
    (tmp_path / "._x_mask.png").write_bytes(b"resource fork")
    assert find_cubes(tmp_path, "**/*") == {"x": tmp_path / "x.npy"}
    folder = Folder(str(tmp_path), pattern="**/*", split=ONLY_TRAIN)
    assert list(folder.missing_outputs("train")) == ["mask"]
    assert folder.notes() == []


def test_references_of_a_capture_are_no_cubes(tmp_path):
    for name in ("DARKREF_7", "WHITEREF_7", "capture_dark_reference", "7", "white_rice"):
        envi(tmp_path, name)
    assert list(find_cubes(tmp_path, "*")) == ["7", "white_rice"]
    assert is_reference("WHITEDARKREF_7")
    assert not is_reference("darkrefuse")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("gt", "class"),
        ("labels/gt", "class"),
        ("salinasA_gt", "class"),
        ("gtImg_sub", "class"),
        ("groundTruth", "class"),
        ("defect_map", "map"),
        ("elevation_map", "other"),
        ("QA", "other"),
        ("valid_mask", "valid"),
        ("goodPixels", "valid"),
        ("validity", "valid"),
        ("good", ""),
        ("invalid", "invalid"),
        ("no_data", "invalid"),
        ("badPixelMap", "invalid"),
        ("bad", ""),
        ("roi", ""),
    ],
)
def test_what_names_of_arrays_say(name, role):
    assert role_of(name) == role


def test_arrays_are_read_only_where_names_and_types_do_not_settle_it():
    arrays = [
        Variable("cube", (4, 5, 3), np.dtype("u2")),
        Variable("gt", (4, 5), np.dtype("u1")),
        Variable("zenith", (4, 5), np.dtype("f4")),
        Variable("valid", (4, 5), np.dtype("?")),
        Variable("plane", (4, 5), np.dtype("f4")),
        Variable("other", (4, 6), np.dtype("u1")),
    ]
    found = own_arrays(arrays, (4, 5), lambda name: pytest.fail(f"{name} was read"))
    assert [one.name for one in found.masks] == ["gt"]
    assert [one.name for one in found.rejected] == ["zenith", "plane"]
