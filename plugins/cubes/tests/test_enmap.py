"""EnMAP: the metadata beside a spectral image."""

import numpy as np
import pytest

from specloom import DataError
from specloom_cubes.formats.enmap import vectors_beside
from specloom_cubes.rules.spectrum import find_spectrum

NM = np.array([418.416, 424.043, 429.457, 434.686])
NAME = "ENMAP01-____L2A-DT0000001280_20220627T104012Z_010_V010303"


def metadata(folder, centres=NM, ending="METADATA.XML"):
    bands = "".join(
        f'<bandID number="{number}"><wavelengthCenterOfBand>{centre}</wavelengthCenterOfBand>'
        "<FWHMOfBand>6.99</FWHMOfBand><GainOfBand>0.0001</GainOfBand></bandID>"
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
    found = find_spectrum([vectors_beside(tmp_path / f"{NAME}-{image}")], 4, "x")
    np.testing.assert_array_equal(found.centres, NM)
    np.testing.assert_array_equal(found.widths, np.full(4, 6.99))


def test_what_has_no_metadata(tmp_path):
    assert vectors_beside(tmp_path / f"{NAME}-SPECTRAL_IMAGE.TIF") == []
    metadata(tmp_path)
    assert vectors_beside(tmp_path / f"{NAME}-QL_QUALITY_CLASSES.TIF") == []


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
