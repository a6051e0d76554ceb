"""What is wrong with the data of a gradient phase, and what only its first epoch can show."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from specloom import ConfigError, DataError
from specloom_training.gradient import GradientTrainer

sys.path.append(str(Path(__file__).parent))
toys = import_module("training_toys")


def test_an_empty_training_split_is_refused():
    with pytest.raises(ConfigError) as caught:
        GradientTrainer(unfreeze=["weigh"]).train(toys.run_of(source=toys.Scenes(images=0)))
    assert str(caught.value) == ("the data has no split 'train'\n  fix: use one of: val, test")
    source = toys.Scenes(images=0)
    source.splits = lambda: ("train", "val")
    with pytest.raises(DataError) as empty:
        GradientTrainer(unfreeze=["weigh"]).train(toys.run_of(source=source))
    assert str(empty.value) == (
        "the training split is empty\n  fix: change the split of the data so that it has images"
    )


def test_a_metric_that_nothing_recorded_is_told_after_the_first_validation():
    phase = GradientTrainer(unfreeze=["weigh"], checkpoint={"monitor": "metrics/iuo"})
    with pytest.raises(ConfigError) as caught:
        phase.train(toys.run_of())
    assert str(caught.value) == (
        "checkpoint monitors 'metrics/iuo', which nothing records\n"
        "  fix: did you mean 'val/metrics/iou'?"
    )


def test_validation_that_cannot_be_is_told_at_once():
    source = toys.Scenes()
    source.splits = lambda: ("train",)
    phase = GradientTrainer(unfreeze=["weigh"], checkpoint={"monitor": "metrics/iou"})
    with pytest.raises(ConfigError) as caught:
        phase.train(toys.run_of(source=source))
    assert str(caught.value) == (
        "checkpoint monitors 'metrics/iou', but the data has no split 'val'\n"
        "  fix: monitor train/total, or use data with a validation split"
    )


def test_torch_refuses_a_value():
    phase = GradientTrainer(unfreeze=["weigh"], optimizer={"name": "sgd", "lr": -1.0})
    with pytest.raises(ConfigError) as caught:
        phase.train(toys.run_of())
    assert str(caught.value) == (
        "sgd: Invalid learning rate: -1.0\n  fix: change the parameters of optimizer"
    )


def test_without_a_pipeline_it_says_what_it_needs():
    with pytest.raises(ConfigError) as caught:
        GradientTrainer().fit()
    assert str(caught.value) == (
        "GradientTrainer has no pipeline or no datamodule\n"
        "  fix: pass pipeline= and datamodule=, or use it as a phase of a run file"
    )
