"""Fits of several processes have the bits of one: they merge shares by the same tree."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import specloom_jobs.shares

HERE = Path(__file__).parent
sys.path.append(str(HERE))
alone = import_module("share_processes")


def test_three_processes_fit_the_bits_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(specloom_jobs.shares, "SHARE_TICKETS", alone.TICKETS)
    expected = alone.fitted(tmp_path / "alone")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0"}
    command = [sys.executable, "-W", "error", str(HERE / "share_processes.py"), str(tmp_path)]
    started = []
    for rank in range(3):
        environment = {**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        started.append(subprocess.Popen(command, env=environment))
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0]
    for rank in range(3):
        assert (tmp_path / f"{rank}.safetensors").read_bytes() == expected
