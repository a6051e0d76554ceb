"""SIGTERM to workers, as batch systems send it to jobs that must make room: nothing is lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import pytest

from specloom_dask import Dask
from specloom_predict import predict_all

sys.path.append(str(Path(__file__).parent))
toys = import_module("fleet_toys")

CUBES = 60


def records(out):
    return len(list(out.glob("*/predict.json")))


class Preemption(threading.Thread):
    """Sends SIGTERM to workers while cubes are written.

    Args:
        out: The folder of results.
        workers: The processes of workers, each of which has one of its own that computes.
    """

    def __init__(self, out, workers):
        super().__init__(daemon=True)
        self.out = out
        self.workers = workers
        self.sent = []

    def run(self):
        first, *others = self.workers
        self.wait_for(5)
        os.killpg(first.pid, signal.SIGTERM)  # every process of the job, as SLURM does
        self.sent.append(records(self.out))
        for other in others:
            self.wait_for(15)
            other.terminate()  # the command alone
            self.sent.append(records(self.out))

    def wait_for(self, count):
        while records(self.out) < count:
            time.sleep(0.01)


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.soak)])
def test_sigterm_to_workers_loses_no_cube(tmp_path, workers):
    toys.fit(tmp_path / "fit")
    toys.write_cubes(tmp_path / "cubes", CUBES, size=48)
    run = tmp_path / "fit/out"
    out = tmp_path / "fleet"
    with toys.scheduler(tmp_path / "dask", workers) as (address, processes):
        executor = Dask(address)
        preempted = processes[1:workers]
        preemption = Preemption(out, preempted)
        preemption.start()
        executor._connected().wait_for_workers(workers, timeout=60)
        made = predict_all(run, [tmp_path / "cubes"], out, on=executor)
        preemption.join(timeout=60)
        for process in preempted:
            process.wait(timeout=60)
        assert processes[-1].poll() is None
    assert len(preemption.sent) == workers - 1
    assert preemption.sent[0] < CUBES
    assert made.failed == []
    assert len(made.done) + len(made.skipped) == CUBES
    assert [Path(one.cube).name for one in made.verdicts] == [
        f"c{at:05}.npy" for at in range(CUBES)
    ]
    predict_all(run, [tmp_path / "cubes"], tmp_path / "alone")
    assert toys.contents(out) == toys.contents(tmp_path / "alone")
    assert list(out.rglob(".*")) == []
