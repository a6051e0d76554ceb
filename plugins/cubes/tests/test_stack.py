"""Band stacks: one file a band, named by a pattern."""

import numpy as np
import pytest
import rasterio
from PIL import Image

from specloom import DataError
from specloom_cubes.cube import Reading
from specloom_cubes.formats import open_cube
from specloom_cubes.sources import Scene

H, W, C = 6, 5, 12
CUBE = np.random.default_rng(0).integers(0, 60_000, (H, W, C)).astype(np.uint16)
GRID = rasterio.Affine(2, 0, 500000, 0, -2, 5500000)


def png(path, band):
    Image.fromarray(band).save(path)


def tiff(path, band):
    options = {"width": band.shape[1], "height": band.shape[0], "count": 1, "dtype": band.dtype}
    with rasterio.open(path, "w", driver="GTiff", transform=GRID, crs="EPSG:32632", **options) as f:
        f.write(band, 1)


def envi(path, band):
    path.write_bytes(band.tobytes())
    height, width = band.shape
    path.with_suffix(".hdr").write_text(
        f"ENVI\nsamples = {width}\nlines = {height}\nbands = 1\nheader offset = 0\ndata type = 12\n"
        "interleave = bsq\nbyte order = 0\n"
    )


@pytest.mark.parametrize(
    ("save", "ending"),
    [(png, "png"), (tiff, "tif"), (envi, "img"), (np.save, "npy")],
)
def test_bands_are_in_the_order_of_their_numbers(tmp_path, save, ending):
    for number in range(C):
        save(tmp_path / f"b_{number + 1}.{ending}", CUBE[..., number])
    cube = open_cube(tmp_path / "b_*")
    assert (cube.shape, cube.dtype, cube.format) == (CUBE.shape, np.uint16, "stack of 12 files")
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.read(slice(1, 5, 2), slice(2, 4)), CUBE[1:5:2, 2:4])
    assert cube.assumptions == (
        "the bands are 12 files in the order of the numbers in their names, from "
        f"b_1.{ending} to b_12.{ending}; write the band centre into each name, such as 450nm",
    )
    if ending == "tif":
        assert cube.metadata["transform"] == tuple(GRID)[:6]
    (batch,) = Scene(cube=str(tmp_path / f"b_*.{ending}")).batches("test")
    np.testing.assert_array_equal(batch["cube"], CUBE[None])


def test_centres_in_the_names(tmp_path):
    centres = 1000 - 50 * np.arange(C)
    for number in range(C):
        tiff(tmp_path / f"scene_{centres[number]}nm.tif", CUBE[..., number])
    cube = open_cube(tmp_path / "scene_*nm.tif")
    np.testing.assert_array_equal(cube.wavelengths, centres[::-1])
    np.testing.assert_array_equal(cube.array, CUBE[..., ::-1])
    assert cube.wavelengths_from == "the names of the files"
    assert cube.assumptions == ()


def test_patterns_that_are_no_stack(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        open_cube(tmp_path / "b_*.png")
    png(tmp_path / "b_1.png", CUBE[..., 0])
    with pytest.raises(DataError, match="matches 1 files: a band stack has several"):
        open_cube(tmp_path / "b_*.png")
    png(tmp_path / "b_2.png", CUBE[:3, :, 0])
    with pytest.raises(DataError) as error:
        open_cube(tmp_path / "b_*.png")
    assert "differ: b_1.png is 6 x 5 uint16, b_2.png is 3 x 5 uint16" in error.value.what
    assert error.value.fix.startswith("narrow the pattern to the bands of one cube")
    png(tmp_path / "b_2.png", np.zeros((H, W, 3), np.uint8))
    with pytest.raises(DataError, match=r"b_2\.png has 3 bands: in a band stack each file has one"):
        open_cube(tmp_path / "b_*.png")
    (tmp_path / "b_2.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b_2\.png cannot be read"):
        open_cube(tmp_path / "b_*.png")
    np.save(tmp_path / "n_1.npy", CUBE)
    np.save(tmp_path / "n_2.npy", CUBE)
    with pytest.raises(DataError, match=r"n_1\.npy holds uint16 of shape .* not one band"):
        open_cube(tmp_path / "n_*.npy")


def test_axes_have_no_effect(tmp_path):
    png(tmp_path / "b_1.png", CUBE[..., 0])
    png(tmp_path / "b_2.png", CUBE[..., 1])
    with pytest.raises(DataError, match="so axes has no effect") as error:
        open_cube(tmp_path / "b_*.png", reading=Reading(axes="CHW"))
    assert error.value.fix == "remove axes"


def test_scales_and_masks_of_the_files(tmp_path):
    path = tmp_path / "s_*.tif"
    for number in range(3):
        tiff(tmp_path / f"s_{number}.tif", CUBE[..., number])
        with rasterio.open(tmp_path / f"s_{number}.tif", "r+") as file:
            file.scales = [0.5 + number]
            file.offsets = [number]
            file.update_tags(1, wavelength=str(500 - number), wavelength_units="nm")
            mask = np.full((H, W), 255, np.uint8)
            mask[number, 0] = 0
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
                file.write_mask(mask)
    cube = open_cube(path)
    want = CUBE[..., [2, 1, 0]] * np.array([2.5, 1.5, 0.5]) + np.array([2, 1, 0])
    np.testing.assert_array_equal(cube.clean(), want.astype(np.float32))
    assert cube.scale_from == "the files of the bands"
    valid = cube.valid(slice(None), slice(None))
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 0], [2, 0]]
    assert cube.valid_from == "the masks of the files of the bands"
    stored = open_cube(path, reading=Reading(scale="stored"))
    np.testing.assert_array_equal(stored.clean(), CUBE[..., [2, 1, 0]])
