"""Spectra of images: the grid, both classes, objects, and the bytes on the page."""

import numpy as np
import pytest

from specloom_report.collecting.held_cube import hold
from specloom_report.collecting.image_spectra import (
    MAX_GRID,
    MAX_VALUES,
    as_bytes,
    grid_places,
    grid_size,
    pooled_spectra,
    read_spectra,
)
from specloom_report.collecting.objects import find_objects
from specloom_report.page.figures import spectra_chart
from specloom_report.page.packing import Block
from specloom_report.page.viewer import Viewer


@pytest.mark.parametrize("shape", [(64, 64), (5, 4000), (1, 1), (700, 3)])
@pytest.mark.parametrize("step", [1, 3])
def test_the_grid_is_even_and_bounded(shape, step):
    places = grid_places(*shape, MAX_GRID, step)
    assert 0 < len(places) <= MAX_GRID
    assert len(np.unique(places, axis=0)) == len(places)
    assert (places % step == 0).all()
    assert (places < shape).all()
    if min(shape) > 30 * step:
        assert len(places) > MAX_GRID // 2


def test_the_spectra_of_all_images_are_bounded():
    for images in (1, 20):
        for bands in (3, 61, 200, 2000):
            assert images * bands * grid_size(images, bands) <= max(MAX_VALUES, 4 * images * bands)
    assert grid_size(1, 61) == MAX_GRID


def scene():
    generator = np.random.default_rng(0)
    cube = generator.random((1, 30, 40, 5)).astype(np.float32)
    anomalous = np.zeros((30, 40), bool)
    anomalous[3:6, 7:9] = True
    cube[0][anomalous] += 10
    used = np.ones((30, 40), bool)
    used[:, 0] = False
    cube[0, 20, 20] = np.nan
    return cube, anomalous, used


def test_classes_objects_and_grid_are_those_of_the_cube():
    cube, anomalous, used = scene()
    scores = cube[0].sum(-1)
    objects, _ = find_objects(anomalous, anomalous, scores)
    found = read_spectra(hold(cube), 0, 1200, used, anomalous, scores, objects)
    assert len(found.grid) == 1200
    rows, columns = found.places.T
    np.testing.assert_array_equal(found.grid, cube[0, rows, columns])
    np.testing.assert_array_equal(found.scores, scores[rows, columns])
    np.testing.assert_allclose(found.objects[0], cube[0][anomalous].mean(0), rtol=1e-6)
    pooled = pooled_spectra([found, found])
    background = cube[0][used & ~anomalous]
    background = background[np.isfinite(background).all(1)]
    assert pooled["background"]["pixels"] == 2 * len(background)
    np.testing.assert_allclose(pooled["background"]["mean"], background.mean(0), rtol=1e-4)
    low = np.percentile(np.concatenate([background] * 2), 5, axis=0)
    np.testing.assert_allclose(pooled["background"]["low"], low, rtol=1e-4)
    np.testing.assert_allclose(pooled["foreground"]["mean"], cube[0][anomalous].mean(0), rtol=1e-4)


def test_each_class_of_the_masks_has_its_mean_over_all_images():
    cube, anomalous, used = scene()
    classes = np.zeros((30, 40), np.int32)
    classes[anomalous] = 3
    classes[10:20, 10:20] = 1
    classes[25:, 30:] = -1
    first = read_spectra(hold(cube), 0, 100, used, anomalous, None, [], classes)
    second = read_spectra(hold(cube * 3), 0, 100, used, anomalous, None, [], classes * 0)
    found = {one["class"]: one for one in pooled_spectra([first, second])["classes"]}
    assert {number: one["anomalous"] for number, one in found.items()} == {
        0: False,
        1: False,
        3: True,
    }
    assert found[3]["pixels"] == anomalous.sum()
    np.testing.assert_allclose(found[3]["mean"], cube[0][anomalous].mean(0), rtol=1e-4)
    of_one = used & (classes == 1)
    assert found[1]["pixels"] == of_one.sum()
    np.testing.assert_allclose(found[1]["mean"], cube[0][of_one].mean(0), rtol=1e-4)
    assert found[0]["pixels"] == (used & (classes == 0)).sum() + used.sum()
    without = read_spectra(hold(cube), 0, 100, used, anomalous, None, [])
    assert "classes" not in pooled_spectra([without])


def classes_chart(numbers, names):
    """The chart of spectra, and its note, of a report whose masks have some classes."""
    mean = [1.0, 2.0]
    pooled = {"background": {"pixels": 9, "mean": mean, "low": mean, "high": mean}}
    pooled["foreground"] = {"pixels": 4, "mean": mean}
    pooled["classes"] = [
        {"class": number, "pixels": 5, "anomalous": number > 1, "mean": mean} for number in numbers
    ]
    image = {"judge": "metrics", "number": 0, "size": [2, 2]}
    arrays = {"metrics/0/grid": np.zeros((4, 2), np.uint8)}
    report = {
        "pictures": {"stage": "test", "images": [image], "spectra": pooled},
        "splits": [{"splits": ["test"], "masks": {"names": names}}],
    }
    return spectra_chart(Viewer(report, arrays, Block()))


def test_classes_are_called_by_their_names():
    chart = classes_chart([0, 1, 2], {"2": "stone"})
    assert [one.name for one in chart.series[3:]] == [
        "class 0 (normal)",
        "class 1 (normal)",
        "2 stone (anomalous)",
    ]
    assert "2 stone: 5 pixels" in chart.note
    named = classes_chart([0, 2], {"2": "stone"})
    assert named.series[-1].name == "2 stone (anomalous)"
    plain = classes_chart([0, 2], {})
    assert [one.name for one in plain.series[3:]] == ["mean of anomalous pixels"]


def test_without_finite_pixels_there_is_no_class():
    cube, anomalous, used = scene()
    found = read_spectra(hold(cube * np.nan), 0, 50, used, anomalous, None, [])
    assert pooled_spectra([found]) == {}


def test_bytes_are_close_and_missing_values_stay_missing():
    spectra = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    spectra[3, 2] = np.nan
    spectra[:, 5] = np.inf
    spectra[:, 6] = 4.0
    levels, (low, high) = as_bytes(spectra)
    assert (levels == 255).sum() == 51
    back = low + levels / 254 * (high - low)
    known = np.isfinite(spectra)
    assert np.abs(back - spectra)[known].max() <= (high - low).max() / 500
    assert (back[:, 6] == 4).all()
