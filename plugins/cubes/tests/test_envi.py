from itertools import product

import numpy as np
import pytest

from specloom_cubes.formats import open_cube

H, W, C = 3, 4, 5
TYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
AXES = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}


def made(dtype="i2"):
    kind = np.dtype(dtype)
    rng = np.random.default_rng(0)
    if kind.kind == "f":
        return rng.normal(size=(H, W, C)).astype(kind)
    limits = np.iinfo(kind)
    values = rng.integers(limits.min, limits.max, (H, W, C), dtype=kind, endpoint=True)
    values[0, 0, :2] = limits.min, limits.max
    return values


def write(folder, cube, code=2, interleave="bsq", order=0, offset=0, name="cube.img", extra=""):
    stored = cube.transpose(AXES[interleave.lower()]).astype(cube.dtype.newbyteorder("<>"[order]))
    (folder / name).write_bytes(b"\x07" * offset + stored.tobytes())
    header = folder / "cube.hdr"
    header.write_text(
        f"ENVI\nsamples = {W}\nlines = {H}\nbands = {C}\nheader offset = {offset}\n"
        f"data type = {code}\ninterleave = {interleave}\nbyte order = {order}\n{extra}"
    )
    return header


@pytest.mark.parametrize(("code", "interleave", "order"), [*product(TYPES, AXES, (0, 1))])
def test_every_type_interleave_and_byte_order(tmp_path, code, interleave, order):
    cube = made(TYPES[code])
    opened = open_cube(write(tmp_path, cube, code, interleave, order, offset=13))
    assert opened.shape == (H, W, C)
    assert opened.dtype == cube.dtype == opened.array.dtype
    assert opened.array.dtype.isnative
    np.testing.assert_array_equal(opened.array, cube)
    part = opened.read(slice(1, 3), slice(2, 4))
    np.testing.assert_array_equal(part, cube[1:3, 2:4])


@pytest.mark.parametrize("interleave", AXES)
@pytest.mark.parametrize(
    ("rows", "cols"),
    [
        (slice(1, 2), slice(0, 4, 2)),
        (slice(-2, None), slice(None)),
        (slice(0, 9, 2), slice(1, 2)),
        (slice(2, 2), slice(None)),
    ],
)
def test_parts_are_what_slices_of_the_cube_are(tmp_path, interleave, rows, cols):
    cube = made()
    opened = open_cube(write(tmp_path, cube, interleave=interleave, offset=13))
    np.testing.assert_array_equal(opened.read(rows, cols), cube[rows, cols])


@pytest.mark.parametrize("interleave", AXES)
def test_what_was_read_may_be_written_to_and_the_file_stays_as_it_is(tmp_path, interleave):
    cube = made()
    header = write(tmp_path, cube, interleave=interleave)
    part = open_cube(header).read(slice(1, 3))
    part[:] = 7
    np.testing.assert_array_equal(open_cube(header).array, cube)


@pytest.mark.parametrize(
    "name", ["cube", "cube.img", "cube.RAW", "cube.dat", "cube.bsq", "cube.bil", "cube.bip"]
)
def test_either_file_of_the_pair(tmp_path, name):
    header, cube = write(tmp_path, made(), name=name), made()
    for path in (header, tmp_path / name):
        np.testing.assert_array_equal(open_cube(path).array, cube)


def test_header_named_after_the_whole_data_file(tmp_path):
    header = write(tmp_path, made())
    header.rename(tmp_path / "cube.img.hdr")
    for name in ("cube.img", "cube.img.hdr"):
        np.testing.assert_array_equal(open_cube(tmp_path / name).array, made())


