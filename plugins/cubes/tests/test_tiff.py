"""Against tifffile and rasterio, which are not what reads the pages here."""

import sys
import warnings
from contextlib import suppress

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import tifffile

from specloom import DataError, UnavailableError
from specloom_cubes.cube import Reading
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


ROWS = RNG.integers(0, 900, (24, 20, 8)).astype(np.uint16)


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"imagej": True}], ids=str)
def test_a_cube_that_was_saved_as_an_array(tmp_path, options):
    tifffile.imwrite(tmp_path / "x.tif", ROWS, **options)
    cube = open_cube(tmp_path / "x.tif")
    assert (cube.shape, cube.interleave) == ((24, 20, 8), "bip")
    np.testing.assert_array_equal(cube.array, tifffile.imread(tmp_path / "x.tif"))
    part = cube.read(slice(3, 20, 4), slice(9, 2, -2))
    np.testing.assert_array_equal(part, ROWS[3:20:4, 9:2:-2])
    assert cube.assumptions == (
        f"{tmp_path}/x.tif holds an array of 24 x 20 x 8 and does not say which axis has the "
        "bands: its pages are taken as rows; write axes: CHW (pages are bands), HWC (pages are "
        "rows) or HCW to state it",
    )


@pytest.mark.parametrize("axes", ["HWC", "CHW", "HCW"])
@pytest.mark.parametrize("stated", ["by the file", "by the user"])
def test_axes_that_are_stated(tmp_path, axes, stated):
    stored = np.einsum(f"HWC->{axes}", ROWS)
    path = tmp_path / "x.tif"
    reading = Reading()
    if stated == "by the file":
        letters = axes.replace("H", "Y").replace("W", "X")
        tifffile.imwrite(path, stored, photometric="minisblack", metadata={"axes": letters})
    else:
        tifffile.imwrite(path, stored, photometric="minisblack")
        reading = Reading(axes=axes)
    cube = open_cube(path, reading=reading)
    np.testing.assert_array_equal(cube.array, ROWS)
    np.testing.assert_array_equal(cube.read(slice(2, 5), slice(4, 9)), ROWS[2:5, 4:9])
    assert cube.assumptions == ()


def test_the_axis_that_differs_has_the_bands(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((6, 6, 9), np.uint16))
    assert open_cube(tmp_path / "x.tif").shape == (6, 6, 9)
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((9, 6, 6), np.uint16))
    assert open_cube(tmp_path / "x.tif").shape == (6, 6, 9)


@pytest.mark.parametrize(
    "description",
    ["ImageJ=1.54f\nimages=5\nchannels=5\n", '<OME><Pixels SizeC="5" SizeZ="1"/></OME>', ""],
)
def test_pages_that_are_bands_without_a_doubt(tmp_path, description):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for page in STACK:
            file.write(page, photometric="minisblack", description=description, metadata=None)
    cube = open_cube(tmp_path / "x.tif")
    np.testing.assert_array_equal(cube.array, CUBE)
    assert cube.assumptions == ()


def test_a_stack_that_lists_one_page_only(tmp_path):
    description = "ImageJ=1.54f\nimages=9\nslices=9\n"
    tifffile.imwrite(tmp_path / "x.tif", STACK[0], description=description, metadata=None)
    with pytest.raises(DataError, match="is an ImageJ stack of 9 images and lists 1 page"):
        open_cube(tmp_path / "x.tif")


def test_the_axes_of_one_image_are_stated(tmp_path):
    with pytest.raises(DataError, match="its image states rows, columns and bands, so axes has no"):
        open_cube(geotiff(tmp_path / "x.tif"), reading=Reading(axes="CHW"))


FIVE = [401.5, 402, 403, 404, 405]
TEXTS = {
    "Band 1 (401.5 Nanometers)": [f"Band {n} ({nm} Nanometers)" for n, nm in enumerate(FIVE, 1)],
    "401.5 nm": [f"{nm} nm" for nm in FIVE],
    "0.4015 µm": [f"{nm / 1e3} µm" for nm in FIVE],
    "401.5": [str(nm) for nm in FIVE],
}


