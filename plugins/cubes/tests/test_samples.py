"""Every sample scene in MATLAB, ENVI or BMP form, against other readers."""

import os
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io

from specloom_cubes.cube import Reading
from specloom_cubes.formats import open_cube
from specloom_cubes.masks import own_mask, read_mask
from specloom_cubes.sources import Scene

DATA = Path(os.environ.get("SPECLOOM_TEST_DATA", Path(__file__).parents[3] / "../shared/data/hsi"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SPECLOOM_TEST_DATA is not there")

MAT5 = {
    "abu/abu-airport-1.mat": ("data", "uint16", "map", 144),
    "abu/abu-airport-4.mat": ("data", "uint16", "map", 60),
    "abu/abu-urban-1.mat": ("data", "int16", "map", 67),
    "abu/abu-urban-4.mat": ("data", "int16", "map", 272),
    "aviris_santa_barbara/a_hsi_img_for_VI_demo.mat": ("hsi_img", "int16", None, 0),
    "hydice/HYDICE_urban.mat": ("data", "uint16", "map", 21),
    "muufl_demo/an_hsi_image_sub_for_demo.mat": ("hsi_img_sub", "float32", "mask_sub", 3884),
    "muufl_demo/an_hsi_img_for_tgt_det_demo.mat": ("hsi_sub", "float32", "gtImg_sub", 3),
    "salinas_a/SalinasA_corrected.mat": ("salinasA_corrected", "int16", None, 0),
    "sandiego/sandiego_plane.mat": ("data", "uint16", "map", 134),
}


@pytest.mark.parametrize("name", MAT5)
def test_mat_5(name):
    variable, dtype, mask, pixels = MAT5[name]
    want = scipy.io.loadmat(DATA / name)
    cube = open_cube(DATA / name)
    assert (cube.variable, cube.dtype, cube.shape) == (variable, dtype, want[variable].shape)
    assert cube.array.dtype == want[variable].dtype
    np.testing.assert_array_equal(cube.array, want[variable])
    if "wavelengths" in want:
        np.testing.assert_array_equal(cube.wavelengths, want["wavelengths"].ravel())
    found = own_mask(cube)
    assert (found is None) == (mask is None)
    if found is not None:
        np.testing.assert_array_equal(found, want[mask])
        assert (found > 0).sum() == pixels


def test_mat_73_equals_mat_5():
    path = DATA / "mat_v73/abu-urban-1_v73.mat"
    cube, same = open_cube(path), open_cube(DATA / "abu/abu-urban-1.mat")
    assert (cube.variable, cube.shape, cube.dtype) == ("hsi", (100, 100, 204), np.float64)
    np.testing.assert_array_equal(cube.array, same.array)
    np.testing.assert_array_equal(own_mask(cube), own_mask(same))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(
            cube.read(slice(3, 9), slice(50, 60)), file["hsi"][:, 50:60, 3:9].T
        )


def test_labels_in_another_file():
    found = read_mask(DATA / "salinas_a/SalinasA_gt.mat", (83, 86))
    counts = dict(zip(*(a.tolist() for a in np.unique(found, return_counts=True)), strict=True))
    assert counts == {0: 1790, 1: 391, 10: 1343, 11: 616, 12: 1525, 13: 674, 14: 799}


ENVI = [
    "envi_samples/cubus_gamsberg_subset.hdr",
    "envi_samples/fenix_image.hdr",
    "envi_sandiego/SDData.hdr",
    *(f"wheat_grains/{path.name}" for path in sorted((DATA / "wheat_grains").glob("*.hdr"))),
]


@pytest.mark.parametrize("name", ENVI)
def test_envi_against_spy(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import spectral.io.envi

        want = spectral.io.envi.open(str(DATA / name))
    cube = open_cube(DATA / name)
    assert cube.shape == want.shape
    assert cube.dtype == np.dtype(want.dtype).newbyteorder("=")
    np.testing.assert_array_equal(cube.array, want.open_memmap())
    if want.bands.centers:
        np.testing.assert_allclose(cube.wavelengths, want.bands.centers)
        np.testing.assert_allclose(cube.fwhm, want.bands.bandwidths)
    else:
        assert cube.wavelengths is None


def test_the_header_that_spy_refuses():
    path = DATA / "envi_samples/corn-kernel-hyperspectral.raw"
    cube = open_cube(path)
    stored = np.fromfile(path, "<u2").reshape(31, 580, 43)
    np.testing.assert_array_equal(cube.array, stored.transpose(0, 2, 1))
    assert (cube.wavelengths[0], cube.wavelengths.shape) == (366.551, (580,))


def test_fenix_ignores_its_zeros():
    cube = open_cube(DATA / "envi_samples/fenix_image.dat")
    assert cube.metadata["reflectance scale factor"] == 65535
    clean, stored = cube.clean(), cube.array
    np.testing.assert_array_equal(np.isnan(clean), stored == 0)
    reflectance = (stored[stored > 0] / 65535).astype(np.float32)
    np.testing.assert_allclose(clean[stored > 0], reflectance, rtol=np.finfo(np.float32).eps)
    as_stored = open_cube(cube.path, reading=Reading(scale="stored")).clean()
    np.testing.assert_array_equal(as_stored[stored > 0], stored[stored > 0].astype(np.float32))


def test_envi_scene_with_a_bitmap_and_a_table():
    scene = Scene(
        cube=str(DATA / "envi_sandiego/SDData"),
        mask=str(DATA / "envi_sandiego/SDDataGt.bmp"),
        wavelengths=str(DATA / "wavelengths/aviris_sandiego_189.csv"),
    )
    assert scene.sizes() == {"H": 90, "W": 90, "C": 189}
    (batch,) = scene.batches("train")
    assert batch["mask"].sum() == 77
    cube = open_cube(DATA / "envi_sandiego/SDData.hdr")
    np.testing.assert_array_equal(batch["wavelengths"], cube.wavelengths.astype(np.float32))
    assert cube.metadata["map info"][0] == "UTM"


TILES = sorted(path.name for path in (DATA / "enmap_potsdam/images").glob("*.tif"))


@pytest.mark.parametrize("name", TILES)
def test_enmap_tiles_against_rasterio(name):
    cube = open_cube(DATA / "enmap_potsdam/images" / name)
    with rasterio.open(cube.path) as file:
        np.testing.assert_array_equal(cube.array, file.read().transpose(1, 2, 0))
        assert cube.metadata["crs"] == file.crs.to_wkt()
        assert cube.metadata["transform"] == tuple(file.transform)[:6]
    table = np.loadtxt(DATA / "wavelengths/enmap_potsdam_224.csv", delimiter=",", skiprows=1)
    assert (np.abs(table - cube.wavelengths[:, None]) < 0.01).all(0).any()
    assert cube.wavelengths[91] < cube.wavelengths[90]
    np.testing.assert_array_equal(np.flatnonzero(cube.bad_bands), range(129, 135))
    np.testing.assert_array_equal(
        np.flatnonzero((cube.array == -32768).all((0, 1))), range(129, 135)
    )
    clean = cube.clean()
    assert (clean.shape, clean.dtype) == ((32, 32, 218), np.float32)
    assert np.isfinite(clean).all()
    with rasterio.open(cube.path) as file:
        assert set(file.scales) == {0.0001}
        want = file.read().astype(np.float64) * np.array(file.scales)[:, None, None]
    good = np.delete(want.transpose(1, 2, 0), range(129, 135), axis=2)
    np.testing.assert_array_equal(clean, good.astype(np.float32))
    stored = open_cube(cube.path, reading=Reading(scale="stored")).clean()
    np.testing.assert_array_equal(stored, np.delete(cube.array, range(129, 135), axis=2))
    assert stored.min() >= -496
    with rasterio.open(DATA / "enmap_potsdam/labels" / name) as file:
        want = file.read(1)
    labels = read_mask(DATA / "enmap_potsdam/labels" / name, (32, 32))
    np.testing.assert_array_equal(labels, want)
    assert 0 <= labels.min() <= labels.max() <= 6


def test_a_region_of_interest():
    scene = Scene(str(DATA / "muufl_demo/an_hsi_image_sub_for_demo.mat"), valid_variable="mask_sub")
    (batch,) = scene.batches("test")
    assert batch["valid"].sum() == 3884
    assert set(batch) == {"cube", "valid", "wavelengths"}


@pytest.mark.parametrize("table", sorted(p.name for p in (DATA / "wavelengths").glob("*.csv")))
def test_every_wavelength_table(table, tmp_path):
    rows = (DATA / "wavelengths" / table).read_text().splitlines()[1:]
    np.save(tmp_path / "x.npy", np.zeros((1, 1, len(rows))))
    scene = Scene(cube=str(tmp_path / "x.npy"), wavelengths=str(DATA / "wavelengths" / table))
    (batch,) = scene.batches("test")
    assert 360 < batch["wavelengths"][0] < 440
    assert batch["wavelengths"].max() > 1000


def test_the_mask_fits_the_cube_pixel_by_pixel():
    """The published AUC of global RX comes out only if cube and mask have the same orientation."""
    from sklearn.metrics import roc_auc_score

    (batch,) = Scene(cube=str(DATA / "abu/abu-airport-4.mat")).batches("test")
    pixels = batch["cube"].reshape(-1, 191).astype(float)
    pixels -= pixels.mean(0)
    scores = ((pixels @ np.linalg.pinv(np.cov(pixels.T))) * pixels).sum(1)
    assert round(roc_auc_score(batch["mask"].ravel() > 0, scores), 4) == 0.9526
