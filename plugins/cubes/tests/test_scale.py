"""The scale that files state, against the definitions of CF, ENVI and NEON."""

import numpy as np
import pytest

from specloom import DataError
from specloom_cubes.rules.scale import from_attributes, from_envi, from_geotiff


def test_cf_attributes_multiply_and_add():
    scaling = from_attributes({"scale_factor": np.float32(2e-6), "add_offset": [0.05]}, 3, "x.nc")
    np.testing.assert_allclose(scaling.gains, np.float32(2e-6))
    np.testing.assert_array_equal(scaling.offsets, [0.05] * 3)
    assert scaling.source == "the attribute 'scale_factor' and the attribute 'add_offset'"


def test_the_attribute_of_neon_divides():
    scaling = from_attributes({"Scale_Factor": np.array([10000.0])}, 2, "x.h5")
    np.testing.assert_array_equal(scaling.gains, [1e-4] * 2)
    assert scaling.offsets is None


def test_the_reflectance_scale_factor_divides():
    scaling = from_envi({"reflectance scale factor": np.array([10000.0])}, 2, "x.hdr")
    np.testing.assert_array_equal(scaling.gains, [1e-4] * 2)
    assert scaling.source == "the field 'reflectance scale factor'"


def test_gains_count_before_the_reflectance_scale_factor():
    fields = {
        "data gain values": np.array([0.5, 2.0]),
        "data offset values": np.array([-1.0, 0.0]),
        "reflectance scale factor": np.array([100.0]),
    }
    scaling = from_envi(fields, 2, "x.hdr")
    np.testing.assert_array_equal(scaling.gains, [0.5, 2])
    np.testing.assert_array_equal(scaling.offsets, [-1, 0])
    assert "'reflectance scale factor' is not" in scaling.notes[0]


def test_scales_of_bands():
    scaling = from_geotiff((1e-4, 1e-4), (0.0, 0.0), "x.tif")
    np.testing.assert_array_equal(scaling.gains, [1e-4] * 2)
    assert scaling.offsets is None


def test_a_scale_that_changes_nothing_is_none():
    assert from_geotiff((1.0, 1.0), (0.0, 0.0), "x.tif") is None
    assert from_envi({"reflectance scale factor": np.array([1.0])}, 2, "x.hdr") is None
    assert from_attributes({"units": "1"}, 2, "x.h5") is None


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"scale_factor": [1.0, 2.0]}, "the attribute 'scale_factor': 2 values for 3 bands"),
        ({"scale_factor": np.nan}, "the attribute 'scale_factor': a value is not finite"),
        ({"scale_factor": 0}, "the attribute 'scale_factor': a gain is 0"),
        ({"add_offset": "much"}, "the attribute 'add_offset': 'much' is no number"),
        ({"Scale_Factor": -1.0}, "'Scale_Factor' is -1"),
    ],
)
def test_scales_that_cannot_be_used(attributes, message):
    with pytest.raises(DataError) as error:
        from_attributes(attributes, 3, "x.h5")
    assert error.value.what == message
    assert error.value.where == "x.h5"
    assert error.value.fix
