"""Which axis has the bands: by the user, names, vectors and planes, and what is assumed without."""

from itertools import permutations

import h5py
import numpy as np
import pytest
import scipy.io

from specloom import DataError
from specloom_cubes.cube import Reading
from specloom_cubes.formats import open_cube
from specloom_cubes.formats.variable import Variable
from specloom_cubes.rules.axes import Evidence, cube_axes, find_axes, order_of_names

H, W, C = 6, 5, 4
CUBE = np.random.default_rng(0).integers(0, 900, (H, W, C)).astype(np.int16)
NM = np.array([400.0, 500.0, 600.0, 700.0])
MASK = np.zeros((H, W), np.uint8)
ORDERS = ["".join(order) for order in permutations("HWC")]


def stored(order):
    return CUBE.transpose(["HWC".index(kind) for kind in order])


def save_hdf5(path, array, **others):
    with h5py.File(path, "w") as file:
        file["cube"] = array
        for name, values in others.items():
            file[name] = values


def save_mat(path, array, **others):
    scipy.io.savemat(path, {"cube": array, **others})


def save_npz(path, array, **others):
    np.savez(path, cube=array, **others)


FORMATS = pytest.mark.parametrize(
    ("save", "name"), [(save_hdf5, "x.h5"), (save_mat, "x.mat"), (save_npz, "x.npz")]
)


def save_mat73(path, array):
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("cube", data=array.T).attrs["MATLAB_class"] = np.bytes_("int16")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("save", "name"),
    [
        (save_hdf5, "x.h5"),
        (save_mat, "x.mat"),
        (save_mat73, "x.mat"),
        (save_npz, "x.npz"),
        (np.save, "x.npy"),
    ],
)
def test_the_user_states_the_order(tmp_path, save, name, order):
    save(tmp_path / name, stored(order))
    cube = open_cube(tmp_path / name, reading=Reading(axes=order))
    assert cube.shape == (H, W, C)
    assert cube.assumptions == ()
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.read(slice(1, 5, 2), slice(2, 4)), CUBE[1:5:2, 2:4])


@FORMATS
@pytest.mark.parametrize("order", ["HWC", "HCW", "CHW"])
def test_the_band_centres_settle_it(tmp_path, save, name, order):
    save(tmp_path / name, stored(order), wavelength=NM)
    cube = open_cube(tmp_path / name)
    assert cube.assumptions == ()
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.wavelengths, NM)
    assert cube.wavelengths_from == "wavelength"


@FORMATS
@pytest.mark.parametrize("vector", ["fwhm", "bbl", "band_names"])
def test_another_vector_of_the_bands_settles_it(tmp_path, save, name, vector):
    save(tmp_path / name, stored("CHW"), **{vector: np.ones(C)})
    cube = open_cube(tmp_path / name)
    assert cube.assumptions == ()
    np.testing.assert_array_equal(cube.array, CUBE)


@FORMATS
def test_a_mask_settles_the_last_axis(tmp_path, save, name):
    save(tmp_path / name, CUBE, gt=MASK)
    cube = open_cube(tmp_path / name)
    assert cube.assumptions == ()
    np.testing.assert_array_equal(cube.array, CUBE)


@FORMATS
def test_a_mask_settles_the_first_axis_and_this_is_said(tmp_path, save, name):
    save(tmp_path / name, stored("CHW"), gt=MASK)
    cube = open_cube(tmp_path / name)
    np.testing.assert_array_equal(cube.array, CUBE)
    assert cube.assumptions == (
        "the bands of cube (4 x 6 x 5) are assumed to lie along its first axis, as other arrays of "
        "the file have the size of the rest; write axes: HWC, CHW or HCW (H rows, W columns, "
        "C bands)",
    )


@FORMATS
@pytest.mark.parametrize("plane", ["dark", "white_reference", "gain"])
def test_a_reference_of_a_line_camera_settles_nothing(tmp_path, save, name, plane):
    save(tmp_path / name, CUBE, **{plane: np.zeros((W, C), np.uint16)})
    cube = open_cube(tmp_path / name)
    assert cube.shape == (H, W, C)
    assert "its last axis, as nothing in the file says which" in cube.assumptions[0]


@FORMATS
@pytest.mark.parametrize("order", ["HWC", "HCW", "CHW"])
def test_coordinates_settle_it(tmp_path, save, name, order):
    save(tmp_path / name, stored(order), x=np.arange(W), y=np.arange(H))
    cube = open_cube(tmp_path / name)
    assert cube.assumptions == ()
    np.testing.assert_array_equal(cube.array, CUBE)


