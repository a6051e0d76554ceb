"""What users of the trainers in Python write otherwise than the documents do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
import training_toys as toys

from specloom import ConfigError, Pipeline, SpecloomError
from specloom_losses import AnomalyBCEWithLogits
from specloom_metrics import AnomalyDetectionMetrics
from specloom_mrmr import SupervisedFullSpectrumBandSelector
from specloom_rx import RXGlobal, ScoreToLogit
from specloom_training import (
    CallbacksConfig,
    EarlyStoppingConfig,
    GradientTrainer,
    ModelCheckpointConfig,
    OptimizerConfig,
    PipelineMetadata,
    SchedulerConfig,
    StatisticalTrainer,
    TrainerConfig,
    TrainingConfig,
    TrainRunConfig,
)
from specloom_training.gradient.settings import settings_of


class Small:
    """RX and a trainable head on tiny scenes."""

    def __init__(self) -> None:
        self.pipeline = Pipeline("small")
        self.rx = self.pipeline.add("rx", RXGlobal())
        self.head = self.pipeline.add("head", ScoreToLogit())
        self.bce = self.pipeline.add("bce", AnomalyBCEWithLogits())
        self.pipeline.chain("batch.cube", self.rx, self.head)
        self.pipeline.connect(
            (self.head.logits, self.bce.predictions), ("batch.mask", self.bce.targets)
        )
        self.source = toys.Scenes()

    def fitted(self) -> Small:
        StatisticalTrainer(self.pipeline, self.source).fit()
        self.pipeline.unfreeze_nodes_by_name(["head"])
        return self

    def trainer(self, **options) -> GradientTrainer:
        chosen = {"loss_nodes": [self.bce], "trainer_config": TrainerConfig(max_epochs=1)}
        return GradientTrainer(self.pipeline, self.source, **{**chosen, **options})


@pytest.fixture(scope="module")
def small():
    return Small().fitted()


def message(made) -> str:
    with pytest.raises(SpecloomError) as caught:
        made()
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda training: setattr(training.trainer, "max_epoch", 3),
            "TrainerConfig has no parameter 'max_epoch'\n  fix: did you mean 'max_epochs'?",
        ),
        (
            lambda training: setattr(training.trainer.callbacks, "model_checkpoint", None),
            "CallbacksConfig has no parameter 'model_checkpoint'\n"
            "  fix: did you mean 'checkpoint'?",
        ),
        (
            lambda training: setattr(training, "schedular", SchedulerConfig("step")),
            "TrainingConfig has no parameter 'schedular'\n  fix: did you mean 'scheduler'?",
        ),
        (
            lambda _training: EarlyStoppingConfig(monitor="train/bce", patiance=20),
            "EarlyStoppingConfig has no parameter 'patiance'\n  fix: did you mean 'patience'?",
        ),
        (
            lambda _training: PipelineMetadata(name="x", autor="me"),
            "PipelineMetadata has no parameter 'autor'\n  fix: did you mean 'author'?",
        ),
        (
            lambda _training: TrainRunConfig(name="x", unfrozen_nodes=[]),
            "TrainRunConfig has no parameter 'unfrozen_nodes'\n"
            "  fix: did you mean 'unfreeze_nodes'?",
        ),
    ],
)
def test_a_name_that_a_configuration_does_not_have_is_an_error(change, expected):
    training = TrainingConfig.from_dict({})
    assert message(lambda: change(training)) == expected


def test_callbacks_that_are_set_to_none_are_empty():
    training = TrainingConfig.from_dict({})
    training.trainer.callbacks = None
    assert training.trainer.callbacks == CallbacksConfig()
    assert TrainerConfig(callbacks=None) == TrainerConfig()


@pytest.mark.parametrize(
    ("trainer", "what"),
    [
        (TrainerConfig(max_epochs="3"), "trainer.max_epochs should be a valid integer, got '3'"),
        (
            TrainerConfig(callbacks=CallbacksConfig(EarlyStoppingConfig("train/bce"))),
            "trainer.callbacks.early_stopping should be a valid list, got EarlyStoppingConfig(",
        ),
    ],
)
def test_a_value_of_another_type_in_an_object_is_an_error(trainer, what):
    settings, problems = settings_of(GradientTrainer(trainer_config=trainer))
    assert settings is None
    assert str(problems[0]).startswith(what)


def test_a_folder_of_checkpoints_may_be_a_path():
    checkpoint = ModelCheckpointConfig(dirpath=Path("checkpoints"))
    trainer = TrainerConfig(callbacks=CallbacksConfig(checkpoint=checkpoint))
    settings, problems = settings_of(GradientTrainer(trainer_config=trainer))
    assert problems == []
    assert settings.plain()["checkpoint"]["dirpath"] == "checkpoints"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"loss_nodes": ["bce"]},
            "loss_nodes has the name 'bce', where a node belongs\n"
            "  fix: pass the node itself: pipeline.nodes['bce']",
        ),
        (
            {"metric_nodes": "metrics"},
            "metric_nodes is 'metrics', not a list of nodes\n  fix: write metric_nodes=[node]",
        ),
        (
            {"metric_nodes": [AnomalyDetectionMetrics(name="m")]},
            "AnomalyDetectionMetrics 'm' is not in the pipeline\n"
            "  fix: connect it, or remove it from metric_nodes",
        ),
        (
            {"monitors": ["tensorboard"]},
            "monitors has 'tensorboard', which has no hook of specloom\n"
            "  fix: pass a node such as TensorBoardMonitorNode, or an object with hooks",
        ),
        (
            {"optimizer_config": "adam"},
            "optimizer is 'adam', not a mapping\n  fix: write its name as a mapping: {name: adam}",
        ),
        (
            {"trainer_config": OptimizerConfig("adam")},
            "trainer is OptimizerConfig(name='adam'), not a mapping\n"
            "  fix: pass a TrainerConfig, or a mapping of its parameters",
        ),
    ],
)
def test_an_argument_of_another_kind_is_an_error(small, options, expected):
    assert message(small.trainer(**options).fit) == expected


@pytest.mark.parametrize("trainer", [StatisticalTrainer, GradientTrainer])
def test_pipeline_and_data_in_the_wrong_order_are_an_error(small, trainer):
    found = message(trainer(small.source, small.pipeline).fit)
    assert found.startswith(f"{trainer.__name__}: the pipeline is <training_toys.Scenes object")
    assert found.endswith(", no Pipeline\n  fix: pass pipeline=pipeline, datamodule=source")
    found = message(trainer(small.pipeline, "data/lentils").fit)
    assert found.startswith(f"{trainer.__name__}: the datamodule is 'data/lentils', no data source")


def test_a_second_training_has_the_scheduler_and_the_seed_of_the_configuration():
    small = Small().fitted()
    training = TrainingConfig.from_dict({"trainer": {"max_epochs": 1}, "seed": 3})
    small.trainer(trainer_config=training.trainer).fit()
    assert training.trainer.training() is training
    training.scheduler = SchedulerConfig("step", step_size=1)
    second = small.trainer(trainer_config=training.trainer)
    settings, _problems = settings_of(second)
    assert settings.scheduler is training.scheduler
    assert second.seed_of_run() == 3


def test_a_fit_from_python_is_checked_as_one_of_a_run_file_is():
    pipeline = Pipeline("bands")
    bands = SupervisedFullSpectrumBandSelector(name="bands")
    pipeline.connect(("batch.cube", bands.cube))
    source = toys.Scenes()
    found = message(StatisticalTrainer(pipeline, source).fit)
    assert found.startswith("bands is fitted with 'mask', which is not connected")
    assert found.endswith("\n  fix: add a connection - [node.output, bands.mask]")
    small = Small()
    assert message(StatisticalTrainer(small.pipeline, source, nodes=["rxx"]).fit) == (
        "there is no node 'rxx'\n  fix: did you mean 'rx'?"
    )


def test_a_split_that_nothing_measures_is_an_error():
    small = Small().fitted()
    small.pipeline.stages["bce"] = ("train",)
    assert message(StatisticalTrainer(small.pipeline, small.source).validate) == (
        "no node measures anything in the stage 'val'\n"
        "  fix: add a metrics.AnomalyDetectionMetrics node, or remove this phase"
    )


def test_a_train_run_takes_nested_mappings(small):
    made = TrainRunConfig(
        name="small",
        pipeline=small.pipeline.serialize(),
        data={"type": "cubes.Synthetic"},
        training={"trainer": {"max_epochs": 2}},
        unfreeze_nodes=["head"],
    )
    assert made.run_file()["phases"][1]["config"]["epochs"] == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"pipeline": Pipeline("mine")},
            "the pipeline of the run 'small' is Pipeline('mine': 0 nodes, 0 connections), not a "
            "mapping\n  fix: pass pipeline=pipeline.serialize()",
        ),
        (
            {"pipeline": {}},
            "the pipeline of the run 'small' has no nodes\n"
            "  fix: pass pipeline=pipeline.serialize()",
        ),
        (
            {"loss_nodes": "bce"},
            "loss_nodes is 'bce', not a list of names of nodes\n  fix: write [node.name]",
        ),
        (
            {"freeze_nodes": ["rx"], "unfreeze_nodes": ["rx"]},
            "'rx' is in freeze_nodes and in unfreeze_nodes\n  fix: remove it from one of them",
        ),
    ],
)
def test_a_train_run_that_makes_no_sense_is_an_error(small, options, expected):
    data = {"type": "cubes.Synthetic"}
    values = {"name": "small", "pipeline": small.pipeline.serialize(), "data": data, **options}
    with pytest.raises(ConfigError) as caught:
        TrainRunConfig(**values).run_file()
    assert str(caught.value) == expected


def test_without_training_losses_are_measured_whatever_is_named(small):
    data = {"type": "cubes.Synthetic"}
    made = TrainRunConfig("small", small.pipeline.serialize(), data, loss_nodes=["bce"])
    assert made.run_file()["nodes"]["bce"]["stages"] == ["val", "test"]
