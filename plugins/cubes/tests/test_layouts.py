"""Files of known products, made as these are: PRISMA, EMIT, NEON, Tanager; and their places."""

import h5py
import numpy as np
import pytest
from rasterio.crs import CRS

from specloom import DataError
from specloom_cubes.cube import Reading
from specloom_cubes.describe import describe
from specloom_cubes.formats import open_cube
from specloom_cubes.rules import georeference

H, W, C = 24, 20, 8
CUBE = np.random.default_rng(0).integers(0, 4000, (H, W, C)).astype(np.uint16)
NM = 400 + 50.0 * np.arange(C)
FIELDS = "HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields"


def prisma(path, centres=NM[::-1]):
    with h5py.File(path, "w") as file:
        file.attrs["List_Cw_Vnir"] = centres.astype("f4")
        file.attrs["List_Fwhm_Vnir"] = np.where(centres > 0, 11, 0).astype("f4")
        file.attrs["List_Cw_Swir"] = (NM[::-1] + 600).astype("f4")
        for name in ("VNIR_Cube", "SWIR_Cube"):
            file[f"{FIELDS}/{name}"] = CUBE.transpose(0, 2, 1)
        file[f"{FIELDS}/VNIR_PIXEL_L2_ERR_MATRIX"] = np.zeros((H, C, W), "u1")
    return path


def test_prisma(tmp_path):
    path = prisma(tmp_path / "p.he5")
    with pytest.raises(DataError) as error:
        open_cube(path)
    assert "SWIR_Cube 24 x 8 x 20 uint16" in error.value.what
    assert "VNIR_Cube 24 x 8 x 20 uint16" in error.value.what
    assert "ERR_MATRIX" not in error.value.what
    cube = open_cube(path, f"{FIELDS}/VNIR_Cube")
    assert (cube.interleave, cube.assumptions) == ("bil", ())
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.wavelengths, NM[::-1])
    np.testing.assert_array_equal(cube.fwhm, np.full(C, 11.0))
    assert cube.wavelengths_from == "List_Cw_Vnir"
    cube = open_cube(path, f"{FIELDS}/SWIR_Cube")
    np.testing.assert_array_equal(cube.wavelengths, NM[::-1] + 600)


def test_prisma_bands_that_are_not_used(tmp_path):
    centres = NM[::-1].copy()
    centres[:3] = 0
    cube = open_cube(prisma(tmp_path / "p.he5", centres), f"{FIELDS}/VNIR_Cube")
    np.testing.assert_array_equal(np.flatnonzero(cube.bad_bands), [0, 1, 2])
    np.testing.assert_array_equal(cube.good_wavelengths, centres[3:])
    np.testing.assert_array_equal(cube.clean(), CUBE[..., 3:])
    grid = describe(tmp_path / "p.he5", f"{FIELDS}/VNIR_Cube")["wavelengths"]
    assert (grid["least"], grid["greatest"], grid["widths"]) == (400, 600, [11, 11])
    assert grid["not_ascending_at"] == [4, 5, 6, 7]


def test_prisma_reflectance(tmp_path):
    path = prisma(tmp_path / "p.he5")
    with h5py.File(path, "a") as file:
        file.attrs["L2ScaleVnirMin"] = np.float32(0.25)
        file.attrs["L2ScaleVnirMax"] = np.float32(1.25)
    cube = open_cube(path, f"{FIELDS}/VNIR_Cube")
    np.testing.assert_allclose(cube.clean(), 0.25 + CUBE / 65535, rtol=1e-6)
    assert cube.scale_from == "the attribute 'L2ScaleVnirMin' and the attribute 'L2ScaleVnirMax'"
    stored = open_cube(path, f"{FIELDS}/VNIR_Cube", Reading(scale="stored"))
    np.testing.assert_array_equal(stored.clean(), CUBE)
    assert open_cube(path, f"{FIELDS}/SWIR_Cube").gains is None


