"""Thirty things that users write or call wrongly; each message leads to the remedy.

They are none of those in ``test_beginner_mistakes*.py``.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from mistakes import ROOT, errors, forking
from walk import Shell

__all__ = ["forking"]  # a fixture

RUN = """\
specloom: 1
data:
  type: cubes.Scene
  config: {cube: c.npy, mask: m.npy}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0]}}
  rx: {type: rx.RXGlobal}
  decider: {type: deciders.QuantileBinaryDecider, config: {quantile: 0.99}}
connections:
  - [data.cube, rx.data]
  - [data.valid, rx.valid]
  - [rx.scores, decider.logits]
  - [data.valid, decider.valid]
phases:
  - {type: training.StatisticalTrainer}
outputs: {scores: rx.scores, decisions: decider.decisions}
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory, forking):
    """A user's folder with a scene, its mask, a run file and the folder of its run."""
    folder = tmp_path_factory.mktemp("user")
    rng = np.random.default_rng(7)
    np.save(folder / "c.npy", rng.random((60, 60, 20), np.float32))
    mask = np.zeros((60, 60), np.uint8)
    mask[5:8, 5:8] = 1
    np.save(folder / "m.npy", mask)
    (folder / "rx.yaml").write_text(RUN)
    (folder / "plugins").symlink_to(ROOT / "plugins")
    made = Shell(folder, ROOT, forking)
    made("specloom run rx.yaml --out done")
    assert made.code == 0
    return made


def edited(shell, old, new):
    """A run file in which something is written in another way."""
    assert old in RUN
    (shell.folder / "wrong.yaml").write_text(RUN.replace(old, new))
    return "specloom check wrong.yaml"


