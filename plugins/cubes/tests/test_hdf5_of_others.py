"""HDF5 files as other programs write them."""

import h5py
import numpy as np
import pytest

from specloom import DataError
from specloom_cubes import open_cube

CUBE = np.arange(120, dtype=np.uint16).reshape(5, 4, 6)


def write(path, **attributes):
    with h5py.File(path, "w") as file:
        data = file.create_dataset("cube", data=CUBE)
        data.attrs["interleave"] = "bip"
        for key, value in attributes.items():
            data.attrs[key] = value
    return path


@pytest.mark.parametrize("value", ["0", b"0", 0, [0.0], np.array(["0"], "S1")])
def test_no_data_as_text_or_number(tmp_path, value):
    cube = open_cube(write(tmp_path / "x.h5", _FillValue=value))
    assert cube.ignore_value == 0
    assert np.isnan(cube.clean()[0, 0, 0])
    assert cube.assumptions == ()


def test_several_values_for_no_data_are_noted(tmp_path):
    cube = open_cube(write(tmp_path / "x.h5", _FillValue=65535, missing_value=0))
    assert cube.ignore_value == 65535
    assert cube.assumptions == (
        "/cube states several values for \"no data\" ('_FillValue' 65535, 'missing_value' 0): "
        "'_FillValue' is used",
    )
    assert open_cube(write(tmp_path / "y.h5", _FillValue=0, nodata=0.0)).assumptions == ()


def test_a_cube_behind_a_link_to_another_file(tmp_path):
    write(tmp_path / "other.h5")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["scene"] = h5py.ExternalLink("other.h5", "cube")
    with pytest.raises(DataError) as caught:
        open_cube(tmp_path / "x.h5")
    assert str(caught.value) == (
        f"{tmp_path / 'x.h5'}: the values of scene lie in other files\n"
        "  fix: save them in the file itself, for example with h5repack"
    )