def test_the_header_is_read_with_patience(tmp_path):
    header = write(tmp_path, made(), interleave="BSQ", extra="")
    text = header.read_text().replace("byte order = 0\n", "").replace("samples =", "SAMPLES=")
    text = text.replace("ENVI\n", "ENVI \r\n; a comment = {\n\n") + (
        "map info = {UTM, 1.000, 1.000,\n 480805.4, 3618830.5}\n"
        "description = { two\n; not this line\n lines}\n"
        "wavelength   units = Micrometers\nwavelength = { 0.4, 0.5,\n 0.6,0.7\n, 0.8,}\n"
        "fwhm = {0.01, 0.01, 0.01, 0.01, 0.02}\nbbl = {1, 1, 0, 1, 1}\n"
        "data ignore value = -1\nreflectance scale factor = 10000.0\n"
        "Number of bands : 216\nBands : All\n"
    )
    header.write_bytes(("\ufeff" + text).encode())
    cube = open_cube(header)
    np.testing.assert_allclose(cube.wavelengths, [400, 500, 600, 700, 800])
    np.testing.assert_allclose(cube.fwhm, [10, 10, 10, 10, 20])
    np.testing.assert_array_equal(cube.bad_bands, [False, False, True, False, False])
    np.testing.assert_allclose(cube.good_wavelengths, [400, 500, 700, 800])
    assert cube.ignore_value == -1
    assert cube.metadata["reflectance scale factor"] == 10000
    assert cube.metadata["map info"] == ["UTM", "1.000", "1.000", "480805.4", "3618830.5"]
    assert cube.metadata["description"].split() == ["two", "lines"]


@pytest.mark.parametrize(
    ("unit", "given", "nm"),
    [
        ("Nanometers", 500, 500),
        ("nm", 500, 500),
        ("Unknown", 500, 500),
        ("", 0.5, 500),
        ("Micrometers", 0.5, 500),
        ("\u00b5m", 0.5, 500),
        ("Angstroms", 5000, 500),
        ("Wavenumber", 20000, None),
        ("Index", 1, None),
    ],
)
def test_wavelength_units(tmp_path, unit, given, nm):
    listed = ", ".join([str(given)] * C)
    extra = f"wavelength units = {unit}\nwavelength = {{{listed}}}\n"
    found = open_cube(write(tmp_path, made(), extra=extra)).wavelengths
    assert found is None if nm is None else np.allclose(found, nm)


def test_latin_1_headers(tmp_path):
    header = write(tmp_path, made(), extra=f"wavelength = {{{', '.join(['0.5'] * C)}}}\n")
    header.write_bytes(header.read_bytes() + "wavelength units = \u00b5m\n".encode("latin-1"))
    np.testing.assert_allclose(open_cube(header).wavelengths, 500)


def test_bad_bands_go_and_ignored_values_become_nan(tmp_path):
    cube = made()
    cube[1, 2], cube[..., 4] = -9, -9
    opened = open_cube(write(tmp_path, cube, extra="bbl = {1,1,0,1,0}\ndata ignore value = -9\n"))
    clean = opened.clean()
    want = cube[..., [0, 1, 3]].astype(np.float32)
    want[1, 2] = np.nan
    assert clean.dtype == np.float32
    np.testing.assert_array_equal(clean, want)
    assert (opened.array == cube).all()


def test_integers_stay_integers_without_an_ignore_value(tmp_path):
    cube = made()
    clean = open_cube(write(tmp_path, cube, extra="bbl = {1,1,0,1,1}\n")).clean()
    assert clean.dtype == np.int16
    assert clean.min() < 0
    np.testing.assert_array_equal(clean, cube[..., [0, 1, 3, 4]])


@pytest.mark.parametrize(
    ("dtype", "code", "value"), [("f4", 4, "-1.23e34"), ("u1", 1, "-9999"), ("u8", 15, "0.5")]
)
def test_ignore_values_are_compared_in_the_stored_type(tmp_path, dtype, code, value):
    cube = made(dtype)
    if dtype == "f4":
        cube[0, 1] = np.float32(-1.23e34)
    clean = open_cube(write(tmp_path, cube, code, extra=f"data ignore value = {value}\n")).clean()
    assert np.isnan(clean).sum() == (C if dtype == "f4" else 0)
    assert clean.dtype == np.float32
