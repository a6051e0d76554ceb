"""Thresholds of all deciders by a metric, against brute force; what is refused, and warned of."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from specloom import DataError, SpecloomWarning
from specloom_deciders import BinaryDecider, QuantileBinaryDecider, TwoStageBinaryDecider
from specloom_training import Calibrate, Evaluate

sys.path.append(str(Path(__file__).parent))
toys = import_module("threshold_toys")
Scores = toys.Scores
run_of = toys.run_of


def f1(targets, decisions):
    return 2 * (targets & decisions).sum() / (targets.sum() + decisions.sum())


def iou(targets, decisions):
    return (targets & decisions).sum() / (targets | decisions).sum()


REFERENCES = {"f1": f1, "iou": iou}


def scored(seed, images=5, size=7):
    """Scores with anomalies in some images, of a different level in each, and ties."""
    rng = np.random.default_rng(seed)
    mask = rng.random((images, size, size)) < 0.15
    mask[::3] = False
    levels = rng.normal(size=(images, 1, 1))
    scores = (rng.normal(size=mask.shape) + 2 * mask + levels).round(1)
    valid = rng.random(mask.shape) < 0.9
    return Scores(scores, mask, valid, batch=2)


def decided(decider, source):
    logits = torch.from_numpy(source.scores)[..., None]
    valid = torch.from_numpy(source.valid)[..., None]
    return decider.forward(logits, valid)["decisions"][..., 0].numpy()


def reach(decider, source, metric):
    decisions = decided(decider, source)
    return REFERENCES[metric](source.mask[source.valid], decisions[source.valid])


def best_of(deciders, source, metric):
    return max(reach(decider, source, metric) for decider in deciders)


@pytest.mark.parametrize("metric", REFERENCES)
@pytest.mark.parametrize("seed", range(3))
def test_the_best_quantile_is_found(metric, seed):
    source = scored(seed)
    decider = QuantileBinaryDecider()
    run = run_of(source, decider, masked=True)
    Calibrate("decider", metric=metric).train(run)
    Evaluate("val").train(run)
    quantiles = np.linspace(0, 1, 400)
    best = best_of([QuantileBinaryDecider(q) for q in quantiles], source, metric)
    found = run.metrics["val"]
    assert found[f"decider/calibrated_{metric}"] == pytest.approx(best, abs=1e-12)
    assert found[f"metrics/{metric}"] == pytest.approx(best, abs=1e-12)
    assert decider.value is None
    assert run.record["calibrations"][0]["thresholds"] == {"quantile": decider.quantile}


@pytest.mark.parametrize("seed", range(3))
def test_the_best_value_is_that_of_a_binary_decider(seed):
    source = scored(seed)
    decider = QuantileBinaryDecider()
    twin = BinaryDecider()
    Calibrate("decider", parameter="value").train(run_of(source, decider, masked=True))
    Calibrate("decider").train(run_of(source, twin, masked=True))
    assert decider.value == twin.logit_threshold
    assert (decided(decider, source) == decided(twin, source)).all()


@pytest.mark.parametrize("parameter", ["quantile", "value"])
@pytest.mark.parametrize("metric", REFERENCES)
@pytest.mark.parametrize("seed", range(3))
def test_the_gate_and_the_threshold_of_pixels_are_found_together(metric, seed, parameter):
    source = scored(seed)
    decider = TwoStageBinaryDecider(top_k_fraction=0.1)
    run = run_of(source, decider, masked=True)
    Calibrate("decider", metric=metric, parameter=parameter).train(run)
    tries = np.linspace(0, 1, 150)
    if parameter == "value":
        tries = np.unique(source.scores)
    gates = decider.image_scores(
        torch.from_numpy(source.scores)[..., None], torch.from_numpy(source.valid)[..., None]
    ).tolist()
    best = best_of(
        [
            TwoStageBinaryDecider(gate, 0.1, **{parameter: float(one)})
            for gate in gates
            for one in tries
        ],
        source,
        metric,
    )
    found = run.metrics["val"][f"decider/calibrated_{metric}"]
    assert found == pytest.approx(best, abs=1e-12)
    assert reach(decider, source, metric) == pytest.approx(best, abs=1e-12)


def test_images_of_one_score_each_have_no_quantile():
    mask = np.zeros((2, 4, 4), bool)
    mask[0] = True
    source = Scores(np.ones((2, 4, 4)), mask)
    with pytest.raises(DataError) as caught:
        Calibrate("decider").train(run_of(source, QuantileBinaryDecider(), masked=True))
    assert str(caught.value) == (
        "decider cannot be calibrated on 'val': no quantile decides any of 32 pixels, as each "
        "image has one score\n"
        "  fix: check the scores that the decider reads, or set false_alarm_rate, which needs "
        "normal pixels alone"
    )


def test_a_threshold_that_decides_almost_everything_is_refused():
    mask = np.ones((1, 10, 10), bool)
    mask[0, 0, :2] = False
    scores = np.where(mask, 1.0, 0.0)
    with pytest.raises(DataError) as caught:
        Calibrate("decider").train(run_of(Scores(scores, mask), BinaryDecider(), masked=True))
    assert str(caught.value) == (
        "the threshold of decider decides 98 of 100 pixels of 'val', almost all\n"
        "  fix: check the scores that it reads and the class numbers of the data node"
    )


def test_a_threshold_that_decides_almost_nothing_gives_a_warning():
    mask = np.zeros((1, 150, 100), bool)
    mask[0, 0, 0] = True
    scores = np.random.default_rng(0).normal(size=mask.shape) + 100 * mask
    run = run_of(Scores(scores, mask), BinaryDecider(), masked=True)
    with pytest.warns(SpecloomWarning) as caught:
        Calibrate("decider").train(run)
    assert [str(one.message) for one in caught] == [
        "the threshold of decider decides 1 of 15000 pixels of 'val', fewer than 1 in 10,000\n"
        "  fix: check the masks, or set false_alarm_rate",
        "the threshold of decider follows from 1 anomalous pixel of 'val': other images would "
        "move it\n  fix: use a split with more of them, or set false_alarm_rate",
    ]
    assert run.metrics["val"]["decider/calibrated_f1"] == 1.0


@pytest.mark.parametrize(
    ("anomalous", "warned"), [(4, "4 anomalous pixels"), (5, ""), (95, ""), (96, "4 normal pixels")]
)
def test_a_threshold_from_few_pixels_of_a_class_gives_a_warning(anomalous, warned):
    mask = np.zeros(100, bool)
    mask[:anomalous] = True
    mask = mask.reshape(1, 10, 10)
    scores = np.where(mask, 1.0, 0.0)
    scores[0, 9, 9] = 1  # decided too
    scores[0, 0, :2] = 0  # anomalous and not decided
    run = run_of(Scores(scores, mask), BinaryDecider(), masked=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Calibrate("decider").train(run)
    texts = [str(one.message) for one in caught]
    assert len(texts) == bool(warned)
    assert all(f"follows from {warned} of 'val'" in text for text in texts)


SAME = (
    "the threshold of decider is calibrated on 'val', and the test split has 2 of the same images, "
    "by their pixels: its metrics would be too good\n"
    "  fix: assign different images to val and test, or do not evaluate the test split"
)


def same_images(phases=()):
    """Two of four images are in the test split too, in another order."""
    scores = toys.smooth_scores(4)
    test = [scores[2], scores[0], scores[0] + 1, scores[3] + 1]
    return run_of(Scores(scores, test=test), BinaryDecider(), phases=phases)


def test_the_pixels_of_the_test_split_under_another_name_are_refused():
    calibrate = Calibrate("decider", false_alarm_rate=0.01)
    run = same_images([("calibrate", calibrate), ("evaluate", Evaluate("test"))])
    with pytest.raises(DataError) as caught:
        calibrate.train(run)
    assert str(caught.value) == SAME
    assert run.graph.nodes["decider"].logit_threshold is None


def test_without_an_evaluation_of_the_test_split_they_give_a_warning():
    run = same_images()
    with pytest.warns(SpecloomWarning, match="same images") as caught:
        Calibrate("decider", false_alarm_rate=0.01).train(run)
    assert [str(one.message) for one in caught] == [SAME]
    assert run.record["calibrations"]


CHECKS = {
    "rate": (
        BinaryDecider(),
        {"false_alarm_rate": 0.0},
        "f:false_alarm_rate: false_alarm_rate is 0.0 per pixel\n"
        "  fix: set a rate over 0 and below 1, such as 1e-4; per object it may be any number "
        "over 0",
    ),
    "tail": (
        BinaryDecider(),
        {"false_alarm_rate": 0.1, "tail": 1.0},
        "f:tail: tail is a share of the scores, got 1.0\n"
        "  fix: set a share over 0 and below 1, such as 0.01",
    ),
    "quantile for a rate": (
        QuantileBinaryDecider(),
        {"false_alarm_rate": 0.1, "parameter": "quantile"},
        "f:parameter: decider has no threshold 'quantile' to calibrate for a false-alarm rate per "
        "pixel\n  fix: use one of: value",
    ),
    "another threshold": (
        QuantileBinaryDecider(),
        {"parameter": "vlaue"},
        "f:parameter: decider has no threshold 'vlaue' to calibrate for the metric f1\n"
        "  fix: did you mean 'value'?",
    ),
    "no detector": (
        BinaryDecider(),
        {"false_alarm_rate": 0.1, "method": "chi_square"},
        "f:method: decider reads no scores whose degrees of freedom are known\n"
        "  fix: use method: empirical or peaks_over_threshold, or connect it to rx.RXGlobal or to "
        "rx.ScoreToLogit behind it",
    ),
    "chi-square of a gate": (
        TwoStageBinaryDecider(),
        {"false_alarm_rate": 0.1, "per": "image", "method": "chi_square"},
        "f:method: the image scores of decider are means, which are not chi-square distributed\n"
        "  fix: use method: empirical or peaks_over_threshold",
    ),
}


@pytest.mark.parametrize(("decider", "options", "message"), CHECKS.values(), ids=CHECKS)
def test_mistakes_are_found_before_anything_runs(decider, options, message):
    run = run_of(scored(0), decider, masked=True)
    phase = Calibrate("decider", **options)
    found = [str(error) for error in phase.check(run.graph, lambda name: f"f:{name}")]
    assert found == [message]
