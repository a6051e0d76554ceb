import warnings
from contextlib import contextmanager
from itertools import product

import numpy as np
import pytest
import rasterio
import spectral

from specloom import DataError
from specloom_cubes.cube import Reading
from specloom_cubes.formats import open_cube
from specloom_cubes.formats.envi import header_of

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


@contextmanager
def gdal(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, driver="ENVI") as file:
            yield file


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


NM = [500.0 + 10 * band for band in range(C)]


def block(values):
    return "{" + ", ".join(map(str, values)) + "}"


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("Nanometers", 1),
        ("nm", 1),
        ("Unknown", 1),
        ("", 1e-3),
        ("Micrometers", 1e-3),
        ("\u00b5m", 1e-3),
        ("Micron", 1e-3),
        ("\u00c5", 10),
        ("Angstroms", 10),
    ],
)
def test_wavelength_units(tmp_path, unit, scale):
    extra = f"wavelength units = {unit}\nwavelength = {block(nm * scale for nm in NM)}\n"
    cube = open_cube(write(tmp_path, made(), extra=extra))
    np.testing.assert_allclose(cube.wavelengths, NM)
    assert cube.wavelengths_from == "the field 'wavelength' of the header"


@pytest.mark.parametrize("unit", ["Wavenumber", "Index"])
def test_units_that_are_no_lengths_are_reported(tmp_path, unit):
    cube = open_cube(
        write(tmp_path, made(), extra=f"wavelength units = {unit}\nwavelength = {block(NM)}\n")
    )
    assert (cube.wavelengths, cube.wavelengths_from) == (None, "")
    assert any(f"in {unit!r}, which are" in text for text in cube.assumptions)


def test_band_numbers_are_no_centres(tmp_path):
    cube = open_cube(write(tmp_path, made(), extra=f"wavelength = {block(range(1, C + 1))}\n"))
    assert cube.wavelengths is None
    assert any("these are band numbers: not read" in text for text in cube.assumptions)


BOTH = list(enumerate(NM))
FIELDS = {
    "wavelengths": f"wavelengths = {block(NM)}\nwavelength units = nm\n",
    "center wavelengths": f"center wavelengths = {block(NM)}\n",
    "wl": f"wl = {block(NM)}\n",
    "band centers": f"band centers = {block(NM)}\nwavelength units = nm\n",
    "band names": f"band names = {block(f'Band {n} ({nm} Nanometers)' for n, nm in BOTH)}\n",
    "band names alone": f"band names = {block(f'{nm} nm' for nm in NM)}\n",
    "band names without a unit": f"band names = {block(f'B {n} ({nm})' for n, nm in BOTH)}\n",
    "with units in the list": f"wavelength = {block(f'{nm} nm' for nm in NM)}\n",
    "brace on the next line": f"wavelength =\n{block(NM)}\n",
}


@pytest.mark.parametrize("name", FIELDS)
def test_other_fields_of_band_centres(tmp_path, name):
    cube = open_cube(write(tmp_path, made(), extra=FIELDS[name]))
    np.testing.assert_allclose(cube.wavelengths, NM)
    assert cube.wavelengths_from.startswith("the field '")
    assert cube.assumptions == ()


def test_numbered_bands_state_no_centres(tmp_path):
    names = block(f"Band {number}" for number in range(1, C + 1))
    cube = open_cube(write(tmp_path, made(), extra=f"band names = {names}\n"))
    assert (cube.wavelengths, cube.assumptions) == (None, ())


def test_latin_1_headers(tmp_path):
    micrometres = block(nm / 1e3 for nm in NM)
    header = write(tmp_path, made(), extra=f"wavelength = {micrometres}\n")
    header.write_bytes(header.read_bytes() + "wavelength units = \u00b5m\n".encode("latin-1"))
    np.testing.assert_allclose(open_cube(header).wavelengths, NM)


