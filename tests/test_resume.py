"""``specloom run --resume``: a run that was killed goes on with what it was started with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
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
    options = [RX, *SETS, "--seed", "5"]
    assert call(*options, "--out", whole).exit_code == 0
    command = [sys.executable, "-m", "specloom", "run", *options, "--out", str(killed)]
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with a seed of its own, and its file."""
    folder = tmp_path_factory.mktemp("finished")
    file = folder / "run.yaml"
    file.write_text(Path(RX).read_text())
    out = folder / "out"
    assert call(file, *SETS, "--seed", "5", "--out", out).exit_code == 0
    return file, out


def refused(*arguments):
    """The error of a command, which changes no file of the run."""
    with pytest.raises(SpecloomError) as caught:
        call(*arguments)
    assert caught.value.exit_code == 2
    return str(caught.value)


def fix_of(out):
    return (
        f"  fix: go on with 'specloom run --resume {out}' alone, or start another run with "
        "another --out"
    )


def test_the_whole_command_may_be_repeated(finished):
    file, out = finished
    before = (out / "metrics.json").read_bytes()
    done = call(file, *SETS, "--seed", "5", "--resume", out)
    assert done.exit_code == 0
    assert "going on" not in done.stderr
    assert (out / "metrics.json").read_bytes() == before


def test_another_value_is_refused_with_what_differs(finished):
    file, out = finished
    before = (out / "run.json").read_bytes()
    change = "nodes.rx.config.eps=0.5"
    assert refused("--resume", out, "--set", change) == (
        f"--set {change}: {out} holds a run with other settings: "
        f"nodes.rx.config.eps is 0.5, was not set\n{fix_of(out)}"
    )
    assert refused("--resume", out, "--set", "data.config.seed=8").startswith(
        f"--set data.config.seed=8: {out} holds a run with other settings: "
        "data.config.seed is 8, was 7\n"
    )
    assert refused("--resume", out, "--seed", "99") == (
        f"--seed: {out} holds a run with other settings: the seed is 99, was 5\n{fix_of(out)}"
    )
    assert "--set nodes.nosuch.config.x=1: nodes has no 'nosuch'" in (
        refused("--resume", out, "--set", "nodes.nosuch.config.x=1")
    )
    line = 1 + file.read_text().splitlines().index("  config: {scenes: 32, seed: 7, batch_size: 4}")
    assert refused(file, "--resume", out) == (
        f"{file}:{line}: {out} holds a run with other settings: data.config.scenes is 32, was 12; "
        "data.config.height is not set, was 32; data.config.width is not set, was 32\n"
        f"{fix_of(out)}"
    )
    assert refused("absent.yaml", "--resume", out).startswith("absent.yaml cannot be read")
    assert (out / "run.json").read_bytes() == before


def test_another_file_is_refused_with_how_much_differs(finished, tmp_path):
    _, out = finished
    other = ROOT / "configs/rx_scene.yaml"
    found = refused(other, "--resume", out)
    assert 'holds a run with other settings: metadata.name is "rx_scene", was ' in found
    assert "; and " in found
    phase = "phases.1.config.metric=iou"
    assert 'phases.1.config.metric is "iou", was "f1"' in (refused("--resume", out, "--set", phase))


def test_a_second_folder_is_refused(finished, tmp_path):
    _, out = finished
    done = call("--resume", out, "--out", tmp_path / "other")
    assert done.exit_code == 2
    assert f"--resume {out} writes into {out}, not {tmp_path / 'other'}" in done.stderr


TRAINING = {
    "type": "training.GradientTrainer",
    "config": {"unfreeze": ["logits"], "epochs": 2, "optimizer": {"name": "sgd", "lr": 0.1}},
}


def training_file(folder):
    """A run file that trains the logit head, and what it is."""
    document = yaml.safe_load(Path(RX).read_text())
    document["nodes"]["bce"] = {"type": "losses.AnomalyBCEWithLogits"}
    document["connections"] += [
        ["logits.logits", "bce.predictions"],
        ["data.mask", "bce.targets"],
        ["data.labelled", "bce.valid"],
    ]
    document["phases"].insert(1, TRAINING)
    document["data"]["config"] |= {"scenes": 12, "height": 32, "width": 32}
    file = folder / "train.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


@pytest.mark.filterwarnings("ignore:.*validation IoU", "ignore:no epoch was better")
def test_more_epochs_are_applied_and_reported(tmp_path):
    file = training_file(tmp_path)
    more = ("--set", "phases.1.config.epochs=4")
    assert call(file, *more, "--out", tmp_path / "whole").exit_code == 0
    assert call(file, "--out", tmp_path / "torn").exit_code == 0
    done = call("--resume", tmp_path / "torn", *more)
    assert done.exit_code == 0
    assert f"going on with {tmp_path / 'torn'}: phases.1.config.epochs is 4, was 2\n" in done.stderr
    for name in ("metrics.json", "pipeline.yaml", "pipeline.safetensors"):
        whole = (tmp_path / "whole" / name).read_bytes()
        assert whole == (tmp_path / "torn" / name).read_bytes(), name
    record = json.loads((tmp_path / "torn/run.json").read_text())
    assert record["run"]["phases"][1]["config"]["epochs"] == 4
    before = (tmp_path / "torn/run.json").read_bytes()
    assert refused("--resume", tmp_path / "torn", "--set", "phases.1.config.epochs=3") == (
        "--set phases.1.config.epochs=3: epochs is 3, but 4 epochs were trained\n"
        "  fix: give 4 or more, or run it again with another --out"
    )
    assert (tmp_path / "torn/run.json").read_bytes() == before
