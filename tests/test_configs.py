"""The run files in configs/ are good, and the light ones run and say what they said before."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import specloom
from specloom import Plugins
from specloom.cli import cli

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(ROOT.glob("examples/**/run.yaml"))
ABSENT = re.compile(
    r"warning: \S+: there is no (scene\.mat|captures|wheat_grains|cubes|inspection/known),"
)
TINY = re.compile(r"warning: .*weights tiny and tiny-adapter are made on this machine for tests")
CONFIGS = sorted(p for p in ROOT.glob("configs/**/*.yaml") if p.name != "plugins.yaml")
SMALL = ["data.config.scenes=12", "data.config.height=32", "data.config.width=32"]


@pytest.mark.parametrize("config", [*CONFIGS, *EXAMPLES], ids=lambda p: p.parent.name + p.stem)
def test_check_passes_and_advises_nothing(config):
    """But that data of a user's own are not there, and what tiny weights are."""
    result = CliRunner().invoke(cli, ["check", str(config)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert f"{config}: good" in result.output
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning:")]
    allowed = TINY if config.parent.name == "adaclip" else ABSENT
    assert [line for line in warnings if not allowed.match(line)] == []


@pytest.mark.parametrize("config", [*CONFIGS, *EXAMPLES], ids=lambda p: p.parent.name + p.stem)
def test_deciders_read_which_pixels_count(config):
    graph = specloom.load(config, device="cpu").graph
    for name in graph.nodes:
        if "decisions" in graph.nodes[name].outputs and "valid" in graph.nodes[name].inputs:
            assert "valid" in graph.incoming(name), name


def test_a_selector_s_graph_without_its_companion_is_the_same(tmp_path):
    """Scores of RX that does not follow the weights have an IoU of 0.29 in place of 0.89."""
    text = (ROOT / "configs/channel_selector.yaml").read_text()
    line = "  - [selector.applied, rx.weights]\n"
    assert line in text
    shorter = tmp_path / "shorter.yaml"
    shorter.write_text(text.replace(line, ""))
    plugins = Plugins.for_file(ROOT / "configs/channel_selector.yaml")
    found = specloom.load(shorter, plugins=plugins).graph
    expected = specloom.load(ROOT / "configs/channel_selector.yaml").graph
    assert {(one.source, one.target) for one in found.connections} == {
        (one.source, one.target) for one in expected.connections
    }
    assert any("added selector.applied → rx.weights" in note for note in found.notes())
    assert not any("added" in note for note in expected.notes())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: p.stem)
def test_the_schema_agrees(config):
    import jsonschema

    from specloom.plugins import Plugins
    from specloom.runfile import yaml
    from specloom_registry.catalogue.descriptors import read_descriptors
    from specloom_registry.catalogue.json_schema import schema

    found = schema(read_descriptors(Plugins.for_file(config)))
    jsonschema.Draft202012Validator.check_schema(found)
    jsonschema.validate(yaml.read(config).value, found)


def test_run_writes_its_results_and_ends_with_a_table(tmp_path):
    config, out = ROOT / "configs/rx_statistical.yaml", tmp_path / "out"
    sets = [argument for one in SMALL for argument in ("--set", one)]
    result = CliRunner().invoke(
        cli, ["run", str(config), *sets, "--out", str(out), "--seed", "3"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    left = {p.name for p in out.iterdir()}
    assert {"run.json", "metrics.json", "pipeline.yaml", "pipeline.safetensors"} <= left
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics) == {"val", "test"}
    assert 0.8 < metrics["test"]["metrics/roc_auc"] <= 1
    assert 0.3 < metrics["test"]["metrics/iou"] <= 1
    assert result.stdout == f"results: {out}\n"
    assert f"{metrics['test']['metrics/iou']:.4f}" in result.stderr
    record = json.loads((out / "run.json").read_text())
    assert record["seed"] == 3
    assert record["run"]["data"]["config"]["scenes"] == 12
    assert next(phase["type"] for phase in record["phases"]) == "training.StatisticalTrainer"
    assert record["ended"]
    assert {"rx", "cubes", "training"} <= record["plugins"].keys()


def test_metrics_of_scores_leave_the_threshold_on_the_decider_s_own_logits(tmp_path):
    text = (ROOT / "configs/rx_statistical.yaml").read_text()
    line = "[logits.logits, metrics.logits]"
    assert line in text
    config = tmp_path / "scores.yaml"
    config.write_text(text.replace(line, "[rx.scores, metrics.logits]"))
    run = specloom.load(config, plugins=Plugins.for_file(ROOT / "configs/rx_statistical.yaml"))
    run.run()
    assert round(run.metrics["test"]["metrics/iou"], 4) == 0.7639
    assert run.metrics["test"]["metrics/decided_pixels"] == 406


def test_json_is_the_only_thing_on_stdout(tmp_path):
    config = ROOT / "configs/rx_statistical.yaml"
    sets = [argument for one in SMALL for argument in ("--set", one)]
    result = CliRunner().invoke(
        cli, ["run", str(config), *sets, "--out", str(tmp_path), "--json"], catch_exceptions=False
    )
    assert json.loads(result.stdout) == json.loads((tmp_path / "metrics.json").read_text())


def test_python_and_yaml_give_the_same_scores():
    spec = importlib.util.spec_from_file_location("example", ROOT / "examples/rx_in_python.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    run = specloom.load(ROOT / "configs/rx_statistical.yaml")
    run.run()
    assert example.main() == run.metrics["test"]

    pipeline = example.build()
    source = example.Synthetic(scenes=32, seed=7, batch_size=4)
    example.StatisticalTrainer(pipeline=pipeline, datamodule=source).fit()
    batch = next(iter(source.batches("test")))
    theirs = specloom.Run(pipeline.graph(source), source).plan("test", ["rx.scores"])
    ours = run.plan("test", ["rx.scores"])
    batch = run.runtime.adopt(batch, run.graph.batch)
    with run.inference():
        assert torch.equal(ours(batch)["rx.scores"], theirs(batch)["rx.scores"])


def test_a_saved_pipeline_scores_as_the_run_did(tmp_path):
    run = specloom.load(ROOT / "configs/rx_statistical.yaml", SMALL)
    run.run()
    from specloom.execution import run_folder

    run_folder.write(run, tmp_path)
    graph = specloom.Pipeline.load(tmp_path / "pipeline.yaml").graph()
    loaded = specloom.Run(graph, run.source)
    batch = run.runtime.adopt(next(iter(run.source.batches("test"))), run.graph.batch)
    for end in ("rx.scores", "logits.logits", "decider.decisions"):
        with run.inference():
            first = run.plan("predict", [end])(batch)[end]
            second = loaded.plan("predict", [end])(batch)[end]
        assert torch.equal(first, second)
