"""Pipelines and train runs of cuvis-ai become run files, with a report."""

import warnings

import pytest
import yaml
from click.testing import CliRunner

import specloom
from specloom import ConfigError, UnavailableError
from specloom.cli import cli
from specloom_training.importing.placed_yaml import read

OLD = """
metadata: {name: Channel_Selector, description: Two phases, created: 2024, tags: [rx], author: me}
nodes:
  - name: LentilsAnomalyDataNode
    class: cuvis_ai.node.data.LentilsAnomalyDataNode
    params: {normal_class_ids: [0, 1]}
  - {name: norm, class: cuvis_ai.node.normalization.MinMaxNormalizer, params: {eps: 1.0e-6, old: 1}}
  - name: soft-selector
    class: cuvis_ai.node.selector.SoftChannelSelector
    params: {n_select: 3, input_channels: 61, init_method: variance}
  - {name: rx, class: cuvis_ai.anomaly.rx_detector.RXGlobal, params: {num_channels: 15, eps: 0.1}}
  - {name: head, class: cuvis_ai.node.conversion.ScoreToLogit, params: {}}
  - {name: decider, class: cuvis_ai.deciders.binary_decider.BinaryDecider, params: {threshold: 0.5}}
  - {name: bce, class: cuvis_ai.node.losses.AnomalyBCEWithLogits, params: {weight: 10.0}}
  - {name: entropy, class: cuvis_ai.node.losses.SelectorEntropyRegularizer, params: {weight: 0.1}}
  - {name: metrics_anomaly, class: cuvis_ai.node.metrics.AnomalyDetectionMetrics, params: {}}
  - {name: rgb, class: cuvis_ai.node.band_selection.BaselineFalseRGBSelector, params: {}}
  - {name: grpc, class: cuvis_ai.node.remote.GrpcSink, params: {port: 1}}
connections:
  - {from: LentilsAnomalyDataNode.outputs.cube, to: norm.inputs.data}
  - {from: norm.outputs.normalized, to: soft-selector.inputs.data}
  - {from: norm.outputs.normalized, to: rx.inputs.data}
  - {from: soft-selector.outputs.selected, to: rx.inputs.data}
  - {from: rx.outputs.scores, to: head.inputs.scores}
  - {from: head.outputs.logits, to: decider.inputs.logits}
  - {from: head.outputs.logits, to: bce.inputs.predictions}
  - {from: LentilsAnomalyDataNode.outputs.mask, to: bce.inputs.targets}
  - {from: soft-selector.outputs.weights, to: entropy.inputs.weights}
  - {from: decider.outputs.decisions, to: metrics_anomaly.inputs.decisions}
  - {from: LentilsAnomalyDataNode.outputs.mask, to: metrics_anomaly.inputs.targets}
  - {from: decider.outputs.decisions, to: grpc.inputs.data}
"""

RUN = """
name: channel_selector
output_dir: outputs/run
pipeline: pipeline.yaml
data: {data_dir: data/lentils, batch_size: 4, train_split: 0.6, val_split: 0.2, magic: 1}
training:
  seed: 42
  optimizer: {name: adamw, lr: 0.001, weight_decay: 0.01, betas: [0.9, 0.999]}
  scheduler:
    {name: plateau, monitor: metrics_anomaly/iou, mode: max, factor: 0.5, patience: 5, t_max: 3}
  trainer:
    max_epochs: 20
    accelerator: auto
    precision: 32
    gradient_clip_val: 1.0
    callbacks:
      early_stopping: [{monitor: train/bce, mode: min, patience: 20}]
      model_checkpoint:
        {dirpath: checkpoints, monitor: metrics_anomaly/iou, mode: max, save_top_k: 3}
      learning_rate_monitor: {logging_interval: epoch}
loss_nodes: [bce]
metric_nodes: [metrics_anomaly]
unfreeze_nodes: [soft-selector, rx, head]
freeze_nodes: [norm]
"""

