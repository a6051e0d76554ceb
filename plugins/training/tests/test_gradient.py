"""Gradient training from end to end, against a plain loop in torch, in Python and in YAML."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import specloom
from specloom import ConfigError, Pipeline, Plugins
from specloom_training.config import (
    OptimizerConfig,
    SchedulerConfig,
    TrainerConfig,
    TrainingConfig,
)
from specloom_training.gradient import GradientTrainer
from specloom_training.gradient.batches import order

sys.path.append(str(Path(__file__).parent))
toys = import_module("training_toys")

RUN = """
specloom: 1
seed: 3
data: {type: toys.Scenes}
nodes:
  double: {type: toys.Double}
  weigh: {type: toys.Weigh, config: {noise: 0.1}}
  bce: {type: toys.Bce}
  decider: {type: deciders.BinaryDecider}
  metrics: {type: metrics.AnomalyDetectionMetrics}
connections:
  - [batch.cube, double.data]
  - [double.doubled, weigh.data]
  - [weigh.logits, bce.logits]
  - [batch.mask, bce.targets]
  - [weigh.logits, decider.logits]
  - [decider.decisions, metrics.decisions]
  - [batch.mask, metrics.targets]
phases:
  - type: training.GradientTrainer
    config:
      unfreeze: [weigh]
      epochs: 3
      optimizer: {name: adamw, lr: 0.05}
      checkpoint: {monitor: metrics/iou, mode: max}