def emit(path, table=None):
    with h5py.File(path, "w") as file:
        file.attrs["geotransform"] = [16.5, 0.0005, 0.0, -33.0, 0.0, -0.0006]
        file.attrs["spatial_ref"] = CRS.from_epsg(4326).to_wkt()
        data = file.create_dataset("reflectance", data=CUBE.astype("f4"), chunks=(8, 8, 8))
        data.attrs["_FillValue"] = np.float32(-9999)
        for axis, name in enumerate(("downtrack", "crosstrack", "bands")):
            scale = file.create_dataset(name, (data.shape[axis],), "f4")
            scale.make_scale(f"This is a netCDF dimension but not a netCDF variable. {axis}")
            data.dims[axis].attach_scale(scale)
        group = file.create_group("sensor_band_parameters")
        group["wavelengths"] = NM.astype("f4")
        group["wavelengths"].attrs["units"] = "nm"
        group["fwhm"] = np.full(C, 8.5, "f4")
        group["good_wavelengths"] = np.array([1, 1, 0, 1, 1, 1, 1, 1], "f4")
        if table is not None:
            file["location/glt_x"] = np.zeros(table, "i4")
    return path


def test_emit(tmp_path):
    cube = open_cube(emit(tmp_path / "e.nc"))
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.wavelengths, NM)
    np.testing.assert_array_equal(cube.fwhm, np.full(C, 8.5))
    np.testing.assert_array_equal(np.flatnonzero(cube.bad_bands), [2])
    assert cube.ignore_value == -9999
    assert cube.metadata["transform"] == (0.0005, 0.0, 16.5, 0.0, -0.0006, -33.0)
    assert CRS.from_wkt(cube.metadata["crs"]).to_epsg() == 4326
    assert cube.assumptions == ()


def test_the_geotransform_of_emit_is_that_of_its_lookup_table(tmp_path):
    cube = open_cube(emit(tmp_path / "e.nc", table=(30, 33)))
    assert cube.metadata == {}
    (said,) = cube.assumptions
    assert said.startswith(
        "the geotransform of the file is that of its lookup table location/glt_x (30 x 33), not of "
        "the cube (24 x 20)"
    )
    assert "transform" in open_cube(emit(tmp_path / "f.nc", table=(H, W))).metadata


def neon(path):
    site = "NIWO/Reflectance"
    with h5py.File(path, "w") as file:
        data = file.create_dataset(f"{site}/Reflectance_Data", data=CUBE.astype("i2"))
        data.attrs["Scale_Factor"] = 10000.0
        data.attrs["Data_Ignore_Value"] = -9999.0
        file[f"{site}/Metadata/Ancillary_Imagery/Weather_Quality_Indicator"] = np.zeros((H, W, 3))
        spectral = file.create_group(f"{site}/Metadata/Spectral_Data")
        spectral["Wavelength"] = NM
        spectral["Wavelength"].attrs["Units"] = "nanometers"
        spectral["FWHM"] = np.full(C, 5.0)
        system = file.create_group(f"{site}/Metadata/Coordinate_System")
        system["Map_Info"] = np.bytes_(
            "UTM,  1.000,  1.000,  368000.000,  4307000.000,  2.0,  2.0,  18,  North,  WGS-84"
        )
        system["EPSG Code"] = np.bytes_("32618")
    return path


def test_neon(tmp_path):
    cube = open_cube(neon(tmp_path / "n.h5"))
    assert (cube.variable, cube.ignore_value) == ("NIWO/Reflectance/Reflectance_Data", -9999)
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.wavelengths, NM)
    np.testing.assert_array_equal(cube.fwhm, np.full(C, 5.0))
    np.testing.assert_allclose(cube.clean(), CUBE / 10000, rtol=1e-6)
    assert cube.metadata["transform"] == (2.0, 0.0, 368000.0, 0.0, -2.0, 4307000.0)
    assert CRS.from_wkt(cube.metadata["crs"]).to_epsg() == 32618


STRUCTURE = """GROUP=GridStructure
\tGROUP=GRID_1
\t\tGridName="HYP"
\t\tXDim=20
\t\tYDim=24
\t\tUpperLeftPointMtrs=(345660.000000,6286110.000000)
\t\tLowerRightMtrs=(346260.000000,6285390.000000)
\t\tProjection=HE5_GCTP_UTM
\t\tZoneCode=-34
\tEND_GROUP=GRID_1
END_GROUP=GridStructure
"""


