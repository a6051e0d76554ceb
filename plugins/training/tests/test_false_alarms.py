"""Thresholds for a false-alarm rate, against scipy and brute force."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from specloom import DataError, NodeError
from specloom_deciders import BinaryDecider, QuantileBinaryDecider, TwoStageBinaryDecider
from specloom_objects.intervals import clopper_pearson
from specloom_training import Calibrate
from specloom_training.calibration import false_alarms
from specloom_training.calibration.extremes import fit_tail, tail_interval
from specloom_training.calibration.intervals import rate_interval
from specloom_training.calibration.normals import NormalScores
from specloom_training.calibration.region_events import Pixels, region_events

sys.path.append(str(Path(__file__).parent))
toys = import_module("threshold_toys")
Scores = toys.Scores
run_of = toys.run_of
smooth_scores = toys.smooth_scores


def calibrated(source, decider=None, *, masked=False, **options):
    """What a calibration recorded."""
    decider = decider or BinaryDecider()
    run = run_of(source, decider, masked=masked)
    Calibrate("decider", **options).train(run)
    return run.record["calibrations"][0], run


def regions_at(scores, threshold, connectivity=8):
    structure = np.ones((3, 3)) if connectivity == 8 else None
    return sum(ndimage.label(image >= threshold, structure)[1] for image in scores)


def collected(scores, per="pixel", **options):
    normals = NormalScores(per, **options)
    for image in scores:
        normals.add(torch.from_numpy(image), torch.ones(image.shape, dtype=torch.bool))
    return normals


@pytest.mark.parametrize("rate", [0.3, 0.013, 1e-3])
def test_as_many_normal_pixels_exceed_the_threshold_as_the_rate_allows(rate):
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(25, 16, 16)).astype("float32")
    valid = rng.random(scores.shape) < 0.8
    scores[0, 0, :3] = np.nan
    found, run = calibrated(Scores(scores, valid=valid, batch=4), false_alarm_rate=rate)
    counted = scores[valid & np.isfinite(scores)]
    allowed = int(rate * counted.size)
    ranked = np.sort(counted)[::-1]
    assert ranked[allowed] < found["threshold"] < ranked[allowed - 1]
    assert found["exceedances"] == allowed
    assert found["expected_exceedances"] == pytest.approx(rate * counted.size)
    assert found["extrapolated"] == (rate * counted.size < 10)
    assert run.graph.nodes["decider"].logit_threshold == found["threshold"]
    low, high = found["interval"]
    assert low < rate < high
    assert run.metrics["val"]["decider/false_alarm_rate_high"] == high


def test_anomalies_are_excluded_where_there_are_masks():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(25, 12, 12)).astype("float32")
    mask = rng.random(scores.shape) < 0.05
    scores[mask] += 50
    source = Scores(scores, mask)
    found, _ = calibrated(source, masked=True, false_alarm_rate=0.01)
    normal = np.sort(scores[~mask])[::-1]
    allowed = int(0.01 * normal.size)
    assert normal[allowed] < found["threshold"] < normal[allowed - 1]


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("digits", [0, 3])
def test_regions_are_counted_at_every_threshold(connectivity, digits):
    scores = np.round(smooth_scores(5, 13), digits)
    images, rows, columns = np.indices(scores.shape).reshape(3, -1)
    values = scores.ravel().astype(np.float64)
    order = np.argsort(-values)
    places = np.stack([images, rows, columns], 1)[order]
    pixels = Pixels(values[order], places, -np.inf)
    events = region_events(pixels, connectivity)
    for threshold in np.unique(values):
        count = events.signs[events.scores >= threshold].sum()
        assert count == regions_at(scores, threshold, connectivity)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_no_threshold_above_has_more_regions_than_the_rate_allows(connectivity):
    scores = smooth_scores(30)
    found, _ = calibrated(
        Scores(scores), per="object", false_alarm_rate=1.5, connectivity=connectivity
    )
    threshold = found["threshold"]
    higher = [t for t in np.unique(scores) if t >= threshold]
    assert max(regions_at(scores, t, connectivity) for t in higher) <= 1.5 * 30
    below = np.unique(scores)[np.unique(scores) < threshold].max()
    assert regions_at(scores, below, connectivity) > 1.5 * 30
    assert found["exceedances"] == regions_at(scores, threshold, connectivity)


def test_a_rate_of_images_is_that_of_their_largest_scores():
    scores = smooth_scores(60)
    found, _ = calibrated(Scores(scores), per="image", false_alarm_rate=0.2)
    largest = np.sort(scores.max((1, 2)))[::-1]
    assert largest[12] < found["threshold"] < largest[11]
    # Where every group is one image, resampling gives the exact interval.
    assert found["interval"] == pytest.approx(clopper_pearson(12, 60), abs=0.015)
    assert found["resampled"] == "images"


def test_clean_images_alone_count_for_a_rate_of_images():
    scores = smooth_scores(50)
    mask = np.zeros(scores.shape, bool)
    mask[::2, 0, 0] = True
    scores[::2] += 100
    found, _ = calibrated(
        Scores(scores, mask), masked=True, per="image", false_alarm_rate=0.2, split="val"
    )
    assert found["images"] == 25
    assert found["exceedances"] == 5
    assert found["threshold"] < 50


def test_the_interval_counts_images_not_pixels():
    """Pixels in blocks of 4 x 4 equal ones have the interval of a sixteenth of the pixels."""
    rng = np.random.default_rng(3)
    single = rng.normal(size=(40, 8, 8)).astype("float32")
    repeated = single.repeat(4, 1).repeat(4, 2)
    few = collected(single).sample()
    many = collected(repeated).sample()
    threshold = float(np.quantile(single, 0.97))
    narrow = rate_interval(few, threshold)
    assert rate_interval(many, threshold) == pytest.approx(narrow, abs=0.004)
    exact = clopper_pearson(few.exceedances(threshold), single.size)
    assert np.diff(narrow) >= 0.9 * np.diff(exact)
    too_narrow = clopper_pearson(many.exceedances(threshold), repeated.size)
    assert np.diff(too_narrow) < 0.4 * np.diff(narrow)


@pytest.mark.parametrize("per", ["pixel", "object"])
def test_blocks_are_resampled_where_images_are_few(per):
    scores = smooth_scores(1, 64)
    sample = collected(scores, per).sample()
    assert sample.resampled == "blocks"
    assert len(sample.units) == 64
    assert sample.total == pytest.approx(64 * 64 if per == "pixel" else 1)
    threshold = float(np.quantile(scores, 0.99))
    counts = sample.counts(threshold).reshape(8, 8)
    if per == "pixel":
        expected = (scores[0] >= threshold).reshape(8, 8, 8, 8).sum((1, 3))
        assert (counts == expected).all()
    assert counts.sum() == sample.exceedances(threshold)


@pytest.mark.parametrize(("images", "more"), [(1, 8.0), (2, 4.0), (10, 2.0), (20, 1.0)])
def test_what_blocks_have_not_seen_counts_as_a_row_of_them(images, more):
    """So that the interval is wider than that of as many independent groups."""
    sample = collected(smooth_scores(images, 64)).sample()
    assert sample.more == more
    threshold = float(sample.scores[int(0.01 * sample.total)])
    low, high = rate_interval(sample, threshold)
    independent_low, independent_high = rate_interval(sample._replace(more=1.0), threshold)
    assert low <= independent_low
    assert high >= independent_high
    assert (high - low > independent_high - independent_low) == (images < 20)
    tail = tail_interval(sample, float(sample.scores[int(0.05 * sample.total)]), threshold)
    assert tail[0] < 0.01 < tail[1]


@pytest.mark.parametrize("per", ["pixel", "object", "image"])
@pytest.mark.parametrize("method", ["empirical", "peaks_over_threshold"])
def test_neither_order_nor_batches_change_anything(per, method):
    scores = smooth_scores(40)
    rates = {"pixel": 0.004, "object": 0.5, "image": 0.2}
    options = {"per": per, "method": method, "tail": 0.5 if per == "image" else 0.05}
    found = []
    for order, batch in ((slice(None), 1), (slice(None, None, -1), 7), (slice(None), 40)):
        source = Scores(scores[order], batch=batch)
        one, _ = calibrated(source, false_alarm_rate=rates[per], **options)
        found.append(one)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("per", ["pixel", "object"])
def test_a_few_stored_scores_give_the_same_threshold(per):
    scores = np.round(smooth_scores(30), 2)
    rate = {"pixel": 0.004, "object": 0.3}[per]
    whole = collected(scores, per)
    bounded = collected(scores, per, capacity=300)
    expected = false_alarms.empirical_threshold(whole, rate, per)
    assert false_alarms.empirical_threshold(bounded, rate, per) == expected
    halves = collected(scores[:11], per, capacity=300)
    halves.merge(collected(scores[11:], per, capacity=300).state())
    assert false_alarms.empirical_threshold(halves, rate, per) == expected
    assert len(bounded.sample().scores) < 600


def test_a_rate_that_needs_more_scores_than_are_stored_is_refused():
    bounded = collected(smooth_scores(30), capacity=300)
    with pytest.raises(DataError) as caught:
        false_alarms.empirical_threshold(bounded, 0.1, "pixel")
    assert str(caught.value) == (
        "a false-alarm rate of 0.1 needs more than the 299 largest scores, which are stored\n"
        "  fix: lower false_alarm_rate, or calibrate on fewer images"
    )


@pytest.mark.parametrize("shape", [-0.2, 1e-9, 0.3])
def test_the_tail_is_that_of_scipy(shape):
    rng = np.random.default_rng(4)
    scores = stats.genpareto.rvs(shape, scale=2, size=(30, 10, 10), random_state=rng)
    sample = collected(scores.astype("float32")).sample()
    tail = fit_tail(sample, 1.0)
    excesses = sample.scores[sample.scores > 1] - 1
    fitted_shape, _, fitted_scale = stats.genpareto.fit(excesses, floc=0)
    assert tail.shape == pytest.approx(fitted_shape, abs=2e-3)
    assert tail.scale == pytest.approx(fitted_scale, rel=2e-3)
    likelihood = stats.genpareto.logpdf(excesses, tail.shape, scale=tail.scale).sum()
    best = stats.genpareto.logpdf(excesses, fitted_shape, scale=fitted_scale).sum()
    assert likelihood >= best - 1e-3
    assert tail.share == pytest.approx((sample.scores > 1).mean())
    assert tail.rate(tail.threshold(1e-3)) == pytest.approx(1e-3)
    exact = stats.genpareto.isf(1e-3, shape, scale=2)
    assert tail.threshold(1e-3) == pytest.approx(exact, rel=0.25)
    low, high = tail_interval(sample, 1.0, tail.threshold(1e-3))
    assert low < 1e-3 < high


def test_peaks_over_threshold_reach_beyond_the_scores():
    rng = np.random.default_rng(5)
    scores = rng.exponential(size=(40, 16, 16)).astype("float32")
    found, run = calibrated(
        Scores(scores), method="peaks_over_threshold", false_alarm_rate=1e-5, tail=0.05
    )
    assert found["threshold"] == pytest.approx(-np.log(1e-5), rel=0.25)
    assert found["tail_exceedances"] == int(0.05 * scores.size)
    assert found["extrapolated"]
    assert found["summary"].endswith("extrapolated: 0.1 exceedances expected")
    assert run.metrics["val"]["decider/expected_exceedances"] == pytest.approx(0.1024)


MESSAGES = {
    "short tail": (
        {"method": "peaks_over_threshold", "false_alarm_rate": 1e-4, "tail": 0.001},
        "decider cannot be calibrated on 'val': a tail of 7 scores is too short for peaks over "
        "threshold, which needs 20\n"
        "  fix: calibrate on more images, raise tail, or use method: empirical",
    ),
    "outside": (
        {"method": "peaks_over_threshold", "false_alarm_rate": 0.3, "tail": 0.01},
        "decider cannot be calibrated on 'val': a false-alarm rate of 0.3 lies outside the tail, "
        "which has the rate 0.0099\n"
        "  fix: use method: empirical, or raise tail",
    ),
    "objects": (
        {"per": "object", "false_alarm_rate": 1000.0},
        "decider cannot be calibrated on 'val': no threshold has 30000 false alarms, the rate "
        "1000\n"
        "  fix: lower false_alarm_rate",
    ),
    "almost all": (
        {"false_alarm_rate": 0.96},
        "the threshold of decider decides 7372 of 7680 pixels of 'val', almost all\n"
        "  fix: check the scores that it reads and the class numbers of the data node",
    ),
}


@pytest.mark.parametrize(("options", "message"), MESSAGES.values(), ids=MESSAGES)
def test_what_cannot_be_calibrated(options, message):
    with pytest.raises(DataError) as caught:
        calibrated(Scores(smooth_scores(30)), **options)
    assert str(caught.value) == message


def test_images_with_anomalies_alone_have_no_rate():
    scores = smooth_scores(3)
    source = Scores(scores, np.ones(scores.shape, bool))
    with pytest.raises(DataError) as caught:
        calibrated(source, masked=True, false_alarm_rate=0.1)
    assert str(caught.value) == (
        "decider has no normal image in the split 'val' to calibrate with\n"
        "  fix: use a split with images without anomalies, or another 'per'"
    )


class Deaf(BinaryDecider):
    """A decider that takes a threshold and does not use it."""

    def calibrate(self, logit_threshold: float) -> None:
        self.ignored = logit_threshold


def test_a_decider_with_other_false_alarms_is_an_error():
    scores = smooth_scores(30)
    with pytest.raises(NodeError) as caught:
        calibrated(Scores(scores), Deaf(), false_alarm_rate=0.01)
    assert str(caught.value) == (
        f"decider was calibrated for 76 false alarms on 'val', but its decisions have "
        f"{int((scores >= 0).sum())}\n"
        "  fix: let its calibrate() decide where logits reach the threshold, and its output depend "
        "on 'logits' alone"
    )


@pytest.mark.parametrize("per", ["pixel", "object", "image"])
def test_a_quantile_decider_gets_an_absolute_value(per):
    scores = smooth_scores(40)
    rate = {"pixel": 0.01, "object": 0.5, "image": 0.25}[per]
    decider = QuantileBinaryDecider()
    found, _ = calibrated(Scores(scores), decider, per=per, false_alarm_rate=rate)
    twin, _ = calibrated(Scores(scores), BinaryDecider(), per=per, false_alarm_rate=rate)
    assert found == {**twin, "parameter": "value"}
    assert decider.value == twin["threshold"]
    decisions = decider.forward(torch.from_numpy(scores)[..., None])["decisions"][..., 0]
    assert (decisions.numpy() == (scores >= decider.value)).all()


def test_the_two_stages_are_calibrated_one_after_the_other():
    scores = smooth_scores(60)
    decider = TwoStageBinaryDecider(top_k_fraction=0.02, image_threshold=-100.0)
    run = run_of(Scores(scores), decider)
    Calibrate("decider", per="image", false_alarm_rate=0.3).train(run)
    top = np.sort(scores.reshape(60, -1), 1)[:, -5:].astype(np.float64).mean(1)
    ranked = np.sort(top)[::-1]
    assert ranked[18] < decider.image_threshold < ranked[17]
    assert decider.value is None
    Calibrate("decider", false_alarm_rate=0.005).train(run)
    passing = np.sort(scores[top >= decider.image_threshold].ravel())[::-1]
    allowed = int(0.005 * scores.size)
    assert passing[allowed] < decider.value < passing[allowed - 1]
    first, second = run.record["calibrations"]
    assert (first["parameter"], second["parameter"]) == ("image_threshold", "value")
    assert second["exceedances"] == allowed
