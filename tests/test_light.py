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

from specloom import __main__, light
from specloom.cli import cli
from specloom.light_names import MODULE, NAMES, VALUES

ROOT = Path(__file__).parents[1]
FILES = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("configs/**/*.yaml"), *ROOT.glob("examples/**/run.yaml")]
    if path.name != "plugins.yaml"
)
ANSWERS = """
import json, os, sys
from functools import partial

import numpy, pydantic.type_adapter  # once for all

from specloom import cli, light

for words in json.loads(sys.argv[1]):
    read, write = os.pipe()
    if os.fork() == 0:
        written = light.answer(partial(cli.cli.main, words, standalone_mode=False))
        answer = None
        if written is not None:
            out = [text for stream, text in written if stream is sys.stdout]
            errors = [text for stream, text in written if stream is sys.stderr]
            answer = [0, "".join(out), "".join(errors)]
        loaded = [name for name in ("torch", "scipy") if hasattr(sys.modules.get(name), "__file__")]
        with os.fdopen(write, "w") as pipe:
            json.dump([answer, loaded], pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        print(pipe.read(), flush=True)
    os.wait()
"""
"""Gives code, output and errors of each command without torch, in a process that it has alone."""

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
    """Exit code, output and errors of commands without torch, or None, each in its own process."""
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
    return [result.exit_code, result.stdout, result.stderr]


def test_every_shipped_run_file_gets_the_answer_that_it_gets_with_torch(monkeypatch):
    monkeypatch.chdir(ROOT)
    commands = [["check", name] for name in FILES]
    for words, answer in zip(commands, answers(commands), strict=True):
        assert answer == full(words), words


