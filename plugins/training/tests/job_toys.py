"""Nodes, executors and run files for the tests of jobs; also a plugin of its own."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from specloom import Job, Plugins, Run, impl, load
from specloom.plugins import installed
from specloom_jobs import Here, MergeTree
from specloom_metrics.anomaly import AnomalyDetectionMetrics
from specloom_rx import RXGlobal

PLAIN = (str, int, float, bool, type(None), bytes)


class CannotMerge(RXGlobal):
    """RX whose statistics are for one process alone."""

    def fit_merge(self, state: Mapping[str, Any]) -> None:
        # What a plugin's node raises that cannot merge; a fit in shares reports it with a fix.
        raise NotImplementedError("these statistics do not merge")


class CannotMergeMetrics(AnomalyDetectionMetrics):
    """Metrics for one process alone."""

    measure_state = None
    measure_merge = None


@impl
def register_nodes() -> Mapping[str, str]:
    names = ("CannotMerge", "CannotMergeMetrics")
    return {name: f"job_toys:{name}" for name in names}


def plugins() -> Plugins:
    return Plugins({**installed(), "job_toys": "job_toys"})


class Wire:
    """Sends what travels as JSON and bytes to a fresh task each time, and takes it in any order.

    Args:
        order: The seed of the order of arrival.
    """

    def __init__(self, order: int = 0) -> None:
        self.order = order
        self.jobs: list[Job] = []
        self.shares = 0

    def each(self, job, shares):
        return Here().each(job, shares)

    def total(self, job, shares):
        self.jobs.append(job)
        shares = list(shares)
        self.shares += len(shares)
        random.Random(self.order).shuffle(shares)
        tree = MergeTree(lambda parts: self._task(job).merge([plain(part) for part in parts]))
        for share in shares:
            tickets = [through_json(plain(ticket)) for ticket in share.tickets]
            tree.add(share.number, plain(self._task(job).do(tickets)))
        return tree.total()

    def _task(self, job):
        arrived = through_wire(job)
        task = plugins().find(arrived.task, ("tasks",), "")[1]()
        task.begin(arrived)
        return task


def plain(value: Any) -> Any:
    """The value, which must be made of plain types."""
    kind = type(value)
    if kind is dict:
        for key, one in value.items():
            assert type(key) is str, key
            plain(one)
    elif kind is list:
        for one in value:
            plain(one)
    else:
        assert kind in PLAIN, f"{kind} travels"
    return value


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def through_wire(job: Job) -> Job:
    """The job after a way as JSON and bytes."""
    values = plain({name: getattr(job, name) for name in job.__dataclass_fields__})
    weights = values.pop("weights")
    return Job(**through_json(values), weights=weights)


def run_of(document: str, tmp_path, executor: Any = None) -> Run:
    path = tmp_path / "run.yaml"
    path.write_text(document)
    run = load(path, plugins=plugins(), device="cpu")
    run.executor = executor
    return run


def run_all(document: str, tmp_path, executor: Any = None) -> Run:
    run = run_of(document, tmp_path, executor)
    run.run()
    return run


STATISTICS = """
specloom: 1
data:
  type: cubes.Synthetic
  config: {scenes: 20, height: 24, width: 24, bands: 20, batch_size: 2, anomaly_fraction: 0.05}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0, 1]}}
  limits: {type: normalize.MinMaxNormalizer, config: {quantiles: [0.01, 0.99], per_channel: true}}
  pca: {type: pca.TrainablePCA, config: {n_components: 3}}
  selector: {type: mrmr.SupervisedFullSpectrumBandSelector, config: {n_bands: 4}}
  rx: {type: rx.RXGlobal}
  logits: {type: rx.ScoreToLogit}
  decider: {type: deciders.BinaryDecider}
  metrics: {type: metrics.AnomalyDetectionMetrics}
connections:
  - [data.cube, limits.data]
  - [data.valid, limits.valid]
  - [limits.normalized, pca.data]
  - [limits.normalized, selector.cube]
  - [data.wavelengths, selector.wavelengths]
  - [data.mask, selector.mask]
  - [limits.normalized, rx.data]
  - [rx.scores, logits.scores]
  - [logits.logits, decider.logits]
  - [decider.decisions, metrics.decisions]
  - [logits.logits, metrics.logits]
  - [data.mask, metrics.targets]
phases:
  - {type: training.StatisticalTrainer}
  - {type: training.Evaluate, config: {split: test}}
"""
