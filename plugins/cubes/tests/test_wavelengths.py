"""Which vector holds the band centres, and in which unit."""

import numpy as np
import pytest

from specloom_cubes.rules.units import unit_of
from specloom_cubes.rules.wavelengths import Vector, find_centres, find_widths, is_centres_name

NM = np.array([400.0, 450, 500, 550, 600, 650, 700, 750])


def found(*vectors):
    return find_centres([Vector(*vector) for vector in vectors], len(NM), "x.h5")


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        *[(text, 1) for text in ("nm", "NM", "Nanometers", "nanometre", "nanometres")],
        *[(text, 1) for text in ("Nanometers (nm)", "[nm]", "(nm)", " nm ")],
        *[(text, 1e3) for text in ("µm", "\u03bcm", "um", "micron", "Microns", "micrometre")],
        *[(text, 1e3) for text in ("Micrometers", "micrometer", "micrometres", "[\u00b5m]")],
        *[(text, 0.1) for text in ("Å", "\u212b", "Angstroms", "angstrom", "ångström")],
        *[(text, 1e9) for text in ("m", "meters", "Metre")],
        *[(text, 1e6) for text in ("mm", "Millimeters")],
        *[(text, 1e7) for text in ("cm", "Centimeters")],
    ],
)
def test_spellings_of_units(unit, factor):
    centres = found(("wavelength", NM / factor, unit))
    np.testing.assert_allclose(centres.nm, NM)
    assert centres.notes == ()


@pytest.mark.parametrize(
    "unit", ["cm-1", "cm^-1", "1/cm", "cm\u207b\u00b9", "cm -1", "Wavenumber", "wave numbers"]
)
def test_wave_numbers_are_refused_with_the_reason(unit):
    centres = found(("wavelength", 1e7 / NM, unit))
    assert centres.nm is None
    (note,) = centres.notes
    assert "wave numbers and no lengths: not read; write the centres in nm (1e7" in note


def test_an_array_of_wave_numbers_is_seen():
    centres = found(("wavenumber", 1e7 / NM, ""))
    assert centres.nm is None
    assert "wave numbers and no lengths" in centres.notes[0]


@pytest.mark.parametrize(("unit", "kind"), [("Index", "band numbers"), ("GHz", "frequencies")])
def test_units_that_are_no_length(unit, kind):
    assert unit_of(unit).kind == kind
    assert f"which are {kind} and no lengths" in found(("wavelength", NM, unit)).notes[0]


@pytest.mark.parametrize("unit", ["", "Unknown", "unknown", "none", "1"])
@pytest.mark.parametrize(("factor", "name"), [(1, ""), (1e3, "micrometres"), (1e9, "metres")])
def test_without_a_unit_the_range_decides(unit, factor, name):
    centres = found(("wavelength", NM / factor, unit))
    np.testing.assert_allclose(centres.nm, NM)
    if name:
        (note,) = centres.notes
        assert note.startswith("x.h5: 'wavelength' states no unit: ")
        assert note.endswith(f" is taken as {name}")
    else:
        assert centres.notes == ()


@pytest.mark.parametrize(
    ("values", "unit", "taken"),
    [
        (NM / 1e3, "nm", "micrometres"),
        (NM, "um", "nanometres"),
        (NM, "furlong", "nanometres"),
        (NM * 100, "nm", "ångströms"),
    ],
)
def test_a_unit_that_does_not_fit_is_reported(values, unit, taken):
    centres = found(("wavelength", values, unit))
    assert (centres.nm >= 400).all()
    (note,) = centres.notes
    assert note.startswith("x.h5: 'wavelength' states ")
    assert note.endswith(f"in {unit!r}: taken as {taken}")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.arange(1, 9.0), "counts 1 to 8: these are band numbers"),
        (np.arange(8.0), "holds values that are not positive numbers"),
        (np.full(8, 500.0), "is 500 throughout"),
        (np.where(NM == 500, np.nan, NM), "holds values that are not positive numbers"),
        (np.where(NM == 500, -500, NM), "holds values that are not positive numbers"),
        (np.where(NM == 400, 1e-3, NM), "not between 100 nm and 20 µm in any unit"),
    ],
)
@pytest.mark.parametrize("unit", ["", "nm", "um"])
def test_what_is_never_a_centre(values, reason, unit):
    centres = found(("wavelength", values, unit))
    assert centres.nm is None
    assert reason in centres.notes[0]
    assert centres.notes[0].startswith("x.h5: 'wavelength' ")
    assert centres.notes[0].endswith(": not read")