"""


def plugins() -> Plugins:
    names = ("deciders", "metrics", "training")
    return Plugins({"toys": "training_toys", **{name: f"specloom_{name}" for name in names}})


def from_yaml(folder: Path, text: str = RUN):
    (folder / "run.yaml").write_text(text)
    return specloom.load(folder / "run.yaml", plugins=plugins(), device="cpu")


def in_python(**options):
    node = toys.nodes_of(noise=0.1)
    for name, one in node.items():
        one.name = name
    pipeline, batch = Pipeline("toy"), toys.Scenes()
    for name, one in node.items():
        pipeline.add_node(one, name)
    pipeline.connections = list(toys.LINKS)
    pipeline.graph(batch)
    pipeline.unfreeze_nodes_by_name(["weigh"])
    trainer = GradientTrainer(
        pipeline=pipeline,
        datamodule=batch,
        loss_nodes=[node["bce"]],
        metric_nodes=[node["metrics"]],
        optimizer_config=OptimizerConfig(name="adamw", lr=0.05),
        **options,
    )
    return trainer, node


def test_training_is_what_a_plain_loop_does():
    run = toys.run_of()
    GradientTrainer(unfreeze=["weigh"], epochs=3, optimizer={"name": "sgd", "lr": 0.5}).train(run)
    source = toys.Scenes()
    weights, bias = (torch.zeros(n, requires_grad=True) for n in ((5,), ()))
    optimizer = torch.optim.SGD([weights, bias], lr=0.5)
    for epoch in range(3):
        numbers = order(6, 0, epoch)
        for first in (0, 2, 4):
            batch = source.read("train", numbers[first : first + 2])
            cube = torch.from_numpy(batch["cube"]) * 2
            temperature = torch.tensor(0.9**epoch)
            logits = (cube @ weights[:, None] + bias) / temperature
            targets = torch.from_numpy(batch["mask"]).float()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    node = run.graph.nodes["weigh"]
    assert torch.allclose(node.weights, weights, rtol=1e-6, atol=1e-7)
    assert torch.allclose(node.bias, bias, rtol=1e-6, atol=1e-7)
    assert run.metrics["train"]["best_epoch"] == 2


def test_yaml_and_python_give_the_same_weights(tmp_path):
    run = from_yaml(tmp_path)
    run.run()
    trainer, node = in_python(
        seed=3,
        trainer_config=TrainerConfig(max_epochs=3),
        checkpoint={"monitor": "metrics/iou", "mode": "max"},
    )
    trainer.fit()
    assert torch.equal(run.graph.nodes["weigh"].weights, node["weigh"].weights)
    assert run.metrics["train"]["best_epoch"] == trainer.best_epoch
    assert not list(run.graph.nodes["weigh"].parameters())
    assert trainer.validate()["metrics/iou"] == run.metrics["val"]["metrics/iou"]
    assert trainer.test() == trainer.test()


def test_both_phases_log_what_they_do_in_python(caplog):
    training = TrainingConfig.from_dict({"trainer": {"max_epochs": 3}})
    training.scheduler = SchedulerConfig(
        "reduce_on_plateau", monitor="metrics/iou", mode="min", factor=0.5, patience=0
    )
    trainer, _nodes = in_python(trainer_config=training)
    with caplog.at_level("INFO", logger="specloom.training"):
        trainer.fit()
    first, *_others, last = [record.getMessage() for record in caplog.records]
    assert first == "gradient phase"
    assert last == f"best epoch: {trainer.best_epoch}"
    epoch = re.compile(
        r"epoch [0-2] of 3: train/bce=[\d.]+, train/total=[\d.]+, metrics/iou=[\d.]+, lr=0\.\d+"
    )
    lines = [record.getMessage() for record in caplog.records[1:-1]]
    assert len([line for line in lines if epoch.fullmatch(line)]) == 3
    assert "reducing the learning rate to 0.025" in lines


def test_observers_are_told_everything(tmp_path):
    class Watch:
        def __init__(self):
            self.numbers, self.epochs, self.files, self.shown = {}, [], [], []

        @specloom.impl
        def artifacts(self, step, values):
            self.shown.append((step, values))

        @specloom.impl
        def recorded(self, step, values):
            self.numbers.setdefault(step, {}).update(values)

        @specloom.impl
        def epoch_ended(self, epoch, max_epochs):
            self.epochs.append((epoch, max_epochs))

        @specloom.impl
        def checkpoint_saved(self, path):
            self.files.append(path.name)

    watch, run = Watch(), from_yaml(tmp_path)
    run.folder = tmp_path
    run.plugins.manager.register(watch)
    run.run()
    assert watch.epochs == [(0, 3), (1, 3), (2, 3)]
    expected = {"train/bce/loss", "train/total/loss", "train/learning_rate", "val/bce/loss"}
    expected |= {"train/weigh/temperature", "val/metrics/iou"}
    assert all(expected <= set(watch.numbers[epoch]) for epoch in range(3))
    assert watch.numbers[2]["train/weigh/temperature"] == pytest.approx(0.81)
    assert watch.files[0] == "epoch=00.safetensors"
    assert watch.shown == [(epoch, {"train/weigh/largest": "0"}) for epoch in range(3)]


def test_training_says_nothing_and_leaves_torch_as_it_was(capfd):
    run = toys.run_of()
    GradientTrainer(unfreeze=["weigh"], epochs=2, deterministic=True).train(run)
    assert capfd.readouterr() == ("", "")
    assert not torch.are_deterministic_algorithms_enabled()
    assert not any(node.training for node in run.graph.nodes.values() if hasattr(node, "training"))


def test_only_what_is_unfrozen_is_trained_and_losses_add_up():
    nodes = {**toys.nodes_of(), "small": toys.Small()}
    links = [*toys.LINKS, toys.Connection("weigh.logits", "small.logits")]
    run = toys.run_of(nodes, links=links)
    nodes["weigh"].trainable = ("bias",)
    GradientTrainer(unfreeze=["weigh"], epochs=2, optimizer={"name": "sgd", "lr": 0.1}).train(run)
    assert not nodes["weigh"].weights.any()
    assert nodes["weigh"].bias != 0
    found = run.metrics["train"]
    assert found["total/loss"] == pytest.approx(found["bce/loss"] + found["small/loss"])


def test_what_is_not_refitted_or_unfrozen_never_changes():
    run = toys.run_of()
    before = run.graph.nodes["decider"].state()
    GradientTrainer(unfreeze=["weigh"], epochs=1).train(run)
    after = run.graph.nodes["decider"].state()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def trained(source=None, **options):
    run = toys.run_of(source=source)
    sgd = {"name": "sgd", "lr": 1.0}
    GradientTrainer(unfreeze=["weigh"], epochs=1, optimizer=sgd, **options).train(run)
    return run.graph.nodes["weigh"].weights


def test_gradients_are_clipped():
    assert trained(gradient_clip_val=1e-3).norm() < 4e-3 < 0.1 < trained().norm()
    assert trained(gradient_clip_val=1e-3, gradient_clip_algorithm="value").max() < 4e-3


def test_accumulated_batches_are_as_one():
    whole = trained(toys.Scenes(batch_size=6))
    assert torch.allclose(trained(accumulate_grad_batches=3), whole, atol=1e-7)


def test_mixed_precision_trains_on_the_cpu():
    run = toys.run_of()
    GradientTrainer(unfreeze=["weigh"], epochs=2, precision="bf16-mixed").train(run)
    assert run.graph.nodes["weigh"].weights.dtype == torch.float32
    assert np.isfinite(run.metrics["train"]["bce/loss"])


def test_half_precision_is_refused_on_the_cpu():
    with pytest.raises(ConfigError) as caught:
        GradientTrainer(unfreeze=["weigh"], precision="16-mixed").train(toys.run_of())
    assert str(caught.value) == (
        "precision '16-mixed' needs a GPU\n  fix: use bf16-mixed, or a GPU"
    )
