"""Hulls of hostile spectra: those of a loop, whatever other pixels are computed together."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import spectral
import torch

from specloom_pretreatments import ContinuumRemoval
from specloom_pretreatments.hull import ROUNDS, HullScan, Points, continuum_by_slopes

sys.path.insert(0, str(Path(__file__).parent))
scenes = import_module("pretreatment_scenes")
agree = scenes.agree
spectra = scenes.spectra
treated = scenes.treated
wavelengths = scenes.wavelengths


def shapes_of_hulls():
    x = np.linspace(0, 1, 30)
    yield "concave", 1 - (x - 0.4) ** 2
    yield "convex", (x - 0.4) ** 2 + 0.1
    yield "constant", np.full(30, 0.7)
    yield "line", 0.2 + x
    yield "falling line", 3 - x
    yield "whole numbers", np.round(20 * np.sin(9 * x)) + 40
    yield "spike", 0.1 + 1e6 * (np.arange(30) == 12)
    yield "steps", 1.0 + (x > 0.3) + (x > 0.7)
    yield "negative", -1 - np.sin(7 * x)
    yield "noise", np.random.default_rng(0).uniform(0, 1, 30)


HULLS = dict(shapes_of_hulls())


def hull_of_a_loop(values, places):
    """Andrew's scan of one spectrum."""
    corners = []
    for band in range(len(values)):
        while len(corners) > 1:
            a, b = corners[-2:]
            slope_before = (values[b] - values[a]) / (places[b] - places[a])
            slope = (values[band] - values[b]) / (places[band] - places[b])
            if slope < slope_before:
                break
            corners.pop()
        corners.append(band)
    return np.interp(places, places[corners], values[corners])


def test_hulls_are_those_of_a_loop_whatever_rows_are_together():
    places = wavelengths(30).numpy()
    rows = np.array(list(HULLS.values()))
    want = np.array([hull_of_a_loop(row, places) for row in rows])
    together = HullScan(places, 40)
    np.testing.assert_allclose(together(rows), want, rtol=1e-13)
    np.testing.assert_allclose(together(rows[::-1].copy())[::-1], want, rtol=1e-13)
    for row, hull in zip(rows, want, strict=True):
        np.testing.assert_allclose(HullScan(places, 1)(row[None])[0], hull, rtol=1e-13)
    by_slopes = continuum_by_slopes(torch.from_numpy(rows), torch.from_numpy(places))
    agree(by_slopes, want, 1e-12)


def test_no_point_lies_above_its_hull_and_vertices_are_exactly_on_it():
    places = wavelengths(188).numpy()
    rows = np.random.default_rng(1).uniform(0.1, 1, (512, 188)).cumsum(1) % 3 + 0.1
    hull = HullScan(places, 512)(rows)
    assert float((rows / hull).max()) <= 1 + 4e-16
    assert bool((hull[:, [0, -1]] == rows[:, [0, -1]]).all())
    want = np.array([hull_of_a_loop(row, places) for row in rows])
    np.testing.assert_allclose(hull, want, rtol=1e-12)


def hot_bands():
    """A smooth concave spectrum, and the same with one band that is far too large."""
    places = np.arange(188)
    smooth = 10 - ((places - 94) / 94) ** 2
    for band in (None, 9, 93, 186):
        yield smooth + 5 * (places == band)


def test_hulls_that_take_many_rounds_are_pooled(monkeypatch):
    rounds = []
    above_neighbours = Points.above_neighbours

    def counted(points):
        rounds.append(len(points.indices))
        return above_neighbours(points)

    monkeypatch.setattr(Points, "above_neighbours", counted)
    places = wavelengths(188).numpy()
    rows = np.array([*hot_bands(), *np.random.default_rng(1).uniform(0.1, 1, (5, 188))])
    hull = HullScan(places, len(rows))(rows)
    assert len(rounds) == ROUNDS
    want = np.array([hull_of_a_loop(row, places) for row in rows])
    np.testing.assert_allclose(hull, want, rtol=1e-13)


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e38, 1e300])
def test_hulls_do_not_depend_on_the_unit(scale):
    places = wavelengths(188).numpy()
    rows = np.array([*hot_bands(), *np.random.default_rng(1).uniform(0.1, 1, (5, 188))])
    scan = HullScan(places, len(rows))
    np.testing.assert_allclose(scan(rows * scale) / scale, scan(rows), rtol=1e-13)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308])
@pytest.mark.parametrize("band", [0, 1, 50, 187])
def test_a_pixel_that_is_not_finite_does_not_touch_its_neighbours(value, band):
    cube = spectra(1, 4, 5, 188).double()
    clean = treated(ContinuumRemoval(), cube, wavelengths=wavelengths(188))
    cube[0, 2, 2, band] = value
    got = treated(ContinuumRemoval(), cube, wavelengths=wavelengths(188))
    if not np.isfinite(value):
        assert got[0, 2, 2].isnan().all()
    got[0, 2, 2] = clean[0, 2, 2]
    assert torch.equal(got, clean)


def test_spectral_python_has_the_same_continuum_of_hostile_spectra():
    rows = np.array([shape for name, shape in HULLS.items() if name != "negative"])
    nm = wavelengths(30)
    got = treated(ContinuumRemoval(), torch.from_numpy(rows)[None], wavelengths=nm)
    np.testing.assert_allclose(got[0], spectral.remove_continuum(rows, nm.numpy()), rtol=1e-12)


def test_a_continuum_of_zero_is_not_defined_and_counted():
    cube = spectra(1, 2, 2, 6)
    cube[0, 0, 0] = 0
    cube[0, 1, 1, 0] = 0
    node = ContinuumRemoval()
    got = treated(node, cube, wavelengths=wavelengths(6))
    assert got[0, 0, 0].isnan().all()
    assert got[0, 1, 1].isnan().tolist() == [True] + 5 * [False]
    assert node.undefined_pixels == 2