def test_a_grid_of_one_nanometre_is_no_count():
    grid = np.arange(350.0, 358)
    np.testing.assert_array_equal(found(("wavelength", grid, "")).nm, grid)


@pytest.mark.parametrize(
    "name",
    [
        *("wavelength", "Wavelengths", "wl", "WVL", "lambda", "bands", "band_centers"),
        *("center wavelengths", "central_wavelength", "CENTRAL_WAVELENGTH_UM", "bandCentres"),
        *("sensor_band_parameters/wavelengths", "List_Cw_Vnir", "center_nm", "nm", "wavelengths2"),
        *("wavelength (nm)", "Wavelength [µm]", "HDFEOS/wavelength_nm", "centerwavelength"),
    ],
)
def test_names_of_centres(name):
    assert is_centres_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("fwhm", "wavelength_fwhm", "FWHM_UM", "bandwidth", "band_widths", "wavelength_width"),
        *("good_wavelengths", "wavelength_flag", "band_index", "wavelength_uncertainty"),
        *("wavelength units", "List_Cw_Vnir_Flags", "band", "channel", "x", "map info", "cube"),
        *("wavelength_min", "data gain values", "bbl", "spectra"),
    ],
)
def test_names_of_others(name):
    assert not is_centres_name(name)


def test_the_surest_name_counts():
    centres = found(("bands", NM + 100, ""), ("wl", NM + 50, ""), ("wavelength", NM, ""))
    np.testing.assert_array_equal(centres.nm, NM)
    assert centres.source == "wavelength"
    assert "'wavelength' and 'wl' state different band centres" in centres.notes[0]
    assert found(("bands", NM, ""), ("wavelength", NM + 0.1, "")).notes == ()


def test_what_is_not_understood_does_not_hide_what_is():
    centres = found(("wavelength", np.arange(1, 9.0), ""), ("band_centers", NM, "nm"))
    np.testing.assert_array_equal(centres.nm, NM)
    assert centres.source == "band_centers"


def test_vectors_of_another_length_or_name_are_none():
    assert found(("wavelength", NM[:-1], ""), ("cube", NM, "")) is None


@pytest.mark.parametrize(
    ("centres_unit", "widths", "widths_unit"),
    [
        ("um", 0.01, "um"),
        ("um", 0.01, ""),
        ("um", 10, "nm"),
        ("um", 10, ""),
        ("", 0.01, ""),
        ("Unknown", 0.01, "Unknown"),
        ("nm", 0.01, "nm"),
    ],
)
def test_widths_follow_the_unit_of_the_centres(centres_unit, widths, widths_unit):
    centres = found(("wavelength", NM / 1e3, centres_unit))
    vectors = [Vector("fwhm", np.full(8, float(widths)), widths_unit)]
    np.testing.assert_allclose(find_widths(vectors, 8, centres), 10)


def test_vectors_that_are_no_widths():
    centres = found(("wavelength", NM, "nm"))
    vectors = [
        Vector("wavelength", NM, "nm"),
        Vector("fwhm", NM[:3], "nm"),
        Vector("fwhm", -NM, "nm"),
        Vector("fwhm", NM * 10, "nm"),
        Vector("fwhm", NM, "cm-1"),
    ]
    assert find_widths(vectors, 8, centres) is None
