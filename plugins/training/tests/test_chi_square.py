"""Thresholds from the chi-square distribution of RX scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from specloom import ConfigError, Graph, Port, Run, SpecloomWarning
from specloom.contract.ports import Connection
from specloom_deciders import BinaryDecider
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_training import Calibrate, StatisticalTrainer


class Gaussian:
    """Normally distributed pixels of four correlated bands."""

    outputs = {"cube": Port("B H W C", doc="Cubes.")}

    def sizes(self):
        return {"C": 4}

    def splits(self):
        return ("train", "val", "test")

    def count(self, split):
        return None

    def batches(self, split):
        rng = np.random.default_rng([len(split)])
        mixing = np.random.default_rng(0).normal(size=(4, 4))
        for _ in range(10):
            yield {"cube": (rng.normal(size=(3, 40, 40, 4)) @ mixing).astype("float32")}


def fitted(head: ScoreToLogit | None) -> Run:
    nodes = {"rx": RXGlobal(), "decider": BinaryDecider()}
    links = [Connection("batch.cube", "rx.data")]
    if head is None:
        links.append(Connection("rx.scores", "decider.logits"))
    else:
        nodes["head"] = head
        links += [
            Connection("rx.scores", "head.scores"),
            Connection("head.logits", "decider.logits"),
        ]
    source = Gaussian()
    run = Run(Graph(nodes, links, batch=source.outputs, batch_sizes=source.sizes()), source)
    StatisticalTrainer().train(run)
    return run


HEADS = {
    "scores": lambda: None,
    "fitted head": lambda: ScoreToLogit(),
    "head with a scale": lambda: ScoreToLogit(init_scale=0.5, init_bias=-3.0, calibrate=False),
    "both": lambda: ScoreToLogit(init_scale=2.0, init_bias=1.0),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_the_threshold_is_a_quantile_of_chi_square(head):
    run = fitted(head())
    phase = Calibrate("decider", method="chi_square", false_alarm_rate=1e-3)
    assert list(phase.check(run.graph, lambda name: name)) == []
    phase.train(run)
    found = run.record["calibrations"][0]
    assert found["degrees_of_freedom"] == 4
    scale, offset = 1.0, 0.0
    if "head" in run.graph.nodes:
        scale, offset = run.graph.nodes["head"].logit_map()
    expected = scale * stats.chi2.isf(1e-3, 4) + offset
    assert found["threshold"] == pytest.approx(expected, rel=1e-12)
    # 48,000 pixels of that distribution: 48 exceed it, within four standard deviations.
    assert abs(found["exceedances"] - 48) < 28
    low, high = found["interval"]
    assert low < 1e-3 < high


@pytest.mark.parametrize(("per", "rate"), [("image", 0.5), ("object", 0.5)])
def test_rates_of_images_and_objects_follow_from_independent_pixels(per, rate):
    run = fitted(ScoreToLogit())
    Calibrate("decider", method="chi_square", false_alarm_rate=rate, per=per).train(run)
    found = run.record["calibrations"][0]
    assert found["expected_exceedances"] == 15
    assert abs(found["exceedances"] - 15) <= 12
    share = rate / 1600
    if per == "image":
        share = 1 - (1 - rate) ** (1 / 1600)
    scale, offset = run.graph.nodes["head"].logit_map()
    assert found["threshold"] == pytest.approx(scale * stats.chi2.isf(share, 4) + offset)


def test_logits_that_fall_are_refused():
    run = fitted(ScoreToLogit(init_scale=-1.0))
    with pytest.raises(ConfigError) as caught:
        Calibrate("decider", method="chi_square", false_alarm_rate=0.01).train(run)
    factor = run.graph.nodes["head"].logit_map()[0]
    assert str(caught.value) == (
        f"the logits of decider fall as the scores of rx rise (factor {factor:.3g})\n"
        "  fix: set a scale over 0 in the node between them"
    )


def test_a_trained_detector_has_no_such_distribution():
    run = fitted(None)
    rx = run.graph.nodes["rx"]
    rx.factor.mul_(2)
    rx.update_derived()
    with pytest.raises(ConfigError) as caught:
        Calibrate("decider", method="chi_square", false_alarm_rate=0.01).train(run)
    assert str(caught.value) == (
        "the scores of rx are not chi-square distributed, as it was trained\n"
        "  fix: use method: empirical or peaks_over_threshold"
    )


class HeavyTailed(Gaussian):
    """Pixels with the same covariance and heavier tails."""

    def batches(self, split):
        rng = np.random.default_rng([len(split), 1])
        for _ in range(10):
            shape = (3, 40, 40, 4)
            yield {"cube": rng.standard_t(4, size=shape).astype("float32")}


def test_scores_of_another_distribution_give_a_warning(monkeypatch):
    monkeypatch.setattr(Gaussian, "batches", HeavyTailed.batches)
    run = fitted(None)
    with pytest.warns(SpecloomWarning, match="by chi_square") as caught:
        Calibrate("decider", method="chi_square", false_alarm_rate=1e-3).train(run)
    low, high = run.record["calibrations"][0]["interval"]
    assert low > 1e-3
    assert [str(one.message) for one in caught] == [
        "the threshold of decider for a false-alarm rate of 0.001 by chi_square has "
        f"{low:.2g} to {high:.2g} on 'val'\n"
        "  fix: use method: empirical"
    ]