@FORMATS
def test_what_nothing_settles_is_said(tmp_path, save, name):
    save(tmp_path / name, stored("CHW"))
    cube = open_cube(tmp_path / name)
    assert cube.shape == (C, H, W)
    assert cube.assumptions == (
        "the bands of cube (4 x 6 x 5) are assumed to lie along its last axis, as nothing in the "
        "file says which; write axes: HWC, CHW or HCW (H rows, W columns, C bands)",
    )


def test_what_nothing_settles_in_an_npy_file_is_said(tmp_path):
    np.save(tmp_path / "x.npy", CUBE)
    (said,) = open_cube(tmp_path / "x.npy").assumptions
    assert said.startswith("the bands of the array (6 x 5 x 4) are assumed to lie along its last")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "names",
    [
        {"H": "y", "W": "x", "C": "bands"},
        {"H": "downtrack", "W": "crosstrack", "C": "wavelength"},
        {"H": "number_of_lines", "W": "number_of_samples", "C": "channel"},
        {"H": "lat", "W": "lon", "C": "phony_dim_2"},
        {"H": "phony_dim_0", "W": "x", "C": "band"},
    ],
)
def test_the_names_of_dimensions_settle_it(tmp_path, order, names):
    with h5py.File(tmp_path / "x.nc", "w") as file:
        data = file.create_dataset("reflectance", data=stored(order))
        for axis, kind in enumerate(order):
            name = names[kind]
            scale = file.create_dataset(name, (data.shape[axis],), "f4")
            scale.make_scale(f"This is a netCDF dimension but not a netCDF variable. {axis}")
            data.dims[axis].attach_scale(scale)
    cube = open_cube(tmp_path / "x.nc")
    assert cube.assumptions == ()
    np.testing.assert_array_equal(cube.array, CUBE)
    assert cube.wavelengths is None


@pytest.mark.parametrize("order", ["HWC", "HCW", "CHW"])
def test_labels_and_attributes_settle_it(tmp_path, order):
    names = {"H": "Line", "W": "Sample", "C": "Wavelength"}
    interleave = {"HWC": "BIP", "HCW": "BIL", "CHW": "BSQ"}[order]
    for file_name, attribute in {"a.h5": "", "b.h5": "Dimension_Labels", "c.h5": "x"}.items():
        with h5py.File(tmp_path / file_name, "w") as file:
            data = file.create_dataset("cube", data=stored(order))
            if attribute == "Dimension_Labels":
                data.attrs[attribute] = ", ".join(names[kind] for kind in order)
            elif attribute:
                data.attrs["interleave"] = interleave
            else:
                for axis, kind in enumerate(order):
                    data.dims[axis].label = names[kind]
        cube = open_cube(tmp_path / file_name)
        assert cube.assumptions == ()
        np.testing.assert_array_equal(cube.array, CUBE)


@FORMATS
@pytest.mark.parametrize(("shape", "axis"), [((1, H, W, C), 1), ((H, W, C, 1), 4)])
def test_a_fourth_axis_of_length_1_is_left_out_and_this_is_said(tmp_path, save, name, shape, axis):
    if name == "x.mat" and axis == 4:
        return  # MATLAB itself drops it
    save(tmp_path / name, CUBE.reshape(shape), wavelength=NM)
    cube = open_cube(tmp_path / name)
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.read(slice(1, 3), slice(0, 2)), CUBE[1:3, :2])
    text = " x ".join(map(str, shape))
    assert cube.assumptions == (
        f"cube {text} int16 has 4 axes, of which axis {axis} of length 1 is dropped; "
        "save the cube with three axes",
    )


def test_the_axis_of_the_time_is_the_one_left_out():
    labels = ("band", "time", "y", "x")
    variable = Variable("v", (1, 1, 6, 5), np.dtype("f4"), labels=labels)
    assert cube_axes(variable) == (0, 2, 3)
    unlabelled = Variable("v", (1, 1, 6, 5), np.dtype("f4"))
    assert cube_axes(unlabelled) == (1, 2, 3)
    assert cube_axes(Variable("v", (2, 2, 6, 5), np.dtype("f4"))) is None
    assert cube_axes(Variable("v", (6, 5), np.dtype("f4"))) is None


