"""``specloom run --resume``: a run that was killed goes on with what it was asked to do."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from specloom import SpecloomError
from specloom.cli import cli

ROOT = Path(__file__).parents[1]
RX = str(ROOT / "configs/rx_statistical.yaml")
SIZES = ("scenes=12", "height=32", "width=32")
SETS = [argument for one in SIZES for argument in ("--set", f"data.config.{one}")]


def call(*arguments):
    return CliRunner().invoke(cli, ["run", *map(str, arguments)], catch_exceptions=False)


def test_a_killed_run_goes_on_with_the_same_overrides_and_seed(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    asked = [RX, *SETS, "--seed", "5"]
    assert call(*asked, "--out", whole).exit_code == 0
    command = [sys.executable, "-m", "specloom", "run", *asked, "--out", str(killed)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not (killed / "run.json").exists() and process.poll() is None:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert json.loads((killed / "run.json").read_text())["ended"] == ""
    done = call("--resume", killed)
    assert done.exit_code == 0
    assert done.stdout == f"results: {killed}\n"
    for name in ("metrics.json", "pipeline.yaml", "pipeline.safetensors"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name
    assert json.loads((killed / "run.json").read_text())["ended"]


def test_what_cannot_be_resumed_is_told(tmp_path):
    with pytest.raises(SpecloomError) as caught:
        call("--resume", tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no run (FileNotFoundError: [Errno 2] No such file or directory: "
        f"'{tmp_path}/run.json')\n  fix: give the folder of a run that was stopped"
    )
    assert caught.value.exit_code == 2
    done = call()
    assert done.exit_code == 2
    assert "give a run file, or --resume DIR" in done.stderr
