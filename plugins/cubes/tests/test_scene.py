import numpy as np
import pytest
import scipy.io

from specloom import STAGES, ConfigError, DataError
from specloom_cubes.sources import Scene

CUBE = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
MASK = np.array([[0, 1, 0], [2, 0, 0]], np.uint8)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scipy.io.savemat("x.mat", {"data": CUBE, "map": MASK})
    np.save("x.npy", CUBE)
    np.save("m.npy", MASK)
    CUBE.tofile("x.bip")
    (tmp_path / "x.hdr").write_text(
        "ENVI\nsamples = 3\nlines = 2\nbands = 4\ndata type = 12\ninterleave = bip\n"
        "wavelength units = Nanometers\nwavelength = {400, 500, 600, 700}\n"
        "bbl = {1, 0, 1, 1}\ndata ignore value = 0\n"
    )
    return tmp_path


def test_the_same_scene_in_every_split(here):
    scene = Scene(cube="x.mat")
    assert list(scene.splits()) == list(STAGES)
    for split in STAGES:
        assert scene.count(split) == 1
        (batch,) = scene.batches(split)
        np.testing.assert_array_equal(batch["cube"], CUBE[None])
        np.testing.assert_array_equal(batch["mask"], MASK[None])
        assert batch["cube"].dtype == np.uint16
        assert batch["mask"].dtype == np.int32
        assert set(batch) == {"cube", "mask"}


def test_what_is_not_known_is_not_there(here):
    (batch,) = Scene(cube="x.npy").batches("test")
    assert set(batch) == {"cube"}


def test_bad_bands_and_ignored_values(here):
    scene = Scene(cube="x.bip", mask="m.npy")
    assert scene.sizes() == {"H": 2, "W": 3, "C": 3}
    (batch,) = scene.batches("train")
    assert batch["cube"].dtype == np.float32
    assert np.isnan(batch["cube"][0, 0, 0, 0])
    assert np.isnan(batch["cube"]).sum() == 1
    np.testing.assert_array_equal(batch["cube"][0, 1], CUBE[1][:, [0, 2, 3]])
    np.testing.assert_array_equal(batch["wavelengths"], np.float32([400, 600, 700]))
    np.testing.assert_array_equal(batch["mask"], MASK[None])


def test_sizes_come_from_headers_alone(here):
    scene = Scene(cube="x.hdr")
    text = (here / "x.hdr").read_text().replace("lines = 2", "lines = 20000000")
    (here / "x.hdr").write_text(text.replace("samples = 3", "samples = 1"))
    with (here / "x.bip").open("r+b") as file:
        file.truncate(20_000_000 * 8)  # sparse: reading it would show
    assert scene.sizes() == {"H": 20_000_000, "W": 1, "C": 3}


def test_an_absent_scene_has_no_sizes_and_no_batches(here):
    scene = Scene(cube="absent.mat")
    assert scene.sizes() == {}
    with pytest.raises(DataError, match=r"there is no file absent.mat"):
        next(scene.batches("test"))


@pytest.mark.parametrize(
    ("text", "centres"),
    [
        ("index,wavelength_nm\n0,401\n1,402\n2,403\n3,404\n", [401, 403, 404]),
        ("index,wavelength_nm_approx\n0,401\n1,402\n2,403\n3,404\n", [401, 403, 404]),
        ("name,centre\na,401\nb,402\nc,403\nd,404\n", [401, 403, 404]),
        ("401\n402\n403\n404\n", [401, 403, 404]),
        ("wavelength_nm\n401\n403\n404\n", [401, 403, 404]),
    ],
)
def test_wavelength_tables(here, text, centres):
    (here / "w.csv").write_text(text)
    (batch,) = Scene(cube="x.hdr", wavelengths="w.csv").batches("test")
    np.testing.assert_array_equal(batch["wavelengths"], np.float32(centres))
    assert batch["wavelengths"].dtype == np.float32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wavelength_nm\n1\n2\n", "w.csv has 2 wavelengths, x.bip has 4 bands"),
        ("name\na\nb\n", "has no column of wavelengths"),
        ("", "has no column of wavelengths"),
        (None, "the wavelengths w.csv cannot be read"),
    ],
)
def test_wrong_wavelength_tables(here, text, message):
    if text is not None:
        (here / "w.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        next(Scene(cube="x.hdr", wavelengths="w.csv").batches("test"))


def test_wrong_masks_and_splits(here):
    np.save("t.npy", MASK.T)
    with pytest.raises(DataError, match="is 3 x 2, the cube is 2 x 3: transposed, it would fit"):
        next(Scene(cube="x.npy", mask="t.npy").batches("test"))
    with pytest.raises(DataError, match=r"x.npy has no named variables") as error:
        next(Scene(cube="x.npy", mask_variable="map").batches("test"))
    assert "give the mask's file as mask" in str(error.value)
    with pytest.raises(ConfigError, match="there is no split 'tset'") as error:
        next(Scene(cube="x.npy").batches("tset"))
    assert "did you mean 'test'?" in str(error.value)


def test_batches_cannot_change_what_is_read_next(here):
    for name in ("x.mat", "x.npy", "x.hdr"):
        scene = Scene(cube=name)
        (first,) = scene.batches("train")
        before = first["cube"].copy()
        if first["cube"].flags.writeable:
            first["cube"][:] = 7
        (again,) = scene.batches("train")
        np.testing.assert_array_equal(again["cube"], before)


def test_a_plane_that_is_no_mask(here):
    (batch,) = Scene(cube="x.mat", find_mask=False).batches("test")
    assert set(batch) == {"cube"}
    (batch,) = Scene(cube="x.mat", find_mask=False, mask_variable="map").batches("test")
    np.testing.assert_array_equal(batch["mask"], MASK[None])
    scipy.io.savemat("y.mat", {"data": CUBE, "one": MASK, "two": MASK})
    with pytest.raises(DataError, match="several arrays that may be the mask") as error:
        next(Scene(cube="y.mat").batches("test"))
    assert "fix: name one with mask_variable, or write find_mask: false" in str(error.value)


def test_pixels_that_count(here):
    scipy.io.savemat("y.mat", {"data": CUBE, "roi": MASK})
    (batch,) = Scene(cube="y.mat", valid_variable="roi").batches("test")
    assert set(batch) == {"cube", "valid"}
    assert batch["valid"].dtype == bool
    np.testing.assert_array_equal(batch["valid"], MASK[None] > 0)
    scipy.io.savemat("z.mat", {"data": CUBE, "roi": MASK, "gt": MASK * 3})
    (batch,) = Scene(cube="z.mat", valid_variable="roi").batches("test")
    np.testing.assert_array_equal(batch["mask"], 3 * MASK[None])
    (batch,) = Scene(cube="x.npy", mask="m.npy", valid="z.mat", valid_variable="gt").batches("test")
    np.testing.assert_array_equal(batch["valid"], MASK[None] > 0)
    np.testing.assert_array_equal(batch["mask"], MASK[None])
    with pytest.raises(DataError, match=r"has no variable 'rio'") as error:
        next(Scene(cube="y.mat", valid_variable="rio").batches("test"))
    assert "valid_variable: did you mean 'roi'?" in str(error.value)
    with pytest.raises(DataError, match="give the mask's file as valid"):
        next(Scene(cube="x.npy", valid_variable="roi").batches("test"))