def test_centres_on_either_of_two_axes(tmp_path):
    variable = Variable("a", (5, 5, 4), np.dtype("f4"))
    evidence = Evidence(centres={"wl": 5})
    with pytest.raises(DataError, match="may lie along its first axis or its second") as error:
        find_axes(tmp_path / "x.h5", variable, evidence)
    assert error.value.fix == "write axes: HWC, CHW or HCW (H rows, W columns, C bands)"
    plane = Variable("gt", (5, 4), np.dtype("u1"))
    found = find_axes(tmp_path / "x.h5", variable, Evidence([plane], {"wl": 5}))
    assert found.size == (5, 4, 5)


def test_a_product_that_does_not_fit_its_centres_is_read_by_these(tmp_path):
    variable = Variable("a", (6, 5, 4), np.dtype("f4"))
    found = find_axes(tmp_path / "x.h5", variable, Evidence(centres={"wl": 4}, order="HCW"))
    assert found.size == (6, 5, 4)
    found = find_axes(tmp_path / "x.h5", variable, Evidence(centres={"wl": 5}, order="HCW"))
    assert found.size == (6, 4, 5)


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("y", "x", "band"), "HWC"),
        (("bands", "lat", "lon"), "CHW"),
        (("rows", "spectral_channel", "columns"), "HCW"),
        (("time", "y", "x"), "CHW"),
        (("", "", "band"), "HWC"),
        (("x", "x", "band"), ""),
        (("a", "b", "d"), ""),
        (("y", "x"), ""),
    ],
)
def test_orders_by_names(names, order):
    assert order_of_names(names) == order


MATRICES = [
    ("HWC", False, lambda cube: cube.reshape(-1, C)),
    ("CHW", False, lambda cube: cube.reshape(-1, C).T),
    ("WHC", True, lambda cube: cube.transpose(1, 0, 2).reshape(-1, C)),
    ("CWH", True, lambda cube: cube.transpose(1, 0, 2).reshape(-1, C).T),
]


@pytest.mark.parametrize(("axes", "by_columns", "unfold"), MATRICES)
@pytest.mark.parametrize(
    ("save", "name"),
    [(save_hdf5, "x.h5"), (save_mat, "x.mat"), (save_npz, "x.npz"), (np.save, "x.npy")],
)
def test_a_matrix_of_pixels(tmp_path, save, name, axes, by_columns, unfold):
    save(tmp_path / name, unfold(CUBE))
    cube = open_cube(tmp_path / name, reading=Reading(axes=axes, shape=(H, W)))
    assert cube.assumptions == ()
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.read(slice(1, 5, 2), slice(2, 4)), CUBE[1:5:2, 2:4])
    assert cube.read(slice(2, 2), slice(0, 3)).shape == (0, 3, C)
    # Without axes MATLAB's order is assumed for its files, NumPy's for others.
    assumed = open_cube(tmp_path / name, reading=Reading(shape=(H, W)))
    if by_columns == (name == "x.mat"):
        np.testing.assert_array_equal(assumed.array, CUBE)
    order = "column by column" if name == "x.mat" else "row by row"
    assert f"assumed to follow each other {order}; write axes: " in assumed.assumptions[0]


def test_matrices_that_do_not_fit(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((30, 30), "u1"))
    with pytest.raises(DataError, match="may lie along either axis"):
        open_cube(tmp_path / "x.npy", reading=Reading(shape=(H, W)))
    with pytest.raises(DataError, match="has no axis of 7 x 5 = 35 pixels") as error:
        open_cube(tmp_path / "x.npy", reading=Reading(shape=(7, 5)))
    assert error.value.fix == "write the rows and columns of the image: shape: [rows, columns]"
    with pytest.raises(DataError, match="axes HCW does not fit") as error:
        open_cube(tmp_path / "x.npy", reading=Reading(axes="HCW", shape=(H, W)))
    assert error.value.fix.startswith("use HWC for a matrix of pixels x bands")
    np.save(tmp_path / "y.npy", CUBE)
    with pytest.raises(DataError, match="not a matrix of pixels") as error:
        open_cube(tmp_path / "y.npy", reading=Reading(shape=(H, W)))
    assert error.value.fix == "remove shape"
    np.save(tmp_path / "z.npy", np.zeros((30, 4)))
    with pytest.raises(DataError, match="not a cube") as error:
        open_cube(tmp_path / "z.npy")
    assert "for a matrix of pixels write shape: [rows, columns]" in error.value.fix
