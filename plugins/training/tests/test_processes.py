"""Two processes that train together, against one with the same batches."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent
sys.path.append(str(HERE))
alone = import_module("training_processes")


def together(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "error", str(HERE / "training_processes.py")]
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0"}
    started = [
        subprocess.Popen(
            [*command, str(folder)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(said)
    assert "".join(said) == ""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    together(folder)
    return folder


@pytest.mark.parametrize("kind", alone.KINDS)
def test_two_processes_are_as_one(two, tmp_path, kind):
    alone.trained(tmp_path, 1, 0, kind)
    whole, first = load_file(tmp_path / "0.safetensors"), load_file(two / kind / "0.safetensors")
    second = load_file(two / kind / "1.safetensors")
    for name, value in whole.items():
        assert torch.equal(first[name], second[name]), name
        tolerance = 1e-6 if name.startswith("fitted") else 1e-5
        assert torch.allclose(first[name], value, rtol=tolerance, atol=tolerance), name
    a, b = (json.loads((folder / "0.json").read_text()) for folder in (tmp_path, two / kind))
    assert a["best"] == b["best"]
    assert a["values"] == pytest.approx(b["values"], rel=1e-5, abs=1e-6)
    assert a["metrics"]["val"] == pytest.approx(b["metrics"]["val"], rel=1e-5, abs=1e-6)
    assert json.loads((two / kind / "1.json").read_text())["metrics"] == b["metrics"]
    written = [sorted(p.name for p in f.rglob("*") if p.is_file()) for f in (tmp_path, two / kind)]
    assert set(written[1]) == {*written[0], "1.json", "1.safetensors"}
