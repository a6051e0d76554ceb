import numpy as np
import pytest
import torch

from specloom import ConfigError, DataError, NodeError
from specloom_mrmr.cir import SupervisedCIRBandSelector
from specloom_mrmr.false_rgb import SupervisedWindowedFalseRGBSelector
from specloom_mrmr.full_spectrum import SupervisedFullSpectrumBandSelector

NM = torch.linspace(400, 1000, 31)


def scene(pixels=600, bands=31, share=0.3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.random(pixels) < share
    rows = rng.normal(size=(pixels, bands)) + labels[:, None] * rng.uniform(-1.5, 1.5, bands)
    return torch.from_numpy(rows).float(), torch.from_numpy(labels)


def batch(rows, labels, **more):
    return {"cube": rows[None, None], "mask": labels[None, None, :, None], **more}


def fit(node, *batches):
    for pass_ in range(2):
        node.fit_start(pass_)
        for one in batches:
            node.fit_update(**one)
        node.fit_end()
    return node


def full(rows, labels, **params):
    return fit(SupervisedFullSpectrumBandSelector(rows.shape[1], **params), batch(rows, labels))


@pytest.mark.parametrize("value", [0.0, 0.1, -32768.0])
def test_a_constant_band_scores_nothing_and_changes_no_choice(value):
    rows, labels = scene()
    rows[:, 4] = value
    node = full(rows, labels, n_bands=30)
    assert (node.fisher_scores[4], node.auc_scores[4], node.mi_scores[4]) == (0, 0.5, 0)
    assert node.auc_bounds[4] == 0
    chosen = node.selected_indices.tolist()
    assert sorted([*chosen, 4]) == list(range(31))
    rest = [band for band in range(31) if band != 4]
    without = full(rows[:, rest], labels, n_bands=30)
    assert [rest[band] for band in without.selected_indices.tolist()] == chosen


def test_a_constant_band_is_taken_last_and_told():
    rows, labels = scene(bands=4)
    rows[:, 0] = 7
    with pytest.warns(UserWarning, match=r"chose bands that are constant: \[0\]"):
        node = full(rows, labels, n_bands=4)
    assert node.selected_indices.tolist()[-1] == 0


def test_of_a_band_and_its_copy_the_other_is_not_next():
    rows, labels = scene(bands=8)
    best = int(full(rows, labels).selected_indices[0])
    twins = torch.cat([rows, rows[:, best : best + 1]], 1)
    node = full(twins, labels, lambda_penalty=50.0)
    assert node.selected_indices[0] == best
    assert 8 not in node.selected_indices.tolist()
    assert node.auc_scores[8] == node.auc_scores[best]


def test_a_darker_band_ranks_as_high_as_a_brighter_one():
    rows, labels = scene()
    rows[:, 7] = -rows[:, 3]
    node = full(rows, labels)
    for scores in (node.fisher_scores, node.auc_scores):
        assert scores[7] == pytest.approx(float(scores[3]), abs=1e-12)
    assert node.mi_scores[7] == pytest.approx(float(node.mi_scores[3]), abs=5e-3)


def test_pixels_that_are_nan_or_not_valid_count_as_if_they_were_not_there():
    rows, labels = scene()
    want = full(rows[100:], labels[100:])
    rows[:50, 3] = torch.nan
    rows[50:60, 9] = torch.inf
    valid = torch.arange(600)[None, None, :, None] >= 100
    one = batch(rows, labels, valid=valid)
    node = fit(SupervisedFullSpectrumBandSelector(31), one)
    assert node.pixels == 500
    assert node.fit_summary().count("(100 excluded)") == 1
    for name, value in want.state().items():
        torch.testing.assert_close(
            node.state()[name], value, rtol=1e-10, atol=1e-12, equal_nan=True
        )


def test_one_hot_pixel_changes_no_ranking():
    rows, labels = scene(20_000)
    hot = rows.clone()
    clean = full(rows, labels, winsorize=None)
    best = int(clean.fisher_scores.argmax())
    hot[17, 5], hot[int(labels.nonzero()[3]), best] = 1e6, 1e6
    spoilt = full(hot, labels, winsorize=None)
    for name in ("auc_scores", "mi_scores"):
        order, other = getattr(clean, name).argsort(), getattr(spoilt, name).argsort()
        assert order.tolist() == other.tolist()
    assert spoilt.fisher_scores[best] < 0.01 * clean.fisher_scores[best]
    clean = full(rows, labels)
    spoilt = full(hot, labels)
    for name in ("fisher_scores", "auc_scores", "mi_scores", "band_scores"):
        order, other = getattr(clean, name).argsort(), getattr(spoilt, name).argsort()
        assert order.tolist() == other.tolist()
    assert spoilt.selected_indices.tolist() == clean.selected_indices.tolist()


def error(match, node, *batches, kind=DataError):
    with pytest.raises(kind, match=match):
        fit(node, *batches)


def test_one_class_is_refused_before_the_second_pass():
    rows, labels = scene()
    for marks, name in ((labels | True, "False"), (labels & False, "True")):
        node = SupervisedFullSpectrumBandSelector(31)
        node.fit_start(0)
        node.fit_update(**batch(rows, marks))
        with pytest.raises(DataError, match=f"two classes: 'mask' is nowhere {name} in 600"):
            node.fit_end()
        assert not node.fitted


def test_no_labels_are_refused():
    rows, labels = scene()
    valid = torch.zeros(1, 1, 600, 1, dtype=torch.bool)
    unlabelled = batch(rows, labels, valid=valid)
    error(
        "no labelled pixel: 'valid' or 'labelled' excludes all 600",
        SupervisedFullSpectrumBandSelector(31),
        unlabelled,
    )
    node = fit(SupervisedFullSpectrumBandSelector(31), unlabelled, batch(rows, labels))
    assert torch.equal(node.fisher_scores, full(rows, labels).fisher_scores)


def test_a_band_without_numbers_is_named():
    rows, labels = scene()
    rows[:, 12] = torch.nan
    selector = SupervisedFullSpectrumBandSelector
    error(
        r"pixels where 'mask' is False are NaN in the whole of band 12 \(640 nm\)",
        selector(31),
        batch(rows, labels, wavelengths=NM),
    )
    error("NaN in the whole of band 12\n", selector(31), batch(rows, labels))
    rows[:] = torch.nan
    error("the whole of band 0, 1, 2, 3, 4 and 26 more", selector(31), batch(rows, labels))


def test_pixels_that_are_all_nan_somewhere_are_refused():
    rows, labels = scene()
    rows[::2, 3], rows[1::2, 4] = torch.nan, torch.nan
    error("NaN in some band each", SupervisedFullSpectrumBandSelector(31), batch(rows, labels))


def test_a_camera_that_ends_at_700_nm_has_no_near_infrared():
    rows, labels = scene()
    node = SupervisedCIRBandSelector(31)
    node.fit_start(0)
    with pytest.raises(DataError, match=r"no band lies in the window 840 to 910 nm.*400 to 700 nm"):
        node.fit_update(**batch(rows, labels, wavelengths=torch.linspace(400, 700, 31)))


def test_windows_without_wavelengths_are_refused():
    error(
        "has windows, but the data have no wavelengths",
        SupervisedCIRBandSelector(31),
        batch(*scene()),
    )


def test_other_wavelengths_are_refused():
    rows, labels = scene()
    one = batch(rows, labels, wavelengths=NM)
    error(
        "band 0 is at 402 nm, in the fit at 400 nm",
        SupervisedCIRBandSelector(31),
        one,
        {**one, "wavelengths": NM + 2},
    )
    node = fit(SupervisedCIRBandSelector(31), one)
    node(cube=one["cube"])
    node(cube=one["cube"], wavelengths=NM + 0.4)
    with pytest.raises(DataError, match="in the fit at 400 nm"):
        node(cube=one["cube"], wavelengths=NM + 2)


@pytest.mark.parametrize(
    "windows",
    [
        ((440, 500), (500, 580), (580, 640)),
        ((400, 1000), (400, 1000), (400, 1000)),
        ((500, 560), (500, 520), (520, 540)),
        ((400, 1000), (500, 500), (520, 520)),
    ],
)
def test_no_band_is_taken_twice_in_touching_or_overlapping_windows(windows):
    for seed in range(5):
        one = batch(*scene(seed=seed), wavelengths=NM)
        node = fit(SupervisedWindowedFalseRGBSelector(31, windows=windows), one)
        chosen = node.selected_indices.tolist()
        assert len(set(chosen)) == 3
        for band, (low, high) in zip(chosen, windows[::-1], strict=True):
            assert low <= NM[band] <= high


def test_windows_that_share_too_few_bands_are_refused():
    windows = ((500, 520), (500, 520), (500, 520))
    node = SupervisedCIRBandSelector(31, windows=windows)
    error("the windows share too few bands", node, batch(*scene(), wavelengths=NM))


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"windows": ((500, 400), (500, 580), (610, 700))}, "windows are"),
        ({"score_weights": (1, -1, 1)}, "score_weights are"),
        ({"score_weights": (0, 0, 0)}, "score_weights are"),
        ({"lambda_penalty": -0.5}, "lambda_penalty is -0.5"),
        ({"mi_bins": 1}, "mi_bins is 1"),
        ({"winsorize": (0.9, 0.1)}, "winsorize is"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(params, match):
    with pytest.raises(ConfigError, match=match):
        SupervisedCIRBandSelector(31, **params)


def test_more_bands_than_there_are_cannot_be_chosen():
    with pytest.raises(ConfigError, match="5 of 4 bands are to be chosen"):
        SupervisedFullSpectrumBandSelector(4, n_bands=5)


def test_passes_out_of_turn_are_refused():
    node = SupervisedFullSpectrumBandSelector(31)
    with pytest.raises(NodeError, match="has not started a fit"):
        node.fit_update(**batch(*scene()))
    node.fit_start(0)
    with pytest.raises(NodeError, match="has not ended its first pass"):
        node.fit_start(1)