NEW = """
metadata: {name: mine, cuvis_ai_version: 0.19.3}
plugins: [cuvis_ai_builtin, adaclip]
nodes:
  - {name: data, class_name: cuvis_ai.a.AnomalyDataNode, hparams: {normal_class_ids: [0]}}
  - {name: bands, class_name: cuvis_ai.b.FixedWavelengthSelector, hparams: {}}
  - {name: hard, class_name: cuvis_ai.c.ConcreteChannelMixer, hparams: {output_channels: 3}}
  - {name: cir, class_name: cuvis_ai.d.SupervisedCIRSelector, hparams: {lambda_penalty: 0.5}}
connections:
  - {source: data.outputs.cube, target: hard.inputs.data}
  - {source: data.outputs.cubes, target: hard.inputs.data}
"""


def imported(folder, text, name="pipeline.yaml"):
    """The run file, its report, and the command's result."""
    (folder / name).write_text(text)
    out = folder / "out.yaml"
    command = ["import", "cuvis", str(folder / name), "--out", str(out)]
    done = CliRunner().invoke(cli, command)
    if done.exception:
        raise done.exception
    return yaml.safe_load(out.read_text()), done.stdout


@pytest.fixture
def train_run(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(OLD)
    return imported(tmp_path, RUN, "run.yaml")


def test_a_train_run_of_the_documents_time_becomes_a_run_file(train_run):
    value, _said = train_run
    assert value["metadata"]["name"] == "channel_selector"
    assert value["seed"] == 42
    assert value["data"] == {
        "type": "cubes.SingleCu3sDataModule",
        "config": {"data_dir": "data/lentils", "batch_size": 4, "split": [0.6, 0.2, 0.2]},
    }
    assert value["nodes"]["soft_selector"] == {
        "type": "selectors.SoftChannelSelector",
        "config": {"n_select": 3, "init_method": "variance"},
    }
    assert value["nodes"]["entropy"]["stages"] == ["val", "test"]
    assert ["soft_selector.selected", "rx.data"] in value["connections"]
    assert ["norm.normalized", "rx.data"] not in value["connections"]
    statistical, gradient, *evaluations = value["phases"]
    assert statistical == {"type": "training.StatisticalTrainer"}
    assert gradient["config"] == {
        "unfreeze": ["soft_selector", "rx", "head"],
        "losses": ["bce"],
        "epochs": 20,
        "precision": "32-true",
        "gradient_clip_val": 1.0,
        "optimizer": {"name": "adamw", "lr": 0.001, "weight_decay": 0.01, "betas": [0.9, 0.999]},
        "scheduler": {
            "name": "reduce_on_plateau",
            "monitor": "metrics_anomaly/iou",
            "mode": "max",
            "factor": 0.5,
            "patience": 5,
        },
        "early_stopping": [{"monitor": "train/bce", "mode": "min", "patience": 20}],
        "checkpoint": {
            "dirpath": "checkpoints",
            "monitor": "metrics_anomaly/iou",
            "mode": "max",
            "save_top_k": 3,
        },
    }
    assert [one["config"]["split"] for one in evaluations] == ["val", "test"]


def test_the_report_names_what_was_mapped_renamed_and_excluded(train_run):
    _value, said = train_run
    for line in (
        "  node 'rx', line 11 of pipeline.yaml: cuvis_ai.anomaly.rx_detector.RXGlobal is "
        "rx.RXGlobal",
        "  node 'soft-selector', line 8 of pipeline.yaml: 'soft_selector'",
        "  norm, line 7 of pipeline.yaml: the parameter old, which is unknown here",
        "  rx, line 11 of pipeline.yaml: num_channels: 15, which the graph infers",
        "  node 'grpc', line 18 of pipeline.yaml: no plugin offers cuvis_ai.node.remote.GrpcSink",
        "  connection of norm.normalized to rx.data: the one of line 23 of pipeline.yaml "
        "replaces it",
        "  connection, line 31 of pipeline.yaml: the node of 'grpc.inputs.data' is not imported",
        "  connection of LentilsAnomalyDataNode.cube to rgb.cube, which was implied",
        "  connection of LentilsAnomalyDataNode.wavelengths to rgb.wavelengths, which was implied",
        "  data, line 5: the parameter magic, which is unknown here",
        "  training: accelerator: auto, which has no counterpart",
        "  scheduler: t_max: 3, which has no counterpart",
        "  callbacks: learning_rate_monitor: the learning rate is always recorded",
        "  freeze_nodes: what is not unfrozen stays as it was fitted",
        "  output_dir: use specloom run --out outputs/run",
        "  loss 'entropy': measured only, not minimised there",
    ):
        assert f"\n{line}" in said, line


def test_the_imported_run_runs_on_data_that_are_there(train_run, tmp_path):
    value, _said = train_run
    data = {"scenes": 8, "height": 16, "width": 16, "clean_scenes": 0.0, "anomaly_fraction": 0.1}
    value["data"] = {"type": "cubes.Synthetic", "config": data}
    value["phases"][1]["config"]["epochs"] = 1
    value["phases"][1]["config"]["checkpoint"]["dirpath"] = str(tmp_path / "checkpoints")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a training this short
        run = specloom.load(tmp_path / "mine.yaml", device="cpu")
        run.run()
    assert "metrics_anomaly/iou" in run.metrics["test"]


def test_later_names_are_known(tmp_path):
    value, said = imported(tmp_path, NEW)
    types = {name: node["type"] for name, node in value["nodes"].items()}
    assert types == {
        "data": "cubes.AnomalyDataNode",
        "bands": "bands.BaselineFalseRGBSelector",
        "hard": "selectors.ConcreteBandSelector",
        "cir": "mrmr.SupervisedCIRBandSelector",
    }
    assert ["data.mask", "cir.mask"] in value["connections"]
    assert "connection, line 11: data has no output 'cubes'; did you mean 'cube'?" in said
    assert "plugins: cuvis_ai_builtin, adaclip; name plugins in plugins.yaml" in said
    assert value["data"]["type"] == "cubes.Folder"
    assert value["phases"] == [{"type": "training.StatisticalTrainer"}]


def test_hydra_groups_are_read_below_the_folder_of_settings(tmp_path):
    for folder in ("pipeline", "trainrun"):
        (tmp_path / "configs" / folder).mkdir(parents=True)
    (tmp_path / "configs/pipeline/selector.yaml").write_text(OLD)
    text = "defaults: [{/pipeline@pipeline: selector}, _self_]\n" + RUN.replace(
        "pipeline: pipeline.yaml\n", ""
    )
    value, _said = imported(tmp_path / "configs/trainrun", text, "run.yaml")
    assert "soft_selector" in value["nodes"]


def test_weights_beside_it_are_not_read(tmp_path):
    (tmp_path / "pipeline.pt").write_bytes(b"not even a pickle")
    _value, said = imported(tmp_path, NEW)
    assert f"{tmp_path / 'pipeline.pt'}: weights are not read; train again" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "nodes: [{name: a, class: b.C, params: {path: '${oc.env:HOME}/x'}}]",
            "{file}:1: nodes.0.params.path has the computed value ${{oc.env:HOME}}\n"
            "  fix: write the value itself; it is not computed here, as it may read the "
            "environment",
        ),
        (
            "plugins: {adaclip: {path: x, provides: []}}",
            "{file} is a manifest of plugins, which has no pipeline\n"
            "  fix: give a file with a list of nodes (name, class or class_name) or with pipeline:",
        ),
        (
            "nodes: [{name: a, class: b.C}]",
            "{file} has no node that a plugin offers\n"
            "  fix: install the plugins of its nodes: specloom plugins list",
        ),
        (
            "a: &x [*x]",
            "{file} holds more than 100000 values or 100 levels, those that aliases stand for "
            "included\n  fix: write out the values that are needed, without aliases",
        ),
        (
            "'${oc.env:HOME}': 1",
            "{file}:1: ${{oc.env:HOME}} has the computed value ${{oc.env:HOME}}\n"
            "  fix: write the value itself; it is not computed here, as it may read the "
            "environment",
        ),
        (
            "name: pca\npipeline: {normalizer: {eps: 1}, pca: {eps: 1}}",
            "{file}:2: pipeline has normalizer, pca and no nodes: a script makes its graph\n"
            "  fix: import a pipeline that cuvis-ai saved, or write its nodes and connections",
        ),
        (
            "defaults: [{/pipeline@pipeline: gone}]",
            "defaults of {file} names pipeline/gone.yaml, which is in no folder above it\n"
            "  fix: give the file in its configs folder",
        ),
        ("[1]", "{file} holds no mapping\n  fix: give a pipeline or a train run of cuvis-ai"),
    ],
)
def test_what_cannot_be_imported_is_an_error(tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        imported(tmp_path, text)
    assert str(caught.value) == message.format(file=tmp_path / "pipeline.yaml")
    assert not (tmp_path / "out.yaml").exists()


DOCUMENTED = """
nodes:
  data:
    type: LentilsAnomalyDataNode
    config: {normal_class_ids: &ids [0, 1], anomaly_class_ids: null}
  other: {type: LentilsAnomalyDataNode, config: {normal_class_ids: *ids}}
  rx:
    type: RXGlobal
    config: {num_channels: 61}
connections:
  - [data.cube, rx.data]
"""


def test_the_form_of_the_documents_is_read_and_aliases_are_written_out(tmp_path):
    value, said = imported(tmp_path, DOCUMENTED)
    assert list(value["nodes"]) == ["data", "other", "rx"]
    assert value["nodes"]["other"]["config"] == {"normal_class_ids": [0, 1]}
    assert value["connections"] == [["data.cube", "rx.data"]]
    assert "*" not in (tmp_path / "out.yaml").read_text()
    assert "  node 'rx', line 7: RXGlobal is rx.RXGlobal" in said
    assert "  rx, line 7: num_channels: 61, which the graph infers" in said


@pytest.mark.parametrize("line", ["b{}: [*b{}, *b{}, *b{}]", "b{}: {{x: *b{}, x: *b{}, x: *b{}}}"])
def test_aliases_that_stand_for_very_much_are_refused_at_once(tmp_path, line):
    path = tmp_path / "bomb.yaml"
    lines = ["b0: &b0 1"]
    for number in range(1, 30):
        before = number - 1
        made = line.format(number, before, before, before)
        lines.append(made.replace(": ", f": &b{number} ", 1))
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="holds more than 100000 values"):
        read(path)


