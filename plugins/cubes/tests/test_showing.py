"""``specloom_cubes.open``: what a cube prints, shows, and gives to xarray."""

import builtins

import numpy as np
import pytest
import rasterio

import specloom_cubes
from specloom import DataError, UnavailableError
from specloom_cubes import Cube, array_cube
from specloom_cubes.showing import mean_spectrum, thinned


def scene(tmp_path):
    values = np.random.default_rng(0).normal(100, 9, (40, 50, 7)).astype(np.float32)
    values[0, 0] = np.nan
    file = tmp_path / "scene.npz"
    np.savez(file, cube=values, wavelengths=np.linspace(430, 910, 7))
    return file, values


def test_it_opens_without_reading(tmp_path):
    file, values = scene(tmp_path)
    cube = specloom_cubes.open(file)
    assert isinstance(cube, Cube)
    assert repr(cube) == "Cube('scene.npz': 40 x 50 pixels, 7 bands, 430 to 910 nm, float32, NPZ)"
    np.testing.assert_array_equal(cube.wavelengths, np.linspace(430, 910, 7))
    np.testing.assert_array_equal(cube.clean(), values)
    np.save(tmp_path / "bands_first.npy", np.moveaxis(values, 2, 0))
    turned = specloom_cubes.open(tmp_path / "bands_first.npy", axes="CHW")
    np.testing.assert_array_equal(turned.clean(), values)
    with pytest.raises(DataError, match="there is no file"):
        specloom_cubes.open(tmp_path / "none.npy")


def test_an_array_is_a_cube():
    cube = array_cube(np.zeros((3, 4, 2)), name="mine")
    assert repr(cube) == "Cube('mine': 3 x 4 pixels, 2 bands, float64, array)"
    wrong = {
        "the array has the shape (3, 4), where (H, W, C) with pixels is needed\n"
        "  fix: pass rows, columns and bands, in this order": {"values": np.zeros((3, 4))},
        "the array has 2 bands, and 3 wavelengths\n"
        "  fix: pass one wavelength in nm for each band": {"wavelengths": [1.0, 2.0, 3.0]},
        "valid has the shape (4, 3), the array has (3, 4) pixels\n"
        "  fix: pass valid of the rows and columns of the cube": {"valid": np.ones((4, 3), bool)},
    }
    for message, arguments in wrong.items():
        with pytest.raises(DataError) as caught:
            array_cube(**{"values": np.zeros((3, 4, 2)), **arguments})
        assert str(caught.value) == message


def test_notebooks_show_a_picture_and_the_mean_spectrum(tmp_path):
    file, _ = scene(tmp_path)
    html = specloom_cubes.open(file.rename(tmp_path / "<b>.npz"))._repr_html_()
    assert "<b>" not in html.replace("<b>.npz", "") or "&lt;b&gt;" in html
    assert 'src="data:image/png;base64,' in html
    assert "<polyline" in html
    assert "910 nm" in html


def test_the_mean_is_that_of_finite_pixels(tmp_path):
    file, values = scene(tmp_path)
    expected = values.reshape(-1, 7)[1:].mean(0, dtype=np.float64)
    np.testing.assert_allclose(mean_spectrum(thinned(specloom_cubes.open(file))), expected, 1e-6)
    large = array_cube(np.arange(30.0 * 20 * 2).reshape(30, 20, 2))
    np.testing.assert_array_equal(thinned(large, 10), large.array[::3, ::3])
    assert "no pixel is finite" in array_cube(np.full((2, 2, 3), np.nan))._repr_html_()


def test_a_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    from matplotlib import pyplot as plt

    figure = specloom_cubes.open(scene(tmp_path)[0]).show()
    titles = [one.get_title() for one in figure.axes]
    assert titles == ["scene.npz, false colour", "mean spectrum"]
    plt.close(figure)
    monkeypatch.setattr("specloom_cubes.showing.Plugins.first_answer", lambda *_, **__: None)
    with pytest.raises(UnavailableError) as caught:
        array_cube(np.zeros((2, 2, 3))).show()
    assert str(caught.value) == (
        "no plugin draws cubes\n"
        "  fix: run: specloom plugins add pictures, or: pip install specloom-pictures"
    )


def test_xarray_has_the_coordinates_of_the_map(tmp_path):
    pytest.importorskip("xarray")
    file, values = scene(tmp_path)
    array = specloom_cubes.open(file).to_xarray()
    assert array.dims == ("y", "x", "band")
    assert array.wavelength.attrs["units"] == "nm"
    np.testing.assert_array_equal(array.values, values)
    transform = rasterio.Affine(10, 0, 500, 0, -10, 900)
    with rasterio.open(
        tmp_path / "map.tif",
        "w",
        driver="GTiff",
        height=40,
        width=50,
        count=7,
        dtype="float32",
        crs="EPSG:32633",
        transform=transform,
    ) as tiff:
        tiff.write(np.moveaxis(values, 2, 0))
    on_map = specloom_cubes.open(tmp_path / "map.tif").to_xarray()
    np.testing.assert_allclose(on_map.x[:2], [505, 515])
    np.testing.assert_allclose(on_map.y[:2], [895, 885])
    assert "crs" in on_map.attrs


def test_packages_that_are_not_installed(tmp_path, monkeypatch):
    cube = specloom_cubes.open(scene(tmp_path)[0])
    import_module = builtins.__import__

    def without(name, *more):
        if name.partition(".")[0] in ("xarray", "matplotlib"):
            raise ImportError(name)
        return import_module(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnavailableError, match="to_xarray needs xarray, which is not installed"):
        cube.to_xarray()
    with pytest.raises(UnavailableError, match="a figure needs matplotlib, which is not installed"):
        cube.show()


def test_values_above_those_of_float32_are_shown_as_infinite():
    html = array_cube(np.full((5, 6, 3), 1e300))._repr_html_()
    assert "no pixel is finite" in html
