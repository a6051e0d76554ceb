"""Against tifffile and rasterio, which are not what reads the pages here."""

import sys
import warnings
from contextlib import suppress

import numpy as np
import pytest
import rasterio
import tifffile

from specloom import DataError, UnavailableError
from specloom_cubes.formats import open_cube
from specloom_cubes.masks import read_mask

RNG = np.random.default_rng(0)
STACK = RNG.integers(-900, 900, (5, 7, 9)).astype(np.int16)  # bands, rows, columns
CUBE = STACK.transpose(1, 2, 0)
LAYOUTS = {
    "pages": (STACK, {}),
    "pages compressed": (STACK, {"compression": "zlib", "predictor": True}),
    "pages of an ImageJ stack": (STACK, {"imagej": True}),
    "pages in tiles": (STACK, {"tile": (16, 16)}),
    "pages of a big file": (STACK, {"bigtiff": True, "byteorder": ">"}),
    "pixels": (CUBE, {"planarconfig": "contig"}),
    "planes": (STACK, {"planarconfig": "separate", "byteorder": ">"}),
    "planes in strips": (STACK, {"planarconfig": "separate", "rowsperstrip": 2}),
}


def write(path, array, **options):
    if not options.get("imagej"):
        options["photometric"] = "minisblack"
    tifffile.imwrite(path, array, **options)
    return path


