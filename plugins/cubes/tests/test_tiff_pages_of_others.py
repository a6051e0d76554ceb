"""Pages of TIFF files that differ in more than their pixels."""

import numpy as np
import pytest
import tifffile

from specloom import DataError
from specloom_cubes import Reading, open_cube

PAGES = np.arange(1, 91, dtype=np.uint16).reshape(3, 5, 6)
SCALES = (0.5, 2.0, 1.0)
OFFSETS = (0.0, -1.0, 3.0)
ITEM = '<Item name="{0}" sample="{1}" role="{2}">{3}</Item>'


def metadata(scale, offset, sample=0):
    """GDAL's metadata of a page, as a tag for tifffile."""
    items = ITEM.format("SCALE", sample, "scale", scale)
    items += ITEM.format("OFFSET", sample, "offset", offset)
    text = f"<GDALMetadata>{items}</GDALMetadata>"
    return [(42112, 2, len(text) + 1, text, True)]


def write(path, pages, tags):
    with tifffile.TiffWriter(path) as file:
        for page, extra in zip(pages, tags, strict=True):
            file.write(page, metadata=None, extratags=extra, contiguous=False)
    return path


def test_each_page_has_its_own_scale(tmp_path):
    tags = [metadata(*pair) for pair in zip(SCALES, OFFSETS, strict=True)]
    cube = open_cube(write(tmp_path / "x.tif", PAGES, tags))
    want = PAGES.transpose(1, 2, 0) * np.array(SCALES) + np.array(OFFSETS)
    np.testing.assert_allclose(cube.clean(), want.astype(np.float32))
    np.testing.assert_array_equal(cube.array, PAGES.transpose(1, 2, 0))
    assert cube.scale_from == "the scales and offsets of the bands"


def test_a_page_without_a_scale_has_that_of_its_stored_values(tmp_path):
    tags = [metadata(0.5, 1.0), [], metadata(7, 7, sample=1)]
    cube = open_cube(write(tmp_path / "x.tif", PAGES, tags))
    np.testing.assert_array_equal(cube.gains, [0.5, 1, 1])
    np.testing.assert_array_equal(cube.offsets, [1, 0, 0])
    plain = open_cube(write(tmp_path / "plain.tif", PAGES, [[], [], []]))
    assert plain.scale_from == ""
    assert plain.clean().dtype == np.uint16


def test_pages_that_are_rows_have_one_scale(tmp_path):
    rows = PAGES.transpose(1, 2, 0)
    path = tmp_path / "x.tif"

    def written(tags):
        with tifffile.TiffWriter(path) as file:
            for page, extra in zip(rows, tags, strict=True):
                file.write(page, metadata=None, extratags=extra, contiguous=False)
        return path

    reading = Reading(axes="HWC")
    cube = open_cube(written([metadata(0.5, 1)] * 5), reading=reading)
    np.testing.assert_array_equal(cube.clean(), rows * 0.5 + 1)
    with pytest.raises(DataError) as caught:
        open_cube(written([metadata(0.5, 1), [], [], [], []]), reading=reading)
    assert str(caught.value) == (
        f"{path} has pages of different scales, and its pages are no bands\n"
        "  fix: write axes: CHW if they are, or save the cube with one scale"
    )


def test_pages_of_different_types_are_an_error(tmp_path):
    pages = [PAGES[0], PAGES[1] + np.float32(0.25), PAGES[2]]
    path = write(tmp_path / "x.tif", pages, [[], [], []])
    with pytest.raises(DataError) as caught:
        open_cube(path)
    assert str(caught.value) == (
        f"{path} holds 3 pages of different types (float32, uint16)\n"
        "  fix: save all pages with one type"
    )
