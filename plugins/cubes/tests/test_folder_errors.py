import numpy as np
import pytest

from specloom import ConfigError, DataError
from specloom.runfile.parameters import checked
from specloom_cubes.sources import Folder

NM = [400, 500, 600, 700]
CUBE = np.zeros((2, 3, 4), np.int16)


def header(bands=4, nm=None, extra=""):
    listed = "" if nm is None else f"wavelength = {{{', '.join(map(str, nm))}}}\n"
    return (
        f"ENVI\nsamples = 3\nlines = 2\nbands = {bands}\ndata type = 1\ninterleave = bip\n"
        f"{listed}{extra}"
    )


def pair(folder, name, **options):
    (folder / f"{name}.img").write_bytes(bytes(6 * options.get("bands", 4)))
    (folder / f"{name}.hdr").write_text(header(**options))


def refused(folder, kind=DataError, **options):
    with pytest.raises(kind) as error:
        next(Folder(path=str(folder), **options).batches("train"))
    assert error.value.fix
    return str(error.value)


def test_other_numbers_of_bands(tmp_path):
    pair(tmp_path, "a")
    pair(tmp_path, "b", bands=3)
    text = refused(tmp_path)
    assert f"{tmp_path}/a.img has 4 bands, {tmp_path}/b.img has 3" in text


def test_other_wavelengths(tmp_path):
    pair(tmp_path, "a", nm=[400, 500, 600, 700])
    pair(tmp_path, "b")
    pair(tmp_path, "c", nm=[400, 500, 600.6, 700])
    text = refused(tmp_path)
    assert f"band 2 is at 600.00 nm in {tmp_path}/a.img, at 600.60 nm in {tmp_path}/c.img" in text
    assert "more than 0.5 nm apart" in text


def test_other_bad_bands(tmp_path):
    pair(tmp_path, "a", extra="bbl = {1, 0, 1, 1}\n")
    pair(tmp_path, "b", extra="bbl = {1, 1, 0, 1}\n")
    assert "but not the same: band 2 is good in the first, 1 in the second" in refused(tmp_path)


def test_other_scales(tmp_path):
    pair(tmp_path, "a", nm=NM, extra="reflectance scale factor = 10000\n")
    pair(tmp_path, "b", nm=NM)
    assert refused(tmp_path) == (
        f"{tmp_path}/a.img states the scale times 0.0001, {tmp_path}/b.img states no scale\n"
        "  fix: correct the scale in the files, or write scale: stored to use their numbers as "
        "they are"
    )
    (batch,) = Folder(path=str(tmp_path), split=(0.5, 0.5, 0), scale="stored").batches("train")
    assert batch["cube"].dtype == np.uint8
    pair(tmp_path, "b", nm=NM, extra="data gain values = {1, 2, 3, 4}\ndata offset values = {-1}\n")
    assert "b.img states the scale times 1 to 4 plus -1\n" in refused(tmp_path)
    pair(tmp_path, "b", nm=NM, extra="reflectance scale factor = 1e4\n")
    (batch,) = Folder(path=str(tmp_path), split=(0.5, 0.5, 0)).batches("train")
    assert batch["cube"].dtype == np.float32


def test_other_sizes_share_no_batch(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    np.save(tmp_path / "b.npy", CUBE[:, :2])
    text = refused(tmp_path, batch_size=2)
    assert (
        f"{tmp_path}/a.npy is 2 x 3 and {tmp_path}/b.npy is 2 x 2: they cannot share a batch"
        in text
    )
    assert "fix: write batch_size: 1" in text
    assert "Folder: batch_size is 0" in refused(tmp_path, ConfigError, batch_size=0)


def test_no_folder_and_no_cubes(tmp_path):
    absent = Folder(path=str(tmp_path / "absent"))
    assert absent.sizes() == {}
    assert "train" in absent.splits()
    assert "there is no folder" in refused(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("")
    assert "holds no cube that fits '*.npy'" in refused(tmp_path, pattern="*.npy")


def test_masks_that_are_not_there(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    assert "there is no folder labels of masks within" in refused(tmp_path, masks="labels")
    (tmp_path / "labels").mkdir()
    text = refused(tmp_path, masks="labels")
    assert f"labels holds no mask of any cube in {tmp_path}" in text


def test_masks_of_another_size(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    np.save(tmp_path / "a_gt.npy", np.zeros((4, 4)))
    assert "a_gt.npy is 4 x 4, the cube is 2 x 3" in refused(tmp_path, split=(1.0, 0.0, 0.0))


def test_several_masks_of_one_cube(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    for name in ("a_gt", "a_mask"):
        np.save(tmp_path / f"{name}.npy", np.zeros((2, 3)))
    assert "a.npy has several masks: a_gt.npy, a_mask.npy" in refused(tmp_path)


def test_two_cubes_of_one_name(tmp_path):
    np.save(tmp_path / "a.npy", CUBE)
    pair(tmp_path, "a")
    text = refused(tmp_path)
    assert f"a.hdr and a.npy in {tmp_path} have one name, and 2 of them hold several bands" in text


def test_a_damaged_cube_is_named(tmp_path):
    pair(tmp_path, "a")
    pair(tmp_path, "b")
    (tmp_path / "b.img").write_bytes(bytes(23))
    text = refused(tmp_path)
    assert f"{tmp_path}/b.hdr: the header promises 2 x 3 x 4 uint8 = 24 bytes" in text
    assert "b.img holds 23" in text


def test_unknown_ids_and_empty_splits(tmp_path):
    for name in ("grain1", "grain2"):
        np.save(tmp_path / f"{name}.npy", CUBE)
    text = refused(tmp_path, ConfigError, split={"train": ["grain3"]})
    assert "Folder: split train names 'grain3', which is not there" in text
    text = refused(tmp_path, ConfigError, split={"test": ["grain1"]})
    assert "Folder: the split 'train' is empty (train 0, val 0, test 1)" in text
    text = refused(tmp_path, ConfigError, split={"train": ["grain1"], "val": ["grain1"]})
    assert "Folder: 'grain1' is listed twice, in train and val" in text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"split": [0.5, 0.25, 0.25]}, None),
        ({"split": {"train": ["a"], "test": ["b"]}}, None),
        ({"split": None, "folds": 5, "fold": 2, "group": "^a"}, None),
        ({"split": {"trian": ["a"]}}, "split"),
        ({"split": {"train": "a"}}, "split"),
        ({"split": [0.5, 0.5]}, "split"),
        ({"folds": "5"}, "folds should be a valid integer"),
    ],
)
def test_parameters_of_a_run_file(config, message):
    good, problems = checked(Folder, "cubes.Folder", {"path": "x", **config}, lambda name: "")
    if message is None:
        assert not problems
        assert Folder(**good).path == "x"
    else:
        assert any(f"cubes.Folder: {message}" in str(problem) for problem in problems)
