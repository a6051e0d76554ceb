"""Calibrations by jobs, by counts in bins and from memory: the same thresholds, bit for bit."""

from __future__ import annotations

import random
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import specloom_jobs.shares
from specloom_jobs import Here
from specloom_metrics.threshold_search import ALL_BINS
from specloom_training import Calibrate
from specloom_training.calibration import pixel_thresholds, same_images
from specloom_training.calibration.collectors import COLLECTORS
from specloom_training.calibration.passes import CalibrationPasses

sys.path.append(str(Path(__file__).parent))
toys = import_module("job_toys")
threshold_toys = import_module("threshold_toys")

DOCUMENT = """
specloom: 1
metadata: {name: calibrated}
data:
  type: cubes.Synthetic
  config: {scenes: 16, height: 16, width: 16, bands: 8, batch_size: 2, anomaly_fraction: 0.05}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0, 1]}}
  rx: {type: rx.RXGlobal}
  decider: {type: deciders.DECIDER}
  metrics: {type: metrics.AnomalyDetectionMetrics}
connections:
  - [data.cube, rx.data]
  - [rx.scores, decider.logits]
  - [decider.decisions, metrics.decisions]
  - [rx.scores, metrics.logits]
  - [data.mask, metrics.targets]
phases:
  - {type: training.StatisticalTrainer}
  - {type: training.Calibrate, config: {decider: decider, split: train, OPTIONS}}
"""
BY_METRIC = {
    "f1": ("BinaryDecider", "metric: f1"),
    "iou": ("BinaryDecider", "metric: iou"),
    "youden": ("BinaryDecider", "metric: youden"),
    "value": ("QuantileBinaryDecider", "parameter: value"),
}
BY_RATE = {
    "pixels": ("BinaryDecider", "false_alarm_rate: 0.01"),
    "objects": ("BinaryDecider", "false_alarm_rate: 1.5, per: object"),
    "images": ("BinaryDecider", "false_alarm_rate: 0.5, per: image"),
    "chi square": ("BinaryDecider", "false_alarm_rate: 0.01, method: chi_square"),
    "peaks": ("BinaryDecider", "false_alarm_rate: 0.01, method: peaks_over_threshold, tail: 0.05"),
    "gates": ("TwoStageBinaryDecider", "false_alarm_rate: 0.5, per: image"),
}
BY_PIXELS = {
    "gates by f1": ("TwoStageBinaryDecider", "metric: f1"),
    "gates by youden": ("TwoStageBinaryDecider", "metric: youden, parameter: value"),
    "quantiles": ("QuantileBinaryDecider", "metric: iou"),
}
BY_JOBS = {**BY_METRIC, **BY_RATE, **BY_PIXELS}

# Toys have few false alarms, or more than their distribution says.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*the threshold of decider"),
    pytest.mark.filterwarnings("ignore:.*of the pixels are decided"),
    pytest.mark.filterwarnings("ignore:.*unlike what the pipeline was fitted on"),
]


def calibrated(tmp_path, kind, executor=None):
    """What a calibration found and recorded."""
    decider, options = kind
    document = DOCUMENT.replace("DECIDER", decider).replace("OPTIONS", options)
    run = toys.run_all(document, tmp_path, executor)
    node = run.graph.nodes["decider"]
    thresholds = {name: getattr(node, name) for name in node.thresholds}
    return run, [thresholds, run.record["calibrations"], run.record["domain"], run.metrics]


@pytest.mark.parametrize("name", BY_JOBS)
def test_jobs_find_the_thresholds_of_this_process(name, tmp_path, monkeypatch):
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 2)
    _, expected = calibrated(tmp_path, BY_JOBS[name])
    wire = toys.Wire(order=1)
    run, found = calibrated(tmp_path, BY_JOBS[name], wire)
    assert found == expected
    assert "in_this_process" not in run.record
    tasks = {job.task for job in wire.jobs}
    assert tasks == {"training.Fit", "training.HashImages", "training.Collect"}


@pytest.mark.parametrize("name", BY_METRIC)
def test_counts_in_this_process_find_the_thresholds_from_memory(name, tmp_path, monkeypatch):
    _, expected = calibrated(tmp_path, BY_METRIC[name])
    monkeypatch.setattr(pixel_thresholds, "MOST_HELD", 5000)
    assert calibrated(tmp_path, BY_METRIC[name])[1] == expected


ONE_PROCESS = {
    "gates": (
        ("TwoStageBinaryDecider", "metric: f1"),
        "the thresholds of its images and pixels are found together, from every score",
    ),
    "quantiles": (
        ("QuantileBinaryDecider", "metric: f1"),
        "a quantile is a place among the scores of each image, from every score",
    ),
}


@pytest.mark.parametrize(("kind", "why"), ONE_PROCESS.values(), ids=ONE_PROCESS)
def test_too_many_scores_for_one_process_to_collect_are_read_by_it_with_a_note(
    kind, why, tmp_path, monkeypatch
):
    monkeypatch.setattr(pixel_thresholds, "MOST_HELD", 0)
    monkeypatch.setattr(pixel_thresholds, "MOST_COLLECTED", 0)
    _, expected = calibrated(tmp_path, kind)
    size = "and these are about 0.0 GB"
    line = f"the threshold of decider is calibrated in this process: {why}, {size}"
    with pytest.warns(UserWarning, match=line):
        run, found = calibrated(tmp_path, kind, Here())
    assert run.record["in_this_process"] == [line]
    assert found == expected


