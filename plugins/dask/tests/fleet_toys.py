"""Tasks, cubes and processes for the tests of fleets; workers import this module, too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from specloom import Job, Plugins, Share, Ticket, impl, load
from specloom.plugins import installed

SPECLOOM = [sys.executable, "-m", "specloom"]

RX = """
specloom: 1
metadata: {name: rx}
data:
  type: cubes.Synthetic
  config: {scenes: 12, height: 16, width: 16, bands: 12, anomaly_fraction: 0.05}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0, 1]}}
  limits: {type: normalize.MinMaxNormalizer}
  rx: {type: rx.RXGlobal}
  logits: {type: rx.ScoreToLogit}
  decider: {type: deciders.BinaryDecider}
  metrics: {type: metrics.AnomalyDetectionMetrics}
connections:
  - [data.cube, limits.data]
  - [data.valid, limits.valid]
  - [limits.normalized, rx.data]
  - [rx.scores, logits.scores]
  - [logits.logits, decider.logits]
  - [decider.decisions, metrics.decisions]
  - [logits.logits, metrics.logits]
  - [data.mask, metrics.targets]
outputs: {scores: rx.scores, decisions: decider.decisions}
phases:
  - {type: training.StatisticalTrainer}
  - {type: training.Evaluate, config: {split: test}}
"""


DATA = """
specloom: 1
metadata: {{name: {name}}}
data:
  type: cubes.Synthetic
  config: {{scenes: 40, height: 20, width: 20, bands: 16, anomaly_fraction: 0.05}}
nodes:
  data: {{type: cubes.AnomalyDataNode, config: {{normal_class_ids: [0, 1]}}}}
{nodes}
connections:
{links}
phases:
  - {{type: training.StatisticalTrainer}}
"""
BODIES = {
    "selector": (
        """
  selector: {type: selectors.SoftChannelSelector, config: {n_select: 3}}
  rx: {type: rx.RXGlobal}
""",
        """
  - [data.cube, selector.data]
  - [selector.selected, rx.data]
""",
    ),
    "mrmr": (
        """
  selector: {type: mrmr.SupervisedFullSpectrumBandSelector, config: {n_bands: 4}}
""",
        """
  - [data.cube, selector.cube]
  - [data.wavelengths, selector.wavelengths]
  - [data.mask, selector.mask]
""",
    ),
    "quantiles": (
        """
  limits: {type: normalize.MinMaxNormalizer, config: {quantiles: [0.01, 0.99], per_channel: true}}
  rx: {type: rx.RXGlobal}
""",
        """
  - [data.cube, limits.data]
  - [limits.normalized, rx.data]
""",
    ),
    "pca": (
        """
  pca: {type: pca.TrainablePCA, config: {n_components: 3}}
  rx: {type: rx.RXGlobal}
""",
        """
  - [data.cube, pca.data]
  - [pca.projected, rx.data]
""",
    ),
}
"""The nodes and the connections of graphs that are fitted on shares."""


CALIBRATED = RX.replace(
    "  - {type: training.Evaluate,",
    "  - {type: training.Calibrate, config: {decider: decider, split: train}}\n"
    "  - {type: training.Calibrate, config: {decider: decider, split: train, "
    "false_alarm_rate: 0.01, per: object}}\n"
    "  - {type: training.Evaluate,",
)
"""Two thresholds one after the other: by a metric, and for a rate of objects."""


def document(name: str) -> str:
    """The run file of a graph."""
    documents = {"rx": RX, "calibrated": CALIBRATED}
    if name in documents:
        return documents[name].replace("scenes: 12", "scenes: 40")
    nodes, links = BODIES[name]
    return DATA.format(name=name, nodes=nodes.strip("\n"), links=links.strip("\n"))


class Fragile:
    """Doubles numbers; a ticket can fail, warn, or kill its worker."""

    def begin(self, job: Job) -> None:
        self.factor = job.arguments.get("factor", 2)

    def do(self, tickets: Sequence[Ticket]) -> bytes:
        found = []
        for ticket in tickets:
            if ticket.get("kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            if ticket.get("fail"):
                raise ValueError("this item is wrong")
            time.sleep(ticket.get("seconds", 0))
            found.append(self.factor * ticket["number"])
        return json.dumps(found).encode()

    def merge(self, parts: Sequence[bytes]) -> bytes:
        found: list[int] = []
        for part in parts:
            found += json.loads(part)
        return json.dumps(found).encode()


@impl
def register_tasks() -> Mapping[str, str]:
    return {"Fragile": "fleet_toys:Fragile"}


def plugins() -> Plugins:
    """The installed plugins, and this module as one."""
    return Plugins({**installed(), "toys": "fleet_toys"})


def shares(*tickets: Mapping[str, Any]) -> list[Share]:
    """A share for each ticket, numbered."""
    return [Share(at, ({"number": at, **one},)) for at, one in enumerate(tickets)]


def fit(folder: Path, document: str = RX, executor: Any = None) -> Any:
    """The run of a run file, written into a folder, from which it may be predicted."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "run.yaml"
    file.write_text(document)
    run = load(file, device="cpu")
    run.executor = executor
    run.run_into(folder / "out")
    return run


def write_cubes(folder: Path, count: int, size: int = 16, bands: int = 12) -> list[Path]:
    """Cubes of random reflectance."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    files = []
    for number in range(count):
        file = folder / f"c{number:05d}.npy"
        np.save(file, random.random((size, size, bands), np.float32))
        files.append(file)
    return files


def contents(folder: Path) -> dict[str, bytes]:
    """The files of results by name, without how long they took and what a call logged."""
    found = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if not file.is_file() or name.startswith(("ledger", "fleet.log")):
            continue
        data = file.read_bytes()
        if file.name == "predict.json":
            record = json.loads(data)
            record["measures"].pop("seconds")
            data = json.dumps(record, sort_keys=True).encode()
        if name == "summary.csv":
            rows = sorted(line.split(",")[:7] for line in data.decode().splitlines())
            data = json.dumps(rows).encode()
        found[name] = data
    return found


def workers_of(process: int, least_age: float = 0.0) -> list[int]:
    """The processes of Dask's workers among the children of a process, in seconds of age."""
    import psutil

    found = []
    for child in psutil.Process(process).children(recursive=True):
        with suppress(psutil.Error):
            is_worker = "spawn_main" in " ".join(child.cmdline())
            if is_worker and time.time() - child.create_time() >= least_age:
                found.append(child.pid)
    return found


@contextmanager
def scheduler(folder: Path, workers: int, *options: str) -> Any:
    """A scheduler on loopback with workers, as ``dask scheduler`` and ``dask worker`` start them.

    Yields:
        The address, and the processes: the scheduler first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    dask = [sys.executable, "-m", "dask"]
    loopback = ["--host", "127.0.0.1", "--no-dashboard"]
    log = (folder / "dask.log").open("ab")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}

    def start(*command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*dask, *command], stdout=log, stderr=log, env=environment)

    started = [start("scheduler", "--port", "0", "--scheduler-file", str(file), *loopback)]
    try:
        for _ in range(workers):
            command = ["worker", "--scheduler-file", str(file), "--nthreads", "1"]
            started.append(start(*command, *loopback, *options))
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"], started
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()
        log.close()
