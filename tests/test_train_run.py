"""Runs from Python: their run file, their folder, and the same again by commands."""

import json
import sys
import warnings
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import specloom
from specloom import ConfigError, Pipeline, Plugins, Run, SpecloomWarning
from specloom.cli import cli
from specloom_cubes import AnomalyDataNode, InMemory, Synthetic
from specloom_deciders import BinaryDecider
from specloom_metrics import AnomalyDetectionMetrics
from specloom_rx import RXGlobal
from specloom_training import (
    StatisticalTrainer,
    TrainRunConfig,
)

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = {"scenes": 12, "height": 32, "width": 32}
TRAINING = {"trainer": {"max_epochs": 1}, "optimizer": {"name": "adamw", "lr": 0.001}}
RUN_FILE = "trained_models/channel_selector_trainrun.yaml"


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """The folder that the example of the printed tutorial writes."""
    out = tmp_path_factory.mktemp("printed")
    sys.path.insert(0, str(EXAMPLES))
    try:
        import channel_selector_as_printed as example
    finally:
        sys.path.remove(str(EXAMPLES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example.main(out, True, TRAINING, **SMALL)
    return out


def read(path):
    return json.loads(path.read_text("utf-8"))


def command(*words):
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.mark.filterwarnings("ignore::UserWarning")  # of a short training
def test_the_run_file_of_python_gives_the_same_by_the_command(printed, tmp_path):
    command("run", printed / RUN_FILE, "--out", tmp_path / "again")
    again = tmp_path / "again"
    assert read(again / "metrics.json") == read(printed / "run/metrics.json")
    first, second = read(printed / "run/run.json"), read(again / "run.json")
    assert first.keys() == second.keys()
    for key in ("specloom", "seed", "device", "fold", "plugins", "data", "splits", "domain"):
        assert first[key] == second[key]
    assert [one["type"] for one in first["phases"]] == [one["type"] for one in second["phases"]]


@pytest.mark.filterwarnings("ignore::UserWarning")  # of a short training
def test_a_run_from_python_is_reproduced_bit_for_bit(printed, tmp_path):
    said = command("reproduce", printed / "run", "--check", "--out", tmp_path / "two")
    assert said.startswith("equal, bit for bit: 38 metrics, 27 tensors")


def test_what_was_saved_is_read(printed, tmp_path):
    config = TrainRunConfig.load_from_file(printed / RUN_FILE)
    assert config.name == "channel_selector"
    assert config.loss_nodes == ["bce"]
    assert config.metric_nodes == ["metrics_anomaly"]
    assert config.unfreeze_nodes == ["soft_channel_selector", "rx_global", "score_to_logit"]
    assert config.output_dir == "outputs"
    assert config.training.trainer.max_epochs == 1
    assert config.training.scheduler.monitor == "metrics_anomaly/iou"
    assert config.training.trainer.callbacks.checkpoint.save_top_k == 3
    config.save_to_file(tmp_path / "deep" / "again.yaml")
    assert (tmp_path / "deep/again.yaml").read_text() == (printed / RUN_FILE).read_text()
    assert TrainRunConfig.load_from_file(tmp_path / "deep/again.yaml") == config


def test_losses_that_are_not_minimised_are_measured_only(printed):
    nodes = yaml.safe_load((printed / RUN_FILE).read_text())["nodes"]
    assert nodes["entropy"]["stages"] == ["val", "test"]
    assert "stages" not in nodes["bce"]


def pipeline():
    made = Pipeline("small")
    data = AnomalyDataNode(normal_class_ids=[0, 1], name="data")
    rx = RXGlobal(name="rx")
    made.connect((data.outputs.cube, rx.data), (data.outputs.valid, rx.valid))
    return made


def test_statistics_alone_have_no_gradient_phase(tmp_path):
    source = Synthetic(**SMALL)
    made = pipeline()
    StatisticalTrainer(pipeline=made, datamodule=source).fit()
    config = TrainRunConfig("small", made.serialize(), source)
    assert config.run_file()["data"] == {
        "type": "cubes.Synthetic",
        "config": {"scenes": 12, "height": 32, "width": 32},
    }
    types = [phase["type"] for phase in config.run_file()["phases"]]
    assert types == ["training.StatisticalTrainer"]  # nothing measures
    assert config.training is None
    path = tmp_path / "small.yaml"
    config.save_to_file(path)
    assert TrainRunConfig.load_from_file(path) == TrainRunConfig(
        "small", config.pipeline, config.run_file()["data"]
    )
    assert command("check", path).startswith(f"{path}: good, 2 nodes")


def test_a_split_is_evaluated_where_a_node_measures_it():
    made = pipeline()
    decider = BinaryDecider(name="decider")
    metrics = AnomalyDetectionMetrics(name="metrics")
    made.connect(made.nodes["rx"].scores, decider.logits)
    made.connect(decider.decisions, metrics.decisions)
    made.connect(made.nodes["data"].outputs.mask, metrics.targets)
    source = Synthetic(**SMALL)
    made.graph(source)
    serialised = made.serialize()
    splits = ["val", "test"]
    for stages in (None, ["test"], ["train"]):
        if stages is not None:
            serialised["nodes"]["metrics"]["stages"] = stages
            splits = [split for split in splits if split in stages]
        phases = TrainRunConfig("x", serialised, source).run_file()["phases"]
        assert [phase["config"]["split"] for phase in phases[1:]] == splits


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data": None},
            "the data of the run are None\n  fix: pass data=datamodule, or its type and config",
        ),
        (
            {"loss_nodes": ["bce"]},
            "loss_nodes has 'bce', which is no node of the pipeline\n  fix: use one of: data, rx",
        ),
    ],
)
def test_what_a_run_file_cannot_hold_is_an_error(changes, message):
    arguments = {"name": "x", "data": Synthetic(**SMALL), **changes}
    with pytest.raises(ConfigError) as caught:
        TrainRunConfig(pipeline=pipeline().serialize(), **arguments).run_file()
    assert str(caught.value) == message