def test_jobs_find_the_images_that_the_test_split_has_too(tmp_path, monkeypatch):
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 2)
    document = DOCUMENT.replace("DECIDER", "BinaryDecider").replace("OPTIONS", "metric: f1")
    run = toys.run_all(document, tmp_path)
    tickets = run.source.tickets
    run.source.tickets = lambda split: tickets("train")
    hashes = list(same_images._image_hashes(run, "train"))
    run.executor = toys.Wire()
    assert list(same_images._image_hashes(run, "train")) == hashes
    message = f"the test split has {len(hashes)} of the same images, by their pixels"
    with pytest.warns(UserWarning, match=message):
        same_images.check_test_images(run, "train", "the threshold of decider")


def test_a_source_without_tickets_is_read_by_this_process():
    rng = np.random.default_rng(1)
    source = threshold_toys.Scores(rng.normal(size=(30, 8, 8)))
    expected = threshold_toys.run_of(source, toys_decider())
    Calibrate("decider", false_alarm_rate=0.05).train(expected)
    run = threshold_toys.run_of(source, toys_decider())
    run.executor = Here()
    line = "the threshold of decider is calibrated in this process: the source Scores gives no"
    with pytest.warns(UserWarning, match=line):
        Calibrate("decider", false_alarm_rate=0.05).train(run)
    assert run.record["calibrations"] == expected.record["calibrations"]


def toys_decider():
    from specloom_deciders import BinaryDecider

    return BinaryDecider()


FLOAT64 = "specloom_training.calibration.collectors.CountedBatches.levels"


def levels_of_float64(self, batch, parameter):
    """Levels of which float32 takes several for one."""
    levels = batch.values[self.reads.logits][batch.counted].double()
    return levels + torch.arange(len(levels)) * 1e-12


def test_logits_of_float64_are_collected_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(FLOAT64, levels_of_float64)
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 2)
    wire = toys.Wire(order=1)
    run, _ = calibrated(tmp_path, BY_METRIC["f1"], wire)
    assert "in_this_process" not in run.record
    collectors = [job.arguments.get("collector") for job in wire.jobs]
    assert collectors[-2:] == ["pixels", "decisions"]


def test_logits_of_float64_are_never_counted_in_bins(tmp_path, monkeypatch):
    _, expected = calibrated(tmp_path, BY_METRIC["f1"])
    monkeypatch.setattr(FLOAT64, levels_of_float64)
    monkeypatch.setattr(pixel_thresholds, "MOST_HELD", 0)
    assert calibrated(tmp_path, BY_METRIC["f1"])[1] == expected


CONFIGS = {
    "pixels": {"parameter": "logit_threshold"},
    "levels": {"parameter": "logit_threshold", "bins": ALL_BINS.as_json()},
    "decisions": {},
    "normals": {"parameter": "logit_threshold", "per": "object", "connectivity": 8},
    "alarms": {"parameter": "logit_threshold", "per": "object", "connectivity": 8},
}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    document = DOCUMENT.replace("DECIDER", "BinaryDecider").replace("OPTIONS", "metric: f1")
    run = toys.run_all(document, folder)
    return run, list(run.batches("train"))


def collected(run, name, batches):
    collector = COLLECTORS[name](run, decider="decider", stage="train", **CONFIGS[name])
    with run.inference():
        for batch in batches:
            collector.add(batch)
    return collector


@pytest.mark.parametrize("name", COLLECTORS)
def test_merging_in_order_equals_one_stream(name, fitted):
    run, batches = fitted
    whole = collected(run, name, batches).state()
    cuts = sorted(random.Random(name).sample(range(len(batches)), 2))
    pieces = [batches[: cuts[0]], [], batches[cuts[0] : cuts[1]], batches[cuts[1] :]]
    merged = collected(run, name, [])
    for piece in pieces:
        merged.merge(collected(run, name, piece).state())
    assert same(merged.state(), whole)
    merged.start()
    assert same(merged.state(), collected(run, name, []).state())


@pytest.mark.parametrize("name", COLLECTORS)
def test_one_part_merged_is_that_part(name, fitted):
    run, batches = fitted
    part = collected(run, name, batches[:2]).state()
    twin = collected(run, name, [])
    twin.merge(part)
    assert same(twin.state(), part)


def same(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value.double(), other[key].double()), key
    return True


def test_nothing_is_held_where_there_are_too_many_pixels(fitted, monkeypatch):
    run, _ = fitted
    monkeypatch.setattr(pixel_thresholds, "MOST_HELD", 5000)
    passes = CalibrationPasses(run, "decider", "train")
    read = pixel_thresholds.CountedPixels.read
    held = []

    def watched(pixels, *arguments):
        fits = read(pixels, *arguments)
        held.append([fits, pixels._inputs, pixels._counted, pixels._targets])
        return fits

    monkeypatch.setattr(pixel_thresholds.CountedPixels, "read", watched)
    found = pixel_thresholds.thresholds_of_split(
        run, passes, "decider", "train", "logit_threshold", "f1"
    )
    assert isinstance(found, pixel_thresholds.CountedThresholds)
    assert held == [[False, [], [], []]]
