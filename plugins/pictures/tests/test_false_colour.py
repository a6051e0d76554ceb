"""Cubes in false colours."""

import numpy as np
import pytest

from specloom import DataError
from specloom_pictures import false_colour


def test_bands_of_visible_light_are_shown_and_unknown_centres_are_not_chosen():
    centres = np.array([np.nan, 460.0, 500, 550, 600, 640, 900])
    cube = np.zeros((1, 2, 7))
    for band in range(7):
        cube[0, 1, band] = band
        cube[0, 0, band] = -band
    cube[:, :, [0, 2, 4, 6]] = 0  # a band that does not vary is grey
    shown = false_colour(cube, centres)
    assert shown.tolist() == [[[0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_grey(value):
    cube = np.arange(12.0).reshape(2, 2, 3)
    cube[0, 1] = value
    shown = false_colour(cube)
    assert shown[0, 1].tolist() == [128, 128, 128]
    assert shown[0, 0].tolist() == [0, 0, 0]
    assert shown[1, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("shape", "centres", "message"),
    [
        (
            (4, 5),
            None,
            "the values have the shape (4, 5), which is no cube\n  fix: pass rows, columns and "
            "bands",
        ),
        (
            (4, 5, 0),
            None,
            "the values have the shape (4, 5, 0), which is no cube\n  fix: pass rows, columns and "
            "bands",
        ),
        (
            (4, 5, 2),
            [500.0],
            "there are 1 wavelengths for 2 bands\n  fix: pass one wavelength for each band, or "
            "none",
        ),
    ],
)
def test_what_is_no_cube_is_an_error(shape, centres, message):
    with pytest.raises(DataError) as caught:
        false_colour(np.zeros(shape), centres)
    assert str(caught.value) == message
