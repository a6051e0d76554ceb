"""Kills of workers, clients and schedulers: results stay equal, and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import pytest

import specloom_jobs.shares
from specloom import pack
from specloom_dask import Dask
from specloom_predict import predict_all

sys.path.append(str(Path(__file__).parent))
toys = import_module("fleet_toys")

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


class Killer(threading.Thread):
    """Kills a worker of this process now and then."""

    def __init__(self, kills: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.left = kills
        self._pause = pause
        self._over = threading.Event()
        self._random = random.Random(1)

    def run(self) -> None:
        while self.left and not self._over.wait(self._pause):
            workers = toys.workers_of(os.getpid(), least_age=8)
            if workers:
                os.kill(self._random.choice(workers), signal.SIGKILL)
                self.left -= 1

    def end(self) -> None:
        self._over.set()
        self.join()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    toys.fit(folder)
    return folder / "out"


GRAPHS = ("rx", "selector", "mrmr", "quantiles", "pca", "calibrated")
"""The graphs of which one hash is held over any number of workers."""


@pytest.fixture(scope="module", params=[1, 2, 3])
def some_workers(request):
    executor = Dask(workers=request.param)
    yield executor
    executor.close()


@pytest.mark.filterwarnings("ignore:.*the threshold of decider")
@pytest.mark.filterwarnings("ignore:.*unlike what the pipeline was fitted on")
@pytest.mark.parametrize("name", GRAPHS)
def test_one_hash_over_one_process_and_some_workers(name, some_workers, tmp_path, monkeypatch):
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 1)
    document = toys.document(name)
    alone = toys.fit(tmp_path / "alone", document)
    found = toys.fit(tmp_path / "fleet", document, some_workers)
    assert "in_this_process" not in found.record
    files = [tmp_path / run / "out/pipeline.safetensors" for run in ("fleet", "alone")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert found.metrics == alone.metrics
    assert found.record.get("calibrations") == alone.record.get("calibrations")


def predict_in_process(fitted: Path, folder: Path) -> None:
    """The results of the command in one process: records name the commit only of commands."""
    cubes = folder / "cubes"
    command = [*toys.SPECLOOM, "predict", fitted, cubes, "-q", "--out", folder / "alone"]
    subprocess.run(command, check=True, capture_output=True)


def test_ten_kills_in_fits_change_no_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", 1)
    document = toys.RX.replace("scenes: 12", "scenes: 600")
    expected = toys.fit(tmp_path / "alone", document)
    killer = Killer(10, pause=4)
    executor = Dask(workers=3, plugins=toys.plugins())
    killer.start()
    rounds = 0
    while killer.left:
        found = toys.fit(tmp_path / f"fleet{rounds}", document, executor)
        rounds += 1
        assert pack(found.graph, found.plugins)[1] == pack(expected.graph, expected.plugins)[1]
        assert found.metrics == expected.metrics
    killer.end()
    executor.close()


def test_twenty_kills_in_predict_lose_nothing(fitted, tmp_path):
    toys.write_cubes(tmp_path / "cubes", 1000, size=24)
    alone = predict_all(fitted, [tmp_path / "cubes"], tmp_path / "alone")
    assert len(alone.done) == 1000
    killer = Killer(20, pause=4)
    killer.start()
    executor = Dask(workers=3)
    first = True
    while killer.left or first:
        first = False
        found = predict_all(fitted, [tmp_path / "cubes"], tmp_path / "fleet", on=executor)
        assert not found.failed
        assert len(found.done) + len(found.skipped) == 1000
        assert toys.contents(tmp_path / "fleet") == toys.contents(tmp_path / "alone")
        if killer.left:
            subprocess.run(["rm", "-r", tmp_path / "fleet"], check=True)
    killer.end()


def test_ten_kills_of_the_client_are_resumed(fitted, tmp_path):
    toys.write_cubes(tmp_path / "cubes", 1000, size=24)
    predict_in_process(fitted, tmp_path)
    out = tmp_path / "fleet"
    command = [*toys.SPECLOOM, "predict", fitted, tmp_path / "cubes", "-q", "--out", out]
    command += ["--on", "dask", "--workers", "2"]
    for kill in range(10):
        resumed = ["--resume"] if kill else []
        client = subprocess.Popen([*command, *resumed], stderr=subprocess.DEVNULL)
        before = len(list(out.glob("*/predict.json")))
        deadline = time.monotonic() + 60
        while len(list(out.glob("*/predict.json"))) < before + 20:
            assert time.monotonic() < deadline
            if client.poll() is not None:
                break
            time.sleep(0.1)
        client.kill()
        client.wait()
    done = subprocess.run([*command, "--resume"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert toys.contents(out) == toys.contents(tmp_path / "alone")


def test_five_kills_of_the_scheduler_are_reported_and_resumed(fitted, tmp_path):
    toys.write_cubes(tmp_path / "cubes", 1000, size=24)
    predict_in_process(fitted, tmp_path)
    out = tmp_path / "fleet"
    command = [*toys.SPECLOOM, "predict", fitted, tmp_path / "cubes", "-q", "--out", out]
    for kill in range(5):
        resumed = ["--resume"] if kill else []
        with toys.scheduler(tmp_path / "dask", 2) as (address, processes):
            client = subprocess.Popen(
                [*command, *resumed, "--on", address], stderr=subprocess.PIPE, text=True
            )
            before = len(list(out.glob("*/predict.json")))
            deadline = time.monotonic() + 90
            while len(list(out.glob("*/predict.json"))) < before + 20:
                assert time.monotonic() < deadline
                assert client.poll() is None, client.stderr.read()
                time.sleep(0.1)
            processes[0].kill()
            _, reported = client.communicate(timeout=60)
            assert client.returncode == 4, reported
            assert "the scheduler is gone" in reported
            assert "--resume" in reported
    with toys.scheduler(tmp_path / "dask", 2) as (address, _):
        done = subprocess.run(
            [*command, "--resume", "--on", address], check=False, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    assert toys.contents(out) == toys.contents(tmp_path / "alone")


FIT_CLIENT = [sys.executable, str(Path(__file__).parent / "fit_client.py")]
LARGE = toys.document("mrmr").replace("scenes: 40", "scenes: 300")
"""A fit of two passes over 150 shares."""


def fitted_alone(tmp_path):
    """The run file, and the pipeline of a run in one process."""
    file = tmp_path / "run.yaml"
    file.write_text(LARGE)
    alone = tmp_path / "alone"
    command = [*FIT_CLIENT, "run", file, "--out", alone, "-q"]
    subprocess.run(command, check=True, capture_output=True)
    return file, (alone / "pipeline.safetensors").read_bytes()


def stored(out):
    return {path: path.stat().st_mtime_ns for path in out.glob("parts/*/*.safetensors")}


def wait_for_parts(client, out):
    """Wait until a client has stored something further, or has ended."""
    before = stored(out)
    deadline = time.monotonic() + 600  # of machines with other work
    while client.poll() is None and stored(out) == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ten_kills_of_the_client_in_fits_are_resumed(tmp_path):
    file, expected = fitted_alone(tmp_path)
    out = tmp_path / "fleet"
    on = ["--on", "dask", "--workers", "2", "-q"]
    kills = 0
    while kills < 10:
        start = [file, "--out", out]
        if out.exists():
            start = ["--resume", out]
        client = subprocess.Popen([*FIT_CLIENT, "run", *start, *on], stderr=subprocess.DEVNULL)
        wait_for_parts(client, out)
        is_over = client.poll() is not None
        if is_over:
            assert (out / "pipeline.safetensors").read_bytes() == expected
            subprocess.run(["rm", "-r", out], check=True)
            continue
        client.kill()
        client.wait()
        kills += 1
    done = subprocess.run(
        [*FIT_CLIENT, "run", "--resume", out, *on], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (out / "pipeline.safetensors").read_bytes() == expected
    assert not (out / "parts").exists()


def test_five_kills_of_the_scheduler_in_fits_are_resumed(tmp_path):
    file, expected = fitted_alone(tmp_path)
    out = tmp_path / "fleet"
    start = [file, "--out", out]
    for _ in range(5):
        with toys.scheduler(tmp_path / "dask", 2) as (address, processes):
            command = [*FIT_CLIENT, "run", *start, "-q", "--on", address]
            client = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            wait_for_parts(client, out)
            processes[0].kill()
            _, reported = client.communicate(timeout=600)
        assert client.returncode == 4, reported
        assert "the scheduler is gone" in reported
        assert f"to resume: specloom run --resume {out}" in reported
        start = ["--resume", out]
    with toys.scheduler(tmp_path / "dask", 2) as (address, _):
        command = [*FIT_CLIENT, "run", *start, "-q", "--on", address]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (out / "pipeline.safetensors").read_bytes() == expected