COMMANDS = {
    "specloom run done": (
        "error: done is the folder that a run wrote, not a run file\n"
        "  fix: give the run file; to apply the pipeline: specloom predict done CUBE --out DIR"
    ),
    "specloom check done": "error: done is the folder that a run wrote, not a run file",
    "specloom run c.npy": (
        "error: c.npy holds no text, and is no YAML file\n"
        "  fix: name a run file; cubes are named in it, or behind the pipeline of specloom predict"
    ),
    "specloom run done/pipeline.yaml": "error: done/pipeline.yaml:1: a saved pipeline is not a run",
    "specloom predict done/pipeline.safetensors c.npy --out p": (
        "error: done/pipeline.safetensors holds the numbers of a pipeline, not the pipeline itself"
        "\n"
        "  fix: give done/pipeline.yaml, which names that file"
    ),
    "specloom predict c.npy done --out p": (
        "error: c.npy is no pipeline: the pipeline comes first\n"
        "  fix: specloom predict done c.npy --out DIR"
    ),
    "specloom predict rx.yaml c.npy --out p": "error: rx.yaml:1: rx.yaml is no saved pipeline",
    "specloom predict done c.npy --out m.npy": (
        "error: m.npy cannot be written: a file of that name is there, not a folder\n"
        "  fix: choose another folder with --out"
    ),
    "specloom predict done c.npy --out p --memory 4": (
        "Error: Invalid value for '--memory': '4' would be bytes; write the unit, as in 4GB"
    ),
    "specloom predict done c.npy --out p --tile 16": (
        "Error: Invalid value for '--tile': '16' would be bytes; write the unit, as in 16GB"
    ),
    "specloom predict done c.npy --out p --format tif": (
        "error: there is no format 'tif'\n  fix: did you mean 'geotiff'?"
    ),
    "specloom report rx.yaml": (
        "error: rx.yaml holds no run: there is no run.json in it\n"
        "  fix: give the folder that specloom run or predict wrote"
    ),
    "specloom compare done": (
        "error: there is one run, and nothing to compare it with\n"
        "  fix: give another run too: specloom compare done RUN"
    ),
    "specloom compare done ./done": "error: there is one run, and nothing to compare it with",
    "specloom train rx.yaml": (
        "Error: No such command 'train'. Use 'specloom run FILE', which runs all phases of a run "
        "file: fits, training, evaluation"
    ),
    "specloom fit rx.yaml": "Error: No such command 'fit'. Use 'specloom run FILE'",
    "specloom list": (
        "Error: No such command 'list'. Use 'specloom nodes' for nodes, 'specloom plugins list' "
        "for plugins"
    ),
    "specloom validate rx.yaml": "Error: No such command 'validate'. Use 'specloom check FILE'",
    "specloom run rx.yaml --device gpu --out p": (
        "error: there is no device 'gpu'\n  fix: use auto, cpu, cuda or cuda:0"
    ),
    "specloom run rx.yaml --set data.config.mask=absent.npy --out p": (
        "error: rx.yaml:2: there is no absent.npy, the mask of the data\n"
        "  fix: check the path; it is relative to where you run"
    ),
    "specloom check rx.yaml --set nodes.data.config.normal_class_ids=0": (
        "error: --set nodes.data.config.normal_class_ids=0: cubes.AnomalyDataNode: "
        "normal_class_ids should be a valid array, got 0\n"
        "  fix: write a list: normal_class_ids: [0]"
    ),
    "specloom check rx.yaml --set 'phases=[{type: training.Evaluate}]'": (
        "error: --set phases=[{type: training.Evaluate}]: no node measures anything in the stage"
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command(shell, command):
    reported = shell(command)
    assert shell.code in (2, 4)
    assert COMMANDS[command] in reported
    assert "Traceback" not in reported


FILES = {
    "a path of Windows between double quotes": (
        ("cube: c.npy", r'cube: "C:\data\c.npy"'),
        "error: wrong.yaml:4: not YAML: found unknown escape character 'd'\n"
        r"  fix: write single quotes, as in 'C:\data': between double ones \ is special",
    ),
    "a decimal comma": (
        ("quantile: 0.99", "quantile: 0,99"),
        "error: wrong.yaml:8: deciders.QuantileBinaryDecider has no parameter '99'\n"
        "  fix: write numbers with a decimal point: a comma begins the next parameter",
    ),
    "a number for a list": (
        ("normal_class_ids: [0]", "normal_class_ids: 0"),
        "error: wrong.yaml:6: cubes.AnomalyDataNode: normal_class_ids should be a valid array, "
        "got 0\n  fix: write a list: normal_class_ids: [0]",
    ),
    "a learning rate at the statistical phase": (
        (
            "{type: training.StatisticalTrainer}",
            "{type: training.StatisticalTrainer, config: {learning_rate: 1e-3}}",
        ),
        "has no parameter 'learning_rate'\n  fix: use one of: nodes, split",
    ),
    "a percentage for a share": (
        ("quantile: 0.99", "quantile: 99"),
        "quantile",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_run_file(shell, name):
    change, message = FILES[name]
    reported = errors(shell(edited(shell, *change)))
    assert shell.code == 2
    assert message in reported
    assert "fix: " in reported


def test_a_block_that_is_larger_than_the_scene(shell):
    command = "specloom check rx.yaml --set data.type=cubes.Blocks --set data.config.block=256"
    assert (
        "warning: rx.yaml:2: a block of 256 x 256 pixels holds the whole scene (60 x 60): "
        "it is all in one split\n  fix: write a smaller block, such as block: 15"
    ) in shell(command)
    smaller = command.replace("256", "15")
    assert "smaller block" not in shell(smaller)
    assert shell.code == 0


def test_no_phase_that_fits(shell):
    reported = shell("specloom run rx.yaml --set 'phases=[]' --out unfitted")
    assert (
        "warning: rx.yaml:7: no phase fits node 'rx' (RXGlobal): the saved pipeline cannot be "
        "applied\n  fix: add a phase that fits it, such as training.StatisticalTrainer"
    ) in reported
    shell("specloom predict unfitted c.npy --out p")
    assert shell.code == 2


def test_a_band_twice_in_the_data(shell):
    cube = np.load(shell.folder / "c.npy")
    np.save(shell.folder / "twice.npy", np.concatenate([cube, cube[..., :1]], axis=-1))
    reported = shell("specloom run rx.yaml --set data.config.cube=twice.npy --out twice")
    assert shell.code == 0
    assert "warning: " in reported
    assert "20" in reported
    record = json.loads((shell.folder / "twice/run.json").read_text())
    assert any("direction" in one or "rank" in one for one in record.get("warnings", [reported]))


def test_a_folder_of_one_cube(shell):
    folder = shell.folder / "one"
    folder.mkdir()
    np.save(folder / "a.npy", np.load(shell.folder / "c.npy"))
    measured = "--set 'phases=[{type: training.StatisticalTrainer}, {type: training.Calibrate, "
    measured += "config: {decider: decider, false_alarm_rate: 1e-2, split: val}}]'"
    data = "--set 'data={type: cubes.Folder, config: {path: one}}'"
    reported = errors(shell(f"specloom run rx.yaml {data} {measured} --out alone"))
    assert shell.code == 2
    assert "val" in reported
    assert "fix: " in reported


def test_weights_over_another_file(shell, tmp_path, monkeypatch):
    from safetensors.numpy import save_file

    monkeypatch.setenv("SPECLOOM_WEIGHTS", str(tmp_path))
    first = shell.folder / "first.safetensors"
    save_file({"a": np.zeros(3, np.float32)}, first)
    shell("specloom weights add mine first.safetensors")
    assert shell.code == 0
    save_file({"a": np.ones(3, np.float32)}, shell.folder / "second.safetensors")
    reported = shell("specloom weights add mine second.safetensors")
    assert (
        "error: another file is stored as mine: added from first.safetensors, SHA-256" in reported
    )
    assert "  fix: choose another name, or delete " in reported
    shell("specloom weights add mine first.safetensors")
    assert shell.code == 0


def test_a_file_url_with_a_blank(shell):
    where = Path(shell.folder) / "my plugin"
    where.mkdir()
    reported = shell(f"specloom plugins add mine --git 'file://{where}' --tag v1")
    assert shell.code in (2, 3)
    assert "fix: " in reported
    assert "my plugin" in reported or "%20" in reported
