"""Clients in process namespaces of their own, as in two containers, write into one folder."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
toys = import_module("fleet_toys")

NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def has_namespaces():
    try:
        return subprocess.run([*NAMESPACE, "true"], stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.soak
@pytest.mark.skipif(not has_namespaces(), reason="no process namespaces without 'unshare --pid'")
@pytest.mark.timeout(600)
def test_two_containers_with_workers_write_into_one_folder(tmp_path):
    toys.fit(tmp_path / "fit")
    toys.write_cubes(tmp_path / "cubes", 60, size=48)
    out = tmp_path / "out"
    predict = [*toys.SPECLOOM, "predict", str(tmp_path / "fit/out"), str(tmp_path / "cubes"), "-q"]
    containers = []
    for _ in range(2):
        command = [*NAMESPACE, *predict, "--out", str(out), "--on", "dask", "--workers", "1"]
        containers.append(
            subprocess.Popen(
                command,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        )
    for container in containers:
        _, said = container.communicate(timeout=300)
        assert container.returncode == 0, said
        assert {line.partition(":")[0] for line in said.splitlines()} <= {"note"}
    subprocess.run([*predict, "--out", str(tmp_path / "alone")], check=True)
    assert toys.contents(out) == toys.contents(tmp_path / "alone")
    assert list(out.rglob(".*")) == []
    assert len(list((out / "ledger").glob("*.jsonl"))) == 2