UNUSUAL = """
name: run
tags: {project: lentils}
pipeline:
  metadata: {name: x, created: 2024}
  nodes:
    - {name: a.b, class: x.LentilsAnomalyDataNode, params: {normal_class_ids: [0]}, enabled: false}
    - name: my-rx
      class: x.RXGlobal
      params: {eps: 0.1}
      params: {eps: 0.2}
    - {name: head, class: x.ScoreToLogit}
    - {name: my-bce, class: x.AnomalyBCEWithLogits}
  connections:
    - {from: a.b.outputs.cube, to: my-rx.inputs.data}
    - {from: my-rx.inputs.scores, to: head.inputs.scores}
    - {from: my-rx.outputs.scores, to: head.inputs.scores, note: x}
    - {from: head.outputs.logits, to: my-bce.inputs.predictions}
    - {from: a.b.outputs.mask, to: my-bce.inputs.targets}
data: {data_dir: x, train_split: 0.5}
training:
  seed: all
  trainer: {max_epochs: 1, callbacks: {early_stopping: [{monitor: train/my-bce}]}}
loss_nodes: [my-bce, gone]
metric_nodes: [metrics]
unfreeze_nodes: [head]
"""


def test_every_part_of_a_file_is_in_the_report(tmp_path):
    value, said = imported(tmp_path, UNUSUAL)
    assert ["a_b.cube", "my_rx.data"] in value["connections"]
    assert value["nodes"]["my_rx"]["config"] == {"eps": 0.2}
    (stopping,) = value["phases"][1]["config"]["early_stopping"]
    assert stopping["monitor"] == "train/my_bce"
    for line in (
        "  pipeline.nodes.1.params, line 10: line 11 has it again, and replaces it",
        "  node 'a.b', line 7: enabled, which is unknown here",
        "  connection, line 16: 'my-rx.inputs.scores' is no output of a node",
        "  connection, line 17: note, which is unknown here",
        "  data: train_split: 0.5, val_split: None; one of the two is missing",
        "  training: seed: all, which is no whole number",
        "  loss_nodes: 'gone', which is not imported",
        "  metric_nodes: 'metrics', which is not imported",
        "  metadata: created, which is unknown here",
        "  the file: tags, which is unknown here",
    ):
        assert f"\n{line}\n" in said, line