def test_parameters_of_the_tutorials_data_module_need_no_type():
    data = {"cu3s_file_path": "a.cu3s", "train_ids": [0]}
    config = TrainRunConfig("x", pipeline().serialize(), data).run_file()
    assert config["data"] == {"type": "cubes.SingleCu3sDataModule", "config": data}


@pytest.mark.parametrize(
    ("left_out", "what"), [("", "a phase training.Calibrate"), ("training.Calibrate", "refit")]
)
def test_run_files_with_more_are_refused(tmp_path, left_out, what):
    lines = (EXAMPLES.parent / "configs/channel_selector.yaml").read_text().splitlines()
    path = tmp_path / "run.yaml"
    path.write_text("\n".join(line for line in lines if not left_out or left_out not in line))
    with pytest.raises(ConfigError) as caught:
        TrainRunConfig.load_from_file(path, Plugins())
    assert str(caught.value) == (
        f"{path} has {what}, which a TrainRunConfig cannot hold\n"
        f"  fix: run it with 'specloom run {path}', or load it with specloom.load"
    )


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("5", "x-trainrun is 5\n  fix: make it a mapping, or remove it"),
        (
            "{metric_nodes: 3}",
            "x-trainrun: metric_nodes is 3\n  fix: make it a list of names of nodes",
        ),
        (
            "{freeze_nodes: [1]}",
            "x-trainrun: freeze_nodes is [1]\n  fix: make it a list of names of nodes",
        ),
    ],
)
def test_what_a_run_does_not_check_is_checked(tmp_path, own, message):
    source = Synthetic(**SMALL)
    path = tmp_path / "run.yaml"
    made = pipeline()
    made.graph(source)
    TrainRunConfig("small", made.serialize(), source).save_to_file(path)
    text, _own = path.read_text().split("x-trainrun:")
    path.write_text(f"{text}x-trainrun: {own}\n")
    with pytest.raises(ConfigError) as caught:
        TrainRunConfig.load_from_file(path, Plugins())
    assert str(caught.value) == f"{path}: {message}"


def test_a_folder_needs_phases(tmp_path):
    made = pipeline()
    trainer = StatisticalTrainer(pipeline=made, datamodule=Synthetic(**SMALL))
    with pytest.raises(ConfigError) as caught:
        trainer.save_run(tmp_path)
    assert str(caught.value) == ("nothing was fitted or trained yet\n  fix: call fit() before")


def test_phases_on_different_data_are_no_run(tmp_path):
    made = pipeline()
    for seed in (1, 2):
        trainer = StatisticalTrainer(pipeline=made, datamodule=Synthetic(seed=seed, **SMALL))
        trainer.fit()
    with pytest.raises(ConfigError) as caught:
        trainer.save_run(tmp_path)
    assert str(caught.value) == (
        "the phases of this pipeline had different data, and a run has one source\n"
        "  fix: pass the same datamodule to all trainers"
    )


def test_a_run_of_objects_describes_itself(tmp_path):
    source = Synthetic(**SMALL)
    made = pipeline()
    run = Run(made.graph(source), source, [("fit", StatisticalTrainer())], metadata={"name": "x"})
    run.run()
    run.save(tmp_path / "run")
    record = read(tmp_path / "run/run.json")
    assert record["file"] == "from Python"
    assert record["run"]["phases"] == [{"type": "training.StatisticalTrainer"}]
    assert record["plugins"].keys() == {"cubes", "rx", "training"}
    assert specloom.load(tmp_path / "run").graph.nodes["rx"].fitted


def test_a_run_that_no_file_could_repeat_is_saved_with_a_warning(tmp_path):
    cube = Synthetic(**SMALL).scene(0)[0][None]
    source = InMemory(train=[{"cube": cube}])
    made = pipeline()
    made.connections = [one for one in made.connections if one.target != "rx.valid"]
    run = Run(made.graph(source), source, [("fit", StatisticalTrainer())], metadata={"name": "x"})
    run.run()
    with pytest.warns(SpecloomWarning) as caught:
        run.save(tmp_path)
    assert str(caught[0].message) == (
        "the run cannot be reproduced from its folder: InMemory is offered by no plugin, so other "
        "processes could not name it\n  fix: offer it in a plugin's register_sources"
    )
    assert (tmp_path / "pipeline.yaml").is_file()
    assert read(tmp_path / "run.json")["run"] is None
