"""An error of memory is named as one, with the limit, wherever it comes up."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from specloom import DataError, NodeError, Pipeline, Plugins, UnavailableError, machine_error
from specloom.contract import memory
from specloom.contract.errors import as_specloom_error
from specloom_cubes.data_node import AnomalyDataNode
from specloom_cubes.sources.memory import InMemory

SPECLOOM = Path(sys.executable).with_name("specloom")
ERRORS = [
    MemoryError("Unable to allocate 9 GB"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("unable to mmap 400 bytes from file <x>: Cannot allocate memory (12)"),
    RuntimeError("DataLoader worker (pid 4711) is killed by signal: Killed. "),
    RuntimeError("DataLoader worker (pid(s) 4711) exited unexpectedly"),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


@pytest.fixture(autouse=True)
def limit(monkeypatch):
    """A limit of this process."""
    found = memory.MemoryLimit(2_000_000_000, "ulimit -v")
    monkeypatch.setattr("specloom.contract.errors.memory_limit", lambda: found)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error)[:20])
def test_an_error_of_memory_is_one_of_the_machine(error):
    found = machine_error(error)
    assert found is not None
    assert found.what == f"there is not enough memory ({str(error).strip()})"
    fix = (
        "raise the memory limit of 2 GB (ulimit -v), or use smaller images or a smaller batch_size"
    )
    if "CUDA" in str(error):
        fix = "use smaller images, a smaller batch_size, or a larger GPU"
    assert found.fix == fix
    assert found.exit_code == 4


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error)[:20])
def test_an_error_of_memory_in_a_node_names_the_node(error):
    found = as_specloom_error(error, "node 'rx' (RXGlobal)", "run.yaml:7")
    assert isinstance(found, UnavailableError)
    assert found.what.startswith("node 'rx' (RXGlobal): there is not enough memory (")
    assert found.where == "run.yaml:7"


def test_an_error_that_memory_led_to_is_one_of_memory():
    try:
        try:
            raise MemoryError("9 GB")
        except MemoryError as error:
            raise RuntimeError("the node failed") from error
    except RuntimeError as error:
        found = machine_error(error)
    assert found is not None
    assert found.what == "there is not enough memory (9 GB)"


def test_other_errors_are_none_of_memory():
    for error in (RuntimeError("a mistake"), ImportError("no module x"), ValueError("memory")):
        assert machine_error(error) is None
    assert isinstance(as_specloom_error(ValueError("x"), "it", ""), NodeError)
    assert isinstance(as_specloom_error(DataError("x"), "it", ""), DataError)


def test_the_limits_of_control_groups(tmp_path, monkeypatch):
    group = Path("/proc/self/cgroup").read_text().rpartition(":")[2].strip().lstrip("/")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_process_limits", list)
    assert memory.memory_limit() is None
    (tmp_path / group).mkdir(parents=True, exist_ok=True)
    (tmp_path / group / "memory.max").write_text("3000000000\n")
    assert str(memory.memory_limit()) == "3 GB (of this container or job)"
    (tmp_path / group / "memory.max").write_text("max\n")
    assert memory.memory_limit() is None
    (tmp_path / "memory").mkdir(exist_ok=True)
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory.memory_limit() is None
    (tmp_path / "memory/memory.limit_in_bytes").write_text("1000000000\n")
    assert str(memory.memory_limit()) == "1 GB (of this container or job)"


@pytest.mark.skipif(os.name != "posix", reason="ulimit is of POSIX shells")
@pytest.mark.parametrize(("kilobytes", "text"), [(300_000, "0.31 GB"), (500_000, "0.51 GB")])
def test_a_process_without_memory_for_torch_names_the_limit(tmp_path, kilobytes, text):
    pipeline = Pipeline("pass", Plugins())
    pipeline.add_node(AnomalyDataNode([0]), "data")
    pipeline.outputs = {"scores": "data.cube"}
    pipeline.graph(InMemory(predict=[{"cube": np.zeros((1, 2, 2, 3), np.float32)}]))
    pipeline.save_to_file(tmp_path / "pipeline.yaml")
    np.save(tmp_path / "x.npy", np.zeros((4, 5, 3), np.float32))
    command = f"ulimit -v {kilobytes}; exec {SPECLOOM} predict pipeline.yaml x.npy --out out"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    assert done.stderr == (
        "error: there is not enough memory (torch needs 640 MB to be imported)\n"
        f"  fix: raise the memory limit of {text} (ulimit -v), or use smaller images or a smaller "
        "batch_size\n"
    )