def test_a_training_of_nothing_is_in_the_report(tmp_path):
    _value, said = imported(tmp_path, UNUSUAL.replace("[head]", "[]"))
    assert "  training, line 21: no node is unfrozen, so there is no gradient phase" in said


RX = "nodes: [{class: RXGlobal}]\n"


@pytest.mark.parametrize(
    ("text", "line", "what", "wanted"),
    [
        ("nodes: [1]", 1, "nodes.0 is 1", "a mapping"),
        ("nodes: [{class: RXGlobal, params: [1]}]", 1, "nodes.0.params is [1]", "a mapping"),
        (RX + "connections: 5", 2, "connections is 5", "a list"),
        (RX + "connections: [x]", 2, "connections.0 is 'x'", "a mapping"),
        (RX + "metadata: x", 2, "metadata is 'x'", "a mapping"),
        (RX + "metadata:\n  tags: 5", 3, "metadata.tags is 5", "a list"),
        (RX + "plugins: 5", 2, "plugins is 5", "a list"),
        (RX + "loss_nodes: bce", 2, "loss_nodes is 'bce'", "a list"),
        (RX + "data: [1]", 2, "data is [1]", "a mapping"),
        (RX + "data: {splits: x}", 2, "data.splits is 'x'", "a mapping"),
        (RX + "data: {train_split: most}", 2, "data.train_split is 'most'", "a number"),
        (RX + "training: x", 2, "training is 'x'", "a mapping"),
        (RX + "training: {optimizer: adam}", 2, "training.optimizer is 'adam'", "a mapping"),
        (
            RX + "training:\n  trainer:\n    callbacks: {early_stopping: [iou]}",
            4,
            "training.trainer.callbacks.early_stopping.0 is 'iou'",
            "a mapping",
        ),
        ("defaults: pipeline", 1, "defaults is 'pipeline'", "a list"),
    ],
)
def test_a_part_of_another_structure_is_an_error(tmp_path, text, line, what, wanted):
    with pytest.raises(ConfigError) as caught:
        imported(tmp_path, text)
    file = tmp_path / "pipeline.yaml"
    expected = f"{file}:{line}: {what}, where cuvis-ai has {wanted}\n  fix: write {wanted}"
    assert str(caught.value) == expected


