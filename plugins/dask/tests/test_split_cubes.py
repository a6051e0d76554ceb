"""Large cubes whose tiles workers make: the results of one process, also where workers die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from specloom_dask import Dask
from specloom_predict import predict_all

sys.path.append(str(Path(__file__).parent))
toys = import_module("fleet_toys")

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

TILE = 4096
SPLIT = {"tile_bytes": TILE, "split_above": 1000}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    toys.fit(folder)
    return folder / "out"


@pytest.fixture(scope="module", params=[1, 2, 3])
def some_workers(request):
    executor = Dask(workers=request.param)
    yield executor
    executor.close()


@pytest.fixture
def fleet():
    executor = Dask(workers=2)
    yield executor
    executor.close()


def tiles_in(out: Path) -> set[str]:
    """The tiles that are there, with their folder."""
    return {path.relative_to(out).as_posix() for path in out.glob(".tiles-*/*.safetensors")}


def state_of(path: Path) -> int | None:
    """When a file was written; None where there is none."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return None


class KillerOfWorkers(threading.Thread):
    """Kills a worker each time that some more tiles are there."""

    def __init__(self, out: Path, kills: int, tiles: int) -> None:
        super().__init__(daemon=True)
        self.killed = 0
        self._out = out
        self._kills = kills
        self._tiles = tiles
        self._over = threading.Event()

    def run(self) -> None:
        seen: set[str] = set()
        while self.killed < self._kills and not self._over.wait(0.002):
            seen |= tiles_in(self._out)
            workers = toys.workers_of(os.getpid())
            if len(seen) >= (self.killed + 1) * self._tiles and workers:
                os.kill(workers[self.killed % len(workers)], signal.SIGKILL)
                self.killed += 1

    def end(self) -> None:
        self._over.set()
        self.join()


def test_split_cubes_have_the_bits_of_one_process(some_workers, fitted, tmp_path):
    toys.write_cubes(tmp_path / "cubes", 3, size=60)
    formats = ("npy", "envi", "geotiff", "png", "csv")
    inputs = [tmp_path / "cubes"]
    predict_all(fitted, inputs, tmp_path / "alone", formats, tile_bytes=TILE)
    out = tmp_path / "out"
    found = predict_all(fitted, inputs, out, formats, on=some_workers, **SPLIT)
    assert len(found.done) == 3
    assert toys.contents(out) == toys.contents(tmp_path / "alone")
    assert not list(tmp_path.rglob(".tiles-*"))


def test_workers_that_die_change_nothing(fleet, fitted, tmp_path):
    toys.write_cubes(tmp_path / "cubes", 2, size=240)
    predict_all(fitted, [tmp_path / "cubes"], tmp_path / "alone", tile_bytes=TILE)
    killer = KillerOfWorkers(tmp_path / "out", kills=5, tiles=150)
    killer.start()
    found = predict_all(fitted, [tmp_path / "cubes"], tmp_path / "out", on=fleet, **SPLIT)
    killer.end()
    assert killer.killed == 5
    assert (len(found.done), found.failed) == (2, [])
    assert toys.contents(tmp_path / "out") == toys.contents(tmp_path / "alone")
    assert not list(tmp_path.rglob(".tiles-*"))


def test_a_client_that_was_killed_is_resumed(fitted, tmp_path):
    toys.write_cubes(tmp_path / "cubes", 1, size=160)
    out = tmp_path / "out"
    command = [*toys.SPECLOOM, "predict", fitted, tmp_path / "cubes", "-q", "--tile", "4096B"]
    split = [*command, "--out", out, "--on", "dask", "--workers", "1", "--split-above", "1kB"]
    client = subprocess.Popen(split, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(tiles_in(out)) < 20:
        assert time.monotonic() < deadline
        assert client.poll() is None
        time.sleep(0.005)
    workers = toys.workers_of(client.pid)
    client.kill()
    client.wait()
    for worker in workers:
        if Path(f"/proc/{worker}").exists():
            os.kill(worker, signal.SIGKILL)
    made = {out / name: state_of(out / name) for name in tiles_in(out)}
    assert len(made) < 299
    known: dict[Path, set[int | None]] = {path: set() for path in made}
    with (tmp_path / "errors.log").open("w") as log:
        resumed = subprocess.Popen([*split, "--resume"], stderr=log)
        while resumed.poll() is None:
            for path, states in known.items():
                states.add(state_of(path))
            time.sleep(0.02)
    assert resumed.returncode == 0, (tmp_path / "errors.log").read_text()
    # None of the tiles was made again.
    assert all(states == {made[path], None} for path, states in known.items())
    subprocess.run([*command, "--out", tmp_path / "alone"], check=True, capture_output=True)
    assert toys.contents(out) == toys.contents(tmp_path / "alone")
    assert not list(tmp_path.rglob(".tiles-*"))
