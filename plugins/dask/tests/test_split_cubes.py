"""Large cubes whose tiles workers make: the results of one process, also where workers die."""

from __future__ import annotations

import os
import signal
import subprocess
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

TILE = 4096
SPLIT = {"tile_bytes": TILE, "split_above": 1000}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    toys.fit(folder)
    return folder / "out"


@pytest.fixture(scope="module")
def fleet():
    executor = Dask(workers=2)
    yield executor
    executor.close()


def tiles_in(out: Path) -> set[str]:
    """The tiles that are there, with their folder."""
    return {path.relative_to(out).as_posix() for path in out.glob(".tiles-*/*.safetensors")}


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


def test_a_split_cube_has_the_bits_of_one_process(fleet, fitted, tmp_path):
    toys.write_cubes(tmp_path / "cubes", 3, size=40)
    formats = ("npy", "envi", "csv")
    predict_all(fitted, [tmp_path / "cubes"], tmp_path / "alone", formats, tile_bytes=TILE)
    found = predict_all(fitted, [tmp_path / "cubes"], tmp_path / "out", formats, on=fleet, **SPLIT)
    assert len(found.done) == 3
    assert toys.contents(tmp_path / "out") == toys.contents(tmp_path / "alone")
    assert not list(tmp_path.rglob(".tiles-*"))


def test_a_worker_that_dies_changes_nothing(fleet, fitted, tmp_path):
    toys.write_cubes(tmp_path / "cubes", 1, size=120)
    predict_all(fitted, [tmp_path / "cubes"], tmp_path / "alone", tile_bytes=TILE)
    killer = KillerOfWorkers(tmp_path / "out", kills=1, tiles=20)
    killer.start()
    found = predict_all(fitted, [tmp_path / "cubes"], tmp_path / "out", on=fleet, **SPLIT)
    killer.end()
    assert killer.killed == 1
    assert (len(found.done), found.failed) == (1, [])
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
    made = {out / name: (out / name).stat().st_mtime_ns for name in tiles_in(out)}
    assert len(made) < 299
    resumed = subprocess.Popen([*split, "--resume"], stderr=subprocess.PIPE, text=True)
    known = {}
    while resumed.poll() is None:
        for path in made:
            with_state = path.stat().st_mtime_ns if path.exists() else None
            known.setdefault(path, set()).add(with_state)
        time.sleep(0.02)
    assert resumed.returncode == 0, resumed.stderr.read()
    # None of the tiles was made again.
    assert all(states <= {made[path], None} for path, states in known.items())
    assert known.keys() == made.keys()
    subprocess.run([*command, "--out", tmp_path / "alone"], check=True, capture_output=True)
    assert toys.contents(out) == toys.contents(tmp_path / "alone")
    assert not list(tmp_path.rglob(".tiles-*"))