@pytest.mark.parametrize("text", ["a: 2024-99-99", "a: !!int x", "a: " + "9" * 5000])
def test_a_value_that_yaml_cannot_hold_is_an_error(tmp_path, text):
    path = tmp_path / "pipeline.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is no plain YAML: ")
    assert message.endswith("\n  fix: give a file of cuvis-ai")


def test_an_error_in_the_pipeline_of_a_train_run_has_its_file_and_line(tmp_path):
    (tmp_path / "graph.yaml").write_text("metadata: {}\nnodes: [1]")
    with pytest.raises(ConfigError) as caught:
        imported(tmp_path, "name: x\n\n\npipeline: graph.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'graph.yaml'}:2: pipeline.nodes.0 is 1")


def test_a_pipeline_of_no_possible_path_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: embedded null byte"):
        imported(tmp_path, 'pipeline: "a\\0b"')


def test_code_in_a_file_is_not_executed(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path}/made']")
    with pytest.raises(ConfigError, match="is no plain YAML"):
        read(path)
    assert not (tmp_path / "made").exists()


def test_an_absent_file_is_reported(tmp_path):
    with pytest.raises(UnavailableError, match="cannot be read: No such file"):
        read(tmp_path / "gone.yaml")


def test_a_file_that_is_there_is_not_replaced(tmp_path):
    (tmp_path / "out.yaml").write_text("mine")
    with pytest.raises(ConfigError) as caught:
        imported(tmp_path, NEW)
    out = tmp_path / "out.yaml"
    assert str(caught.value) == f"{out} exists\n  fix: choose another file with --out"
    assert out.read_text() == "mine"
