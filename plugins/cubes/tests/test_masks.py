import numpy as np
import pytest
import scipy.io
from PIL import Image

from specloom import DataError
from specloom_cubes.masks import read_mask

LABELS = np.array([[0, 1, 2], [3, 0, 1]], np.uint8)
SIZE = (2, 3)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA"])
def test_pictures(tmp_path, suffix, mode):
    picture = Image.fromarray(LABELS)
    if mode != "L":
        picture = picture.convert(mode)
    picture.save(tmp_path / f"m{suffix}")
    found = read_mask(tmp_path / f"m{suffix}", SIZE)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, LABELS)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_one_bit_pictures(tmp_path, suffix):
    Image.fromarray(LABELS > 0).save(tmp_path / f"m{suffix}")
    np.testing.assert_array_equal(read_mask(tmp_path / f"m{suffix}", SIZE), LABELS > 0)


def test_sixteen_bit_and_colour_pictures(tmp_path):
    Image.fromarray(LABELS.astype(np.uint16) * 1000).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", SIZE), LABELS.astype(int) * 1000)
    colours = np.zeros((2, 3, 3), np.uint8)
    colours[0, 1], colours[1, 0] = (200, 0, 0), (0, 0, 9)
    Image.fromarray(colours).save(tmp_path / "b.png")
    with pytest.warns(UserWarning, match="has 2 colours besides black") as warned:
        found = read_mask(tmp_path / "b.png", SIZE)
    np.testing.assert_array_equal(found, [[0, 1, 0], [1, 0, 0]])
    assert str(warned[0].message) == (
        f"{tmp_path}/b.png has 2 colours besides black (#000009 1 px, #c80000 1 px): all are "
        "class 1\n  fix: write masks: {colors: {'#000000': 0, '#000009': 1, '#c80000': 2}}, with "
        "the numbers that they have"
    )


def test_arrays(tmp_path):
    with_gap = LABELS.astype(float)
    with_gap[0, 0] = np.nan
    np.save(tmp_path / "a.npy", with_gap)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.npy", SIZE), [[-1, 1, 2], [3, 0, 1]])
    np.save(tmp_path / "b.npy", LABELS[..., None].astype(">i8"))
    np.testing.assert_array_equal(read_mask(tmp_path / "b.npy", SIZE), LABELS)
    scipy.io.savemat(tmp_path / "c.mat", {"gt": LABELS, "other": LABELS[:, :2], "row": LABELS[:1]})
    np.testing.assert_array_equal(read_mask(tmp_path / "c.mat", SIZE), LABELS)
    np.testing.assert_array_equal(read_mask(tmp_path / "c.mat", (2, 2), "other"), LABELS[:, :2])


def test_envi_class_files(tmp_path):
    LABELS.tofile(tmp_path / "classes")
    (tmp_path / "classes.hdr").write_text(
        "ENVI\nsamples = 3\nlines = 2\nbands = 1\ndata type = 1\ninterleave = bsq\n"
        "file type = ENVI Classification\nclasses = 4\nclass names = {none, a, b, c}\n"
    )
    for name in ("classes", "classes.hdr"):
        np.testing.assert_array_equal(read_mask(tmp_path / name, SIZE), LABELS)


def test_another_size(tmp_path):
    np.save(tmp_path / "m.npy", LABELS)
    with pytest.raises(DataError, match="is 2 x 3, the cube is 4 x 4") as error:
        read_mask(tmp_path / "m.npy", (4, 4))
    assert "transposed" not in str(error.value)
    with pytest.raises(DataError, match="is 2 x 3, the cube is 3 x 2: transposed, it would fit"):
        read_mask(tmp_path / "m.npy", (3, 2))
    scipy.io.savemat(tmp_path / "m.mat", {"gt": LABELS})
    with pytest.raises(DataError, match="is 2 x 3, the cube is 4 x 4"):
        read_mask(tmp_path / "m.mat", (4, 4))


def test_what_is_no_mask(tmp_path):
    with pytest.raises(DataError, match="there is no mask file"):
        read_mask(tmp_path / "absent.png", SIZE)
    (tmp_path / "m.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot be read as a picture"):
        read_mask(tmp_path / "m.png", SIZE)
    (tmp_path / "m.txt").write_text("0 1 2")
    with pytest.raises(DataError, match=r"the format of the mask .* is unknown"):
        read_mask(tmp_path / "m.txt", SIZE)
    np.save(tmp_path / "a.npy", LABELS / 3)
    with pytest.raises(DataError, match=r"holds 0\.333333, which is not a class number"):
        read_mask(tmp_path / "a.npy", SIZE)
    np.save(tmp_path / "b.npy", np.full(SIZE, 2**40))
    with pytest.raises(DataError, match="beyond 32 bits"):
        read_mask(tmp_path / "b.npy", SIZE)
    np.save(tmp_path / "c.npy", np.zeros((2, 3, 4)))
    with pytest.raises(DataError, match=r"holds float64 of shape \(2, 3, 4\)"):
        read_mask(tmp_path / "c.npy", SIZE)
    with pytest.raises(DataError, match="has no named variables"):
        read_mask(tmp_path / "a.npy", SIZE, "gt")
    scipy.io.savemat(tmp_path / "m.mat", {"row": LABELS[:1]})
    with pytest.raises(DataError, match="no numeric array with two axes, only row 1 x 3 uint8"):
        read_mask(tmp_path / "m.mat", SIZE)
