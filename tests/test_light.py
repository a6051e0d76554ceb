"""``check`` and ``graph`` answer without torch what they answer with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from specloom import light
from specloom.cli import cli
from specloom.light_names import MODULE, NAMES, VALUES

ROOT = Path(__file__).parents[1]
FILES = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("configs/**/*.yaml"), *ROOT.glob("examples/**/run.yaml")]
    if path.name != "plugins.yaml"
)
WITHOUT_TORCH = (
    "configs/bands/cir.yaml",
    "configs/bands/pca.yaml",
    "configs/objects.yaml",
    "configs/rx_statistical.yaml",
    "configs/targets.yaml",
)
"""Files of which nothing is to be said, and whose nodes need no value."""

ANSWERS = """
import json, os, sys
from functools import partial

from specloom import cli, light

for words in json.loads(sys.argv[1]):
    read, write = os.pipe()
    if os.fork() == 0:
        answer = light.answer(partial(cli.cli.main, words, standalone_mode=False))
        loaded = [name for name in ("torch", "scipy") if hasattr(sys.modules.get(name), "__file__")]
        with os.fdopen(write, "w") as pipe:
            json.dump([answer, loaded], pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        print(pipe.read(), flush=True)
    os.wait()
"""
"""Gives the answer of each command of a list without torch, in a process that it has alone."""

TOY = """
from specloom import impl

@impl
def register_nodes():
    return {"Decides": "needs_value:Decides"}
"""
TOY_NODE = """
import torch
from specloom import Input, Output, node
from specloom.torch import TorchNode

@node
class Decides(TorchNode):
    "Builds in one way or another, by a value."

    data = Input("B H W C", doc="Pixels.")
    made = Output("B H W C", doc="The same.")
    locality = "pixel"

    def build(self, sizes):
        if torch.arange(sizes["C"]).sum() > 3:
            self.register_buffer("many", torch.ones(1))

    def forward(self, data):
        return {"made": data}
"""
TOY_FILE = """
specloom: 1
data: {type: cubes.Synthetic, config: {scenes: 12, height: 8, width: 8, bands: 5}}
nodes:
  data: {type: cubes.AnomalyDataNode, config: {normal_class_ids: [0, 1]}}
  toy: {type: toy.Decides}
  rx: {type: rx.RXGlobal}
connections:
  - [data.cube, toy.data]
  - [toy.made, rx.data]
  - [data.valid, rx.valid]
phases:
  - {type: training.StatisticalTrainer}
outputs: {scores: rx.scores}
"""


def answers(commands, folder=ROOT):
    """What commands print without torch, or None, each from a process of its own."""
    call = [sys.executable, "-W", "ignore", "-c", ANSWERS, json.dumps(commands)]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=True)
    found = []
    for line in done.stdout.splitlines():
        answer, loaded = json.loads(line)
        assert loaded == []
        found.append(answer)
    return found


def full(words):
    """Exit code, output and errors with torch."""
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_every_shipped_run_file_gets_the_answer_that_it_gets_with_torch(monkeypatch):
    monkeypatch.chdir(ROOT)
    commands = [["check", name] for name in FILES]
    for words, answer in zip(commands, answers(commands), strict=True):
        if answer is None:  # the command starts again with torch
            assert words[1] not in WITHOUT_TORCH
        else:
            assert full(words) == (0, answer, ""), words


def test_graphs_are_shown_as_with_torch(monkeypatch):
    monkeypatch.chdir(ROOT)
    commands = [["graph", name] for name in WITHOUT_TORCH[-3:]]
    for words, answer in zip(commands, answers(commands), strict=True):
        assert (0, answer, "") == full(words)


WRONG = {
    "threshold: 2": (
        "type: deciders.BinaryDecider",
        "type: deciders.BinaryDecider, config: {threshold: 2}",
    ),
    "no such node": ("type: rx.RXGlobal", "type: rx.RXGlobl"),
    "no such parameter": ("type: rx.RXGlobal", "type: rx.RXGlobal, config: {epsilon: 1}"),
    "negative eps": ("type: rx.RXGlobal", "type: rx.RXGlobal, config: {eps: -1}"),
    "a wrong type": ("type: rx.RXGlobal", "type: rx.RXGlobal, config: {eps: much}"),
    "no such port": ("rx.scores", "rx.score"),
    "no such phase": ("training.StatisticalTrainer", "training.Statistics"),
    "never fitted": ("  - {type: training.StatisticalTrainer}\n", ""),
    "not YAML": ("nodes:", "nodes: ["),
}


def test_what_is_wrong_is_never_answered_without_torch(tmp_path, monkeypatch):
    text = (ROOT / "configs/rx_statistical.yaml").read_text()
    commands = []
    for number, (old, new) in enumerate(WRONG.values()):
        assert old in text
        file = tmp_path / f"{number}.yaml"
        file.write_text(text.replace(old, new))
        commands.append(["check", str(file)])
    commands += [["check", "absent.yaml"], ["check"], ["check", "--wrong"]]
    assert answers(commands, tmp_path) == [None] * len(commands)
    for words in commands[:-3]:
        code, _, errors = full(words)
        assert code or errors, words


def command(words, folder, **environment):
    call = [sys.executable, "-m", "specloom", *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False, env=env)
    return done.returncode, done.stdout, done.stderr


def test_a_plugin_that_needs_a_value_gets_torch(tmp_path):
    (tmp_path / "toy_plugin.py").write_text(TOY)
    (tmp_path / "needs_value.py").write_text(TOY_NODE)
    (tmp_path / "run.yaml").write_text(TOY_FILE)
    (tmp_path / "toy-1.dist-info").mkdir()
    (tmp_path / "toy-1.dist-info" / "METADATA").write_text("Name: toy\nVersion: 1\n")
    (tmp_path / "toy-1.dist-info" / "entry_points.txt").write_text("[specloom]\ntoy = toy_plugin\n")
    code, printed, errors = command(["check", "run.yaml"], tmp_path, PYTHONPATH=str(tmp_path))
    assert (code, printed) == (0, "run.yaml: good, 3 nodes, 6 connections\n"), errors


def test_an_error_is_printed_once_and_as_with_torch(tmp_path):
    text = (ROOT / "configs/rx_statistical.yaml").read_text()
    (tmp_path / "wrong.yaml").write_text(text.replace("type: rx.RXGlobal", "type: rx.RXGlobl"))
    light_answer = command(["check", "wrong.yaml"], tmp_path)
    assert light_answer == command(["check", "wrong.yaml"], tmp_path, **{light.FULL: "1"})
    assert light_answer[0] == 2
    assert light_answer[2].count("RXGlobl") == 1


def test_only_names_that_exist_are_known():
    for module, names in NAMES.items():
        real = import_module(module)
        seen = {}
        for name in names:
            if f"{module}.{name}" in NAMES:
                continue
            value = getattr(real, name)
            assert id(value) not in seen, f"{module}.{name} is {seen.get(id(value))}"
            seen[id(value)] = name
    for name in VALUES:
        assert any(hasattr(cls, name) for cls in (torch.Tensor, torch.finfo, torch.Generator)), name


def test_whatever_a_module_of_torch_has_is_known():
    names = {name for name in dir(torch.nn.Module) if not name.startswith("__")}
    assert names <= {*MODULE, *dir(light.Module)}


@pytest.mark.parametrize(
    "use",
    [bool, len, list, int, float, str, repr, format, abs, "{}".format, [1, 2].__getitem__],
    ids=lambda use: use.__name__,
)
def test_a_value_is_needed(use):
    value = light.StandIn("torch.zeros()")
    if use is abs:
        assert isinstance(use(value), object)
        return
    with pytest.raises(light.NeedsLibrary):
        use(value)


def test_names_that_are_not_known_need_the_library():
    value = light.StandIn("torch.zeros()")
    with pytest.raises(light.NeedsLibrary, match=r"torch\.zeros\(\)\.no_such_method"):
        value.no_such_method  # noqa: B018  (it raises)
    finder = light.Finder({"torch": ["Tensor"]})
    with pytest.raises(light.NeedsLibrary, match=r"import torch\.elsewhere"):
        finder.find_spec("torch.elsewhere")
    assert finder.find_spec("numpy") is None


def test_nothing_is_tried_where_a_library_is_loaded_or_a_file_is_written(monkeypatch):
    assert not light.is_tried(["check", "x.yaml"])  # torch is loaded here
    monkeypatch.setattr(light, "LIBRARIES", ("no_such_library",))
    assert light.is_tried(["check", "x.yaml"])
    assert not light.is_tried(["run", "x.yaml"])
    assert not light.is_tried(["graph", "x.yaml", "--out", "g.html"])
    assert not light.is_tried(["graph", "x.yaml", "--out=g.html"])
    assert not light.is_tried([])
    monkeypatch.setenv(light.FULL, "1")
    assert not light.is_tried(["check", "x.yaml"])
