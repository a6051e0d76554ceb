"""Runs of this repository's own run files are made again, bit for bit, from their records."""

import json
import re
import shutil
from pathlib import Path

import pytest
from run_world import call

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = ["data.config.scenes=16", "data.config.height=32", "data.config.width=32"]
RUNS = {"rx_statistical.yaml": (), "channel_selector.yaml": ("phases.1.config.epochs=2",)}


@pytest.mark.parametrize("name", RUNS)
def test_the_same_metrics_and_weights_bit_for_bit(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECLOOM_STORE", str(tmp_path / "store"))
    sets = [word for one in (*SMALL, *RUNS[name]) for word in ("--set", one)]
    call("specloom", "run", CONFIGS / name, *sets, "--out", tmp_path / "one", cwd=tmp_path)
    record = json.loads((tmp_path / "one/run.json").read_text())
    assert record["lock"]["digest"].startswith("sha256:")
    assert record["lock"]["plugins"]["rx"]["source"] == {"path": "../plugins/rx"}
    assert re.fullmatch("h1-[0-9a-f]{64}", record["plugins"]["rx"]["tree"])
    (elsewhere := tmp_path / "elsewhere").mkdir()
    shutil.copytree(tmp_path / "one", elsewhere / "one")
    said = call("specloom", "reproduce", "one", "--check", "--out", "two", cwd=elsewhere)
    count, tensors = re.match(r"equal, bit for bit: (\d+) metrics, (\d+) tensors", said).groups()
    assert int(count) > 10
    assert int(tensors) > 10
    first, second = (elsewhere / one / "pipeline.safetensors" for one in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
