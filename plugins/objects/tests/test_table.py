"""The table of objects, against loops over objects, in any strips."""

import csv

import numpy as np
import pytest
from scipy import ndimage

from specloom_objects import measure_objects, table

RNG = np.random.default_rng(23)
SCENE = (37, 29)


def scene(share=0.15, bands=4):
    decisions = ndimage.gaussian_filter(RNG.normal(size=SCENE), 1)
    decisions = decisions > np.quantile(decisions, 1 - share)
    scores = (RNG.normal(5, 1, SCENE) + 4 * decisions).astype(np.float32)
    cube = RNG.normal(100, 3, (*SCENE, bands)).astype(np.float32)
    return decisions, scores, cube


def loop(decisions, scores, cube, distance=3):
    labels, count = ndimage.label(decisions, np.ones((3, 3)))
    side = 2 * distance + 1
    for number in range(1, count + 1):
        inside = labels == number
        near = ndimage.binary_dilation(inside, np.ones((side, side)))
        near &= ~decisions & np.isfinite(scores)
        rows, columns = np.nonzero(inside)
        outside = scores[near].astype(float)
        mean = np.nanmean(scores[inside].astype(float))
        yield (
            {
                "label": number,
                "pixels": inside.sum(),
                "row": rows.mean(),
                "column": columns.mean(),
                "top": rows.min(),
                "left": columns.min(),
                "bottom": rows.max(),
                "right": columns.max(),
                "mean_score": mean,
                "max_score": np.nanmax(scores[inside]),
                "surround_score": outside.mean(),
                "contrast": (mean - outside.mean()) / outside.std(ddof=1),
            },
            np.nanmean(cube[inside].astype(float), axis=0),
        )


@pytest.mark.parametrize("distance", [1, 3])
def test_every_column_equals_a_loop_over_objects(distance):
    decisions, scores, cube = scene()
    scores[0, :5] = np.nan
    cube[:, 3, 1] = np.nan
    found = measure_objects(decisions, scores, cube.__getitem__, distance=distance)
    rows = found.rows()
    expected = list(loop(decisions, scores, cube, distance))
    assert len(found) == len(rows) == len(expected) > 10
    for row, spectrum, (values, mean) in zip(rows, found.spectra, expected, strict=True):
        assert {name: row[name] for name in values} == pytest.approx(values, rel=1e-10)
        np.testing.assert_allclose(spectrum, mean, rtol=1e-10)
        assert {row[name] for name in ("area", "unit", "x", "y")} == {None}
    assert found.spectra_of == list(range(1, len(rows) + 1))
    assert list(found.bands) == ["band 0", "band 1", "band 2", "band 3"]


@pytest.mark.parametrize("pixels", [1, 29 * 4, 29 * 11])
def test_strips_change_no_bit(pixels, monkeypatch):
    decisions, scores, cube = scene()
    whole = measure_objects(decisions, scores, cube.__getitem__)
    monkeypatch.setattr(table, "STRIP_PIXELS", pixels)
    found = measure_objects(decisions, scores, cube.__getitem__)
    assert found.columns == whole.columns
    assert found.spectra.tobytes() == whole.spectra.tobytes()


@pytest.mark.parametrize("connectivity", [4, 8])
def test_connectivity(connectivity):
    decisions = np.eye(4, dtype=bool)
    found = measure_objects(decisions, connectivity=connectivity)
    assert len(found) == {4: 4, 8: 1}[connectivity]


def test_places_on_the_map():
    decisions = np.zeros((6, 8), bool)
    decisions[1:3, 2:5] = True
    north_up = (2.0, 0.0, 100.0, 0.0, -3.0, 50.0)
    (row,) = measure_objects(decisions, transform=north_up, unit="metre").rows()
    assert (row["x"], row["y"], row["area"], row["unit"]) == (107.0, 44.0, 36.0, "metre")
    turned = (0.0, 2.0, 100.0, 3.0, 0.0, 50.0)
    (row,) = measure_objects(decisions, transform=turned, unit="metre").rows()
    assert (row["x"], row["y"], row["area"]) == (104.0, 60.5, 36.0)
    (row,) = measure_objects(decisions, transform=north_up, unit="degree").rows()
    assert (row["x"], row["area"], row["unit"]) == (107.0, None, "degree")


def test_what_is_not_known():
    full = np.ones((3, 4), bool)
    scores = np.full((3, 4), 2.0, np.float32)
    (row,) = measure_objects(full, scores).rows()
    assert (row["mean_score"], row["max_score"]) == (2, 2)
    assert (row["surround_score"], row["contrast"]) == (None, None)
    one = np.zeros((3, 4), bool)
    one[0, 0] = True
    (row,) = measure_objects(one, scores).rows()
    assert (row["surround_score"], row["contrast"]) == (2, None)  # all around it are equal
    (row,) = measure_objects(one, np.full((3, 4), np.nan)).rows()
    assert {row[name] for name in ("mean_score", "max_score", "surround_score")} == {None}
    (row,) = measure_objects(np.ones((1, 1), bool), np.ones((1, 1))).rows()
    assert row["pixels"] == 1
    none = measure_objects(~full, scores, np.zeros((3, 4, 2)).__getitem__)
    assert (len(none), none.rows(), none.spectra.shape) == (0, [], (0, 2))


def test_a_large_mean_leaves_the_digits_of_a_small_deviation():
    decisions = np.zeros((9, 9), bool)
    decisions[4, 4] = True
    noise = RNG.normal(0, 1e-3, (9, 9))
    scores = 1e6 + noise
    scores[4, 4] = 1e6 + 1
    (row,) = measure_objects(decisions, scores).rows()
    around = scores[1:8, 1:8][~decisions[1:8, 1:8]]
    assert row["contrast"] == pytest.approx(
        (scores[4, 4] - around.mean()) / around.std(ddof=1), rel=1e-6
    )


def test_only_the_largest_objects_have_a_spectrum_where_there_are_many(monkeypatch):
    monkeypatch.setattr(table, "MAX_SPECTRA", 2)
    decisions = np.zeros((3, 9), bool)
    decisions[0, 0] = decisions[:, 2:4] = decisions[0, 5] = decisions[:2, 7] = True
    cube = np.arange(27.0).reshape(3, 9, 1)
    found = measure_objects(decisions, read_rows=cube.__getitem__)
    assert len(found) == 4
    assert found.spectra_of == [2, 4]
    np.testing.assert_array_equal(found.spectra[:, 0], [cube[:, 2:4].mean(), cube[:2, 7].mean()])


def test_rows_without_objects_are_not_read():
    decisions = np.zeros(SCENE, bool)
    decisions[30, 4] = True
    cube = np.zeros((*SCENE, 2))
    read = []

    def read_rows(rows):
        read.append((rows.start, rows.stop))
        return cube[rows]

    measure_objects(decisions, read_rows=read_rows)
    assert read == [(0, 1), (30, 31)]


def test_files(tmp_path):
    decisions, scores, cube = scene()
    found = measure_objects(decisions, scores, cube.__getitem__, [400.0, 500.25, 600, 700])
    found.write(tmp_path / "objects.csv")
    found.write_spectra(tmp_path / "spectra.csv")
    with (tmp_path / "objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(found.columns)
    assert [float(row["contrast"]) for row in rows] == found.columns["contrast"]
    assert {row["area"] for row in rows} == {""}
    with (tmp_path / "spectra.csv").open(newline="") as file:
        header, *values = csv.reader(file)
    assert header == ["label", "400 nm", "500.25 nm", "600 nm", "700 nm"]
    np.testing.assert_array_equal(np.array(values, float)[:, 1:], found.spectra)