@pytest.mark.parametrize("kind", ["SWATHS", "GRIDS"])
@pytest.mark.parametrize("name", ["toa_radiance", "surface_reflectance"])
@pytest.mark.parametrize("code", [None, 32734])
def test_tanager(tmp_path, kind, name, code):
    fields = f"HDFEOS/{kind}/HYP/Data Fields"
    with h5py.File(tmp_path / "t.h5", "w") as file:
        for dataset in (name, f"{name}_uncertainty"):
            data = file.create_dataset(f"{fields}/{dataset}", data=CUBE.transpose(2, 0, 1))
            data.attrs["wavelengths"] = NM.astype("f4")
            data.attrs["fwhm"] = np.full(C, 5.5, "f4")
            data.attrs["good_wavelengths"] = np.array([1, 1, 1, 1, 0, 1, 1, 1], "u1")
        file[f"{fields}/nodata_pixels"] = np.zeros((H, W), "u1")
        if kind == "GRIDS":
            file["HDFEOS INFORMATION/StructMetadata.0"] = np.bytes_(STRUCTURE)
            if code:
                file["HDFEOS/GRIDS/HYP"].attrs["epsg_code"] = code
    cube = open_cube(tmp_path / "t.h5")
    assert cube.variable == f"{fields}/{name}"
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.wavelengths, NM)
    np.testing.assert_array_equal(np.flatnonzero(cube.bad_bands), [4])
    if kind == "SWATHS":
        assert cube.metadata == {}
        return
    assert cube.metadata["transform"] == (30.0, 0.0, 345660.0, 0.0, -30.0, 6286110.0)
    assert CRS.from_wkt(cube.metadata["crs"]).to_epsg() == 32734


@pytest.mark.parametrize("with_transform", [True, False])
def test_a_grid_mapping_of_the_cf_conventions(tmp_path, with_transform):
    with h5py.File(tmp_path / "c.nc", "w") as file:
        data = file.create_dataset("cubes/reflectance", data=CUBE.transpose(2, 0, 1))
        data.attrs["grid_mapping"] = "transverse_mercator"
        mapping = file.create_dataset("transverse_mercator", data=0)
        mapping.attrs["crs_wkt"] = CRS.from_epsg(25832).to_wkt()
        if with_transform:
            mapping.attrs["GeoTransform"] = "500000 2 0 5500000 0 -2"
        coordinates = {
            "wavelength": NM,
            "northing": 5500000 - 1 - 2.0 * np.arange(H),
            "easting": 500000 + 1 + 2.0 * np.arange(W),
        }
        for axis, (name, values) in enumerate(coordinates.items()):
            scale = file.create_dataset(name, data=values)
            scale.attrs["units"] = "nm" if name == "wavelength" else "m"
            scale.make_scale(name)
            data.dims[axis].attach_scale(scale)
    cube = open_cube(tmp_path / "c.nc")
    np.testing.assert_array_equal(cube.array, CUBE)
    np.testing.assert_array_equal(cube.wavelengths, NM)
    assert cube.metadata["transform"] == (2.0, 0.0, 500000.0, 0.0, -2.0, 5500000.0)
    assert CRS.from_wkt(cube.metadata["crs"]).to_epsg() == 25832


def test_transforms_that_are_none():
    assert georeference.from_geotransform("1 2 3") is None
    assert georeference.from_geotransform([0, 0, 0, 0, 0, 0]) is None
    assert georeference.from_geotransform([np.nan, 1, 0, 0, 0, 1]) is None
    assert georeference.from_map_info("UTM, 1, 1") is None
    assert georeference.from_coordinates(np.array([1.0, 2, 4]), np.array([1.0, 2, 3])) is None
    assert georeference.from_coordinates(np.array([1.0]), np.array([1.0, 2, 3])) is None
    assert georeference.from_struct_metadata(STRUCTURE, 24, 21) == (None, "")
    assert georeference.crs_text(None, "no system", "") == ""


def test_a_rotated_map_info():
    turned = georeference.from_map_info("UTM, 2, 3, 100, 200, 2, 2, 32, North, rotation=90")
    np.testing.assert_allclose(turned, (0, 2, 96, 2, 0, 198), atol=1e-9)
    across, down = (0.5, 0.5), (1, 2)  # the reference pixel (2, 3) begins at column 1, row 2
    assert across is not down
    x = turned[0] * down[0] + turned[1] * down[1] + turned[2]
    y = turned[3] * down[0] + turned[4] * down[1] + turned[5]
    np.testing.assert_allclose((x, y), (100, 200))