@pytest.mark.parametrize(
    "suffix", [".hyspex", ".bin", ".rad", ".cube", ".pix", ".spe", ".SPE", ".v2"]
)
def test_any_ending_of_the_data_file(tmp_path, suffix):
    header = write(tmp_path, made(), name=f"cube{suffix}")
    (tmp_path / "cube.txt").write_text("notes")
    (tmp_path / "cube.png").write_bytes(b"")
    for path in (header, tmp_path / f"cube{suffix}"):
        np.testing.assert_array_equal(open_cube(path).array, made())
    with gdal(tmp_path / f"cube{suffix}") as file:
        np.testing.assert_array_equal(file.read().transpose(1, 2, 0), made())
    assert header_of(tmp_path / "cube.txt") is header_of(tmp_path / "cube.png") is None


def test_of_several_unusual_files_the_one_of_the_right_length(tmp_path):
    header = write(tmp_path, made(), name="cube.spe")
    (tmp_path / "cube.cal").write_bytes(b"short")
    np.testing.assert_array_equal(open_cube(header).array, made())
    with pytest.raises(DataError, match=r"the format of .*cube\.cal is unknown"):
        open_cube(tmp_path / "cube.cal")
    (tmp_path / "cube.spe").unlink()
    (tmp_path / "cube.dark").write_bytes(b"shorter")
    with pytest.raises(DataError, match=r"none of which is as long as it says: cube\.cal, cube\.d"):
        open_cube(header)


@pytest.mark.parametrize(
    ("extra", "gain", "offset", "source"),
    [
        (
            f"data gain values = {block([0.5] * C)}\ndata offset values = {block([-1] * C)}\n",
            0.5,
            -1,
            "the field 'data gain values' and the field 'data offset values' of the header",
        ),
        (
            "reflectance scale factor = 10000\n",
            1e-4,
            0,
            "the field 'reflectance scale factor' of the header",
        ),
    ],
)
def test_the_scale_of_a_header(tmp_path, extra, gain, offset, source):
    cube = made()
    header = write(
        tmp_path, cube, extra=f"{extra}bbl = {{1, 1, 0, 1, 1}}\ndata ignore value = -9\n"
    )
    opened = open_cube(header)
    assert opened.scale_from == source
    want = cube[..., [0, 1, 3, 4]] * gain + offset
    np.testing.assert_array_equal(opened.clean(), want.astype(np.float32))
    part = opened.clean(slice(1, 3), slice(2, 4))
    np.testing.assert_array_equal(part, want[1:3, 2:4].astype(np.float32))
    stored = open_cube(header, reading=Reading(scale="stored"))
    np.testing.assert_array_equal(stored.clean(), cube[..., [0, 1, 3, 4]])
    np.testing.assert_array_equal(opened.array, cube)


def test_the_scale_of_gdal(tmp_path):
    gains = block([0.5, 2, 1e-4, 3, 1])
    offsets = block([-1, 0, 5, 0.25, 0])
    header = write(
        tmp_path, made(), extra=f"data gain values = {gains}\ndata offset values = {offsets}\n"
    )
    opened = open_cube(header)
    with gdal(opened.path) as file:
        np.testing.assert_array_equal(opened.gains, file.scales)
        np.testing.assert_array_equal(opened.offsets, file.offsets)


def test_the_wavelengths_of_another_reader(tmp_path):
    micrometres = block(nm / 1e3 for nm in NM)
    header = write(
        tmp_path, made(), extra=f"wavelength units = Micrometers\nwavelength = {micrometres}\n"
    )
    other = spectral.envi.open(header, open_cube(header).path)
    np.testing.assert_allclose(open_cube(header).wavelengths / 1e3, other.bands.centers)


def test_axes_that_the_header_states(tmp_path):
    with pytest.raises(DataError, match="its header states rows, columns and bands, so axes"):
        open_cube(write(tmp_path, made()), reading=Reading(axes="CHW"))


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
