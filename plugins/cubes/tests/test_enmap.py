"""EnMAP: the metadata beside a spectral image."""

import numpy as np
import pytest
import rasterio

from specloom import DataError
from specloom_cubes.formats import open_cube
from specloom_cubes.formats.enmap import vectors_beside
from specloom_cubes.rules.spectrum import find_spectrum

NM = np.array([418.416, 424.043, 429.457, 434.686])
NAME = "ENMAP01-____L2A-DT0000001280_20220627T104012Z_010_V010303"


def metadata(folder, centres=NM, ending="METADATA.XML"):
    bands = "".join(
        f'<bandID number="{number}"><wavelengthCenterOfBand>{centre}</wavelengthCenterOfBand>'
        "<FWHMOfBand>6.99</FWHMOfBand><GainOfBand>0.0001</GainOfBand><OffsetOfBand>0</OffsetOfBand>"
        "</bandID>"
        for number, centre in enumerate(centres, 1)
    )
    text = (
        f"<level_X><specific><bandCharacterisation>{bands}</bandCharacterisation></specific>"
        "</level_X>"
    )
    (folder / f"{NAME}-{ending}").write_text(text)


@pytest.mark.parametrize("ending", ["METADATA.XML", "metadata.xml"])
@pytest.mark.parametrize("image", ["SPECTRAL_IMAGE.TIF", "SPECTRAL_IMAGE_COG.tiff"])
def test_centres_and_widths(tmp_path, ending, image):
    metadata(tmp_path, ending=ending)
    vectors = vectors_beside(tmp_path / f"{NAME}-{image}")
    found = find_spectrum([list(vectors.values())], 4, "x")
    np.testing.assert_array_equal(found.centres, NM)
    np.testing.assert_array_equal(found.widths, np.full(4, 6.99))


def test_what_has_no_metadata(tmp_path):
    assert vectors_beside(tmp_path / f"{NAME}-SPECTRAL_IMAGE.TIF") == {}
    metadata(tmp_path)
    assert vectors_beside(tmp_path / f"{NAME}-QL_QUALITY_CLASSES.TIF") == {}


@pytest.mark.parametrize("text", ["", "<level_X>", "<a/>" * 2, "<a><specific>"])
def test_damaged_metadata(tmp_path, text):
    (tmp_path / f"{NAME}-METADATA.XML").write_text(text)
    with pytest.raises(DataError, match="cannot be read") as error:
        vectors_beside(tmp_path / f"{NAME}-SPECTRAL_IMAGE.TIF")
    assert error.value.fix == "copy the product again"


def test_centres_that_are_no_numbers(tmp_path):
    metadata(tmp_path, ["x", 1, 2, 3])
    with pytest.raises(DataError, match="could not convert string to float"):
        vectors_beside(tmp_path / f"{NAME}-SPECTRAL_IMAGE.TIF")


def test_a_spectral_image(tmp_path):
    metadata(tmp_path)
    stored = np.arange(120, dtype=np.int16).reshape(4, 6, 5)
    options = {"width": 5, "height": 6, "count": 4, "dtype": "int16", "nodata": -32768}
    grid = rasterio.Affine(30, 0, 5e5, 0, -30, 5e6)
    image = tmp_path / f"{NAME}-SPECTRAL_IMAGE.TIF"
    with rasterio.open(image, "w", transform=grid, crs="EPSG:32633", **options) as file:
        file.write(stored)
    cube = open_cube(image)
    np.testing.assert_array_equal(cube.wavelengths, NM)
    np.testing.assert_array_equal(cube.fwhm, np.full(4, 6.99))
    assert cube.wavelengths_from == f"{NAME}-METADATA.XML/wavelengthCenterOfBand"
    np.testing.assert_allclose(cube.clean(), stored.transpose(1, 2, 0) * 1e-4, rtol=1e-6)
    assert cube.scale_from == f"GainOfBand and OffsetOfBand of {NAME}-METADATA.XML"
    metadata(tmp_path, NM[:3])
    assert open_cube(image).wavelengths is None
