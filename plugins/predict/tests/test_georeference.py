"""Geometry from ENVI to GeoTIFF and back, against GDAL's own reader of ENVI."""

import warnings

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.crs import CRS

from specloom_cubes.formats import open_cube
from specloom_predict.georeference import Geometry, envi_fields, geometry_of
from specloom_predict.writers import envi, geotiff
from specloom_predict.writers.layout import Map

MAP = Map("scores", np.arange(20, dtype=np.float32).reshape(4, 5))
NORTH_UP = Affine(30, 0, 366015, 0, -30, 5809965)
TURNED = Affine.translation(1000.25, 2000.5) @ Affine.rotation(25) @ Affine.scale(3, -3)
SOUTH_UP = Affine(30, 0, 0, 0, 30, 0)


def as_read(path):
    """The transform and the coordinate system as GDAL has them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            return file.transform, file.crs


def there_and_back(folder, transform, crs):
    """A GeoTIFF's geometry, written as ENVI: what GDAL and this package read from that."""
    with rasterio.open(
        folder / "x.tif",
        "w",
        driver="GTiff",
        height=4,
        width=5,
        count=2,
        dtype="uint8",
        transform=transform,
        crs=crs,
    ):
        pass
    geometry = geometry_of(open_cube(folder / "x.tif"))
    notes = envi.write(folder / "x.img", MAP, geometry, "a test")
    again = geometry_of(open_cube(folder / "x.hdr"))
    return notes, again, *as_read(folder / "x.img")


@pytest.mark.parametrize("code", [32633, 32733, 26911, 26711, 25833, 3035, 4326, 2263])
@pytest.mark.parametrize("transform", [NORTH_UP, TURNED, TURNED @ Affine.rotation(200), SOUTH_UP])
def test_geotiff_to_envi(tmp_path, transform, code):
    notes, again, read, crs = there_and_back(tmp_path, transform, CRS.from_epsg(code))
    assert notes == []
    assert read.almost_equals(transform, 1e-8)
    np.testing.assert_allclose(again.transform, transform[:6], rtol=1e-12, atol=1e-9)
    # GDAL gives back the latitude first, as in the definition of 4326, and then no code.
    assert crs.to_epsg() == code or (code == 4326 and crs.to_dict()["proj"] == "longlat")
    geotiff.write(tmp_path / "y.tif", MAP, again, "a test")
    read, crs = as_read(tmp_path / "y.tif")
    np.testing.assert_allclose(read[:6], transform[:6], rtol=1e-12, atol=1e-9)
    assert crs == CRS.from_epsg(code)


@pytest.mark.parametrize(
    "transform",
    [
        Affine(3, 1, 0, 0, -3, 0),
        Affine(-30, 0, 9, 0, -30, 9),
        Affine(-3, 0, 0, 0, 3, 0),
    ],
)
def test_grids_that_map_info_cannot_say(tmp_path, transform):
    notes, again, _, _ = there_and_back(tmp_path, transform, CRS.from_epsg(32633))
    assert notes == ["the grid is sheared or mirrored, which ENVI's 'map info' cannot say"]
    assert (again.transform, CRS.from_wkt(again.crs).to_epsg()) == (None, 32633)


@pytest.mark.parametrize(
    ("line", "code", "unit"),
    [
        ("UTM, 1, 1, 100, 200, 3, 3, 33, North, WGS-84, units=Meters", 32633, "metre"),
        ("UTM, 1, 1, 100, 200, 3, 3, 33, South, WGS-84", 32733, "metre"),
        ("UTM, 1, 1, 100, 200, 3, 3, 11, North, North America 1983", 26911, "metre"),
        ("UTM, 1, 1, 100, 200, 3, 3, 11, North, North America 1927", 26711, "metre"),
        ("Geographic Lat/Lon, 1, 1, 10, 20, 0.1, 0.1, WGS-84, units=Degrees", 4326, "degree"),
        ("UTM, 1, 1, 100, 200, 3, 3, 33, North, units=Meters", None, "metre"),
        ("UTM, 1, 1, 100, 200, 3, 3, 11, South, North America 1983", None, ""),
        ("State Plane (NAD 83), 1, 1, 1, 2, 3, 3, 402, units=Feet", None, "foot"),
        ("Arbitrary, 1, 1, 0, 0, 1, 1", None, ""),
    ],
)
def test_systems_that_map_info_names(tmp_path, line, code, unit):
    geometry = geometry_of(envi_cube(tmp_path, f"map info = {{{line}}}\n"))
    assert geometry.crs == (f"EPSG:{code}" if code else "")
    assert geometry.unit == unit
    named = line.partition(",")[0]
    note = f"the coordinate system {named!r} of 'map info' is unknown or incomplete"
    assert geometry.notes == (() if code or named == "Arbitrary" else (note,))
    if code:
        transform, crs = as_read(tmp_path / "x.img")
        assert transform.almost_equals(Affine(*geometry.transform), 1e-12)
        assert crs == CRS.from_epsg(code)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("UTM, 1, 1, 100, 200, 3, 3, 33, North, ETRS89, units=Meters", 25833),
        ("UTM, 1, 1, 100, 200, 3, 3, 32, North, ETRS-89", 25832),
        (
            "UTM, 1, 1, 100, 200, 3, 3, 32, North, European Terrestrial Reference System 1989",
            25832,
        ),
        ("UTM, 1, 1, 100, 200, 3, 3, 11, North, NAD83", 26911),
        ("Geographic Lat/Lon, 1, 1, 10, 20, 0.1, 0.1, ETRS89, units=Degrees", 4258),
        ("Geographic, 1, 1, 10, 20, 0.1, 0.1, WGS-84, units=Degrees", 4326),
        ("Geographic Lat/Lon, 1, 1, 10, 20, 0.1, 0.1, North America 1983", 4269),
        ("Geographic Lat/Lon, 1, 1, 10, 20, 0.1, 0.1, North America 1927", 4267),
        ("Geographic Lat/Lon, 1, 1, 10, 20, 0.1, 0.1, units=Degrees", None),
        ("UTM, 1, 1, 100, 200, 3, 3, 11, North, ETRS89", None),
        ("UTM, 1, 1, 100, 200, 3, 3, 33, South, ETRS89", None),
        ("UTM, 1, 1, 100, 200, 3, 3, WGS-84", None),
    ],
)
def test_systems_that_gdal_takes_for_another(tmp_path, line, code):
    # GDAL takes WGS 84 for datums that it does not know by the name that is used.
    geometry = geometry_of(envi_cube(tmp_path, f"map info = {{{line}}}\n"))
    assert geometry.crs == (f"EPSG:{code}" if code else "")
    if code:
        assert CRS.from_user_input(geometry.crs).to_epsg() == code