@pytest.mark.parametrize("name", TEXTS)
def test_descriptions_of_bands(tmp_path, name):
    path = geotiff(tmp_path / "x.tif")
    with rasterio.open(path, "r+") as file:
        file.descriptions = TEXTS[name]
    cube = open_cube(path)
    np.testing.assert_allclose(cube.wavelengths, FIVE)
    assert cube.wavelengths_from == "the descriptions of the bands"


@pytest.mark.parametrize("ns", [None, "ENVI"])
def test_lists_in_tags_of_the_file(tmp_path, ns):
    path = geotiff(tmp_path / "x.tif")
    with rasterio.open(path, "r+") as file:
        listed = ", ".join(str(nm / 1e3) for nm in FIVE)
        file.update_tags(
            ns=ns,
            wavelength=f"{{{listed}}}",
            fwhm="{0.01, 0.01, 0.01, 0.01, 0.01}",
            wavelength_units="Micrometers",
            bbl="{1, 1, 0, 1, 1}",
        )
    cube = open_cube(path)
    np.testing.assert_allclose(cube.wavelengths, FIVE)
    np.testing.assert_allclose(cube.fwhm, 10)
    np.testing.assert_array_equal(cube.good_bands, [0, 1, 3, 4])


def test_what_gdal_makes_of_an_envi_file(tmp_path):
    header = f"wavelength units = Nanometers\nwavelength = {{{', '.join(map(str, FIVE))}}}\n"
    (tmp_path / "x.img").write_bytes(STACK.tobytes())
    (tmp_path / "x.hdr").write_text(
        "ENVI\nsamples = 9\nlines = 7\nbands = 5\ndata type = 2\ninterleave = bsq\n"
        f"byte order = 0\n{header}data gain values = {{2, 2, 2, 2, 2}}\n"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rasterio.shutil.copy(tmp_path / "x.img", tmp_path / "y.tif", driver="GTiff")
    cube, other = open_cube(tmp_path / "y.tif"), open_cube(tmp_path / "x.hdr")
    np.testing.assert_array_equal(cube.wavelengths, other.wavelengths)
    np.testing.assert_array_equal(cube.clean(), other.clean())
    np.testing.assert_array_equal(cube.clean(), 2 * CUBE.astype(np.float32))


def test_a_header_beside_a_tiff(tmp_path):
    path = geotiff(tmp_path / "x.tif")
    header = (
        f"ENVI\nsamples = 9\nlines = 7\nbands = 5\nwavelength = {{{', '.join(map(str, FIVE))}}}\n"
        "fwhm = {5, 5, 5, 5, 5}\nbbl = {1, 1, 0, 1, 1}\nreflectance scale factor = 100\n"
    )
    (tmp_path / "x.hdr").write_text(header)
    cube = open_cube(path)
    np.testing.assert_array_equal(cube.wavelengths, FIVE)
    assert cube.wavelengths_from == "the field 'wavelength' of x.hdr"
    np.testing.assert_array_equal(cube.good_bands, [0, 1, 3, 4])
    want = (CUBE[..., cube.good_bands] / 100).astype(np.float32)
    want[CUBE[..., cube.good_bands] == -9] = np.nan
    np.testing.assert_allclose(cube.clean(), want, rtol=1e-7)
    (tmp_path / "x.hdr").write_text(header.replace("lines = 7", "lines = 8"))
    assert open_cube(path).wavelengths is None
    (tmp_path / "x.hdr").write_text(header)
    (tmp_path / "x.img").write_bytes(b"")
    assert open_cube(path).wavelengths is None


def test_bands_of_which_some_state_no_centre_are_reported(tmp_path):
    path = geotiff(tmp_path / "x.tif", tags=lambda b: {"wavelength": 400 + b} if b > 1 else {})
    assert open_cube(path).assumptions == (
        f"{path}: 4 of 5 bands have a tag 'wavelength': not read",
    )


def test_the_scale_of_gdal(tmp_path):
    path = geotiff(tmp_path / "x.tif", nodata=None)
    with rasterio.open(path, "r+") as file:
        file.scales = [1e-4, 2, 1, 1, 1]
        file.offsets = [-0.1, 0, 0, 5, 0]
        scales, offsets = np.array(file.scales), np.array(file.offsets)
    cube = open_cube(path)
    want = (CUBE * scales + offsets).astype(np.float32)
    np.testing.assert_array_equal(cube.clean(), want)
    np.testing.assert_array_equal(cube.clean(slice(2, 4), slice(1, 3)), want[2:4, 1:3])
    stored = open_cube(path, reading=Reading(scale="stored")).clean()
    assert stored.dtype == np.int16
    np.testing.assert_array_equal(stored, CUBE)


def test_the_mask_of_the_file(tmp_path):
    path = geotiff(tmp_path / "x.tif", nodata=None)
    valid = RNG.random((7, 9)) > 0.5
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(valid)
    cube = open_cube(path)
    assert (cube.shape[2], cube.valid_from) == (5, "the mask of the TIFF file")
    np.testing.assert_array_equal(cube.valid(slice(1, 6), slice(2, 9, 3)), valid[1:6, 2:9:3])
    assert open_cube(geotiff(tmp_path / "y.tif")).valid is None


def test_an_alpha_band_is_no_band(tmp_path):
    alpha = np.where(RNG.random((7, 9)) > 0.5, 65535, 0).astype(np.uint16)
    stored = np.concatenate([STACK.astype(np.uint16), alpha[None]])
    path = tmp_path / "x.tif"
    tifffile.imwrite(
        path, stored, planarconfig="separate", photometric="minisblack", extrasamples=[0] * 4 + [2]
    )
    cube = open_cube(path)
    assert (cube.shape[2], cube.valid_from) == (5, "its alpha band")
    np.testing.assert_array_equal(cube.array, CUBE.astype(np.uint16))
    np.testing.assert_array_equal(cube.valid(slice(None), slice(None)), alpha > 0)


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": {"axes": "TCYX"}},
        {"metadata": None, "description": "ImageJ=1.53\nimages=6\nchannels=3\nframes=2\n"},
        {"metadata": None, "description": '<OME><Pixels SizeC="3" SizeT="2" SizeZ="1"/></OME>'},
    ],
)
def test_pages_of_several_cubes(tmp_path, options):
    path = tmp_path / "two.tif"
    array = np.arange(2 * 3 * 6 * 5, dtype=np.uint16).reshape(2, 3, 6, 5)
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    with pytest.raises(DataError) as caught:
        open_cube(path)
    assert caught.value.what in (
        f"{path} holds 2 x 3 images: these are several cubes",
        f"{path} holds 3 x 2 images: these are several cubes",
    )
    assert caught.value.fix.startswith("save one cube in a file, or write axes: CHW")
    assert open_cube(path, reading=Reading(axes="CHW")).shape == (6, 5, 6)


def test_band_names_of_an_envi_header_that_gdal_kept(tmp_path):
    path = tmp_path / "named.tif"
    place = rasterio.Affine(30, 0, 0, 0, -30, 0)
    with rasterio.open(path, "w", "GTiff", 3, 4, 3, dtype="uint16", transform=place) as file:
        file.write(np.zeros((3, 4, 3), np.uint16))
        file.update_tags(**{f"Band_{n}": f"Band {n} (0.{n + 3} Micrometers)" for n in (1, 2, 3)})
    cube = open_cube(path)
    np.testing.assert_allclose(cube.wavelengths, [400, 500, 600])
    assert cube.wavelengths_from == "the tag 'band names'"
