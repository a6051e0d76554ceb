"""Calibration and evaluation against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score

from specloom import DataError, Graph, NodeError, Port, Run
from specloom.contract.ports import Connection
from specloom.torch import TorchNode
from specloom_deciders.binary import BinaryDecider
from specloom_metrics.anomaly import AnomalyDetectionMetrics
from specloom_training.calibrate import Calibrate
from specloom_training.evaluate import Evaluate


class Logits:
    """Ready logits, masks and valid pixels, by split."""

    outputs = {
        "logits": Port("B H W 1", doc="Logits."),
        "mask": Port("B H W 1", dtype="bool", doc="Anomalies."),
        "valid": Port("B H W 1", dtype="bool", doc="Pixels that count.", optional=True),
    }

    def __init__(self, seed: int = 0, batch: int = 2, anomalies: float = 0.1) -> None:
        rng = np.random.default_rng(seed)
        self.mask = rng.random((4, 9, 7, 1)) < anomalies
        noise = rng.normal(size=self.mask.shape)
        self.logits = (noise + 2 * self.mask).round(1).astype("float32")
        self.valid = rng.random(self.mask.shape) < 0.9
        self.logits[0, 0, 0] = np.nan
        self.batch = batch

    def counted(self) -> int:
        return int((self.valid & np.isfinite(self.logits)).sum())

    def sizes(self):
        return {}

    def splits(self):
        return ("train", "val", "test")

    def count(self, split):
        return None

    def batches(self, split):
        for i in range(0, 4, self.batch):
            cut = slice(i, i + self.batch)
            batch = {name: getattr(self, name)[cut] for name in self.outputs}
            if split == "test":
                # Other pixels of the same order, so that the same metrics are reached.
                batch["logits"] = np.nextafter(batch["logits"], np.float32(np.inf))
            yield batch


def run_of(source, *, measured: bool = True) -> tuple[Run, BinaryDecider]:
    decider = BinaryDecider()
    nodes = {"decider": decider, "metrics": AnomalyDetectionMetrics()}
    links = [
        Connection("batch.logits", "decider.logits"),
        Connection("decider.decisions", "metrics.decisions"),
        Connection("batch.logits", "metrics.logits"),
        Connection("batch.mask", "metrics.targets"),
        Connection("batch.valid", "metrics.valid"),
    ]
    if not measured:
        nodes, links = {"decider": decider}, links[:1]
    return Run(Graph(nodes, links, batch=source.outputs), source), decider


@pytest.mark.parametrize(("metric", "reference"), [("f1", f1_score), ("iou", jaccard_score)])
@pytest.mark.parametrize("seed", range(3))
def test_calibration_finds_the_best_threshold(metric, reference, seed):
    source = Logits(seed)
    run, decider = run_of(source)
    Calibrate("decider", metric=metric).train(run)
    Evaluate("val").train(run)
    keep = source.valid & np.isfinite(source.logits)
    logits, mask = source.logits[keep], source.mask[keep]
    best = max(reference(mask, logits >= cut) for cut in np.unique(logits))
    assert run.metrics["val"][f"decider/calibrated_{metric}"] == pytest.approx(best, abs=1e-12)
    assert run.metrics["val"][f"metrics/{metric}"] == pytest.approx(best, abs=1e-12)
    assert decider.threshold != 0.5


def test_neither_the_batch_size_nor_the_order_matters():
    found = []
    for batch in (1, 2, 4):
        run, decider = run_of(Logits(batch=batch))
        Calibrate("decider").train(run)
        Evaluate("test").train(run)
        found.append((decider.threshold, run.metrics["test"]))
    assert found[0] == found[1] == found[2]


def test_a_calibrated_threshold_is_saved_as_a_parameter(tmp_path):
    from specloom.execution import saved_pipeline

    run, decider = run_of(Logits())
    Calibrate("decider").train(run)
    config = saved_pipeline.to_dict(run.graph, plugins())["nodes"]["decider"]["config"]
    assert config["threshold"] == decider.threshold
    logits = torch.from_numpy(Logits().logits)
    twin = BinaryDecider(**config)
    twin.build({})
    assert torch.equal(twin.forward(logits)["decisions"], decider.forward(logits)["decisions"])


def plugins():
    from specloom import Plugins

    return Plugins({"deciders": "specloom_deciders", "metrics": "specloom_metrics"})


def test_one_class_only_cannot_be_calibrated():
    run, _ = run_of(Logits(anomalies=0))
    with pytest.raises(DataError) as caught:
        Calibrate("decider").train(run)
    assert str(caught.value) == (
        "decider cannot be calibrated on 'val': a threshold for f1 needs pixels of both classes, "
        f"got 0 anomalous and {run.source.counted()} normal\n"
        "  fix: use a split whose masks hold anomalies as well as background, or set "
        "false_alarm_rate, which needs normal pixels alone"
    )


class Scored(Logits):
    """The same, with scores of another range beside the logits."""

    outputs = {**Logits.outputs, "scores": Port("B H W 1", doc="Scores.")}

    @property
    def scores(self):
        return self.logits * 10 + 100


def run_of_scores(decider: BinaryDecider) -> Run:
    """The decider reads the scores, the metrics node the logits."""
    links = [
        Connection("batch.scores", "decider.logits"),
        Connection("decider.decisions", "metrics.decisions"),
        Connection("batch.logits", "metrics.logits"),
        Connection("batch.mask", "metrics.targets"),
        Connection("batch.valid", "metrics.valid"),
    ]
    source = Scored()
    nodes = {"decider": decider, "metrics": AnomalyDetectionMetrics()}
    return Run(Graph(nodes, links, batch=source.outputs), source)


def test_the_threshold_is_one_on_what_the_decider_itself_reads():
    decider = BinaryDecider()
    run = run_of_scores(decider)
    Calibrate("decider", metric="iou").train(run)
    Evaluate("val").train(run)
    found = run.metrics["val"]
    assert decider.logit_threshold > 100
    assert found["metrics/iou"] == found["decider/calibrated_iou"]
    plain, twin = run_of(Logits())
    Calibrate("decider", metric="iou").train(plain)
    assert found["decider/calibrated_iou"] == plain.metrics["val"]["decider/calibrated_iou"]
    assert twin.logit_threshold < 10


class Deaf(BinaryDecider):
    """A decider that takes a threshold and does not use it."""

    def calibrate(self, logit_threshold: float) -> None:
        self.calibrated = logit_threshold


def test_a_decider_that_misses_the_metric_that_was_found_is_an_error():
    run = run_of_scores(Deaf())
    keep = run.source.valid & np.isfinite(run.source.logits)
    logits, mask = run.source.logits[keep], run.source.mask[keep]
    best = max(f1_score(mask, logits >= cut) for cut in np.unique(logits))
    reached = f1_score(mask, run.source.scores[keep] >= 0)
    with pytest.raises(NodeError) as caught:
        Calibrate("decider").train(run)
    assert str(caught.value) == (
        f"decider was calibrated for f1 {best:.6g} on 'val', "
        f"but its decisions reach {reached:.6g}\n"
        "  fix: let its calibrate() decide where logits reach the threshold, and its output depend "
        "on 'logits' alone"
    )
    assert "val" not in run.metrics


@pytest.mark.parametrize("up", [True, False])
def test_neighbouring_floats_are_separated_by_the_decider_too(up):
    source = Logits()
    source.valid[:] = True
    low, high = np.float32(1), np.nextafter(np.float32(1), np.float32(2))
    if up:
        low, high = high, np.nextafter(high, np.float32(2))
    source.logits = np.where(source.mask, high, low)
    run, _ = run_of(source)
    Calibrate("decider").train(run)
    assert run.metrics["val"]["decider/calibrated_f1"] == 1.0


class NoMask(Logits):
    """A source that says that it has masks, and then has none."""

    def batches(self, split):
        for batch in super().batches(split):
            yield {"logits": batch["logits"], "valid": batch["valid"]}


def test_a_batch_without_a_mask_cannot_be_calibrated():
    run, _ = run_of(NoMask())
    with pytest.raises(DataError) as caught:
        Calibrate("decider").train(run)
    assert str(caught.value) == (
        "decider is calibrated with batch.mask, and a batch of 'val' has none\n"
        "  fix: use data with a mask for each image, or remove training.Calibrate"
    )


class Decided(TorchNode):
    """Counts decided pixels; it needs no mask."""

    inputs = {"decisions": Port("B H W 1", dtype="bool", doc="Decisions.")}
    outputs = {"counts": Port(None, dtype="scalars", per_stage=True, doc="Counts.")}
    locality = "image"

    def measure_start(self, stage):
        self.count = 0

    def forward(self, decisions):
        self.count += int(decisions.sum())
        return {}

    def measure_end(self):
        return {"counts": {"decided": self.count}}


def without_masks(**more) -> Run:
    """A run on a source that says that its test and val splits have no masks."""
    source = NoMask()
    run, _ = run_of(source)
    nodes = {**run.graph.nodes, **more}
    links = [
        *run.graph.connections,
        *(Connection("decider.decisions", f"{n}.decisions") for n in more),
    ]
    missing_outputs = {"val": ["mask"], "test": ["mask"]}
    return Run(Graph(nodes, links, batch=source.outputs, missing_outputs=missing_outputs), source)


def test_what_needs_no_mask_is_measured_all_the_same():
    run = without_masks(decided=Decided())
    line = "metrics is skipped in 'test': the data has no mask in the split 'test'"
    assert Evaluate("test").skips(run.graph) == [line]
    with pytest.warns(UserWarning, match="has no mask") as caught:
        Evaluate("test").train(run)
    assert [str(one.message) for one in caught] == [line]
    assert run.metrics == {"test": {"decided/decided": int((run.source.logits >= 0).sum())}}
    assert run.record["skipped"] == [line]


def test_without_masks_neither_calibration_nor_evaluation_runs():
    run = without_masks()
    run.phases = [("calibrate", Calibrate("decider")), ("evaluate", Evaluate("val"))]
    lines = [
        "the threshold of decider stays uncalibrated: the data has no mask in the split 'val'",
        "the evaluation of 'val' is skipped: the data has no mask in the split 'val'",
    ]
    with pytest.warns(UserWarning, match="has no mask") as caught:
        run.run()
    assert [*run.skipped()] == lines
    assert [str(one.message) for one in caught] == lines
    assert run.graph.nodes["decider"].threshold == 0.5
    assert run.metrics == {}


def test_only_what_needs_the_mask_is_starved():
    graph = without_masks(decided=Decided()).graph
    assert graph.missing_data("test").nodes == ["metrics"]
    assert graph.missing_data("test").values == {"batch.mask", "metrics.metrics"}
    assert graph.missing_data("train").nodes == []
    assert graph.missing_data("train").values == set()


CHECKS = {
    "split": (
        Calibrate("decider", split="test"),
        "f:split: calibrating on the test split makes its metrics worthless\n  fix: use split: val",
    ),
    "metric": (
        Calibrate("decider", metric="iuo"),
        "f:metric: no threshold can be calibrated for 'iuo'\n  fix: did you mean 'iou'?",
    ),
    "name": (
        Calibrate("decide"),
        "f:decider: there is no node 'decide'\n  fix: did you mean 'decider'?",
    ),
    "no threshold": (
        Calibrate("metrics"),
        "f:decider: node 'metrics' has no threshold to calibrate\n  fix: use one of: decider",
    ),
    "evaluate": (
        Evaluate("tset"),
        "f:split: there is no split 'tset'\n  fix: did you mean 'test'?",
    ),
}


@pytest.mark.parametrize(("phase", "message"), CHECKS.values(), ids=CHECKS)
def test_mistakes_are_found_before_anything_runs(phase, message):
    run, _ = run_of(Logits())
    found = [str(error) for error in phase.check(run.graph, lambda p: f"f:{p}")]
    assert found == [message]


def test_a_decider_that_is_not_measured_cannot_be_calibrated():
    run, _ = run_of(Logits(), measured=False)
    found = [str(e) for e in Calibrate("decider").check(run.graph, lambda p: f"f:{p}")]
    assert found == [
        "f:decider: no metrics node compares the decisions of 'decider' with a mask\n"
        "  fix: connect decider.decisions and a mask to a metrics node, or set false_alarm_rate, "
        "which needs no mask"
    ]
    found = [str(e) for e in Evaluate().check(run.graph, lambda p: f"f:{p}")]
    assert found == [
        "f:: no node measures anything in the stage 'test'\n"
        "  fix: add a metrics.AnomalyDetectionMetrics node, or remove this phase"
    ]
