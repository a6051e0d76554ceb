"""Runs that ``torchrun`` starts as two processes: as one, and resumed after a kill."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
SMALL = ("data.config.scenes=12", "data.config.height=32", "data.config.width=32")
TRAIN = "phases.1.config"


def command(*arguments: str, processes: int = 2) -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    several = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
    several += [f"--master_port={port}", "-m", "specloom", "run"]
    return [sys.executable, *(several if processes > 1 else ["-m", "specloom", "run"]), *arguments]


def file(out: Path, *changes: str) -> list[str]:
    sets = [part for change in (*SMALL, *changes) for part in ("--set", change)]
    return [str(REPO / "configs/channel_selector.yaml"), *sets, "--out", str(out)]


def started(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    """Kill it and the processes that it started, which are in groups of their own."""
    own = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for number in (process.pid, *map(int, own)):
        os.kill(number, signal.SIGKILL)
    process.communicate()


def finished(arguments: list[str], folder: Path) -> None:
    process = started(arguments, folder)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said


def metrics(out: Path) -> dict[str, dict[str, float]]:
    return json.loads((out / "metrics.json").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="it finds processes under /proc")
def test_two_processes_end_as_one_and_as_two_that_were_killed(tmp_path):
    whole, torn, one = (tmp_path / name for name in ("whole", "torn", "one"))
    two = ["data.config.batch_size=2", f"{TRAIN}.epochs=6"]
    finished(command(*file(whole, *two)), tmp_path)

    process = started(command(*file(torn, *two)), tmp_path)
    record = torn / "record/phase-1.safetensors"
    deadline = time.monotonic() + 200
    while not record.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    kill(process)
    assert not (torn / "metrics.json").exists()
    finished(command("--resume", str(torn)), tmp_path)
    for name in ("pipeline.safetensors", "metrics.json"):
        assert (torn / name).read_bytes() == (whole / name).read_bytes()

    changes = ["data.config.batch_size=4", f"{TRAIN}.epochs=6"]
    finished(command(*file(one, *changes), processes=1), tmp_path)
    for stage, values in metrics(one).items():
        assert metrics(whole)[stage] == pytest.approx(values, rel=1e-4, abs=1e-6)