def test_graphs_are_shown_as_with_torch(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = ("rx_statistical", "targets", "channel_selector", "bands/concrete", "bands/mrmr_full")
    commands = [["graph", f"configs/{name}.yaml"] for name in names]
    for words, answer in zip(commands, answers(commands), strict=True):
        assert answer == full(words), words


def variants(folder, name, changes):
    """Run files that differ from a shipped one, and the commands that check them."""
    text = (ROOT / "configs" / name).read_text()
    commands = []
    for number, (old, new) in enumerate(changes):
        assert old in text
        file = folder / f"{Path(name).stem}_{number}.yaml"
        file.write_text(text.replace(old, new))
        commands.append(["check", str(file)])
    return commands


CALIBRATE = "  - {type: training.Calibrate, config: {decider: decider, metric: f1, split: val}}\n"
EVALUATE = "  - {type: training.Evaluate, config: {split: val}}\n"
FITTED = (
    "  - {type: training.StatisticalTrainer}\n"
    + CALIBRATE
    + EVALUATE
    + "  - {type: training.Evaluate, config: {split: test}}\n"
)
SYNTHETIC = "  type: cubes.Synthetic\n  config: {scenes: 32, seed: 7, batch_size: 4}\n"
WARNED = (
    (f"phases:\n{FITTED}", "phases: []\n"),
    (SYNTHETIC, "  type: cubes.Folder\n  config: {path: nowhere}\n"),
)


def test_warnings_are_those_that_are_given_with_torch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = variants(tmp_path, "rx_statistical.yaml", WARNED)
    for words, answer in zip(commands, answers(commands, tmp_path), strict=True):
        assert answer == full(words), words
        assert answer[2].startswith("warning: ")


ADAMW = "optimizer: {name: adamw, lr: 0.3}"
LEARNED = (
    (ADAMW, "optimizer: {name: sgd, lr: 0.3, momentum: 0.9}"),
    (ADAMW, f"{ADAMW}\n      scheduler: {{name: step, step_size: 3}}"),
    (ADAMW, f"{ADAMW}\n      scheduler: {{name: cosine_annealing}}"),
)


def test_optimisers_and_schedulers_are_known_without_torch(tmp_path):
    commands = variants(tmp_path, "bands/concrete.yaml", LEARNED)
    for words, answer in zip(commands, answers(commands, tmp_path), strict=True):
        assert answer == full(words), words
        assert (answer[0], answer[2]) == (0, "")


NEEDS_TORCH = (
    (ADAMW, "optimizer: {name: AdamW, lr: 0.3}"),
    (ADAMW, "optimizer: {name: adafactor, lr: 0.3}"),
    (ADAMW, f"{ADAMW}\n      scheduler: {{name: one_cycle, max_lr: 0.3}}"),
)
"""What is right and is known of torch alone."""


def test_other_optimisers_and_schedulers_are_checked_with_torch(tmp_path):
    commands = variants(tmp_path, "bands/concrete.yaml", NEEDS_TORCH)
    assert answers(commands, tmp_path) == [None] * len(commands)
    for words in commands:
        code, _, errors = full(words)
        assert (code, errors) == (0, ""), words


WRONG_LEARNING = (
    (ADAMW, "optimizer: {name: adamx, lr: 0.3}"),
    (ADAMW, "optimizer: {name: adamw, lr: fast}"),
    (ADAMW, "optimizer: {name: adamw, rate: 0.3}"),
    (ADAMW, f"{ADAMW}\n      scheduler: {{name: step}}"),
    (ADAMW, f"{ADAMW}\n      scheduler: {{name: step, step_size: 3, monitor: train/total}}"),
    (ADAMW, f"{ADAMW}\n      scheduler: {{name: reduce_on_plateau}}"),
    (ADAMW, f"{ADAMW}\n      scheduler: {{name: cosine_annealing, interval: never}}"),
    ("unfreeze: [bands, image_logits]", "unfreeze: []"),
    ("monitor: metrics/average_precision", "monitor: metrics/average"),
    ("selectors.ConcreteBandSelector", "selectors.ConcreteBandSelector, config: {eps: 0}"),
)


def test_what_is_wrong_with_training_is_never_answered_without_torch(tmp_path):
    commands = variants(tmp_path, "bands/concrete.yaml", WRONG_LEARNING)
    assert answers(commands, tmp_path) == [None] * len(commands)
    for words in commands:
        code, _, errors = full(words)
        assert code == 2, words
        assert errors.startswith("error: ")


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


def test_what_is_wrong_is_never_answered_without_torch(tmp_path):
    commands = variants(tmp_path, "rx_statistical.yaml", WRONG.values())
    commands += [["check", "absent.yaml"], ["check"], ["check", "--wrong"]]
    assert answers(commands, tmp_path) == [None] * len(commands)
    for words in commands[:-3]:
        code, _, errors = full(words)
        assert code or errors, words


LOADED = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout, suppress

from specloom.__main__ import main

LIBRARIES = ("torch", "scipy", "sklearn", "matplotlib", "pandas", "lightning", "dask")
for words in json.loads(sys.argv[1]):
    read, write = os.pipe()
    os.set_inheritable(write, False)
    if os.fork() == 0:
        sys.argv = ["specloom", *words]
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            with suppress(SystemExit):
                main()
        loaded = [name for name in LIBRARIES if hasattr(sys.modules.get(name), "__file__")]
        with os.fdopen(write, "w") as pipe:
            json.dump(loaded, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        print(pipe.read() or '"started again"', flush=True)
    os.wait()
"""
"""Gives the libraries that commands load; a command that starts again with torch is said to."""

NO_LIBRARY = (
    "--help",
    "--version",
    "check configs/rx_statistical.yaml",
    "check configs/rx_scene.yaml",
    "check configs/channel_selector.yaml",
    "check no_yaml.yaml",
    "check absent.yaml",
    "check --help",
    "graph configs/channel_selector.yaml",
    "graph configs/rx_statistical.yaml --out graph.html",
    "info cube.hdr",
    "nodes",
    "nodes rx.RXGlobal",
    "schema",
    "plugins list",
    "plugins tree",
    "plugins verify",
    "new run --list",
    "detect --help",
    "predict --help",
    "report --help",
    "run --help",
    "serve --help",
)
HEADER = (
    "ENVI\nsamples = 2\nlines = 2\nbands = 2\nheader offset = 0\ndata type = 4\n"
    "interleave = bil\nbyte order = 0\nwavelength units = nm\nwavelength = {500, 600}\n"
)


def test_commands_that_need_no_array_load_no_library(tmp_path):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "no_yaml.yaml").write_text("nodes: [")
    (tmp_path / "cube.hdr").write_text(HEADER)
    (tmp_path / "cube.img").write_bytes(bytes(32))
    words = json.dumps([line.split() for line in NO_LIBRARY])
    call = [sys.executable, "-W", "ignore", "-c", LOADED, words]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = dict(zip(NO_LIBRARY, map(json.loads, done.stdout.splitlines()), strict=True))
    assert {line: found for line, found in loaded.items() if found} == {}
    assert (tmp_path / "graph.html").is_file()


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


def test_nothing_is_tried_where_a_library_is_loaded(monkeypatch):
    assert not light.is_tried(["check", "x.yaml"])  # torch is loaded here
    monkeypatch.setattr(light, "LIBRARIES", ("no_such_library",))
    assert light.is_tried(["check", "x.yaml"])
    assert not light.is_tried(["run", "x.yaml"])
    assert light.is_tried(["graph", "x.yaml", "--out", "g.html"])
    assert not light.is_tried([])
    monkeypatch.setenv(light.FULL, "1")
    assert not light.is_tried(["check", "x.yaml"])


def test_an_output_that_nobody_reads_is_no_bug():
    """As where a pager ends before it has read everything."""
    gone = "read, write = os.pipe(); os.close(read); os.dup2(write, 1)"
    script = f"import os, sys; {gone}; from specloom.__main__ import main; main()"
    command = [sys.executable, "-c", script, "check", "configs/channel_selector.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_an_output_on_a_full_disk_is_an_error(capsys):
    with Path("/dev/full").open("w") as full:
        assert __main__._write([(full, "good\n")]) == 4
        assert capsys.readouterr().err == (
            "error: a file cannot be used: No space left on device\n"
            "  fix: check the path, its permissions and the disk\n"
        )
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_nothing_is_tried_where_a_stream_is_closed(monkeypatch, name):
    monkeypatch.setattr(light, "LIBRARIES", ())
    assert light.is_tried(["check", "run.yaml"])
    monkeypatch.setattr(sys, name, None)
    assert not light.is_tried(["check", "run.yaml"])