def envi_cube(folder, more):
    (folder / "x.img").write_bytes(bytes(40))
    (folder / "x.hdr").write_text(
        "ENVI\nsamples = 5\nlines = 4\nbands = 2\ndata type = 1\ninterleave = bsq\n" + more
    )
    return open_cube(folder / "x.hdr")


@pytest.mark.parametrize("rotation", ["", ", rotation=-100", ", rotation=12.5"])
def test_the_reference_pixel_may_lie_anywhere(tmp_path, rotation):
    line = f"UTM, 2.5, 3.5, 366015, 5809965, 30, 20, 33, North, WGS-84{rotation}"
    geometry = geometry_of(envi_cube(tmp_path, f"map info = {{{line}}}\n"))
    assert Affine(*geometry.transform) @ (1.5, 2.5) == pytest.approx((366015, 5809965))
    if not rotation:  # GDAL moves the corner as if the grid lay north up
        assert as_read(tmp_path / "x.img")[0].almost_equals(Affine(*geometry.transform), 1e-12)
        assert abs(Affine(*geometry.transform).determinant) == 600


def test_what_envi_said_stays_as_it_was(tmp_path):
    more = "map info = {UTM, 1, 1, 5.0e+0, 6, 3, 3, 33, North}\nx start = 7\ngeo points = {1, 2}\n"
    fields, notes = envi_fields(geometry_of(envi_cube(tmp_path, more)))
    assert notes == []
    assert fields == {
        "map info": "UTM, 1, 1, 5.0e+0, 6, 3, 3, 33, North",
        "x start": "7",
        "geo points": "1, 2",
    }


@pytest.mark.parametrize(
    ("more", "note"),
    [
        (
            "map info = {UTM, 1, 1, here}\n",
            "'map info' is 'UTM, 1, 1, here', which does not define a grid",
        ),
        (
            "map info = {UTM, 1, 1, 5, 6, 0, 3}\n",
            "'map info' is 'UTM, 1, 1, 5, 6, 0, 3', which does not define a grid",
        ),
        ("geo points = {1, 1, 50, 8}\n", "'geo points' are written to ENVI headers only"),
    ],
)
def test_what_makes_no_grid(tmp_path, more, note):
    geometry = geometry_of(envi_cube(tmp_path, more))
    assert (geometry.transform, geometry.notes) == (None, (note,))
    assert geotiff.write(tmp_path / "x.tif", MAP, geometry, "a test") == []


def test_a_system_that_nobody_understands(tmp_path):
    geometry = Geometry(tuple(NORTH_UP[:6]), crs='LOCAL["somewhere"')
    assert geotiff.write(tmp_path / "x.tif", MAP, geometry, "a test") == [
        "GeoTIFF files have no coordinate system: it is not understood"
    ]
    assert envi.write(tmp_path / "x.img", MAP, geometry, "a test") == [
        "ENVI headers have no coordinate system: it is not understood"
    ]
    assert as_read(tmp_path / "x.tif")[0] == as_read(tmp_path / "x.img")[0] == NORTH_UP


def test_a_file_without_geometry(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 5, 2)))
    geometry = geometry_of(open_cube(tmp_path / "x.npy"))
    assert geometry == Geometry()
    assert envi_fields(geometry) == ({}, [])
