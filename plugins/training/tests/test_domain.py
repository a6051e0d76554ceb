"""The statistical phase stores what it fitted on, and an evaluation compares with it."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import specloom_jobs.shares
from specloom import Pipeline, Run
from specloom_cubes import AnomalyDataNode, InMemory
from specloom_deciders import BinaryDecider
from specloom_jobs import Here
from specloom_metrics import AnomalyDetectionMetrics
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_training import Calibrate, Evaluate, StatisticalTrainer

sys.path.append(str(Path(__file__).parent))
toys = import_module("job_toys")

SHAPES = np.stack([np.linspace(1, 2, 6), np.linspace(2, 1, 6)])


def scene(seed):
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet([1, 1], (20, 20))
    cube = 100 * shares @ SHAPES + generator.normal(scale=0.5, size=(20, 20, 6))
    return cube.astype(np.float32)


def without_light(seed):
    """A scene of faint noise alone: of equal spectra the data node warns."""
    noise = np.random.default_rng(seed).normal(scale=1e-8, size=(20, 20, 6))
    return noise.astype(np.float32)


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) for name in ours
    )


def test_fit_stores_the_pixels_of_its_split(tmp_path):
    run = toys.run_all(toys.STATISTICS, tmp_path)
    record = run.graph.fitted_on
    images = run.source.items("train")
    assert record["pixels"].shape == (1024, 20)
    assert record["counts"].tolist() == [images * 576, images * 576, 0]
    pixels = record["pixels"].numpy()
    first = next(iter(run.source.batches("train")))
    among = (pixels[:, None] == np.asarray(first["cube"]).reshape(1, -1, 20)[:, ::7]).all(-1)
    assert among.any()


@pytest.mark.parametrize("executor", [Here(), toys.Wire(3)], ids=["here", "wire"])
def test_jobs_store_the_same(executor, tmp_path, monkeypatch):
    alone = toys.run_all(toys.STATISTICS, tmp_path)
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 3)
    by_jobs = toys.run_all(toys.STATISTICS, tmp_path, executor)
    assert same(by_jobs.graph.fitted_on, alone.graph.fitted_on)


@pytest.mark.parametrize("executor", [Here(), toys.Wire(3)], ids=["here", "wire"])
def test_jobs_compare_each_cube_as_this_process_does(executor, tmp_path, monkeypatch):
    alone = toys.run_all(toys.STATISTICS, tmp_path)
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 3)
    by_jobs = toys.run_all(toys.STATISTICS, tmp_path, executor)
    measures = by_jobs.record["domain"]["test"]
    assert measures == alone.record["domain"]["test"]
    assert len(measures) == alone.source.items("test")
    assert by_jobs.failed_checks == alone.failed_checks


def fitted():
    pipeline = Pipeline("rx")
    data, rx = AnomalyDataNode([0], name="data"), RXGlobal(name="rx")
    logits, decider = ScoreToLogit(name="logits"), BinaryDecider(name="decider")
    metrics = AnomalyDetectionMetrics(name="metrics")
    pipeline.connect((data.cube, rx.data), (data.valid, rx.valid), (rx.scores, logits.scores))
    pipeline.connect((data.valid, logits.valid), (logits.logits, decider.logits))
    pipeline.connect((decider.decisions, metrics.decisions), (data.mask, metrics.targets))
    pipeline.connect(data.labelled, metrics.valid)
    source = InMemory(train=[{"cube": scene(1)[None]}, {"cube": scene(2)[None]}])
    StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
    return pipeline


def test_fit_in_python_stores_it_in_the_pipeline():
    pipeline = fitted()
    other_graph = pipeline.graph(InMemory(test=[{"cube": scene(3)[None]}]))
    assert other_graph.fitted_on["counts"].tolist() == [800, 800, 0]


def test_a_second_fit_replaces_the_record():
    pipeline = fitted()
    source = InMemory(train=[{"cube": scene(3)[None]}])
    StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
    assert pipeline.graph(source).fitted_on["counts"].tolist() == [400, 400, 0]


# Pixels unlike those of the fit are anomalies for RX, of which the metrics warn by themselves.
all_are_anomalies = pytest.mark.filterwarnings("ignore:.*of the pixels are decided as anomalies")


class Hooks:
    """The hooks of a run without observers, which collect warnings."""

    def __init__(self):
        self.messages = []

    def warned(self, run, message):
        self.messages.append(message)

    def __getattr__(self, name):
        return Quiet()


def evaluated(pipeline, *cubes):
    """The record of a run that evaluates cubes, and its warnings."""
    mask = np.zeros((1, 20, 20), np.int32)
    mask[0, 0, 0] = 1
    source = InMemory(test=[{"cube": cube[None], "mask": mask} for cube in cubes])
    run = Run(pipeline.graph(source), source)
    run.hook = Hooks()
    Evaluate("test").train(run)
    assert run.failed_checks == run.hook.messages
    return run.record, run.hook.messages


class Quiet:
    """A hook without implementations."""

    def __call__(self, **values):
        return []

    def get_hookimpls(self):
        return []


@all_are_anomalies
def test_evaluation_compares_each_cube():
    pipeline = fitted()
    record, messages = evaluated(pipeline, scene(7), scene(8) / 2, without_light(9))
    measures = record["domain"]["test"]
    assert [bool(one["reasons"]) for one in measures] == [False, True, True]
    json.dumps(record["domain"])
    (message,) = messages
    assert message.startswith(
        "2 of 3 cubes of 'test' are unlike what the pipeline was fitted on: cube 2: too dark: 0.5"
    )
    assert "cube 3: too dark: 100% of the pixels have no signal" in message


def test_evaluation_of_good_cubes_says_nothing():
    record, messages = evaluated(fitted(), scene(7))
    assert record["domain"]["test"][0]["reasons"] == []
    assert messages == []


@all_are_anomalies
def test_evaluation_without_a_record_compares_nothing():
    pipeline = fitted()
    pipeline.graph().fitted_on.clear()
    record, messages = evaluated(pipeline, without_light(7))
    assert "domain" not in record
    assert messages == []


@all_are_anomalies
@pytest.mark.parametrize("options", [{"metric": "f1"}, {"false_alarm_rate": 0.05}])
def test_calibration_compares_each_cube_and_is_reported_once(options):
    mask = np.zeros((1, 20, 20), np.int32)
    mask[0, 0, :3] = 1
    cubes = [scene(7), scene(8) / 2]
    source = InMemory(val=[{"cube": cube[None], "mask": mask} for cube in cubes])
    run = Run(fitted().graph(source), source)
    run.hook = Hooks()
    Calibrate("decider", split="val", **options).train(run)
    Evaluate("val").train(run)
    assert [bool(one["reasons"]) for one in run.record["domain"]["val"]] == [False, True]
    (message,) = run.hook.messages
    assert message.startswith("1 of 2 cubes of 'val' are unlike what the pipeline was fitted on: ")