@pytest.mark.parametrize("suffix", [".tif", ".TIFF"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_cube(tmp_path, layout, suffix):
    array, options = LAYOUTS[layout]
    cube = open_cube(write(tmp_path / f"x{suffix}", array, **options))
    assert (cube.shape, cube.dtype) == (CUBE.shape, np.int16)
    assert cube.format == ("TIFF of 5 pages" if layout.startswith("pages") else "TIFF")
    np.testing.assert_array_equal(cube.array, CUBE)
    other = tifffile.imread(cube.path)
    other = other if array is CUBE else np.moveaxis(other, 0, -1)
    np.testing.assert_array_equal(cube.array, other)
    np.testing.assert_array_equal(cube.read(slice(1, 6), slice(2, 9, 3)), CUBE[1:6, 2:9:3])
    assert cube.read(slice(3, 3)).shape == (0, 9, 5)
    assert cube.wavelengths is None is cube.ignore_value


@pytest.mark.parametrize(
    "kind", ["uint8", "int8", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
def test_element_types(tmp_path, kind):
    want = STACK.astype(kind)
    cube = open_cube(write(tmp_path / "x.tif", want, planarconfig="separate"))
    assert cube.dtype == cube.array.dtype == np.dtype(kind)
    np.testing.assert_array_equal(cube.array, want.transpose(1, 2, 0))


def geotiff(path, *, tags=lambda band: {}, ns=None, nodata=-9):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=7,
        width=9,
        count=5,
        dtype="int16",
        nodata=nodata,
        crs="EPSG:32633",
        transform=rasterio.Affine(30, 0, 366015, 0, -30, 5809965),
    ) as file:
        file.write(STACK)
        for band in file.indexes:
            file.update_tags(band, ns=ns, **tags(band))
    return path


@pytest.mark.parametrize(
    ("tags", "ns"),
    [
        (lambda b: {"wavelength": 400 + b, "fwhm": 9, "wavelength_units": "Nanometers"}, None),
        (
            lambda b: {
                "wavelength": 0.4 + b / 1e3,
                "fwhm": 9e-3,
                "wavelength_units": "Micrometers",
            },
            None,
        ),
        (lambda b: {"Wavelength": 400 + b, "FWHM": 9}, None),
        (lambda b: {"CENTRAL_WAVELENGTH_UM": 0.4 + b / 1e3, "FWHM_UM": 9e-3}, "IMAGERY"),
    ],
)
def test_geotiff_tags(tmp_path, tags, ns):
    path = geotiff(tmp_path / "x.tif", tags=lambda b: {**tags(b), "bbl": int(b != 2)}, ns=ns)
    cube = open_cube(path)
    assert cube.format == "GeoTIFF"
    np.testing.assert_allclose(cube.wavelengths, [401, 402, 403, 404, 405])
    np.testing.assert_allclose(cube.fwhm, 9)
    assert cube.metadata["transform"] == (30, 0, 366015, 0, -30, 5809965)
    assert "UTM zone 33N" in cube.metadata["crs"]
    if ns is None:
        np.testing.assert_array_equal(cube.good_bands, [0, 2, 3, 4])


def test_no_data_and_bands_without_a_tag(tmp_path):
    path = geotiff(
        tmp_path / "x.tif", tags=lambda b: {"wavelength": 400 + b} if b > 1 else {}, nodata=-7
    )
    with rasterio.open(path, "r+") as file:
        file.write(np.full((2, 2), -7, np.int16), 3, window=((0, 2), (0, 2)))
    cube = open_cube(path)
    assert (cube.ignore_value, cube.wavelengths) == (-7, None)
    np.testing.assert_array_equal(np.isnan(cube.clean()), cube.array == -7)
    assert np.isnan(cube.clean()).sum() >= 4


def test_no_data_of_a_mask_is_unlabelled(tmp_path):
    labels = np.array([[0, 1, 255], [2, 255, 0]], np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            tmp_path / "m.tif",
            "w",
            driver="GTiff",
            height=2,
            width=3,
            count=1,
            dtype="uint8",
            nodata=255,
        ) as file:
            file.write(labels, 1)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", (2, 3)), [[0, 1, -1], [2, -1, 0]])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cut", ["tenth", "half", "header", "four bytes"])
def test_truncated_files(tmp_path, layout, cut):
    array, options = LAYOUTS[layout]
    path = write(tmp_path / "x.tif", array, **options)
    raw = path.read_bytes()
    keep = {"tenth": len(raw) * 9 // 10, "half": len(raw) // 2, "header": 50, "four bytes": 4}[cut]
    path.write_bytes(raw[:keep])
    with pytest.raises(DataError, match=r"x\.tif cannot be read as TIFF: ") as error:
        open_cube(path)
    assert error.value.fix == "copy or save the file again"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_truncation_goes_unseen(tmp_path, layout):
    array, options = LAYOUTS[layout]
    path = write(tmp_path / "x.tif", array, **options)
    raw = path.read_bytes()
    for keep in range(len(raw) - 200, len(raw), 9):
        path.write_bytes(raw[:keep])
        with suppress(DataError):
            np.testing.assert_array_equal(open_cube(path).array, CUBE)


def test_what_a_truncated_file_says(tmp_path):
    path = write(tmp_path / "x.tif", CUBE, planarconfig="contig")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        DataError, match=f"page 1 promises {size} bytes, the file holds {size - 100}"
    ):
        open_cube(path)


def test_damaged_pixels(tmp_path):
    path = write(tmp_path / "x.tif", STACK, compression="zlib")
    with tifffile.TiffFile(path) as file:
        at = file.pages[3].dataoffsets[0]
    raw = bytearray(path.read_bytes())
    raw[at : at + 20] = b"\xff" * 20
    path.write_bytes(raw)
    cube = open_cube(path)
    with pytest.raises(DataError, match=r"x\.tif cannot be read as TIFF"):
        cube.read()


def test_what_is_no_cube(tmp_path):
    (tmp_path / "x.tif").write_bytes(b"nothing of the kind" * 20)
    with pytest.raises(DataError, match="it does not begin like a TIFF file"):
        open_cube(tmp_path / "x.tif")
    write(tmp_path / "c.tif", STACK.astype(np.complex64), planarconfig="separate")
    with pytest.raises(DataError, match="holds complex64; specloom works on real values"):
        open_cube(tmp_path / "c.tif")
    with tifffile.TiffWriter(tmp_path / "d.tif") as file:
        file.write(STACK[0], photometric="minisblack")
        file.write(STACK[0, :3], photometric="minisblack")
    with pytest.raises(DataError, match=r"holds 2 pages of different sizes \(3 x 9, 7 x 9\)"):
        open_cube(tmp_path / "d.tif")
    write(tmp_path / "e.tif", np.stack([CUBE, CUBE]), planarconfig="contig")
    with pytest.raises(DataError, match="holds 2 pages of 5 bands"):
        open_cube(tmp_path / "e.tif")


def test_smaller_copies_are_no_pages(tmp_path):
    path = geotiff(tmp_path / "x.tif")
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], rasterio.enums.Resampling.nearest)
    np.testing.assert_array_equal(open_cube(path).array, CUBE)


def test_without_rasterio(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    monkeypatch.delitem(sys.modules, "specloom_cubes.formats.tiff", raising=False)
    write(tmp_path / "x.tif", STACK)
    with pytest.raises(UnavailableError, match="needs the package rasterio, which cannot be") as e:
        open_cube(tmp_path / "x.tif")
    assert e.value.fix == "pip install rasterio"
